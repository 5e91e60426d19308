"""Rules for fusing what several plans say about the same control step.

A plan covers more steps than are executed before the next one, so plans overlap. A rule makes one
action out of all that was said about a step. To add one, write a function and put it in
``FUSIONS``.
"""

from collections.abc import Callable

import numpy as np

from tasks.errors import unknown_name
from tasks.observation import FloatArray

ACT_DECAY = 0.01
"""m in ACT's weights exp(−m·i); a small m takes up new plans slowly."""

_GRIPPER = 6

Fusion = Callable[[FloatArray], FloatArray]
"""Takes (k, 7), what k ≥ 1 plans say about one step, oldest plan first; gives the action (7,)."""


def newest_only(actions: FloatArray) -> FloatArray:
    """Follow the newest plan alone."""
    newest: FloatArray = actions[-1]
    return newest


def act(actions: FloatArray) -> FloatArray:
    """Average with weights w_i ∝ exp(−m·i), i = 0 being the oldest plan.

    Source: Zhao et al. 2023, "Learning Fine-Grained Bimanual Manipulation with Low-Cost Hardware",
    algorithm 2. The gripper is a decision, not a quantity: it is the newest plan's.
    """
    weights = np.exp(-ACT_DECAY * np.arange(len(actions)))
    fused: FloatArray = weights @ actions / weights.sum()
    fused[_GRIPPER] = actions[-1, _GRIPPER]
    return fused


FUSIONS: dict[str, Fusion] = {"none": newest_only, "act": act}
"""The rules by name."""


def get_fusion(name: str) -> Fusion:
    """Return a rule.

    Raises:
        ConfigError: There is no rule of that name.
    """
    if name not in FUSIONS:
        raise unknown_name("fusion", name, FUSIONS)
    return FUSIONS[name]
