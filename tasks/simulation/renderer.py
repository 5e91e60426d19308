"""Rendering a simulation's cameras, pixel for pixel as robosuite renders them."""

from typing import Any, NamedTuple

import mujoco
import numpy as np

from tasks.observation import FloatArray, Image
from tasks.protocols import Protocol
from tasks.simulation.control import Sample
from tasks.simulation.drawing import SceneDrawer
from tasks.simulation.kept_mirror import KeptMirror
from tasks.simulation.kept_view import KeptView, stands_still
from tasks.simulation.layer_check import LAYER_CHECK, opengl_driver
from tasks.simulation.noise import NoiseSource
from tasks.simulation.opengl_calls import LayerUnavailableError
from tasks.simulation.render_context import current_context_kept
from tasks.simulation.render_passes import RenderPass, RenderPasses

_MUJOCO_CAMERAS = {"agentview": "agentview", "wrist": "robot0_eye_in_hand"}


class Renderer:
    """Renders LIBERO's two cameras of one simulation.

    Args:
        sim: robosuite's ``MjSim`` with an off-screen render context.
        size: Height and width of the pictures in pixels.
        cull: Whether to leave out what no pixel shows; False has robosuite draw everything, for
            comparison.
        keep: Whether to keep what stands still before a fixed camera from one picture to the next.

    Attributes:
        passes: Plans what is drawn of each image; None without culling.
    """

    def __init__(self, sim: Any, size: int, *, cull: bool = True, keep: bool = True) -> None:
        self._sim = sim
        self._size = size
        model = sim.model._model
        self._cameras = {
            name: int(sim.model.camera_name2id(its)) for name, its in _MUJOCO_CAMERAS.items()
        }
        self._drawer = SceneDrawer(sim, size)
        groups = sim._render_context_offscreen.vopt.geomgroup
        self.passes = RenderPasses(model, groups, size) if cull else None
        self._views: dict[str, KeptView] = {}
        self._mirrors: dict[str, KeptMirror] = {}
        if keep and self.passes is not None and self.passes.can_be_kept:
            for name, camera in self._cameras.items():
                self._mirrors[name] = KeptMirror(self._drawer, camera, self.passes)
                if stands_still(model, camera):
                    self._views[name] = KeptView(self._drawer, camera, self.passes)

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
            if self.passes is None:
                return self._render_plainly(camera, data)
            return self._render(camera, self._sim.data._data if data is None else data)

    def _render(self, camera: str, data: mujoco.MjData) -> Image:
        assert self.passes is not None
        picture = np.empty((self._size, self._size, 3), dtype=np.uint8)
        for drawing in self.passes.plan(data, self._cameras[camera]):
            left, bottom, right, top = drawing.pixels
            picture[bottom:top, left:right] = self._draw(camera, data, drawing)
        return picture

    def _draw(self, camera: str, data: mujoco.MjData, drawing: RenderPass) -> Image:
        """Draw one pass, from what is kept where that is possible and works."""
        seen = self._drawer.shown.copy()
        seen[drawing.hidden] = False

        def plain() -> Image:
            index = self._cameras[camera]
            self._drawer.draw(data, index, seen, reflection=drawing.reflection, sky=drawing.sky)
            return self._drawer.read(drawing.pixels)

        kept = (self._mirrors if drawing.reflection else self._views).get(camera)
        if kept is None or not LAYER_CHECK.use:
            return plain()

        def layered() -> Image | None:
            if not kept.draw(data, seen, drawing):
                return None
            return self._drawer.read(drawing.pixels)

        LAYER_CHECK.begin(opengl_driver)
        try:
            if LAYER_CHECK.open:
                return LAYER_CHECK.compare(layered, plain)
            picture = layered()
        except LayerUnavailableError as error:
            LAYER_CHECK.refuse(str(error))
            picture = None
        return plain() if picture is None else picture

    def _render_plainly(self, camera: str, data: mujoco.MjData | None) -> Image:
        """Render one camera as robosuite does."""
        context = self._sim._render_context_offscreen
        shown = context.data
        if data is not None:
            context.data = _Wrapped(data)
        try:
            picture: Image = self._sim.render(
                camera_name=_MUJOCO_CAMERAS[camera], width=self._size, height=self._size
            )
            return np.asarray(picture)
        finally:
            context.data = shown


def renderers(sim: Any, size: int) -> dict[str, Renderer]:
    """Return renderers that draw the same pixels in different ways, to compare them.

    Args:
        sim: robosuite's ``MjSim`` with an off-screen render context.
        size: Height and width of the pictures in pixels.

    Returns:
        ``robosuite`` draws everything; ``culled`` what can be seen; ``ours`` of that what is not
        kept, as environments do.
    """
    return {
        "robosuite": Renderer(sim, size, cull=False),
        "culled": Renderer(sim, size, keep=False),
        "ours": Renderer(sim, size),
    }


class _Wrapped:
    """What robosuite's render context reads of its data."""

    def __init__(self, data: mujoco.MjData) -> None:
        self._data = data


class Snapshot(NamedTuple):
    """What an image and an observation of one control step are made from.

    Attributes:
        sample: Where everything was when LIBERO samples its observations.
        site_rgba: Colours of the sites then, (nsite, 4): a stove's burner is one.
        step: Control steps since the reset, settling included; 0 where none led there.
    """

    sample: Sample
    site_rgba: FloatArray
    step: int = 0


class ImageRenderer:
    """Renders snapshots on scratch data; the simulation itself is not touched.

    Args:
        sim: robosuite's ``MjSim`` with an off-screen render context.
        protocol: Gives the resolution and the orientation.
        noise: Corrupts the pictures of ``agentview`` that control steps led to; None for nothing.
    """

    def __init__(self, sim: Any, protocol: Protocol, noise: NoiseSource | None = None) -> None:
        self._noise = noise
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
        if self._noise is not None and camera == "agentview" and snapshot.step:
            picture = self._noise.corrupt(picture, snapshot.step)
        return np.ascontiguousarray(picture[::-1, ::-1] if self._rotate else picture)
