"""A mirror's part of a picture, in which only what mirrors show is drawn twice.

MuJoCo draws all geoms of a scene mirrored, and then all of them as they are. Around a mirror most
of what is seen directly is not seen in it, and the other way round. So the mirror and what it shows
are drawn first and kept, and everything else is drawn over that: both within the rectangle of the
picture that the mirror is in, beside which OpenGL fills no pixel. While nothing kept moves, as
between the pictures of a fixed camera, what rests around the mirror is added to it.
"""

import mujoco
import numpy as np

from tasks.simulation.box_kernels import Bools
from tasks.simulation.drawing import SceneDrawer
from tasks.simulation.kept_layer import KeptLayer, PoseHistory
from tasks.simulation.render_passes import RenderPass, RenderPasses


class KeptMirror:
    """Draws the part of a camera's pictures that a mirror is seen in.

    Args:
        drawer: Draws the scene.
        camera: Index of the camera.
        passes: Knows the geoms of the model.
    """

    def __init__(self, drawer: SceneDrawer, camera: int, passes: RenderPasses) -> None:
        self._drawer, self._camera, self._passes = drawer, camera, passes
        self._history = PoseHistory(drawer.model.ngeom)
        self._layer: KeptLayer | None = None
        self._sky = False

    def draw(self, data: mujoco.MjData, seen: Bools, drawing: RenderPass) -> bool:
        """Draw the mirror and around it into MuJoCo's framebuffer.

        Args:
            data: Poses of geoms, cameras and lights.
            seen: (ngeom,) what shows there, in the mirror or directly.
            drawing: Says what of that does not show in the mirror.

        Returns:
            False if it is to be drawn at once, which is cheaper, or the only right way because
            something transparent is in it.

        Raises:
            LayerUnavailableError: OpenGL refuses a layer.
        """
        drawer, late = self._drawer, np.zeros_like(seen)
        late[drawing.late] = True
        unchanged = self._history.follow(drawer.model, data, self._camera)
        if not self._passes.worth_a_layer(late) or drawer.sites_shown():
            return False
        transparent = ~self._passes.opaque | self._passes.planes_from_behind(data, self._camera)
        if (transparent & seen).any():
            return False
        layer, poses, early = self._present_layer(), self._history.poses, seen & ~late
        layer.drop_if_moved(poses)
        if not unchanged or not self._holds(layer, early, drawing):
            layer.make(data, early, poses, drawing, sky=drawing.sky)
            self._sky = drawing.sky
        else:
            layer.keep_with(data, late & (self._history.resting > 0), poses, layer)
        layer.draw_over(data, late, complete=True)
        return True

    def _present_layer(self) -> KeptLayer:
        if self._layer is not None and not self._layer.usable():
            self._layer.free()
            self._layer = None
        if self._layer is None:
            self._layer = KeptLayer(self._drawer, self._camera, self._passes)
        return self._layer

    def _holds(self, layer: KeptLayer, early: Bools, drawing: RenderPass) -> bool:
        """Tell whether a layer of the last pictures has all that mirrors show now."""
        if layer.members is None or layer.pixels != drawing.pixels:
            return False
        return not (early & ~layer.members).any() and (self._sky or not drawing.sky)
