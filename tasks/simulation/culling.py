"""Which geoms a camera cannot see, so that they need not be drawn.

On a CPU a picture costs about as much as it has triangles, wherever they end up. Leaving a geom
out changes no pixel where it lies wholly outside the camera's field of view or wholly behind an
opaque box. Both are decided on the geom's oriented bounding box, with a slack far above what the
rasterizer rounds. Nothing is remembered between calls except what a compiled model fixes.
"""

from dataclasses import dataclass

import mujoco
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

SLACK = 1e-3
"""Everything may be this much larger, in metres per metre of distance plus one: at 16 pixels a
rasterizer's 1/256 of a pixel is a quarter of it."""

OPAQUE = 0.995
"""MuJoCo draws what has less alpha as transparent."""

_SIGNS = np.stack(np.meshgrid([-1, 1], [-1, 1], [-1, 1]), axis=-1).reshape(8, 3).astype(float)


@dataclass(frozen=True, kw_only=True)
class View:
    """A convex region outside which nothing is seen.

    Attributes:
        eye: (3,) where it is seen from, metres.
        normals: (P, 3) unit normals of its bounding planes, pointing inwards.
        offsets: (P,) metres; a point p is inside where ``normals @ p + offsets >= 0``.
    """

    eye: Floats
    normals: Floats
    offsets: Floats


@dataclass(frozen=True, kw_only=True)
class Boxes:
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
class Window:
    """A rectangle of the picture, in units of half its width from its middle, y upwards."""

    left: float = -1.0
    right: float = 1.0
    bottom: float = -1.0
    top: float = 1.0


def bounding_boxes(model: mujoco.MjModel, data: mujoco.MjData, geoms: Ints) -> Boxes:
    """Return the bounding boxes of geoms where the data's kinematics have them."""
    rotations = data.geom_xmat[geoms].reshape(-1, 3, 3)
    middle, half = model.geom_aabb[geoms, :3], model.geom_aabb[geoms, 3:]
    return Boxes(
        centres=data.geom_xpos[geoms] + np.einsum("nij,nj->ni", rotations, middle),
        axes=rotations.transpose(0, 2, 1) * half[:, :, None],
    )


def near_plane(model: mujoco.MjModel) -> float:
    """Return how far before a camera the renderer begins to draw, metres."""
    return float(model.vis.map.znear * model.stat.extent)


def half_field(model: mujoco.MjModel, camera: int) -> float:
    """Return the tangent of half a camera's field of view; pictures are square."""
    return float(np.tan(np.deg2rad(model.cam_fovy[camera]) / 2))


def camera_view(
    model: mujoco.MjModel, data: mujoco.MjData, camera: int, window: Window | None = None
) -> View:
    """Return what a fixed perspective camera sees through a window of its square picture."""
    window = window or Window()
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
    normals = inwards @ data.cam_xmat[camera].reshape(3, 3).T
    offsets = -normals @ eye
    offsets[-1] -= near_plane(model)
    return View(eye=eye, normals=normals, offsets=offsets)


def mirror_view(eye: Floats, face: Boxes) -> View:
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
    return View(
        eye=mirrored,
        normals=np.vstack([sides, up]),
        offsets=np.append(-sides @ mirrored, -up @ centre),
    )


def in_view(view: View, boxes: Boxes) -> Bools:
    """Tell which boxes may reach into a view, (N,); some may be told so that do not."""
    beyond = boxes.centres @ view.normals.T + view.offsets
    reach = np.abs(np.einsum("nki,pi->npk", boxes.axes, view.normals)).sum(axis=-1)
    distance = np.linalg.norm(boxes.centres - view.eye, axis=1) + boxes.radii
    outside = beyond + reach < -SLACK * (1 + distance)[:, None]  # NaN compares as inside
    return np.asarray(~outside.any(axis=1))


def behind(eye: Floats, boxes: Boxes, occluder: Boxes, clearance: float) -> Bools:
    """Tell which boxes lie wholly in the shadow of one box, were the eye a lamp.

    The shadow of a convex body is convex, so the corners decide. The occluder is shrunk by the
    slack: then a whole ball around each point that hides something is inside the real one.

    Args:
        eye: (3,) metres.
        boxes: N boxes.
        occluder: One opaque box.
        clearance: How far the occluder has to be from the eye so as to be drawn whole, metres.

    Returns:
        (N,); False for some that are hidden.
    """
    half = np.linalg.norm(occluder.axes[0], axis=1)
    rotation = (occluder.axes[0] / half[:, None]).T
    origin = (eye - occluder.centres[0]) @ rotation
    outside = np.linalg.norm(np.maximum(np.abs(origin) - half, 0))
    half = half - SLACK * (1 + np.linalg.norm(origin) + occluder.radii[0])
    if outside <= clearance or half.min() <= 0:
        return np.zeros(len(boxes.centres), dtype=bool)
    ray = (boxes.corners - eye) @ rotation
    with np.errstate(divide="ignore", invalid="ignore"):  # NaN compares as not hidden
        ends = np.stack([(-half - origin) / ray, (half - origin) / ray])
    enters = ends.min(axis=0).max(axis=-1)
    leaves = ends.max(axis=0).min(axis=-1)
    return np.asarray(((enters >= 0) & (enters <= leaves) & (enters <= 1)).all(axis=1))
