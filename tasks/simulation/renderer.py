"""Rendering a simulation's cameras, pixel for pixel as robosuite renders them."""

from typing import Any, NamedTuple

import mujoco
import numpy as np

from tasks.observation import FloatArray, Image
from tasks.protocols import Protocol
from tasks.simulation.control import Sample
from tasks.simulation.render_context import current_context_kept
from tasks.simulation.render_passes import RenderPasses

_MUJOCO_CAMERAS = {"agentview": "agentview", "wrist": "robot0_eye_in_hand"}
_HIDDEN_GROUP = 5


class Renderer:
    """Renders LIBERO's two cameras of one simulation.

    Args:
        sim: robosuite's ``MjSim`` with an off-screen render context.
        size: Height and width of the pictures in pixels.
        cull: Whether to leave out what no pixel shows; False draws everything, for comparison.

    Attributes:
        passes: Plans what is drawn of each image; None without culling.
    """

    def __init__(self, sim: Any, size: int, *, cull: bool = True) -> None:
        self._sim = sim
        self._size = size
        self._model = sim.model._model
        self._cameras = {
            name: int(sim.model.camera_name2id(its)) for name, its in _MUJOCO_CAMERAS.items()
        }
        options = sim._render_context_offscreen.vopt
        options.geomgroup[_HIDDEN_GROUP] = 0
        self.passes = RenderPasses(self._model, options.geomgroup, size) if cull else None

    def render(self, camera: str, data: Any = None) -> Image:
        """Render one camera.

        Args:
            camera: One of ``CAMERAS``.
            data: ``mujoco.MjData`` whose kinematics are up to date; the simulation's by default.

        Returns:
            (size, size, 3) uint8, upside down, as OpenGL gives it.
        """
        with current_context_kept():
            self._sim._render_context_offscreen.gl_ctx.make_current()
            return self._render(camera, data)

    def _render(self, camera: str, data: Any) -> Image:
        context = self._sim._render_context_offscreen
        shown = context.data
        if data is not None:
            context.data = _Wrapped(data)
        flags, groups = context.scn.flags, self._model.geom_group.copy()
        try:
            if self.passes is None:
                return self._draw(camera)
            picture = np.empty((self._size, self._size, 3), dtype=np.uint8)
            for drawing in self.passes.plan(context.data._data, self._cameras[camera]):
                self._model.geom_group[drawing.hidden] = _HIDDEN_GROUP
                flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = drawing.reflection
                picture[drawing.rows, drawing.columns] = self._draw(camera)[
                    drawing.rows, drawing.columns
                ]
                self._model.geom_group[:] = groups
            return picture
        finally:
            self._model.geom_group[:] = groups
            flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = True
            context.data = shown

    def _draw(self, camera: str) -> Image:
        """Render one camera as robosuite does."""
        picture: Image = self._sim.render(
            camera_name=_MUJOCO_CAMERAS[camera], width=self._size, height=self._size
        )
        return np.asarray(picture)


class _Wrapped:
    """What robosuite's render context reads of its data."""

    def __init__(self, data: mujoco.MjData) -> None:
        self._data = data


class Snapshot(NamedTuple):
    """What an image and an observation of one control step are made from.

    Attributes:
        sample: Where everything was when LIBERO samples its observations.
        site_rgba: Colours of the sites then, (nsite, 4): a stove's burner is one.
    """

    sample: Sample
    site_rgba: FloatArray


class ImageRenderer:
    """Renders snapshots on scratch data; the simulation itself is not touched.

    Args:
        sim: robosuite's ``MjSim`` with an off-screen render context.
        protocol: Gives the resolution and the orientation.
    """

    def __init__(self, sim: Any, protocol: Protocol) -> None:
        self._model = sim.model._model
        self._scratch = mujoco.MjData(self._model)
        self._renderer = Renderer(sim, protocol.resolution)
        self._rotate = protocol.orientation == "rotate180"

    def render(self, camera: str, snapshot: Snapshot) -> Image:
        """Return one camera's picture of an instant, (H, W, 3) uint8, turned as the protocol says.

        Args:
            camera: One of ``CAMERAS``.
            snapshot: The instant, of the present scene: fixtures stand where they stand now.
        """
        model, scratch = self._model, self._scratch
        scratch.qpos[:] = snapshot.sample.before
        mujoco.mj_kinematics(model, scratch)
        mujoco.mj_comPos(model, scratch)
        mujoco.mj_camlight(model, scratch)
        now = model.site_rgba.copy()
        model.site_rgba[:] = snapshot.site_rgba
        try:
            picture = self._renderer.render(camera, scratch)
        finally:
            model.site_rgba[:] = now
        return np.ascontiguousarray(picture[::-1, ::-1] if self._rotate else picture)
