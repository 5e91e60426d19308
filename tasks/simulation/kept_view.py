"""A fixed camera's pictures from what is kept of earlier ones.

Most of what such a camera sees stands still bit for bit from one picture to the next. Its samples
are kept in two layers: a lower one with what is fixed to the world and what has long been at rest,
an upper one with that and all else that rests. Only what moves is drawn, over the upper layer.

A layer is dropped when anything in it has moved, and made anew of what is at rest then. That costs
little more than drawing the picture at once: what goes into a layer needs no second drawing.
"""

import mujoco

from tasks.simulation.box_kernels import Bools
from tasks.simulation.drawing import SceneDrawer
from tasks.simulation.kept_layer import KeptLayer, PoseHistory
from tasks.simulation.render_passes import RenderPass, RenderPasses

_CALM = 8
"""Pictures without a motion after which something goes into the lower layer."""


class KeptView:
    """Draws a fixed camera's pictures of one model, without what mirrors show.

    Args:
        drawer: Draws the scene.
        camera: Index of the camera.
        passes: Knows the geoms of the model.
    """

    def __init__(self, drawer: SceneDrawer, camera: int, passes: RenderPasses) -> None:
        model = drawer.model
        self._drawer, self._camera, self._passes = drawer, camera, passes
        self._fixed = model.body_weldid[model.geom_bodyid] == 0
        self._layers: list[KeptLayer] = []
        self._history = PoseHistory(model.ngeom)

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
        if not self._history.follow(self._drawer.model, data, self._camera):
            self.forget()
            return False
        lower, upper = self._present_layers(seen)
        behind = self._passes.planes_from_behind(data, self._camera)
        layerable = self._passes.opaque & seen & ~behind
        poses, resting = self._history.poses, self._history.resting
        calm = layerable & (resting >= _CALM)
        if lower.members is None:
            upper.members = None
            members = (layerable & self._fixed) | calm
            if not self._passes.worth_a_layer(members | (self._passes.mirrors & seen)):
                return False
            lower.make(data, members, poses, drawing, sky=True)
        still = layerable & (resting > 0) & ~self._passes.mirrors
        if upper.members is None:
            lower.keep_with(data, still & calm, poses, lower)
            upper.keep_with(data, still, poses, lower)
        else:
            upper.keep_with(data, still, poses, upper)
        top = lower if upper.members is None else upper
        top.draw_over(data, seen, complete=True)
        return True

    def forget(self) -> None:
        """Free the layers."""
        for layer in self._layers:
            layer.free()
        self._layers = []

    def _present_layers(self, seen: Bools) -> list[KeptLayer]:
        """Return the lower and the upper layer, without content that is no longer right."""
        if self._layers and not self._layers[0].usable():
            self.forget()
        while len(self._layers) < 2:
            self._layers.append(KeptLayer(self._drawer, self._camera, self._passes))
        for layer in self._layers:
            layer.drop_if_moved(self._history.poses)
            # MuJoCo draws a mirror before all else, so before the layer, which would hide it.
            if layer.members is not None and (self._passes.mirrors & seen & ~layer.members).any():
                layer.members = None
        return self._layers


def stands_still(model: mujoco.MjModel, camera: int) -> bool:
    """Tell whether a camera is fixed to the world."""
    fixed = model.cam_mode[camera] == mujoco.mjtCamLight.mjCAMLIGHT_FIXED
    return bool(fixed and model.body_weldid[model.cam_bodyid[camera]] == 0)
