"""In how many passes a picture is drawn, and what is left out of each.

MuJoCo draws a scene with a reflecting box (LIBERO's stove) twice: once mirrored in the box's upper
side, once as it is. Where the box is in view but small, it is cheaper to draw the picture without
reflection, and the rectangle around the box again with it: a pixel depends on nothing but the
geoms that overlap it. The same pixels come out.
"""

from typing import NamedTuple

import mujoco
import numpy as np

from tasks.simulation.box_kernels import Bools, Ints
from tasks.simulation.culling import (
    GeomBoxes,
    ImageWindow,
    OrientedBoxes,
    camera_view,
    half_field,
    in_shadow,
    in_view,
    is_opaque,
    mirror_view,
    near_plane,
)
from tasks.simulation.sky import SkyCover

_SOLID = 0.02  # half the thickness of the thinnest box that is tried as an occluder, metres
_BUILTIN_FACES = 900  # of a sphere as MuJoCo draws it; boxes have fewer
_PIXEL_FACES = 0.7  # what clearing, filling and resolving a pixel costs, in triangles
_WORTHWHILE = 4000
"""A layer is made or added to for this many triangles, which cost as much as clearing, copying and
beginning once more."""

_ROUNDING = 1e-3  # metres, of the side of a plane that a camera is on
_MARGIN = 2  # pixels around the mirror, for rounding
_WHOLE = ImageWindow()
_BOUNDED = tuple(
    int(getattr(mujoco.mjtGeom, f"mjGEOM_{name}"))
    for name in ("SPHERE", "CAPSULE", "ELLIPSOID", "CYLINDER", "BOX", "MESH")
)


class PixelRectangle(NamedTuple):
    """A part of a picture, in pixels from its lower left corner; right and top are beyond it."""

    left: int
    bottom: int
    right: int
    top: int


class RenderPass(NamedTuple):
    """One drawing of a picture or of a part of it.

    Attributes:
        hidden: Geoms left out.
        reflection: Whether to draw what mirrors show.
        sky: Whether any of it can show.
        pixels: Which part of the picture is to be taken from it.
        late: Geoms that mirrors do not show, so that they may be drawn after all reflections.
    """

    hidden: Ints
    reflection: bool
    sky: bool
    pixels: PixelRectangle
    late: Ints = np.empty(0, dtype=np.int64)


