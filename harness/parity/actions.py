"""Do a demonstration's actions do in the environment what they did when it was recorded?"""

import numpy as np

from harness.parity.evidence import LIBERO_GRIP, Evidence
from harness.parity.rows import Row, Verdict
from tasks.observation import ACTION_DIM

_SMALL = 0.05
_BETTER = 0.5
_SCALES = (0.8, 1.25)


def check_actions(evidence: Evidence) -> list[Row]:
    """Look at the range of actions, where they lead, and what the gripper's command means."""
    return [_range(evidence), _effect(evidence), _grip(evidence)]


def _range(evidence: Evidence) -> Row:
    actions = evidence.recording.demo.actions
    arm, grips = actions[:, : ACTION_DIM - 1], np.unique(actions[:, -1])
    largest = float(np.abs(arm).max())
    few = len(grips) <= 3
    commands = ", ".join(f"{grip:+g}" for grip in grips) if few else f"{len(grips)} values"
    small = largest < _SMALL
    return Row(
        check="action range",
        demo=f"{arm.min():+.2f} to {arm.max():+.2f}; gripper {commands}",
        environment="−1 to +1, units of 0.05 m and 0.5 rad",
        verdict="warning" if small else "ok",
        fix="they look like metres and radians: divide by 0.05 and 0.5" if small else "",
    )


def _effect(evidence: Evidence) -> Row:
    effect = evidence.effect
    verdict: Verdict = "ok"
    fix = ""
    if not effect.faithful:
        verdict = "failed"
        fix = "store the actions that were executed, LIBERO's own numbers, without normalisation"
        if effect.later < _BETTER * effect.off:
            fix = "actions[t] leads to states[t]; it must lead to states[t + 1]: shift them by one"
        elif effect.earlier < _BETTER * effect.off:
            fix = "actions[t] starts from states[t + 1]; it must from states[t]: shift them by one"
        elif not _SCALES[0] < effect.scale < _SCALES[1]:
            fix = f"the arm moved {effect.scale:.2g} times as far as these actions move it: {fix}"
    return Row(
        check="action effect",
        demo="each leads from its recorded state to the next",
        environment=(
            f"ends {effect.off:.1e} rad from there; standing still {effect.still:.1e}; motion × "
            f"{effect.scale:.2f}"
        ),
        verdict=verdict,
        fix=fix,
    )


def _grip(evidence: Evidence) -> Row:
    found = evidence.grip
    good = found == LIBERO_GRIP
    numbers = ", ".join(
        f"{name}: {error * 1e3:.1f} mm" for name, error in evidence.grip_errors.items()
    )
    return Row(
        check="gripper command",
        demo=f"{found} explains the recorded fingers best",
        environment=f"{LIBERO_GRIP}; fingers off by {numbers}",
        verdict="ok" if good else "failed",
        fix="" if good else f"store it as {LIBERO_GRIP}, in actions and intended_actions",
    )
