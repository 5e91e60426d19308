"""Render contexts of OpenGL, several of which share a process.

robosuite renders into, and frees from, whichever GL context is current. A second environment in
the same process, LIBERO's own or one of ours, would therefore draw into the first one's images
and delete its textures. All code here that uses GL leaves the current context as it was.
"""

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray
from robosuite.utils.binding_utils import MjRenderContext, MjRenderContextOffscreen

from tasks.errors import SimulatorError
from tasks.opengl import backend


class BuildThread:
    """The thread that built a simulation, the only one that can use its context."""

    def __init__(self) -> None:
        self._process, self._thread = os.getpid(), threading.get_ident()

    def check(self) -> None:
        """Refuse any other thread.

        Raises:
            SimulatorError: This is another thread or process.
        """
        if (self._process, self._thread) == (os.getpid(), threading.get_ident()):
            return
        where = "thread" if self._process == os.getpid() else "process"
        raise SimulatorError(
            f"This simulation renders in the {where} that built it, and was called from another. "
            f"Fix: make an environment in each {where} that uses one (gymnasium.make; "
            "gymnasium.make_vec(…, vectorization_mode='async', "
            "vector_kwargs={'context': 'spawn'}) for many), or use it in one alone."
        )


@contextlib.contextmanager
def current_context_kept() -> Iterator[None]:
    """Make the GL context that is current now current again at the end, if there is one.

    With EGL only: other backends have no way to ask for it that robosuite would have loaded.
    """
    if backend() != "egl":
        yield
        return
    from OpenGL import EGL

    display, before = EGL.eglGetCurrentDisplay(), EGL.eglGetCurrentContext()
    try:
        yield
    finally:
        if before and before.address != _address(EGL.eglGetCurrentContext()):
            with contextlib.suppress(EGL.EGLError):  # it may have been freed meanwhile
                EGL.eglMakeCurrent(display, EGL.EGL_NO_SURFACE, EGL.EGL_NO_SURFACE, before)


def _address(context: Any) -> int | None:
    return context.address if context else None


def free_contexts_separately() -> None:
    """Have robosuite free each render context within itself, and leave the current one current.

    Python frees what forgotten objects held at any moment, also while another simulation renders.
    robosuite would then delete textures and buffers of the context that is current, by numbers that
    all contexts count alike: the other's next picture would be noise.
    """
    free = MjRenderContext.__del__
    if free.__module__ == __name__:
        return

    def __del__(self: Any) -> None:  # noqa: N807
        if sys.is_finalizing():
            free(self)
            return
        with current_context_kept():
            with contextlib.suppress(Exception):  # it may have been freed before
                self.gl_ctx.make_current()
            free(self)

    MjRenderContext.__del__ = __del__


class SharingRenderContext(MjRenderContextOffscreen):  # type: ignore[misc]
    """Uploads equal textures once, and has a shadow map only where a light casts shadows.

    Lights are looked at, and textures compared, when the context is made: a texture changed later
    and uploaded again changes for all that share it.
    """

    def _set_mujoco_context_and_buffers(self) -> None:
        model = self.model._model
        shared = equal_textures(model)
        with _shrunk(model, list(shared)):
            self.con = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_150)
        for copy, first in shared.items():
            self.con.texture[copy] = self.con.texture[first]
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self.con)


def equal_textures(model: mujoco.MjModel) -> dict[int, int]:
    """Return the 2D textures that equal an earlier one: index to the earlier one's index."""
    first: dict[tuple[int, ...], list[int]] = {}
    shared = {}
    colorspace = getattr(model, "tex_colorspace", np.zeros(model.ntex))  # since 3.3
    for index in range(model.ntex):
        if model.tex_type[index] != mujoco.mjtTexture.mjTEXTURE_2D:
            continue
        kind = (
            int(model.tex_height[index]),
            int(model.tex_width[index]),
            int(model.tex_nchannel[index]),
            int(colorspace[index]),
        )
        texels = _texels(model, index)
        for earlier in first.setdefault(kind, []):
            if np.array_equal(texels, _texels(model, earlier)):
                shared[index] = earlier
                break
        else:
            first[kind].append(index)
    return shared


def _texels(model: mujoco.MjModel, index: int) -> NDArray[np.uint8]:
    size = model.tex_height[index] * model.tex_width[index] * model.tex_nchannel[index]
    start = model.tex_adr[index]
    texels: NDArray[np.uint8] = model.tex_data[start : start + size]
    return texels


@contextlib.contextmanager
def _shrunk(model: mujoco.MjModel, unused: list[int]) -> Iterator[None]:
    """Give a model's unused textures one texel and drop a useless shadow map, meanwhile."""
    sizes = model.tex_height.copy(), model.tex_width.copy()
    shadow = model.vis.quality.shadowsize
    try:
        model.tex_height[unused] = model.tex_width[unused] = 1
        if not model.light_castshadow.any():
            model.vis.quality.shadowsize = 0
        yield
    finally:
        model.tex_height[:], model.tex_width[:] = sizes
        model.vis.quality.shadowsize = shadow
