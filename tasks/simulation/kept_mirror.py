"""A mirror's part of a picture, in which only what mirrors show is drawn twice.

MuJoCo draws all geoms of a scene mirrored, and then all of them as they are. Around a mirror most
of what is seen directly is not seen in it, and the other way round. So the mirror and what it shows
are drawn first and kept; everything else is drawn over that.
"""

import mujoco
import numpy as np

from tasks.simulation.box_kernels import Bools
from tasks.simulation.culling import is_opaque
from tasks.simulation.drawing import SceneDrawer
from tasks.simulation.render_passes import RenderPass, RenderPasses
from tasks.simulation.sample_layer import SampleLayer
from tasks.simulation.ties import TieRule


class KeptMirror:
    """Draws the part of a camera's pictures that a mirror is seen in.

    Args:
        drawer: Draws the scene.
        camera: Index of the camera.
        passes: Knows the geoms of the model.
    """

    def __init__(self, drawer: SceneDrawer, camera: int, passes: RenderPasses) -> None:
        self._drawer, self._camera, self._passes = drawer, camera, passes
        self._ties = TieRule(passes.boxes, drawer.model.ngeom)
        self._transparent = ~is_opaque(drawer.model)
        self._layer: SampleLayer | None = None

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
        if not self._passes.worth_a_layer(late):
            return False
        if drawer.sites_shown() or (self._transparent & seen).any():
            return False
        con = drawer.framebuffer()
        if self._layer is not None and not self._layer.belongs_to(con):
            self._layer.free()
            self._layer = None
        if self._layer is None:
            self._layer = SampleLayer(con, drawer.size)
        early = seen & ~late
        drawer.draw(data, self._camera, early, reflection=True, complete=False, sky=drawing.sky)
        self._layer.keep()
        again = self._ties.drawn_again(data, late, early & ~self._passes.mirrors)
        drawer.draw(data, self._camera, late | again, layer=self._layer.select())
        return True
