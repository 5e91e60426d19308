"""Where a demonstration changes: the transitions that key moments lie around."""

import numpy as np

from training.demos.reader import Demo


def transitions(demo: Demo) -> tuple[int, ...]:
    """Return the steps at which a demonstration's phases begin, in order."""
    return tuple(sorted({phase.step for phase in demo.phases}))


def first_motion(demo: Demo) -> int:
    """Return the first step at which any joint is more than 0.01 rad from where it began.

    RDT's own data loader skips what is before; a demonstration that never moves gives 0.
    """
    moved = (np.abs(demo.joint_pos - demo.joint_pos[0]) > 0.01).any(1)
    return int(moved.argmax())
