"""Which geoms a camera cannot see, so that they need not be drawn.

On a CPU a picture costs mostly its triangles, even those that nothing of ends up in it. Leaving a
geom out changes no pixel where it lies wholly outside the camera's field of view or wholly behind
an opaque box. Both are decided on oriented boxes around parts of the geom, with a slack far above
what the rasterizer rounds. Nothing is remembered between calls except what a compiled model fixes.
"""

from copy import copy
from dataclasses import dataclass

import mujoco
import numpy as np

from tasks.simulation.box_kernels import (
    Bools,
    Floats,
    Ints,
    beyond_planes,
    inside_planes,
    place,
)

SLACK = 1e-3
"""Everything may be this much larger, in metres per metre of distance plus one: at 16 pixels a
rasterizer's 1/256 of a pixel is a quarter of it."""

OPAQUE = 0.995
"""MuJoCo draws what has less alpha as transparent."""

_PART_FACES = 500  # triangles in a mesh too small to be divided
_MOST_PARTS = 32
_SIGNS = np.stack(np.meshgrid([-1, 1], [-1, 1], [-1, 1]), axis=-1).reshape(8, 3).astype(float)


@dataclass(frozen=True, kw_only=True)
class VisibleRegion:
    """A convex region outside which nothing is seen.

    Attributes:
        eye: (3,) where it is seen from, metres.
        normals: (P, 3) unit normals of its bounding planes, pointing inwards.
        offsets: (P,) metres; a point p is inside where ``normals @ p + offsets >= 0``.
        rays: (4, 3) directions from the eye between which it lies.
    """

    eye: Floats
    normals: Floats
    offsets: Floats
    rays: Floats


@dataclass(frozen=True, kw_only=True)
class OrientedBoxes:
    """Oriented boxes.

    Attributes:
        centres: (N, 3) metres.
        axes: (N, 3, 3); ``axes[n, k]`` leads from the centre to the middle of side k, metres.
    """

    centres: Floats
    axes: Floats

    @property
    def corners(self) -> Floats:
        """(N, 8, 3) metres."""
        return np.asarray(self.centres[:, None] + np.einsum("ck,nki->nci", _SIGNS, self.axes))

    @property
    def radii(self) -> Floats:
        """(N,) from the centre to a corner, metres."""
        return np.asarray(np.sqrt((self.axes**2).sum(axis=(1, 2))))


@dataclass(frozen=True, kw_only=True)
class ImageWindow:
    """A rectangle of the picture, in units of half its width from its middle, y upwards."""

    left: float = -1.0
    right: float = 1.0
    bottom: float = -1.0
    top: float = 1.0


class GeomBoxes:
    """Boxes that together contain the geoms of a model: several around a mesh of many triangles.

    Args:
        model: The model; its geometry must not change afterwards.
        geoms: (n,) indices of the geoms, ascending: no height fields, no infinite planes.

    Attributes:
        geoms: Those indices.
        owner: (N,) which of the n geoms each box belongs to, ascending.
    """

    def __init__(self, model: mujoco.MjModel, geoms: Ints) -> None:
        self.geoms = geoms
        parts: list[tuple[Floats, Floats]] = []
        counts = []
        for geom in geoms:
            before = len(parts)
            if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_MESH:
                parts += _mesh_parts(model, int(model.geom_dataid[geom]))
            elif model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_PLANE:
                half = np.append(model.geom_size[geom, :2], 0)
                parts.append((-half, half))
            else:
                middle, half = np.split(model.geom_aabb[geom], 2)
                parts.append((middle - half, middle + half))
            counts.append(len(parts) - before)
        self.owner = np.repeat(np.arange(len(geoms)), counts)
        low, high = np.array(parts).reshape(-1, 2, 3).transpose(1, 0, 2)
        self._middles, self._halves = (low + high) / 2, (high - low) / 2

    def only(self, geoms: Ints) -> "GeomBoxes":
        """Return the boxes of some of the geoms, ascending."""
        part = copy(self)
        chosen = np.isin(self.geoms[self.owner], geoms)
        part.geoms = geoms
        part.owner = np.searchsorted(geoms, self.geoms[self.owner[chosen]])
        part._middles, part._halves = self._middles[chosen], self._halves[chosen]
        return part

    def boxes(self, data: mujoco.MjData) -> OrientedBoxes:
        """Return the boxes where the data's kinematics have them, N."""
        centres, axes = place(
            self.geoms[self.owner], data.geom_xpos, data.geom_xmat, self._middles, self._halves
        )
        return OrientedBoxes(centres=centres, axes=axes)

    def owners(self, chosen: Bools) -> Bools:
        """Tell which geoms have a chosen box, (n,)."""
        return np.bincount(self.owner, chosen, len(self.geoms)) > 0


