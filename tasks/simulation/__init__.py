"""LIBERO's own simulation, driven faster: same states, same pictures, bit for bit."""

from tasks.suites import quiet_robosuite

quiet_robosuite()  # before any module here imports it
