"""A framebuffer that keeps the samples of a part of a picture."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tasks.simulation.opengl_calls import LayerUnavailableError, checked, opengl
from tasks.simulation.render_passes import PixelRectangle


class SampleLayer:
    """Colour, depth and stencil of each sample of a square, kept beside MuJoCo's framebuffer.

    It belongs to the OpenGL context that is current when it is made, and every method needs that
    one to be current. Copying leaves each sample as it was, for both framebuffers have the same
    formats and as many samples. A display list holds the copy back, so that MuJoCo can be told to
    do it in the middle of its own drawing, right after it has cleared the framebuffer. Another one
    restricts all drawing that follows to a rectangle, which MuJoCo itself never does.

    Args:
        con: MuJoCo's ``MjrContext``.
        size: Height and width in pixels, at most those of MuJoCo's framebuffer.

    Raises:
        LayerUnavailableError: OpenGL refuses it.
    """

    def __init__(self, con: Any, size: int) -> None:
        self._gl = opengl()
        self._con, self._whole = con, PixelRectangle(0, 0, size, size)
        self._buffers: list[int] = []
        self._framebuffer = self._copying = self._restricting = 0
        self._restricted: PixelRectangle | None = None
        with checked(con):
            self._make()
            self._copying = self._listed(self._copying, lambda: self._copy(self._whole))

    def belongs_to(self, con: Any) -> bool:
        """Tell whether it was made beside this ``MjrContext``."""
        return self._con is con

    def keep(self, pixels: PixelRectangle) -> None:
        """Copy what MuJoCo has drawn.

        Args:
            pixels: Where.

        Raises:
            LayerUnavailableError: OpenGL refuses it.
        """
        gl = self._gl
        with checked(self._con):
            gl.glBindFramebuffer(gl.GL_READ_FRAMEBUFFER, self._con.offFBO)
            gl.glBindFramebuffer(gl.GL_DRAW_FRAMEBUFFER, self._framebuffer)
            self._copy(pixels)

    def select(self) -> int:
        """Let the next drawing of MuJoCo's begin with what is kept.

        Returns:
            The display list to be called, as an index from MuJoCo's first mesh.
        """
        self._gl.glBindFramebuffer(self._gl.GL_READ_FRAMEBUFFER, self._framebuffer)
        return self._index(self._copying)

    @contextmanager
    def restricted(self, pixels: PixelRectangle) -> Iterator[list[int]]:
        """Restrict what MuJoCo draws meanwhile, and what is copied back, to a rectangle.

        Beside it, anything may come out: llvmpipe draws into the row below and into the column on
        the left as well.

        Args:
            pixels: The rectangle.

        Yields:
            Display lists with which MuJoCo's drawing has to begin; none for all pixels.

        Raises:
            LayerUnavailableError: OpenGL refuses it.
        """
        gl = self._gl
        if pixels == self._whole:
            yield []
            return

        def restrict() -> None:
            gl.glScissor(*pixels[:2], pixels.right - pixels.left, pixels.top - pixels.bottom)
            gl.glEnable(gl.GL_SCISSOR_TEST)

        if pixels != self._restricted:
            with checked(self._con):
                self._restricting = self._listed(self._restricting, restrict)
            self._restricted = pixels
        try:
            yield [self._index(self._restricting)]
        finally:
            gl.glDisable(gl.GL_SCISSOR_TEST)

    def free(self) -> None:
        """Free its memory."""
        gl = self._gl
        for each in (self._copying, self._restricting):
            gl.glDeleteLists(each, 1)
        if self._framebuffer:
            gl.glDeleteFramebuffers(1, [self._framebuffer])
        if self._buffers:
            gl.glDeleteRenderbuffers(len(self._buffers), self._buffers)
        self._framebuffer = self._copying = self._restricting = 0
        self._buffers = []

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
                gl.GL_RENDERBUFFER, samples, kind, self._whole.right, self._whole.top
            )
            gl.glFramebufferRenderbuffer(
                gl.GL_FRAMEBUFFER, attachment, gl.GL_RENDERBUFFER, self._buffers[-1]
            )
        if gl.glCheckFramebufferStatus(gl.GL_FRAMEBUFFER) != gl.GL_FRAMEBUFFER_COMPLETE:
            raise LayerUnavailableError("the framebuffer is not complete")

    def _copy(self, pixels: PixelRectangle) -> None:
        gl = self._gl
        everything = gl.GL_COLOR_BUFFER_BIT | gl.GL_DEPTH_BUFFER_BIT | gl.GL_STENCIL_BUFFER_BIT
        gl.glBlitFramebuffer(*pixels, *pixels, everything, gl.GL_NEAREST)

    def _listed(self, number: int, work: Callable[[], None]) -> int:
        """Make a display list, or make one of a number anew."""
        number = number or int(self._gl.glGenLists(1))
        self._gl.glNewList(number, self._gl.GL_COMPILE)
        work()
        self._gl.glEndList()
        return number

    def _index(self, number: int) -> int:
        """Return a list's index from MuJoCo's first mesh: it calls lists by such ones, from 0."""
        index = number - int(self._con.baseMesh)
        if index < 0:
            raise LayerUnavailableError("OpenGL numbers the list before MuJoCo's own")
        return index


def _renderbuffer_parameter(gl: Any, name: Any) -> int:
    value = np.zeros(1, dtype=np.int32)
    gl.glGetRenderbufferParameteriv(gl.GL_RENDERBUFFER, name, value)
    return int(value[0])
