"""Where a demonstration changes: the transitions that key moments lie around."""

import numpy as np

from training.demos.reader import Demo


def transitions(demo: Demo) -> tuple[int, ...]:
    """Return the steps at which something changes, in order.

    Those that the reader found, where it looks for phases; otherwise those at which the gripper is
    told to close or open.
    """
    phases = getattr(demo, "phases", None)
    if phases is not None:
        return tuple(sorted({int(phase.step) for phase in phases}))
    closing = demo.actions[:, -1] > 0
    return tuple((np.flatnonzero(np.diff(closing)) + 1).tolist())


def first_motion(demo: Demo) -> int:
    """Return the first step at which any joint is more than 0.01 rad from where it began.

    RDT's own data loader skips what is before; a demonstration that never moves gives 0.
    """
    moved = (np.abs(demo.joint_pos - demo.joint_pos[0]) > 0.01).any(1)
    return int(moved.argmax())
