"""Compiled loops over oriented boxes; what they mean is said where they are called."""

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


@njit(cache=True)
def place(
    owners: Ints, positions: Floats, rotations: Floats, middles: Floats, halves: Floats
) -> tuple[Floats, Floats]:
    """Move boxes to where their geoms are.

    Args:
        owners: (N,) geom of each box.
        positions: (ngeom, 3) metres.
        rotations: (ngeom, 9) row by row.
        middles: (N, 3) in the geom's frame.
        halves: (N, 3) half sizes.

    Returns:
        Centres (N, 3) and half axes (N, 3, 3).
    """
    centres, axes = np.empty((len(owners), 3)), np.empty((len(owners), 3, 3))
    for n in range(len(owners)):
        geom = owners[n]
        for i in range(3):
            centres[n, i] = positions[geom, i]
            for k in range(3):
                centres[n, i] += rotations[geom, 3 * i + k] * middles[n, k]
                axes[n, k, i] = rotations[geom, 3 * i + k] * halves[n, k]
    return centres, axes


@njit(cache=True)
def inside_planes(
    normals: Floats, offsets: Floats, eye: Floats, centres: Floats, axes: Floats, slack: float
) -> Bools:
    """Tell which boxes are not wholly outside any plane, by more than a slack per distance.

    Args:
        normals: (P, 3) pointing inwards.
        offsets: (P,) metres.
        eye: (3,) where distances begin.
        centres: (N, 3) metres.
        axes: (N, 3, 3) half axes, metres.
        slack: Metres per metre of distance plus one.
    """
    inside = np.ones(len(centres), dtype=np.bool_)
    for n in range(len(centres)):
        distance = radius = 0.0
        for i in range(3):
            distance += (centres[n, i] - eye[i]) ** 2
            for k in range(3):
                radius += axes[n, k, i] ** 2
        least = -slack * (1 + np.sqrt(distance) + np.sqrt(radius))
        for p in range(len(normals)):
            beyond = offsets[p] + _reach(axes, n, normals, p)
            for i in range(3):
                beyond += centres[n, i] * normals[p, i]
            if beyond < least:  # NaN compares as inside
                inside[n] = False
                break
    return inside


@njit(cache=True)
def beyond_planes(normals: Floats, eye: Floats, centres: Floats, axes: Floats) -> Bools:
    """Tell which boxes are wholly on the inner side of all planes through a point.

    Args:
        normals: (P, 3) pointing inwards.
        eye: (3,) the point.
        centres: (N, 3) metres.
        axes: (N, 3, 3) half axes, metres.
    """
    beyond = np.ones(len(centres), dtype=np.bool_)
    for n in range(len(centres)):
        for p in range(len(normals)):
            height = 0.0
            for i in range(3):
                height += (centres[n, i] - eye[i]) * normals[p, i]
            if not height >= _reach(axes, n, normals, p):
                beyond[n] = False
                break
    return beyond


@njit(cache=True)
def _reach(axes: Floats, n: int, normals: Floats, p: int) -> float:
    """Return how far a box reaches from its centre along a plane's normal."""
    reach = 0.0
    for k in range(3):
        along = 0.0
        for i in range(3):
            along += axes[n, k, i] * normals[p, i]
        reach += abs(along)
    return reach
