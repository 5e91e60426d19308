"""Which geoms must be drawn again over a kept layer so that ties of depth end as they should.

Where two surfaces are equally near, MuJoCo shows the one that it draws later, which is that of the
higher index. A geom of the layer comes before all that is drawn over it, so one of a higher index
that may touch what is drawn has to be drawn once more.
"""

import mujoco
import numpy as np
from numba import njit

from tasks.simulation.culling import Bools, Floats, GeomBoxes, Ints

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
            if (low[geom] > high[below]).any() or (low[below] > high[geom]).any():
                continue
            if _touch(starts[below], ends[below], starts[geom], ends[geom], centres, axes):
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
            between = centres[b] - centres[a]
            reach = _radius(axes[a]) + _radius(axes[b]) + _MARGIN
            if (between**2).sum() <= reach**2 and not _apart(between, axes[a], axes[b]):
                return True
    return False


@njit(cache=True)
def _radius(box: Floats) -> float:
    return float(np.sqrt((box**2).sum()))


@njit(cache=True)
def _apart(between: Floats, first: Floats, second: Floats) -> bool:
    """Tell whether a plane separates two boxes by more than the margin.

    The planes tried are those along the sides of either box and along an edge of each.
    """
    for k in range(3):
        if _separates(_unit(first[k]), between, first, second):
            return True
        if _separates(_unit(second[k]), between, first, second):
            return True
    for i in range(3):
        for k in range(3):
            if _separates(_unit(np.cross(first[i], second[k])), between, first, second):
                return True
    return False


@njit(cache=True)
def _unit(vector: Floats) -> Floats:
    length = np.sqrt((vector**2).sum())
    return vector / length if length > 1e-12 else vector * 0.0


@njit(cache=True)
def _separates(normal: Floats, between: Floats, first: Floats, second: Floats) -> bool:
    reach = _MARGIN
    for k in range(3):
        reach += abs((first[k] * normal).sum()) + abs((second[k] * normal).sum())
    return bool(abs((between * normal).sum()) > reach)
