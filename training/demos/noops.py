"""Actions that do nothing, as OpenVLA's ``regenerate_libero_dataset.py`` defines them.

Human demonstrators pause. A policy trained on the pauses learns to pause, and then stays paused, so
OpenVLA's sets (``libero_*_no_noops``), and most that derive from them, leave such steps out.

Not every such step is a pause: whoever waits for the fingers to close does something that no action
shows, and where that is left out things are dropped.
"""

from typing import Any

import numpy as np

from tasks.observation import FloatArray

_THRESHOLD = 1e-4
_RESTING_M = 2e-4


def noops(actions: FloatArray) -> Any:
    """Return which actions are no-ops, (T,) bool.

    An action is one if the norm of its first six components is below 1e-4 and its gripper command
    is that of the latest action that is none; before the first such, the gripper does not matter.

    Args:
        actions: (T, 7).
    """
    still = np.linalg.norm(actions[:, :-1], axis=1) < _THRESHOLD
    found = np.zeros(len(actions), dtype=np.bool_)
    latest: float | None = None
    for step, command in enumerate(actions[:, -1]):
        found[step] = still[step] and (latest is None or command == latest)
        if not found[step]:
            latest = float(command)
    return found


def pauses(actions: FloatArray, fingers: FloatArray) -> Any:
    """Return which actions are no-ops while the fingers rest, too, (T,) bool.

    Args:
        actions: (T, 7).
        fingers: (T, 2) metres, noted before or after the actions.
    """
    gap = fingers[:, 0] - fingers[:, 1]
    change = np.abs(np.diff(gap, prepend=gap[:1]))
    padded = np.pad(change, (1, 2), mode="edge")
    around = np.max([padded[shift : shift + len(change)] for shift in range(4)], axis=0)
    return noops(actions) & (around < _RESTING_M)
