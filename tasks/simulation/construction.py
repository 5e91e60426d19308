"""Building and freeing LIBERO's own environment, and the GL context that comes with it."""

import contextlib
import ctypes
import dataclasses
import functools
import gc
import os
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import mujoco
import numpy as np

from tasks.bddl import bddl_problem
from tasks.errors import SimulatorError
from tasks.libero_package import import_libero
from tasks.native_libraries import warn_of_kernels
from tasks.observation import CONTROL_HZ
from tasks.opengl import DISABLED, backend, forbidden, unavailable
from tasks.protocols import Protocol
from tasks.simulation.model_cache import ModelCache, forget_source, return_memory, source_xml
from tasks.simulation.render_context import SharingRenderContext, current_context_kept
from tasks.simulation.scene_files import scene_arguments
from tasks.suites import Task

_renderer_pid: int | None = None
_construction = threading.Lock()


def _check_rendering() -> None:
    """Refuse where the user forbids pictures, or where a forked process would hang in OpenGL."""
    global _renderer_pid
    if backend() == DISABLED:
        raise forbidden()
    if _renderer_pid not in (None, os.getpid()):
        raise SimulatorError(
            "This process was forked from one that had already rendered, where OpenGL hangs. "
            "Start processes afresh: gymnasium.make_vec(…, vectorization_mode='async', "
            "vector_kwargs={'context': 'spawn'})."
        )
    _renderer_pid = os.getpid()


def build_libero(task: Task, protocol: Protocol, *, images: bool) -> Any:
    """Build LIBERO's environment of a task, without its camera observations.

    Its model comes from the cache of compiled models.

    Args:
        task: The task.
        protocol: Gives the seed of what is drawn while building.
        images: Whether to make a renderer.

    Returns:
        LIBERO's ``ControlEnv``.

    Raises:
        ConfigError: An environment variable of the model cache has a value that is not allowed, or
            ``MUJOCO_GL`` forbids pictures.
        PrerequisiteError: LIBERO, or the GL library for rendering, is missing.
        SimulatorError: This process was forked from one that had rendered.

    Warns:
        UserWarning: This process computes with other BLAS kernels than workers.
    """
    warn_of_kernels()
    cache = ModelCache.from_environment()
    changed = task.perturbation
    if changed is not None and changed.own_model:
        # A quarter of a gigabyte that no other task uses would push out models that many use.
        cache = dataclasses.replace(cache, limit=0)
    if images:
        _check_rendering()
    import_libero()
    try:
        from libero.libero.envs.env_wrapper import ControlEnv
    except (ImportError, AttributeError, OSError) as error:
        raise unavailable(error) from error
    try:
        with current_context_kept(), seeded(protocol.seed), _cheaper_construction(cache):
            control = ControlEnv(
                bddl_file_name=str(task.bddl_file),
                use_camera_obs=False,
                has_offscreen_renderer=images,
                hard_reset=False,
                ignore_done=True,
                control_freq=int(CONTROL_HZ),
                **scene_arguments(changed, bddl_problem(task.bddl_file)),
            )
    except FileNotFoundError:
        raise
    except (ImportError, AttributeError, OSError, RuntimeError) as error:
        if images:
            raise unavailable(error) from error
        raise
    return_memory()
    return control


def free_libero(control: Any) -> None:
    """Free the renderer and the simulation of a ``ControlEnv``."""
    with (
        current_context_kept(),
        contextlib.suppress(Exception),
    ):  # what is gone already cannot be freed
        context = control.env.sim._render_context_offscreen
        if context is not None:
            context.gl_ctx.make_current()
            del context
        control.env.sim._render_context_offscreen = None
        control.close()
        gc.collect()
        forget_source()
        return_memory()


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed NumPy's global generator, from which LIBERO draws, and put it back afterwards."""
    before = np.random.get_state()
    np.random.seed(seed % 2**32)
    try:
        yield
    finally:
        np.random.set_state(before)


@contextlib.contextmanager
def _cheaper_construction(cache: ModelCache) -> Iterator[None]:
    """Have robosuite take its models from the cache and its render contexts from us, meanwhile."""
    from robosuite.environments import base

    def from_xml_string(xml: str) -> Any:
        model = cache.model(xml)
        sim = simulation(model)
        # robosuite writes the model that MuJoCo compiled last, which may be another or none.
        sim.model.get_xml = functools.partial(source_xml, xml, model)
        return sim

    with _construction:
        simulation, context = base.MjSim, base.MjRenderContextOffscreen
        base.MjSim = SimpleNamespace(from_xml_string=from_xml_string)
        base.MjRenderContextOffscreen = SharingRenderContext
        try:
            yield
        finally:
            base.MjSim, base.MjRenderContextOffscreen = simulation, context


_SIZES = ("nq", "nv", "nu", "na", "nbody", "nbvh")


def disable_unused(model: Any) -> None:
    """Disable a model's sensors and bounding volumes of single bodies, which nothing reads.

    To be called once its data exist. The model must not be saved or copied afterwards.

    Args:
        model: A ``mujoco.MjModel``.
    """
    model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_SENSOR)
    for kind in (ctypes.c_int32, ctypes.c_int64):  # as MuJoCo before and since 3.4
        sizes = (kind * len(_SIZES)).from_address(model._address)
        if list(sizes) == [getattr(model, name) for name in _SIZES]:
            sizes[-1] = int((model.body_bvhadr + model.body_bvhnum).max())
            return
