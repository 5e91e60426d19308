"""Which geoms must be drawn again over a kept layer so that ties of depth end as they should.

Where two surfaces are equally near, MuJoCo shows the one that it draws later, which is that of the
higher index. A geom of the layer comes before all that is drawn over it, so one of a higher index
that may touch what is drawn has to be drawn once more.
"""

import mujoco
import numpy as np
from numba import njit

from tasks.simulation.box_kernels import Bools, Floats, Ints
from tasks.simulation.culling import GeomBoxes

_MARGIN = 1e-3
"""Geoms count as touching up to this far apart, metres."""


class TieRule:
    """Finds what is to be drawn again.

    Args:
        boxes: Boxes of all geoms of the model that can be drawn.
        ngeom: How many geoms the model has.
    """

    def __init__(self, boxes: GeomBoxes, ngeom: int) -> None:
        self._boxes = boxes
        counts = np.bincount(boxes.geoms[boxes.owner], minlength=ngeom)
        self._ends = np.cumsum(counts)
        self._starts = self._ends - counts

    def drawn_again(self, data: mujoco.MjData, drawn: Bools, layered: Bools) -> Bools:
        """Tell which geoms of a layer are to be drawn again, (ngeom,).

        Args:
            data: Poses.
            drawn: (ngeom,) what is drawn over the layer.
            layered: (ngeom,) what is in the layer.
        """
        boxes = self._boxes.boxes(data)
        again: Bools = _closure(
            drawn, layered & ~drawn, self._starts, self._ends, boxes.centres, boxes.axes
        )
        return again


@njit(cache=True)
def _closure(
    drawn: Bools, layered: Bools, starts: Ints, ends: Ints, centres: Floats, axes: Floats
) -> Bools:
    """Draw again what touches something drawn of a lower index, until nothing is left."""
    again = np.zeros_like(drawn)
    low, high = _bounds(starts, ends, centres, axes)
    waiting = np.flatnonzero(drawn)
    stack = np.empty(drawn.shape[0], dtype=np.int64)
    stack[: waiting.shape[0]] = waiting
    size = waiting.shape[0]
    while size > 0:
        size -= 1
        below = stack[size]
        for geom in range(below + 1, drawn.shape[0]):
            if not layered[geom] or again[geom]:
                continue
            if _overlap(low, high, below, geom) and _touch(
                starts[below], ends[below], starts[geom], ends[geom], centres, axes
            ):
                again[geom] = True
                stack[size] = geom
                size += 1
    return again


@njit(cache=True)
def _bounds(starts: Ints, ends: Ints, centres: Floats, axes: Floats) -> tuple[Floats, Floats]:
    """Return the corners of upright boxes around each geom, (n, 3) each, half the margin wider."""
    low = np.full((starts.shape[0], 3), np.inf)
    high = np.full((starts.shape[0], 3), -np.inf)
    for geom in range(starts.shape[0]):
        for box in range(starts[geom], ends[geom]):
            for k in range(3):
                reach = _MARGIN
                for axis in range(3):
                    reach += abs(axes[box, axis, k])
                low[geom, k] = min(low[geom, k], centres[box, k] - reach)
                high[geom, k] = max(high[geom, k], centres[box, k] + reach)
    return low, high


@njit(cache=True)
def _touch(
    first: int, first_end: int, second: int, second_end: int, centres: Floats, axes: Floats
) -> bool:
    """Tell whether any box of one run comes near any of another."""
    for a in range(first, first_end):
        for b in range(second, second_end):
            if not _apart(centres, axes, a, b):
                return True
    return False


@njit(cache=True)
def _overlap(low: Floats, high: Floats, first: int, second: int) -> bool:
    """Tell whether two upright boxes overlap."""
    for k in range(3):
        if low[second, k] > high[first, k] or low[first, k] > high[second, k]:
            return False
    return True


@njit(cache=True)
def _apart(centres: Floats, axes: Floats, a: int, b: int) -> bool:
    """Tell whether a plane separates two boxes by more than the margin.

    The planes tried are those along the sides of either box and along an edge of each.
    """
    for i in range(3):
        for box in (a, b):
            x, y, z = axes[box, i, 0], axes[box, i, 1], axes[box, i, 2]
            if _separates(x, y, z, centres, axes, a, b):
                return True
    for i in range(3):
        for k in range(3):
            x = axes[a, i, 1] * axes[b, k, 2] - axes[a, i, 2] * axes[b, k, 1]
            y = axes[a, i, 2] * axes[b, k, 0] - axes[a, i, 0] * axes[b, k, 2]
            z = axes[a, i, 0] * axes[b, k, 1] - axes[a, i, 1] * axes[b, k, 0]
            if _separates(x, y, z, centres, axes, a, b):
                return True
    return False


@njit(cache=True)
def _separates(x: float, y: float, z: float, centres: Floats, axes: Floats, a: int, b: int) -> bool:
    """Tell whether two boxes are apart along a direction, which may have any length."""
    distance = x * (centres[b, 0] - centres[a, 0])
    distance += y * (centres[b, 1] - centres[a, 1])
    distance += z * (centres[b, 2] - centres[a, 2])
    reach = _MARGIN * np.sqrt(x * x + y * y + z * z)
    for k in range(3):
        reach += abs(x * axes[a, k, 0] + y * axes[a, k, 1] + z * axes[a, k, 2])
        reach += abs(x * axes[b, k, 0] + y * axes[b, k, 1] + z * axes[b, k, 2])
    return bool(abs(distance) > reach)
