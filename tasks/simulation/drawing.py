"""Drawing chosen geoms of a scene with MuJoCo's renderer, as robosuite's context has it set up."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import mujoco
import numpy as np
from robosuite.utils.binding_utils import _MjSim_render_lock

from tasks.observation import Image
from tasks.simulation.box_kernels import Bools
from tasks.simulation.render_passes import PixelRectangle

_HIDDEN_GROUP = 5
_EVERYTHING = mujoco.mjtCatBit.mjCAT_ALL
_REFLECTION = mujoco.mjtRndFlag.mjRND_REFLECTION
_SKY = mujoco.mjtRndFlag.mjRND_SKYBOX


class SceneDrawer:
    """Draws one simulation's scene into its off-screen framebuffer, whose context is current.

    Args:
        sim: robosuite's ``MjSim`` with an off-screen render context.
        size: Height and width of the pictures in pixels.

    Attributes:
        model: The ``mujoco.MjModel``.
        shown: (ngeom,) whether a geom is in a group that is drawn.
        size: Height and width of the pictures in pixels.
    """

    def __init__(self, sim: Any, size: int) -> None:
        self._sim = sim
        self.model = sim.model._model
        self.size = size
        option = self._context.vopt
        option.geomgroup[_HIDDEN_GROUP] = option.sitegroup[_HIDDEN_GROUP] = 0
        self.shown: Bools = option.geomgroup.astype(bool)[self.model.geom_group]
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED

    @property
    def _context(self) -> Any:
        """Robosuite's render context, which is to be freed with the simulation."""
        return self._sim._render_context_offscreen

    def framebuffer(self) -> Any:
        """Return MuJoCo's ``MjrContext``, large enough for the picture; it may be a new one."""
        context, size = self._context, self.size
        if size > context.con.offWidth or size > context.con.offHeight:
            limits = context.model.vis.global_
            context.update_offscreen_size(max(size, limits.offwidth), max(size, limits.offheight))
        return context.con

    def sites_shown(self) -> bool:
        """Tell whether a site can be seen at all."""
        return bool((self.model.site_rgba[:, 3] > 0).any())

    def draw(
        self,
        data: mujoco.MjData,
        camera: int,
        drawn: Bools,
        *,
        reflection: bool = False,
        complete: bool = True,
        first: Sequence[int] = (),
        sky: bool = True,
    ) -> None:
        """Draw geoms, and what belongs to a complete picture.

        Args:
            data: Poses of geoms, cameras and lights.
            camera: Index of a fixed camera.
            drawn: (ngeom,) the geoms.
            reflection: Whether to draw what mirrors show.
            complete: Whether to draw the sites that can be seen.
            first: Display lists, as indices from MuJoCo's first mesh, that are called before all
                else.
            sky: Whether to draw the sky.
        """
        con, scene, option = self.framebuffer(), self._context.scn, self._context.vopt
        scene.ngeom = len(first)
        for geom, each in zip(scene.geoms, first, strict=False):
            _fill_with_list(geom, each)
        self._camera.fixedcamid = camera
        with self._only(drawn, complete):
            mujoco.mjv_addGeoms(self.model, data, option, self._context.pert, _EVERYTHING, scene)
        mujoco.mjv_updateCamera(self.model, data, self._camera, scene)
        mujoco.mjv_makeLights(self.model, data, scene)  # one of which is at the camera
        scene.flags[_REFLECTION], scene.flags[_SKY] = reflection, sky
        try:
            with _MjSim_render_lock:
                mujoco.mjr_render(mujoco.MjrRect(0, 0, self.size, self.size), scene, con)
        finally:
            scene.flags[_REFLECTION] = scene.flags[_SKY] = True

    def read(self, pixels: PixelRectangle) -> Image:
        """Return a part of what was drawn, (H, W, 3) uint8, upside down, as OpenGL gives it."""
        left, bottom, right, top = pixels
        picture: Image = np.empty((top - bottom, right - left, 3), dtype=np.uint8)
        rectangle = mujoco.MjrRect(left, bottom, right - left, top - bottom)
        if picture.size:
            with _MjSim_render_lock:
                mujoco.mjr_readPixels(picture, None, rectangle, self._context.con)
        return picture

    @contextmanager
    def _only(self, drawn: Bools, sites: bool) -> Iterator[None]:
        """Move all other geoms and sites into a group that is not drawn, meanwhile.

        MuJoCo would draw invisible sites twice, as it does all that is transparent.
        """
        model = self.model
        geom_group, site_group = model.geom_group.copy(), model.site_group.copy()
        model.geom_group[~drawn] = _HIDDEN_GROUP
        model.site_group[(model.site_rgba[:, 3] <= 0) | (not sites)] = _HIDDEN_GROUP
        try:
            yield
        finally:
            model.geom_group[:], model.site_group[:] = geom_group, site_group


def _fill_with_list(geom: Any, display_list: int) -> None:
    """Make a scene's geom one that calls a display list and sets nothing else."""
    mujoco.mjv_initGeom(
        geom,
        mujoco.mjtGeom.mjGEOM_MESH,
        np.zeros(3),
        np.zeros(3),
        np.eye(3).ravel(),
        np.ones(4, dtype=np.float32),
    )
    geom.dataid, geom.matid, geom.texcoord = display_list, -1, 0