def _mesh_parts(model: mujoco.MjModel, mesh: int) -> list[tuple[Floats, Floats]]:
    """Return lower and upper corners of boxes around groups of neighbouring triangles."""
    start, count = model.mesh_faceadr[mesh], model.mesh_facenum[mesh]
    faces = model.mesh_face[start : start + count]
    corners = model.mesh_vert[model.mesh_vertadr[mesh] + faces.T].astype(np.float64)
    first, second, third = np.ascontiguousarray(corners.transpose(0, 2, 1))
    middles = (first + second + third) / 3
    groups = [np.arange(count)]
    while len(groups) < _MOST_PARTS and max(map(len, groups)) > _PART_FACES:
        groups = [half for group in groups for half in _halves(middles, group)]
    low = np.minimum(np.minimum(first, second), third)
    high = np.maximum(np.maximum(first, second), third)
    return [(low[:, group].min(axis=1), high[:, group].max(axis=1)) for group in groups]


def _halves(middles: Floats, triangles: Ints) -> list[Ints]:
    """Divide triangles, given by index, at the median of their longest extent.

    Args:
        middles: (3, F) centres of all triangles of the mesh.
        triangles: Indices of those to divide.
    """
    axis = int(np.argmax(np.ptp(middles[:, triangles], axis=1)))
    order = np.argpartition(middles[axis, triangles], len(triangles) // 2)
    return np.split(triangles[order], [len(order) // 2])


def is_opaque(model: mujoco.MjModel) -> Bools:
    """Tell which geoms are opaque whether their own colour or their material's is drawn, (N,)."""
    alpha = np.append(model.mat_rgba[:, 3], 1)[model.geom_matid]
    return np.asarray(np.minimum(alpha, model.geom_rgba[:, 3]) >= OPAQUE)


def near_plane(model: mujoco.MjModel) -> float:
    """Return how far before a camera the renderer begins to draw, metres."""
    return float(model.vis.map.znear * model.stat.extent)


def half_field(model: mujoco.MjModel, camera: int) -> float:
    """Return the tangent of half a camera's field of view; pictures are square."""
    return float(np.tan(np.deg2rad(model.cam_fovy[camera]) / 2))


def camera_view(
    model: mujoco.MjModel, data: mujoco.MjData, camera: int, window: ImageWindow | None = None
) -> VisibleRegion:
    """Return what a fixed perspective camera sees through a window of its square picture."""
    window = window or ImageWindow()
    field = half_field(model, camera)
    eye = data.cam_xpos[camera].copy()
    inwards = np.array(  # the camera looks along its own −z
        [
            [1, 0, window.left * field],
            [-1, 0, -window.right * field],
            [0, 1, window.bottom * field],
            [0, -1, -window.top * field],
            [0, 0, -1],
        ]
    )
    inwards /= np.linalg.norm(inwards, axis=1, keepdims=True)
    rotation = data.cam_xmat[camera].reshape(3, 3)
    normals = inwards @ rotation.T
    corners = np.array(
        [
            (x * field, y * field, -1)
            for x in (window.left, window.right)
            for y in (window.bottom, window.top)
        ]
    )
    offsets = -normals @ eye
    offsets[-1] -= near_plane(model)
    return VisibleRegion(eye=eye, normals=normals, offsets=offsets, rays=corners @ rotation.T)


def mirror_view(eye: Floats, face: OrientedBoxes) -> VisibleRegion:
    """Return what is seen in a rectangular mirror: what its other side would look through it at.

    Args:
        eye: (3,) where the mirror is seen from, before its face.
        face: One box whose centre is that of the mirror; its third axis leads out of the mirror.
    """
    centre, (x, y, z) = face.centres[0], face.axes[0]
    up = z / np.linalg.norm(z)
    mirrored = eye - 2 * ((eye - centre) @ up) * up
    around = np.array([x + y, y - x, -x - y, x - y]) + centre  # counter-clockwise from above
    edges = np.roll(around, -1, axis=0) - around
    sides = np.cross(edges, mirrored - around)
    sides /= np.linalg.norm(sides, axis=1, keepdims=True)
    sides *= np.sign(np.einsum("pi,pi->p", sides, centre - around))[:, None]
    return VisibleRegion(
        eye=mirrored,
        normals=np.vstack([sides, up]),
        offsets=np.append(-sides @ mirrored, -up @ centre),
        rays=around - mirrored,
    )


def in_view(view: VisibleRegion, boxes: OrientedBoxes) -> Bools:
    """Tell which boxes may reach into a view, (N,); some may be told so that do not."""
    inside: Bools = inside_planes(
        view.normals, view.offsets, view.eye, boxes.centres, boxes.axes, SLACK
    )
    return inside


def in_shadow(
    view: VisibleRegion, boxes: OrientedBoxes, occluder: OrientedBoxes, clearance: float
) -> Bools:
    """Tell which boxes show nothing in a view because of one opaque box before them.

    The shadow of a box, were the eye a lamp, is bounded by the planes through the eye and the
    edges of its outline, and by the sides that face the eye. Outline planes beyond which the view
    does not reach need no test; before a side, only what is in view counts. The occluder is
    shrunk by the slack, so that a whole ball around each point that hides something is inside the
    real one.

    Args:
        view: From where, and how far around.
        boxes: N boxes.
        occluder: One opaque box.
        clearance: How far the occluder has to be from the eye so as to be drawn whole, metres.

    Returns:
        (N,); False for some that are hidden.
    """
    half = np.linalg.norm(occluder.axes[0], axis=1)
    rotation = (occluder.axes[0] / half[:, None]).T
    eye = (view.eye - occluder.centres[0]) @ rotation
    away = np.linalg.norm(np.maximum(np.abs(eye) - half, 0))
    half = half - SLACK * (1 + np.linalg.norm(eye) + occluder.radii[0])
    if away <= clearance or half.min() <= 0:
        return np.zeros(len(boxes.centres), dtype=bool)
    centres = (boxes.centres - occluder.centres[0]) @ rotation
    local = (boxes.axes.reshape(-1, 3) @ rotation).reshape(-1, 3, 3)
    faces_eye = eye @ _SIDES.T > np.repeat(half, 2)
    outline = _EDGE_ENDS[faces_eye[_EDGE_SIDES[:, 0]] != faces_eye[_EDGE_SIDES[:, 1]]] * half
    planes = np.cross(outline[:, 0] - eye, outline[:, 1] - eye)
    planes /= np.linalg.norm(planes, axis=1, keepdims=True)
    planes *= np.sign(-planes @ eye)[:, None]
    rays = view.rays @ rotation
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    planes = planes[~(rays @ planes.T >= SLACK).all(axis=0)]
    hidden: Bools = beyond_planes(planes, eye, centres, local)
    sizes = np.abs(local).sum(axis=1)
    for side in np.flatnonzero(faces_eye):
        reaching = hidden & (centres @ _SIDES[side] + sizes[:, side // 2] > half[side // 2])
        pieces = _beyond(centres[reaching], sizes[reaching], _SIDES[side], half[side // 2])
        turned = OrientedBoxes(
            centres=occluder.centres[0] + pieces.centres @ rotation.T,
            axes=(pieces.axes.reshape(-1, 3) @ rotation.T).reshape(-1, 3, 3),
        )
        hidden[reaching] = ~in_view(view, turned)
    return hidden


def _beyond(centres: Floats, sizes: Floats, side: Floats, distance: float) -> OrientedBoxes:
    """Cut upright boxes, centres and half sizes (N, 3), along a plane and keep the outer pieces.

    All boxes reach beyond the plane, which is at a distance from the origin on one side's axis.
    """
    axis = int(np.argmax(np.abs(side)))
    out = centres @ side
    low, high = np.maximum(out - sizes[:, axis], distance), out + sizes[:, axis]
    centres, sizes = centres.copy(), sizes.copy()
    centres[:, axis] = (low + high) / 2 * side[axis]
    sizes[:, axis] = (high - low) / 2
    return OrientedBoxes(centres=centres, axes=sizes[:, :, None] * np.eye(3))


def _box_edges() -> tuple[Floats, Ints]:
    """Return the ends (12, 2, 3) of a unit box's edges, and the two sides (12, 2) of each."""
    ends, sides = [], []
    for axis in range(3):
        first, second = (axis + 1) % 3, (axis + 2) % 3
        for a in (-1.0, 1.0):
            for b in (-1.0, 1.0):
                end = np.zeros((2, 3))
                end[:, axis], end[:, first], end[:, second] = (-1, 1), a, b
                ends.append(end)
                sides.append((2 * first + (a > 0), 2 * second + (b > 0)))
    return np.array(ends), np.array(sides, dtype=np.int64)


_SIDES = np.repeat(np.eye(3), 2, axis=0) * np.tile([-1.0, 1.0], 3)[:, None]
_EDGE_ENDS, _EDGE_SIDES = _box_edges()