class RenderPasses:
    """Decides for each picture of one model.

    Args:
        model: The model; its geometry and materials must not change afterwards, poses may.
        groups: (6,) which geom groups are drawn at all.
        size: Height and width of the pictures in pixels.

    Attributes:
        boxes: Boxes of all geoms that are drawn, except infinite planes.
        can_be_kept: Whether geoms are all that moves, and mirrors do not.
        faces: (ngeom,) about how many triangles each geom has.
        mirrors: (ngeom,) which geoms mirror.
        opaque: (ngeom,) which geoms nothing shows through.
    """

    def __init__(self, model: mujoco.MjModel, groups: Bools, size: int) -> None:
        self._model = model
        self._whole = PixelRectangle(0, 0, size, size)
        self._size = size
        self._clearing = _PIXEL_FACES * size**2
        kinds = mujoco.mjtGeom
        drawn = np.asarray(groups, dtype=bool)[model.geom_group]
        flat = np.isin(model.geom_type, (kinds.mjGEOM_PLANE, kinds.mjGEOM_BOX))
        box = model.geom_type == kinds.mjGEOM_BOX
        mirror = drawn & flat & _reflects(model, model.geom_matid)
        opaque = self.opaque = is_opaque(model)
        occluder = drawn & box & ~mirror & opaque & (model.geom_size.min(axis=1) >= _SOLID)
        bounded = np.isin(model.geom_type, _BOUNDED)
        finite = (model.geom_type == kinds.mjGEOM_PLANE) & (model.geom_size[:, :2] > 0).all(axis=1)
        self.boxes = GeomBoxes(model, np.flatnonzero(drawn & (bounded | finite)))
        self.mirrors: Bools = mirror
        self._planes = np.flatnonzero(model.geom_type == kinds.mjGEOM_PLANE)
        self._geoms = np.flatnonzero(drawn & bounded & ~mirror & ~occluder)
        self._parts = self.boxes.only(self._geoms)
        self._occluders = [self.boxes.only(np.array([g])) for g in np.flatnonzero(occluder)]
        self._cover = SkyCover(model, (finite & drawn & opaque & ~mirror) | occluder)
        self._mirrors = self.boxes.only(np.flatnonzero(mirror))
        # Shadows fall from outside the picture; mirrors other than one opaque box are not foreseen.
        self._plain = bool(
            model.light_castshadow.any()
            or _reflects(model, model.site_matid).any()
            or mirror.sum() > 1
            or (mirror & ~(box & opaque)).any()
        )
        # Haze belongs to infinite planes; what is no geom would have to be looked for elsewhere.
        self.can_be_kept = not self._plain and not (
            drawn.sum() > len(self.boxes.geoms)
            or (mirror & (model.body_weldid[model.geom_bodyid] != 0)).any()
            or model.ntendon
            or model.nskin
            or model.nflex
        )
        self.faces: Ints = np.where(drawn, _BUILTIN_FACES, 0)
        meshes = np.flatnonzero(model.geom_type == kinds.mjGEOM_MESH)
        self.faces[meshes] = model.mesh_facenum[model.geom_dataid[meshes]]

    def plan(self, data: mujoco.MjData, camera: int) -> list[RenderPass]:
        """Return the passes that make a picture, to be drawn over one another in this order.

        Args:
            data: Poses of geoms and cameras.
            camera: Index of a fixed perspective camera.
        """
        if self._plain:
            nothing, everything = np.empty(0, dtype=np.int64), self._whole
            return [RenderPass(hidden=nothing, reflection=True, sky=True, pixels=everything)]
        boxes = self._parts.boxes(data)
        seen_boxes = self._seen(data, camera, boxes)
        seen = self._parts.owners(seen_boxes)
        sky = not self._cover.fills(data, camera)
        unseen, whole = self._geoms[~seen], self._whole
        direct = RenderPass(hidden=unseen, reflection=False, sky=sky, pixels=whole)
        face = self._mirror_face(data, camera)
        if face is None:
            return [direct]
        shown = in_view(mirror_view(data.cam_xpos[camera], face), boxes)
        window, pixels = self._around(data, camera, face)
        mirrored = self._parts.owners(shown)
        around = seen_boxes & in_view(camera_view(self._model, data, camera, window), boxes)
        part = self._parts.owners(shown | around)
        late = part & ~mirrored
        split = self._cost(seen) + self._cost(late) + 2 * self._cost(mirrored) + self._clearing
        if split >= 2 * self._cost(seen | mirrored):
            hidden = self._geoms[~(seen | mirrored)]
            return [RenderPass(hidden=hidden, reflection=True, sky=sky, pixels=whole)]
        again = RenderPass(
            hidden=self._geoms[~part],
            reflection=True,
            sky=sky,
            pixels=pixels,
            late=self._geoms[late],
        )
        return [direct, again]

    def planes_from_behind(self, data: mujoco.MjData, camera: int) -> Bools:
        """Tell which planes MuJoCo draws as transparent, or may, (ngeom,)."""
        to_camera = data.cam_xpos[camera] - data.geom_xpos[self._planes]
        normals = data.geom_xmat[self._planes].reshape(-1, 3, 3)[:, :, 2]
        behind = np.zeros(self._model.ngeom, dtype=bool)
        behind[self._planes] = (to_camera * normals).sum(axis=1) <= _ROUNDING
        return behind

    def worth_a_layer(self, geoms: Bools) -> bool:
        """Tell whether geoms, (ngeom,), cost so much that a layer may spare drawing them."""
        return int(self.faces[geoms].sum()) >= _WORTHWHILE

    def _cost(self, drawn: Bools) -> int:
        return int(self.faces[self._geoms[drawn]].sum())

    def _seen(self, data: mujoco.MjData, camera: int, boxes: OrientedBoxes) -> Bools:
        """Tell which boxes a camera may see, (N,)."""
        view = camera_view(self._model, data, camera)
        seen = in_view(view, boxes)
        field = half_field(self._model, camera)
        clearance = near_plane(self._model) * np.sqrt(1 + 2 * field**2)
        for occluder in self._occluders:
            left = np.flatnonzero(seen)
            rest = OrientedBoxes(centres=boxes.centres[left], axes=boxes.axes[left])
            seen[left] = ~in_shadow(view, rest, occluder.boxes(data), clearance)
        return seen

    def _mirror_face(self, data: mujoco.MjData, camera: int) -> OrientedBoxes | None:
        """Return the mirror's upper side as a box without thickness; None where none is seen."""
        box = self._mirrors.boxes(data)
        if not len(box.centres):
            return None
        up = box.axes[:, 2]
        side = OrientedBoxes(centres=box.centres + up, axes=box.axes * [[1], [1], [0]])
        if (data.cam_xpos[camera] - side.centres[0]) @ up[0] < 0:
            return None
        if not in_view(camera_view(self._model, data, camera), side)[0]:
            return None
        return OrientedBoxes(centres=side.centres, axes=box.axes)

    def _around(
        self, data: mujoco.MjData, camera: int, face: OrientedBoxes
    ) -> tuple[ImageWindow, PixelRectangle]:
        """Return the smallest rectangle of whole pixels around the mirror, and its pixels."""
        flat = OrientedBoxes(centres=face.centres, axes=face.axes * [[1], [1], [0]])
        local = (flat.corners[0] - data.cam_xpos[camera]) @ data.cam_xmat[camera].reshape(3, 3)
        depth = -local[:, 2]
        if depth.min() <= near_plane(self._model):
            return _WHOLE, self._whole
        field, size = half_field(self._model, camera), self._size
        pixels = (local[:, :2] / (depth[:, None] * field) + 1) * size / 2
        low = np.clip(np.floor(pixels.min(axis=0)) - _MARGIN, 0, size).astype(int)
        high = np.clip(np.ceil(pixels.max(axis=0)) + _MARGIN, 0, size).astype(int)
        (left, bottom), (right, top) = 2 * low / size - 1, 2 * high / size - 1
        window = ImageWindow(left=left, right=right, bottom=bottom, top=top)
        return window, PixelRectangle(*map(int, (*low, *high)))


def _reflects(model: mujoco.MjModel, materials: Ints) -> Bools:
    """Tell which of some material indices, −1 for none, are reflective."""
    reflectance = np.append(model.mat_reflectance, 0)
    return np.asarray((materials >= 0) & (reflectance[materials] > 0))
