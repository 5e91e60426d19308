"""A fixed camera's pictures from what is kept of earlier ones.

Most of what such a camera sees stands still bit for bit from one picture to the next. Its samples
are kept in two layers: a lower one with what is fixed to the world and what has long been at rest,
an upper one with that and all else that rests. Only what moves is drawn, over the upper layer.

A layer is dropped when anything in it has moved, and made anew of what is at rest then. That costs
little more than drawing the picture at once: what goes into a layer needs no second drawing.
"""

import mujoco
import numpy as np
import numpy.typing as npt

from tasks.simulation.box_kernels import Bools
from tasks.simulation.culling import is_opaque
from tasks.simulation.drawing import SceneDrawer
from tasks.simulation.render_passes import RenderPass, RenderPasses
from tasks.simulation.sample_layer import SampleLayer
from tasks.simulation.ties import TieRule

_CALM = 8
"""Pictures without a motion after which something goes into the lower layer."""

_ROUNDING = 1e-3  # metres, of the side of a plane that a camera is on

Poses = npt.NDArray[np.float32]


class _Layer:
    """Samples, and what is in them.

    Args:
        samples: The samples, of nothing yet.

    Attributes:
        samples: The samples.
        members: (ngeom,) which geoms are in them; None where nothing is to be used.
    """

    def __init__(self, samples: SampleLayer) -> None:
        self.samples = samples
        self.members: Bools | None = None
        self._poses: Poses = np.empty((0, 12), dtype=np.float32)

    def keep(self, members: Bools, poses: Poses) -> None:
        """Take over what has just been drawn: members at these poses, (ngeom, 12)."""
        self.samples.keep()
        self.members, self._poses = members, poses

    def drop_if_moved(self, poses: Poses) -> None:
        """Drop the content if a member is elsewhere now."""
        if self.members is not None:
            moved = self._poses[self.members] != poses[self.members]
            self.members = None if moved.any() else self.members


