"""Whether any of the sky can show in a picture: drawing it costs as much as many a thing."""

import mujoco
import numpy as np

from tasks.simulation.box_kernels import Bools, Floats
from tasks.simulation.culling import camera_view, near_plane

_SHRUNK = 1e-3  # share of a rectangle's half size left out, for rounding
_SKY = 0.5
"""MuJoCo's sky is a cylinder around the eye whose radius is 0.7 of how far the renderer draws."""
_SIDES = np.repeat(np.eye(3), 2, axis=0) * np.tile([-1.0, 1.0], 3)[:, None]


class SkyCover:
    """Finds flat things that fill a picture, so that no sky shows beside them.

    Args:
        model: The model; its geometry must not change afterwards.
        solid: (ngeom,) opaque geoms that are always drawn; their boxes and finite planes count.
    """

    def __init__(self, model: mujoco.MjModel, solid: Bools) -> None:
        self._model = model
        plane = model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE
        box = model.geom_type == mujoco.mjtGeom.mjGEOM_BOX
        planes, boxes = np.flatnonzero(solid & plane), np.flatnonzero(solid & box)
        self._geoms = np.concatenate([planes, np.repeat(boxes, len(_SIDES))])
        self._normals = np.concatenate(
            [np.tile([0.0, 0.0, 1.0], (len(planes), 1)), np.tile(_SIDES, (len(boxes), 1))]
        )
        halves = model.geom_size[self._geoms].copy()
        halves[: len(planes), 2] = 0
        self._distances = (halves * np.abs(self._normals)).sum(axis=1)
        self._halves = np.where(self._normals != 0, np.inf, halves * (1 - _SHRUNK))

    def fills(self, data: mujoco.MjData, camera: int) -> bool:
        """Tell whether one rectangle fills the picture of a fixed perspective camera.

        A rectangle that is met by the rays through the four corners is met by all between them.

        Args:
            data: Poses of geoms and cameras.
            camera: Index of the camera.
        """
        view = camera_view(self._model, data, camera)
        rotations = data.geom_xmat[self._geoms].reshape(-1, 3, 3)
        eyes = _into(rotations, view.eye - data.geom_xpos[self._geoms])
        rays = np.stack([_into(rotations, ray[None]) for ray in view.rays], axis=1)
        heights = (eyes * self._normals).sum(axis=1) - self._distances
        falls = -(rays * self._normals[:, None]).sum(axis=2)
        with np.errstate(divide="ignore", invalid="ignore"):
            depths = heights[:, None] / falls
            hits = eyes[:, None] + depths[:, :, None] * rays
            met = (np.abs(hits) <= self._halves[:, None]).all(axis=2) & (falls > 0)
        far = _SKY * self._model.vis.map.zfar * self._model.stat.extent
        lengths = np.linalg.norm(view.rays, axis=1)
        met &= (depths > near_plane(self._model)) & (depths * lengths < far)
        return bool(met.all(axis=1).any())


def _into(rotations: Floats, vectors: Floats) -> Floats:
    """Turn vectors (n, 3), or one (1, 3), into frames (n, 3, 3) given by their axes' columns."""
    return np.asarray((rotations * vectors[:, :, None]).sum(axis=1))
