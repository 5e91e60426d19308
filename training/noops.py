"""Actions that do nothing, as OpenVLA's ``regenerate_libero_dataset.py`` defines them.

Human demonstrators pause. A policy trained on the pauses learns to pause, and then stays paused, so
OpenVLA's sets (``libero_*_no_noops``), and most that derive from them, leave such steps out.
"""

from typing import Any

import numpy as np

from tasks.observation import FloatArray

_THRESHOLD = 1e-4


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