class KeptView:
    """Draws a fixed camera's pictures of one model, without what mirrors show.

    Args:
        drawer: Draws the scene.
        camera: Index of the camera.
        passes: Knows the geoms of the model.
    """

    def __init__(self, drawer: SceneDrawer, camera: int, passes: RenderPasses) -> None:
        model = drawer.model
        self._drawer, self._camera = drawer, camera
        self._pays, self._mirrors = passes.worth_a_layer, passes.mirrors
        self._ties = TieRule(passes.boxes, model.ngeom)
        self._opaque = drawer.shown & is_opaque(model)
        self._planes = np.flatnonzero(model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE)
        self._fixed = model.body_weldid[model.geom_bodyid] == 0
        self._layers: list[_Layer] = []
        self._view: Poses | None = None
        self._poses: Poses = np.full((model.ngeom, 12), np.nan, dtype=np.float32)
        self._resting = np.zeros(model.ngeom, dtype=np.int64)

    def draw(self, data: mujoco.MjData, seen: Bools, drawing: RenderPass) -> bool:
        """Draw a picture into MuJoCo's framebuffer.

        Args:
            data: Poses of geoms, cameras and lights.
            seen: (ngeom,) which geoms the camera may see.
            drawing: The pass, without what mirrors show.

        Returns:
            False if it is to be drawn without layers, which do not pay.

        Raises:
            LayerUnavailableError: OpenGL refuses a layer.
        """
        self._follow(data)
        view, before = _view(self._drawer.model, data, self._camera), self._view
        self._view = view
        if before is not None and not np.array_equal(view, before):
            self.forget()
            return False
        lower, upper = self._present_layers(seen)
        layerable = self._opaque & seen & ~self._seen_from_behind(data)
        if lower.members is None:
            upper.members = None
            members = layerable & (self._fixed | (self._resting >= _CALM))
            if not self._pays(members | (self._mirrors & seen)):
                return False
            self._keep(data, lower, members)
        resting = layerable & (self._resting > 0) & ~self._mirrors
        if upper.members is None:
            self._keep_more(data, lower, resting & (self._resting >= _CALM), lower)
            self._keep_more(data, lower, resting, upper)
        else:
            self._keep_more(data, upper, resting, upper)
        self._draw_over(data, lower if upper.members is None else upper, seen, complete=True)
        return True

    def forget(self) -> None:
        """Free the layers."""
        for layer in self._layers:
            layer.samples.free()
        self._layers = []

    def _follow(self, data: mujoco.MjData) -> None:
        """Note where geoms are drawn and for how many pictures they have been there."""
        poses = np.concatenate([data.geom_xpos, data.geom_xmat], axis=1).astype(np.float32)
        still = (poses == self._poses).all(axis=1)
        self._resting = np.where(still, self._resting + 1, 0)
        self._poses = poses

    def _present_layers(self, seen: Bools) -> list[_Layer]:
        """Return the lower and the upper layer, without content that is no longer right."""
        con, size = self._drawer.framebuffer(), self._drawer.size
        if self._layers and not self._layers[0].samples.belongs_to(con):
            self.forget()
        while len(self._layers) < 2:
            self._layers.append(_Layer(SampleLayer(con, size)))
        for layer in self._layers:
            layer.drop_if_moved(self._poses)
            # MuJoCo draws a mirror before all else, so before the layer, which would hide it.
            if layer.members is not None and (self._mirrors & seen & ~layer.members).any():
                layer.members = None
        return self._layers

    def _seen_from_behind(self, data: mujoco.MjData) -> Bools:
        """Tell which planes MuJoCo draws as transparent, or may."""
        behind = np.zeros(len(self._opaque), dtype=bool)
        to_camera = data.cam_xpos[self._camera] - data.geom_xpos[self._planes]
        normals = data.geom_xmat[self._planes].reshape(-1, 3, 3)[:, :, 2]
        behind[self._planes] = (to_camera * normals).sum(axis=1) <= _ROUNDING
        return behind

    def _keep(self, data: mujoco.MjData, layer: _Layer, members: Bools) -> None:
        """Make a layer of nothing but some geoms and the sky."""
        self._drawer.draw(data, self._camera, members, complete=False)
        layer.keep(members, self._poses)

    def _keep_more(self, data: mujoco.MjData, start: _Layer, geoms: Bools, into: _Layer) -> None:
        """Add geoms to a layer, or start another with them, if that pays."""
        assert start.members is not None
        if self._pays(geoms & ~start.members):
            self._draw_over(data, start, geoms, complete=False)
            into.keep(start.members | geoms, self._poses)

    def _draw_over(
        self, data: mujoco.MjData, layer: _Layer, geoms: Bools, *, complete: bool
    ) -> None:
        """Draw over a layer what of some geoms is not in it, and what would lose ties."""
        members = layer.members
        assert members is not None
        new = geoms & ~members
        again = self._ties.drawn_again(data, new & self._opaque, members & ~self._mirrors)
        self._drawer.draw(
            data, self._camera, new | again, complete=complete, layer=layer.samples.select()
        )


def stands_still(model: mujoco.MjModel, camera: int) -> bool:
    """Tell whether a camera is fixed to the world."""
    fixed = model.cam_mode[camera] == mujoco.mjtCamLight.mjCAMLIGHT_FIXED
    return bool(fixed and model.body_weldid[model.cam_bodyid[camera]] == 0)


def _view(model: mujoco.MjModel, data: mujoco.MjData, camera: int) -> Poses:
    """Return where the camera and the lights are, as MuJoCo draws them, and all colours."""
    parts = (
        *(data.cam_xpos[camera], data.cam_xmat[camera], data.light_xpos, data.light_xdir),
        *(model.light_active, model.light_ambient, model.light_diffuse, model.light_specular),
        *(model.geom_rgba, model.mat_rgba),
    )
    return np.concatenate([np.ravel(part) for part in parts]).astype(np.float32)
