"""Whether this process's OpenGL draws the same pixels with kept layers, and sooner.

Copying samples from a display list is allowed by OpenGL and rarely done, so no driver is trusted
unseen: the first pictures are drawn both ways. They differ in nothing else, so whichever way is
taken, no result depends on it.
"""

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from tasks.observation import Image

_PROVEN = (("llvmpipe", "Mesa 22.3"),)
"""Renderer and version of drivers on which thousands of pictures have been compared."""

_PICTURES = 4
"""Pictures that are drawn both ways; in the first of them layers are made, the others are timed."""


class LayerCheck:
    """What is known of one driver.

    Attributes:
        use: Whether layers are to be used.
        open: Whether pictures are still to be drawn both ways.
        reason: Why layers are not used; empty where they are.
        fault: Whether that is because the driver draws them wrong.
        seconds: What the timed pictures took with layers, and without.
    """

    def __init__(self) -> None:
        self.use = True
        self.open = True
        self.reason = ""
        self.fault = False
        self.seconds = (0.0, 0.0)
        self._left: int | None = None

    def begin(self, driver: Callable[[], tuple[str, str]]) -> None:
        """Learn which driver it is, the first time.

        Args:
            driver: Gives its renderer and version.
        """
        if self._left is not None:
            return
        renderer, version = driver()
        proven = any(name in renderer and number in version for name, number in _PROVEN)
        self._left = 0 if proven else _PICTURES
        self.open = not proven

    def compare(self, layered: Callable[[], Image | None], plain: Callable[[], Image]) -> Image:
        """Draw a picture both ways and return it; layers that differ are not used again.

        Args:
            layered: Draws it with layers; None where they do not pay, which proves nothing.
            plain: Draws it without.

        Warns:
            UserWarning: They differ.
        """
        start = time.perf_counter()
        first = layered()
        middle = time.perf_counter()
        second = plain()
        end = time.perf_counter()
        if first is None:
            return second
        if not np.array_equal(first, second):
            self.refuse("pictures differ")
            return second
        left = self._left or 0
        if left < _PICTURES:
            self.seconds = self.seconds[0] + middle - start, self.seconds[1] + end - middle
        self._left = left - 1
        if self._left <= 0:
            self.open = False
            if self.seconds[0] > self.seconds[1]:
                self.use, self.reason = False, "drawing everything is faster"
        return second

    def refuse(self, reason: str) -> None:
        """Use no layers from now on.

        Args:
            reason: What is wrong.

        Warns:
            UserWarning: Always.
        """
        self.use, self.open, self.reason, self.fault = False, False, reason, True
        warnings.warn(
            f"This OpenGL driver cannot keep parts of pictures ({reason}), so every picture is "
            "drawn anew: slower, and otherwise the same.",
            stacklevel=2,
        )


LAYER_CHECK = LayerCheck()
"""That of this process."""


def opengl_driver() -> tuple[str, str]:
    """Return renderer and version of the OpenGL whose context is current; empty if unknown."""
    try:
        from OpenGL import GL  # looks for OpenGL's library
    except (ImportError, AttributeError, OSError):
        return "", ""
    return _text(GL.glGetString(GL.GL_RENDERER)), _text(GL.glGetString(GL.GL_VERSION))


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else ""
