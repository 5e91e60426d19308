"""Pictures of past instants of the simulation, taken when somebody wants them."""

from typing import Any, NamedTuple

import mujoco
import numpy as np

from tasks.observation import FloatArray, Image
from tasks.protocols import Protocol
from tasks.simulation.control import Sample
from tasks.simulation.renderer import Renderer


class Shot(NamedTuple):
    """All that a picture and an observation of one control step need.

    Attributes:
        sample: Where everything was when LIBERO samples its observations.
        site_rgba: Colours of the sites then, (nsite, 4): a stove's burner is one.
    """

    sample: Sample
    site_rgba: FloatArray


class Pictures:
    """Renders instants on scratch data; the simulation itself is not touched.

    Args:
        sim: robosuite's ``MjSim`` with an off-screen render context.
        protocol: Gives the resolution and the orientation.
    """

    def __init__(self, sim: Any, protocol: Protocol) -> None:
        self._model = sim.model._model
        self._scratch = mujoco.MjData(self._model)
        self._renderer = Renderer(sim, protocol.resolution)
        self._rotate = protocol.orientation == "rotate180"

    def take(self, camera: str, shot: Shot) -> Image:
        """Return one camera's picture of an instant, (H, W, 3) uint8, turned as the protocol says.

        Args:
            camera: One of ``CAMERAS``.
            shot: The instant, of the present scene: fixtures stand where they stand now.
        """
        model, scratch = self._model, self._scratch
        scratch.qpos[:] = shot.sample.before
        mujoco.mj_kinematics(model, scratch)
        mujoco.mj_comPos(model, scratch)
        mujoco.mj_camlight(model, scratch)
        now = model.site_rgba.copy()
        model.site_rgba[:] = shot.site_rgba
        try:
            picture = self._renderer.render(camera, scratch)
        finally:
            model.site_rgba[:] = now
        return np.ascontiguousarray(picture[::-1, ::-1] if self._rotate else picture)
