"""What a demonstration's motion shows: phases, no-ops and pauses.

A phase is a step at which something changes: the gripper is told to close or open; the hand comes
to rest between two movements; in the simulator, a predicate of the goal begins or ceases to hold,
and things begin or cease to touch. No task and no number of steps is assumed: thresholds are
relative to the demonstration's own speed, or durations in seconds.

A no-op is an action that does nothing, as OpenVLA's ``regenerate_libero_dataset.py`` defines it.
Human demonstrators pause, and a policy trained on pauses learns to pause and stays paused, so
OpenVLA's sets (``libero_*_no_noops``) leave no-ops out. Not every no-op is a pause: whoever waits
for the fingers to close shows no action, and where that is left out things are dropped.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
import scipy  # its parts are imported when they are used
from pydantic.dataclasses import dataclass

from tasks.demos.peaks import find_peaks
from tasks.observation import CONTROL_HZ, FloatArray

Kind = Literal["close", "open", "slow", "goal", "goal_lost", "touch", "part"]
"""``close`` and ``open``: what the gripper is told; ``slow``: a minimum of the hand's speed;
``goal`` and ``goal_lost``: a predicate of the goal begins or ceases to hold; ``touch`` and
``part``: two things begin or cease to touch."""

_SMOOTHING_S = 0.1
_APART_S = 0.25
_STEADY_S = 0.15
_PROMINENCE = 0.3
_NOOP_NORM = 1e-4
_RESTING_M = 2e-4

Contacts = frozenset[tuple[str, str]]
"""Names of the things that touch each other, in pairs."""


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A transition.

    Attributes:
        step: The first control step at which things are as they are afterwards.
        kind: What changes.
        what: Which predicate, or which things; empty where the kind says all.
    """

    step: int
    kind: Kind
    what: str = ""


def motion_phases(actions: FloatArray, ee_pos: FloatArray) -> tuple[Phase, ...]:
    """Find the transitions that any demonstration shows: of the gripper and of the hand's speed.

    Args:
        actions: (T, 7); the last component commands the gripper, negative opens.
        ee_pos: (T, 3) metres, the hand before each action.
    """
    return merged(gripper_phases(actions[:, -1]), speed_phases(ee_pos))


def gripper_phases(commands: FloatArray) -> list[Phase]:
    """Find where the gripper's command changes sign.

    Args:
        commands: (T,). A demonstration begins with an open hand; a zero changes nothing.
    """
    found: list[Phase] = []
    closing = False
    for step, command in enumerate(commands):
        if command != 0 and (command > 0) != closing:
            closing = not closing
            found.append(Phase(step=step, kind="close" if closing else "open"))
    return found


def speed_phases(ee_pos: FloatArray) -> list[Phase]:
    """Find the minima of the hand's speed between two movements.

    Args:
        ee_pos: (T, 3) metres.
    """
    if len(ee_pos) < 4:
        return []
    speed = hand_speed(ee_pos)
    smooth = scipy.ndimage.gaussian_filter1d(speed, _SMOOTHING_S * CONTROL_HZ)
    usual = float(np.quantile(smooth, 0.95))
    if usual == 0:
        return []
    minima = find_peaks(
        -smooth, prominence=_PROMINENCE * usual, distance=max(1, round(_APART_S * CONTROL_HZ))
    )
    return [Phase(step=step, kind="slow") for step in minima]


def hand_speed(ee_pos: FloatArray) -> FloatArray:
    """Return the hand's speed, (T,) m/s; the last value is the last but one's.

    Args:
        ee_pos: (T, 3) metres, one row per control step.
    """
    speed = np.linalg.norm(np.diff(ee_pos, axis=0), axis=1) * CONTROL_HZ
    return np.append(speed, speed[-1:])


def goal_phases(holding: Sequence[Mapping[str, bool]]) -> list[Phase]:
    """Find where predicates of the goal begin or cease to hold.

    Args:
        holding: Per control step whether each predicate holds, by its name.
    """
    found = []
    for name in holding[0] if holding else ():
        series = np.array([step[name] for step in holding], dtype=np.bool_)
        for step, holds in _changes(series):
            found.append(Phase(step=step, kind="goal" if holds else "goal_lost", what=name))
    return found


def contact_phases(contacts: Sequence[Contacts]) -> list[Phase]:
    """Find where things begin or cease to touch, for good rather than for an instant.

    Args:
        contacts: Per control step the pairs that touch.
    """
    found = []
    for pair in sorted(frozenset().union(*contacts)):
        series = np.array([pair in step for step in contacts], dtype=np.bool_)
        for step, touch in _changes(series):
            what = " + ".join(pair)
            found.append(Phase(step=step, kind="touch" if touch else "part", what=what))
    return found


def merged(*lists: Sequence[Phase]) -> tuple[Phase, ...]:
    """Return phases of several kinds in the order of time."""
    every = [phase for phases in lists for phase in phases]
    return tuple(sorted(every, key=lambda p: (p.step, get_args(Kind).index(p.kind), p.what)))


def phases_to_json(phases: Sequence[Phase]) -> str:
    """Write phases as a demo file keeps them."""
    plain = [
        {"step": p.step, "kind": p.kind, **({"what": p.what} if p.what else {})} for p in phases
    ]
    return json.dumps(plain)


def phases_from(plain: Any, steps: int) -> tuple[Phase, ...]:
    """Read phases from what the JSON in a demo file says.

    Args:
        plain: A list of dictionaries.
        steps: T; phases lie within.

    Raises:
        ValueError: It is something else.
    """
    if not isinstance(plain, list):
        raise ValueError("phases are not a list")
    try:
        found = [Phase(**each) for each in plain]
    except TypeError as error:
        raise ValueError(str(error)) from error
    if any(not 0 <= phase.step < steps for phase in found):
        raise ValueError(f"a phase lies outside the {steps} steps")
    return merged(found)


def _changes(series: Any) -> list[tuple[int, bool]]:
    """Return where a series of truths changes and stays so for a while, and to what."""
    steady = max(1, round(_STEADY_S * CONTROL_HZ))
    found = []
    now = bool(series[0])
    for step in range(1, len(series)):
        ahead = series[step : step + steady]
        if bool(series[step]) != now and (ahead == series[step]).all():
            now = not now
            found.append((step, now))
    return found


def noops(actions: FloatArray) -> Any:
    """Return which actions are no-ops, (T,) bool.

    An action is one if the norm of its first six components is below 1e-4 and its gripper command
    is that of the latest action that is none; before the first such, the gripper does not matter.

    Args:
        actions: (T, 7).
    """
    still = np.linalg.norm(actions[:, :-1], axis=1) < _NOOP_NORM
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
