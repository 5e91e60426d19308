"""A framebuffer that keeps the samples of a part of a picture."""

from typing import Any

import mujoco
import numpy as np


class LayerUnavailableError(Exception):
    """OpenGL does not do what a kept layer needs."""


class SampleLayer:
    """Colour, depth and stencil of each sample of a square, kept beside MuJoCo's framebuffer.

    It belongs to the OpenGL context that is current when it is made, and every method needs that
    one to be current. Copying leaves each sample as it was, for both framebuffers have the same
    formats and as many samples. A display list holds the copy back, so that MuJoCo can be told to
    do it in the middle of its own drawing, right after it has cleared the framebuffer.

    Args:
        con: MuJoCo's ``MjrContext``.
        size: Height and width in pixels, at most those of MuJoCo's framebuffer.

    Raises:
        LayerUnavailableError: OpenGL refuses it.
    """

    def __init__(self, con: Any, size: int) -> None:
        self._gl = _opengl()
        self._con, self._size = con, size
        self._buffers: list[int] = []
        self._framebuffer = self._list = 0
        self._checked(self._make)
        # MuJoCo calls list number base + index for index >= 0 only.
        self.index = self._list - int(con.baseMesh)
        if self.index < 0:
            self.free()
            raise LayerUnavailableError("OpenGL numbers the list before MuJoCo's own")

    def belongs_to(self, con: Any) -> bool:
        """Tell whether it was made beside this ``MjrContext``."""
        return self._con is con

    def keep(self) -> None:
        """Copy what MuJoCo has drawn.

        Raises:
            LayerUnavailableError: OpenGL refuses it.
        """
        gl = self._gl

        def copy() -> None:
            gl.glBindFramebuffer(gl.GL_READ_FRAMEBUFFER, self._con.offFBO)
            gl.glBindFramebuffer(gl.GL_DRAW_FRAMEBUFFER, self._framebuffer)
            self._copy()

        self._checked(copy)

    def select(self) -> int:
        """Let the next drawing of MuJoCo's begin with what is kept.

        Returns:
            The display list to be called, as an index from MuJoCo's first mesh.
        """
        self._gl.glBindFramebuffer(self._gl.GL_READ_FRAMEBUFFER, self._framebuffer)
        return self.index

    def free(self) -> None:
        """Free its memory."""
        gl = self._gl
        if self._list:
            gl.glDeleteLists(self._list, 1)
        if self._framebuffer:
            gl.glDeleteFramebuffers(1, [self._framebuffer])
        if self._buffers:
            gl.glDeleteRenderbuffers(len(self._buffers), self._buffers)
        self._list, self._framebuffer, self._buffers = 0, 0, []

    def _make(self) -> None:
        gl, con = self._gl, self._con
        self._framebuffer = int(gl.glGenFramebuffers(1))
        gl.glBindFramebuffer(gl.GL_FRAMEBUFFER, self._framebuffer)
        for theirs, attachment in (
            (con.offColor, gl.GL_COLOR_ATTACHMENT0),
            (con.offDepthStencil, gl.GL_DEPTH_STENCIL_ATTACHMENT),
        ):
            gl.glBindRenderbuffer(gl.GL_RENDERBUFFER, theirs)
            samples, kind = (
                _renderbuffer_parameter(gl, name)
                for name in (gl.GL_RENDERBUFFER_SAMPLES, gl.GL_RENDERBUFFER_INTERNAL_FORMAT)
            )
            self._buffers.append(int(gl.glGenRenderbuffers(1)))
            gl.glBindRenderbuffer(gl.GL_RENDERBUFFER, self._buffers[-1])
            gl.glRenderbufferStorageMultisample(
                gl.GL_RENDERBUFFER, samples, kind, self._size, self._size
            )
            gl.glFramebufferRenderbuffer(
                gl.GL_FRAMEBUFFER, attachment, gl.GL_RENDERBUFFER, self._buffers[-1]
            )
        if gl.glCheckFramebufferStatus(gl.GL_FRAMEBUFFER) != gl.GL_FRAMEBUFFER_COMPLETE:
            raise LayerUnavailableError("the framebuffer is not complete")
        self._list = int(gl.glGenLists(1))
        gl.glNewList(self._list, gl.GL_COMPILE)
        self._copy()
        gl.glEndList()

    def _copy(self) -> None:
        gl, size = self._gl, self._size
        everything = gl.GL_COLOR_BUFFER_BIT | gl.GL_DEPTH_BUFFER_BIT | gl.GL_STENCIL_BUFFER_BIT
        gl.glBlitFramebuffer(0, 0, size, size, 0, 0, size, size, everything, gl.GL_NEAREST)

    def _checked(self, work: Any) -> None:
        """Work with OpenGL and bind MuJoCo's framebuffer again.

        An error that MuJoCo's own calls have left behind is none of the work's: without a window
        there is one after each context that is made.
        """
        gl = self._gl
        while mujoco.mjr_getError():
            pass
        try:
            work()
        except gl.GLError as error:
            raise LayerUnavailableError(f"OpenGL error {error.err}") from error
        finally:
            mujoco.mjr_restoreBuffer(self._con)


def _opengl() -> Any:
    """Return PyOpenGL's functions, which it looks for in OpenGL's library when imported."""
    try:
        from OpenGL import GL
    except (ImportError, AttributeError, OSError) as error:
        raise LayerUnavailableError("PyOpenGL finds no OpenGL") from error
    return GL


def _renderbuffer_parameter(gl: Any, name: Any) -> int:
    value = np.zeros(1, dtype=np.int32)
    gl.glGetRenderbufferParameteriv(gl.GL_RENDERBUFFER, name, value)
    return int(value[0])
