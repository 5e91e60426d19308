"""Rendering a simulation's cameras, pixel for pixel as robosuite renders them."""

from typing import Any

import mujoco
import numpy as np

from tasks.observation import Image

_MUJOCO_CAMERAS = {"agentview": "agentview", "wrist": "robot0_eye_in_hand"}


class Renderer:
    """Renders LIBERO's two cameras of one simulation.

    Args:
        sim: robosuite's ``MjSim`` with an off-screen render context.
        size: Height and width of the pictures in pixels.
    """

    def __init__(self, sim: Any, size: int) -> None:
        self._sim = sim
        self._size = size

    def render(self, camera: str, data: Any = None) -> Image:
        """Render one camera.

        Args:
            camera: One of ``CAMERAS``.
            data: ``mujoco.MjData`` whose kinematics are up to date; the simulation's by default.

        Returns:
            (size, size, 3) uint8, upside down, as OpenGL gives it.
        """
        context = self._sim._render_context_offscreen
        # Another simulation of this process may have left its own GL context behind.
        context.gl_ctx.make_current()
        shown = context.data
        if data is not None:
            context.data = _Wrapped(data)
        try:
            picture: Image = self._sim.render(
                camera_name=_MUJOCO_CAMERAS[camera], width=self._size, height=self._size
            )
        finally:
            context.data = shown
        return np.asarray(picture)


class _Wrapped:
    """What robosuite's render context reads of its data."""

    def __init__(self, data: mujoco.MjData) -> None:
        self._data = data
