"""Building and freeing LIBERO's own environment, and the GL context that comes with it."""

import contextlib
import gc
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from tasks.errors import PrerequisiteError, SimulatorError
from tasks.observation import CONTROL_HZ
from tasks.protocols import Protocol
from tasks.rendering import advice, backend
from tasks.suites import Task, import_libero

_renderer_pid: int | None = None


def _prepare_rendering() -> None:
    """Choose the GL backend; refuse where a forked process would hang in it."""
    global _renderer_pid
    os.environ.setdefault("MUJOCO_GL", "egl")
    if _renderer_pid not in (None, os.getpid()):
        raise SimulatorError(
            "This process was forked from one that had already rendered, where OpenGL hangs. "
            "Start processes afresh: gymnasium.make_vec(…, vectorization_mode='async', "
            "vector_kwargs={'context': 'spawn'})."
        )
    _renderer_pid = os.getpid()


def build_libero(task: Task, protocol: Protocol, *, images: bool) -> Any:
    """Build LIBERO's environment of a task, without its camera observations.

    Args:
        task: The task.
        protocol: Gives the seed of what is drawn while building.
        images: Whether to make a renderer.

    Returns:
        LIBERO's ``ControlEnv``.

    Raises:
        PrerequisiteError: LIBERO, or the GL library for rendering, is missing.
        SimulatorError: This process was forked from one that had rendered.
    """
    if images:
        _prepare_rendering()
    import_libero()
    try:
        from libero.libero.envs.env_wrapper import ControlEnv
    except (ImportError, AttributeError, OSError) as error:
        raise _rendering_error(error) from error
    try:
        with seeded(protocol.seed):
            return ControlEnv(
                bddl_file_name=str(task.bddl_file),
                use_camera_obs=False,
                has_offscreen_renderer=images,
                hard_reset=False,
                ignore_done=True,
                control_freq=int(CONTROL_HZ),
            )
    except FileNotFoundError:
        raise
    except (ImportError, AttributeError, OSError, RuntimeError) as error:
        if images:
            raise _rendering_error(error) from error
        raise


def free_libero(control: Any) -> None:
    """Free the renderer and the simulation of a ``ControlEnv``."""
    with contextlib.suppress(Exception):  # a GL context that is gone already cannot be freed
        control.env.sim._render_context_offscreen = None
        control.close()
        gc.collect()


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed NumPy's global generator, from which LIBERO draws, and put it back afterwards."""
    before = np.random.get_state()
    np.random.seed(seed % 2**32)
    try:
        yield
    finally:
        np.random.set_state(before)


def _rendering_error(error: Exception) -> PrerequisiteError:
    return PrerequisiteError(
        f"Off-screen rendering with MUJOCO_GL={backend()} is not available ({error}). {advice()}."
    )
