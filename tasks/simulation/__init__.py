"""LIBERO's own simulation, driven faster: same states, same pictures, bit for bit."""

from tasks.opengl import prepare

prepare()  # before any module here imports MuJoCo or robosuite

from tasks.simulation.render_context import free_contexts_separately  # noqa: E402

free_contexts_separately()
