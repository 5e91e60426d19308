"""Oriented boxes: overlap, surface points and heights.

Nearly all collision shapes of LIBERO are boxes; the others are replaced by their bounding boxes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.observation import FloatArray

IdArray = npt.NDArray[np.integer[Any]]
BoolArray = npt.NDArray[np.bool_]

_CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=float)


@dataclass(frozen=True)
class OrientedBoxes:
    """Oriented boxes in one frame.

    Attributes:
        center: (N, 3).
        axes: (N, 3, 3) rotation matrices; a column is a box axis.
        half: (N, 3) half extents along the axes.
    """

    center: FloatArray
    axes: FloatArray
    half: FloatArray

    def __len__(self) -> int:
        """Number of boxes."""
        return len(self.center)

    @staticmethod
    def concatenate(parts: Sequence["OrientedBoxes"]) -> "OrientedBoxes":
        """Join several sets of boxes into one."""
        return OrientedBoxes(
            np.concatenate([p.center for p in parts]),
            np.concatenate([p.axes for p in parts]),
            np.concatenate([p.half for p in parts]),
        )

    def moved(self, rotation: FloatArray, position: FloatArray) -> "OrientedBoxes":
        """Transform the boxes from a frame with this orientation and origin to the outer frame."""
        return OrientedBoxes(self.center @ rotation.T + position, rotation @ self.axes, self.half)

    def inflated(self, margin: float) -> "OrientedBoxes":
        """Grow every box by a margin on each side."""
        return OrientedBoxes(self.center, self.axes, self.half + margin)

    def corners(self) -> FloatArray:
        """Give the corners, (N, 8, 3)."""
        local = _CORNERS[None] * self.half[:, None]
        return np.asarray(self.center[:, None] + np.einsum("nij,nkj->nki", self.axes, local))

    def bounds(self) -> tuple[FloatArray, FloatArray]:
        """Give the axis-aligned bounds of all boxes together, two (3,) arrays."""
        corners = self.corners().reshape(-1, 3)
        return corners.min(0), corners.max(0)

    def middle(self) -> FloatArray:
        """Give the middle of the axis-aligned bounds, (3,)."""
        low, high = self.bounds()
        return np.asarray((low + high) / 2)

    def extent_along(self, direction: FloatArray) -> float:
        """Give the largest coordinate of any corner along a (3,) direction."""
        return float((self.corners() @ direction).max())


def overlapping(first: OrientedBoxes, second: OrientedBoxes) -> BoolArray:
    """Tell which of N boxes overlap which of M others, (N, M) bool."""
    table = np.zeros((len(first), len(second)), dtype=bool)
    rows, columns = _close_pairs(first, second)
    table[rows, columns] = _overlapping_pairs(first, second, rows, columns)
    return table


def any_overlap(first: OrientedBoxes, second: OrientedBoxes) -> bool:
    """Tell whether any box of one set overlaps any of the other."""
    if not len(first) or not len(second):
        return False
    rows, columns = _close_pairs(first, second)
    return bool(_overlapping_pairs(first, second, rows, columns).any())


def _close_pairs(first: OrientedBoxes, second: OrientedBoxes) -> tuple[IdArray, IdArray]:
    """List the pairs whose bounding spheres overlap; nearly all others are sorted out by this."""
    gap = (first.center**2).sum(1)[:, None] + (second.center**2).sum(1)[None]
    gap = gap - 2 * first.center @ second.center.T
    radius = np.linalg.norm(first.half, axis=1)[:, None] + np.linalg.norm(second.half, axis=1)
    rows, columns = np.nonzero(gap < radius**2 + 1e-9)
    return rows, columns


def _overlapping_pairs(
    first: OrientedBoxes, second: OrientedBoxes, rows: IdArray, columns: IdArray
) -> BoolArray:
    """Tell for P pairs of boxes whether they overlap, by the separating axis theorem."""
    first_axes, second_axes = first.axes[rows], second.axes[columns]
    a, b = first.half[rows], second.half[columns]
    rotation = np.einsum("pki,pkj->pij", first_axes, second_axes)
    offset = np.einsum("pki,pk->pi", first_axes, second.center[columns] - first.center[rows])
    magnitude = np.abs(rotation) + 1e-9
    separated = (np.abs(offset) > a + np.einsum("pij,pj->pi", magnitude, b)).any(-1)
    along_b = np.abs(np.einsum("pij,pi->pj", rotation, offset))
    separated |= (along_b > b + np.einsum("pij,pi->pj", magnitude, a)).any(-1)
    for i in range(3):
        i1, i2 = (i + 1) % 3, (i + 2) % 3
        for j in range(3):
            j1, j2 = (j + 1) % 3, (j + 2) % 3
            reach_a = a[:, i1] * magnitude[:, i2, j] + a[:, i2] * magnitude[:, i1, j]
            reach_b = b[:, j1] * magnitude[:, i, j2] + b[:, j2] * magnitude[:, i, j1]
            distance = np.abs(
                offset[:, i2] * rotation[:, i1, j] - offset[:, i1] * rotation[:, i2, j]
            )
            separated |= distance > reach_a + reach_b
    return np.asarray(~separated)


@dataclass(frozen=True)
class Surface:
    """Samples of an object's outer surface.

    Attributes:
        points: (P, 3).
        normals: (P, 3) outward unit vectors.
        areas: (P,) square metres that each sample stands for.
    """

    points: FloatArray
    normals: FloatArray
    areas: FloatArray


def sample_surface(boxes: OrientedBoxes, spacing: float = 0.005) -> Surface:
    """Sample the outer surface of an object's boxes, leaving out samples inside another box.

    Args:
        boxes: The boxes of one object.
        spacing: Largest distance between neighbouring samples.
    """
    points, normals, owners, areas = [], [], [], []
    for index in range(len(boxes)):
        half = boxes.half[index]
        for axis in range(3):
            u, v = (axis + 1) % 3, (axis + 2) % 3
            grid_u = _grid(half[u], spacing)
            grid_v = _grid(half[v], spacing)
            mesh = np.stack(np.meshgrid(grid_u, grid_v, indexing="ij"), -1).reshape(-1, 2)
            for sign in (-1.0, 1.0):
                local = np.zeros((len(mesh), 3))
                local[:, u], local[:, v] = mesh.T
                local[:, axis] = sign * half[axis]
                points.append(local @ boxes.axes[index].T + boxes.center[index])
                normals.append(np.tile(sign * boxes.axes[index][:, axis], (len(mesh), 1)))
                owners.append(np.full(len(mesh), index))
                areas.append(np.full(len(mesh), 4 * half[u] * half[v] / len(mesh)))
    point, owner = np.concatenate(points), np.concatenate(owners)
    outer = ~inside(boxes, point, margin=-1e-4, ignore=owner)
    return Surface(point[outer], np.concatenate(normals)[outer], np.concatenate(areas)[outer])


def _grid(half: float, spacing: float) -> FloatArray:
    count = max(2, int(np.ceil(2 * half / spacing)) + 1)
    return np.linspace(-half, half, count) * (1 - 1 / (2 * count))


def inside(
    boxes: OrientedBoxes, points: FloatArray, margin: float = 0.0, ignore: IdArray | None = None
) -> BoolArray:
    """Tell which of (P, 3) points lie inside a box, (P,) bool.

    Args:
        boxes: N boxes.
        points: The points.
        margin: Grows (or, negative, shrinks) the boxes.
        ignore: (P,) index of one box per point that does not count for it.
    """
    local = np.einsum("nij,pni->pnj", boxes.axes, points[:, None] - boxes.center[None])
    within = (np.abs(local) < boxes.half[None] + margin).all(-1)
    if ignore is not None:
        within[np.arange(len(points)), ignore] = False
    return np.asarray(within.any(-1))


def support_height(scene: OrientedBoxes, footprint: OrientedBoxes, default: float) -> float:
    """Find the height of the highest scene box under a footprint.

    Args:
        scene: Boxes that may be below.
        footprint: Boxes that are lowered onto the scene; only their horizontal extent counts.
        default: Height where nothing is below.
    """
    heights = support_heights(scene, footprint, default)
    return float(heights.max()) if len(heights) else default


def support_heights(scene: OrientedBoxes, footprint: OrientedBoxes, default: float) -> FloatArray:
    """Find the support height for each of the N boxes of a footprint, (N,)."""
    heights = np.full(len(footprint), default)
    if not len(scene):
        return heights
    # Axis-aligned columns of unbounded height around the boxes.
    half = np.einsum("nij,nj->ni", np.abs(footprint.axes), footprint.half)
    half[:, 2] = 10.0
    columns = OrientedBoxes(
        footprint.center.copy(), np.tile(np.eye(3), (len(footprint), 1, 1)), half
    )
    corners = scene.corners()
    low, high = corners[:, :, :2].min(1), corners[:, :, :2].max(1)
    near = columns.center[:, None, :2] + half[:, None, :2] >= low[None] - 1e-9
    near &= columns.center[:, None, :2] - half[:, None, :2] <= high[None] + 1e-9
    rows, parts = np.nonzero(near.all(-1))
    hit = _overlapping_pairs(columns, scene, rows, parts)
    np.maximum.at(heights, rows[hit], corners[:, :, 2].max(1)[parts[hit]])
    return heights


def slab_boxes(vertices: FloatArray, edges: Sequence[float]) -> OrientedBoxes:
    """Cut a convex hull into slabs along z and box each slab: tighter than one box.

    Args:
        vertices: (V, 3) of the hull.
        edges: Ascending heights of the cuts; the ends are added.
    """
    low, high = float(vertices[:, 2].min()), float(vertices[:, 2].max())
    cuts = [low, *[e for e in edges if low < e < high], high]
    pairs = np.array(list(combinations(range(len(vertices)), 2)))
    start, end = vertices[pairs[:, 0]], vertices[pairs[:, 1]]
    rings = []
    for cut in cuts:
        rise = end[:, 2] - start[:, 2]
        across = (np.minimum(start[:, 2], end[:, 2]) < cut) & (np.abs(rise) > 1e-9)
        across &= np.maximum(start[:, 2], end[:, 2]) > cut
        share = ((cut - start[across, 2]) / rise[across])[:, None]
        rings.append(start[across] + share * (end[across] - start[across]))
    lows, highs = [], []
    for index in range(len(cuts) - 1):
        band = (vertices[:, 2] >= cuts[index]) & (vertices[:, 2] <= cuts[index + 1])
        points = np.concatenate([vertices[band], rings[index], rings[index + 1]])
        lows.append(points.min(0))
        highs.append(points.max(0))
    lo, hi = np.array(lows), np.array(highs)
    return OrientedBoxes((lo + hi) / 2, np.tile(np.eye(3), (len(lo), 1, 1)), (hi - lo) / 2)
