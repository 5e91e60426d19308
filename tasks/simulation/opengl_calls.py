"""PyOpenGL's functions, called between those of MuJoCo in the context that is current."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import mujoco


class LayerUnavailableError(Exception):
    """OpenGL does not do what pictures from kept parts need."""


def opengl() -> Any:
    """Return PyOpenGL's functions, which it looks for in OpenGL's library when imported.

    Raises:
        LayerUnavailableError: It finds none.
    """
    try:
        from OpenGL import GL
    except (ImportError, AttributeError, OSError) as error:
        raise LayerUnavailableError("PyOpenGL finds no OpenGL") from error
    return GL


@contextmanager
def checked(con: Any) -> Iterator[None]:
    """Bind MuJoCo's framebuffer again after some work with OpenGL.

    An error that MuJoCo's own calls have left behind is none of the work's: without a window
    there is one after each context that is made.

    Args:
        con: MuJoCo's ``MjrContext``.

    Raises:
        LayerUnavailableError: OpenGL refuses the work.
    """
    gl = opengl()
    while mujoco.mjr_getError():
        pass
    try:
        yield
    except gl.GLError as error:
        raise LayerUnavailableError(f"OpenGL error {error.err}") from error
    finally:
        mujoco.mjr_restoreBuffer(con)
