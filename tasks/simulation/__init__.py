"""LIBERO's own simulation, driven faster: same states, same pictures, bit for bit."""
