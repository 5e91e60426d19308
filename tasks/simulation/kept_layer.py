"""What a kept layer holds, whether it is still right, and which geoms are worth keeping."""

import mujoco
import numpy as np
import numpy.typing as npt

from tasks.simulation.box_kernels import Bools, Ints
from tasks.simulation.drawing import SceneDrawer
from tasks.simulation.render_passes import PixelRectangle, RenderPass, RenderPasses
from tasks.simulation.sample_layer import SampleLayer
from tasks.simulation.ties import TieRule

Poses = npt.NDArray[np.float32]


class KeptLayer:
    """A layer of one camera's pictures, and which geoms are in it.

    Args:
        drawer: Draws the scene.
        camera: Index of the camera.
        passes: Knows the geoms of the model.

    Attributes:
        members: (ngeom,) which geoms are in it; None where nothing is to be used.
        pixels: The part of the picture that it holds.

    Raises:
        LayerUnavailableError: OpenGL refuses a layer.
    """

    def __init__(self, drawer: SceneDrawer, camera: int, passes: RenderPasses) -> None:
        self._drawer, self._camera, self._passes = drawer, camera, passes
        self._ties = TieRule(passes.boxes, drawer.model.ngeom)
        self._samples = SampleLayer(drawer.framebuffer(), drawer.size)
        self.pixels = PixelRectangle(0, 0, drawer.size, drawer.size)
        self._poses: Poses = np.empty((0, 12), dtype=np.float32)
        self.members: Bools | None = None

    def usable(self) -> bool:
        """Tell whether MuJoCo's framebuffer is still the one that it was made beside."""
        return self._samples.belongs_to(self._drawer.framebuffer())

    def make(
        self, data: mujoco.MjData, members: Bools, poses: Poses, drawing: RenderPass, *, sky: bool
    ) -> None:
        """Draw geoms and keep what comes out.

        Args:
            data: Poses of geoms, cameras and lights.
            members: (ngeom,) the geoms.
            poses: (ngeom, 12) their poses as they are drawn.
            drawing: Says in which part of the picture, and whether with what mirrors show.
            sky: Whether with the sky.
        """
        self.pixels = drawing.pixels
        with self._samples.restricted(self.pixels) as first:
            self._drawer.draw(
                data,
                self._camera,
                members,
                reflection=drawing.reflection,
                complete=False,
                first=first,
                sky=sky,
            )
        self._keep(members, poses)

    def drop_if_moved(self, poses: Poses) -> None:
        """Drop the content if a member is elsewhere now."""
        if self.members is not None:
            moved = self._poses[self.members] != poses[self.members]
            self.members = None if moved.any() else self.members

    def draw_over(self, data: mujoco.MjData, geoms: Bools, *, complete: bool) -> None:
        """Draw over the layer what of some geoms is not in it, and what would lose ties.

        Args:
            data: Poses of geoms, cameras and lights.
            geoms: (ngeom,) the geoms.
            complete: Whether this completes a picture.
        """
        members = self.members
        assert members is not None
        new = geoms & ~members
        again = self._ties.drawn_again(
            data, new & self._passes.opaque, members & ~self._passes.mirrors
        )
        with self._samples.restricted(self.pixels) as first:
            first = [*first, self._samples.select()]
            drawn = new | again
            self._drawer.draw(data, self._camera, drawn, complete=complete, first=first, sky=False)

    def keep_with(
        self, data: mujoco.MjData, geoms: Bools, poses: Poses, start: "KeptLayer"
    ) -> None:
        """Take over what another layer, or this one, holds, and more geoms, if that pays.

        Args:
            data: Poses of geoms, cameras and lights.
            geoms: (ngeom,) the geoms.
            poses: (ngeom, 12) their poses as they are drawn.
            start: The layer to begin with.
        """
        assert start.members is not None
        if self._passes.worth_a_layer(geoms & ~start.members):
            start.draw_over(data, geoms, complete=False)
            self.pixels = start.pixels
            self._keep(start.members | geoms, poses)

    def free(self) -> None:
        """Free its memory."""
        self._samples.free()

    def _keep(self, members: Bools, poses: Poses) -> None:
        self._samples.keep(self.pixels)
        self.members, self._poses = members, poses


class PoseHistory:
    """For how many pictures of one camera each geom has stood still, bit for bit as it is drawn.

    Args:
        ngeom: How many geoms the model has.

    Attributes:
        poses: (ngeom, 12) positions and rotations at the last picture.
        resting: (ngeom,) pictures without a motion before the last.
    """

    def __init__(self, ngeom: int) -> None:
        self.poses: Poses = np.full((ngeom, 12), np.nan, dtype=np.float32)
        self.resting: Ints = np.zeros(ngeom, dtype=np.int64)
        self._scene: Poses | None = None

    def follow(self, model: mujoco.MjModel, data: mujoco.MjData, camera: int) -> bool:
        """Note the poses of a picture.

        Returns:
            False if the camera, a light or a colour has changed since the last one.
        """
        poses = np.concatenate([data.geom_xpos, data.geom_xmat], axis=1).astype(np.float32)
        still = (poses == self.poses).all(axis=1)
        self.resting = np.where(still, self.resting + 1, 0)
        self.poses = poses
        scene, before = _camera_lights_colours(model, data, camera), self._scene
        self._scene = scene
        return before is None or np.array_equal(scene, before)


def _camera_lights_colours(model: mujoco.MjModel, data: mujoco.MjData, camera: int) -> Poses:
    """Return where the camera and the lights are, as MuJoCo draws them, and all colours."""
    parts = (
        *(data.cam_xpos[camera], data.cam_xmat[camera], data.light_xpos, data.light_xdir),
        *(model.light_active, model.light_ambient, model.light_diffuse, model.light_specular),
        *(model.geom_rgba, model.mat_rgba),
    )
    return np.concatenate([np.ravel(part) for part in parts]).astype(np.float32)
