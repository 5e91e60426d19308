"""What is found out about a demonstration before its parts are judged."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from harness.parity.dry_run import Rehearsal, still
from tasks.demos.reader import Recording
from tasks.observation import CAMERAS, FloatArray, Observation

SHIFTS = (0, 1, -1, 2, -2)
"""By how many rows observations may be off, the likeliest first."""

LIBERO_GRIP = "−1 open, +1 close"

GRIPS: dict[str, Callable[[FloatArray], FloatArray]] = {
    LIBERO_GRIP: lambda grip: grip,
    "+1 open, −1 close": lambda grip: -grip,
    "0 open, 1 close": lambda grip: 2 * grip - 1,
    "1 open, 0 close": lambda grip: 1 - 2 * grip,
}
"""What a gripper's command may mean, and LIBERO's command for it."""

_ROWS = 5
_EFFECT_ROWS = 8
_GRIP_STEPS = 12
_MOVING = 1e-3
_FAITHFUL = 0.25
_EXACT = 1e-3


@dataclass(frozen=True, kw_only=True)
class Timing:
    """By how many rows observations are off the recorded states.

    Attributes:
        shift: Comparison t shows the state of row t + shift.
        error: Mean difference of the joints then, rad.
        told: Whether the arm moves enough to tell.
    """

    shift: int
    error: float
    told: bool


@dataclass(frozen=True, kw_only=True)
class Effect:
    """Where actions lead from the recorded states; sums over rows of distances of the arm, rad.

    Attributes:
        off: From where the action leads to the next recorded state.
        still: From where standing still leads to it.
        earlier: The same for the action of the row before.
        later: The same for the action of the row after.
        scale: The recorded motion as a multiple of the actions' own.
    """

    off: float
    still: float
    earlier: float
    later: float
    scale: float

    @property
    def faithful(self) -> bool:
        """Whether the actions are those that were executed, in their rows."""
        near = self.off <= _FAITHFUL * self.still and self.off <= min(self.earlier, self.later)
        return near or self.off <= _EXACT


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that the checks look at.

    Attributes:
        recording: The demonstration.
        moved: See ``Rehearsal``.
        timing: Whether observations belong to their rows.
        grip: Which of ``GRIPS`` the commands follow.
        grip_errors: Mean difference of the fingers by convention, metres.
        effect: Where the actions lead.
        rows: Rows that are compared, from the first to the last.
        seen: What the environment shows at each of them.
        moving: A row in whose surroundings the arm moves fast.
        around: What the environment shows a row before, at, and a row after ``moving``.
    """

    recording: Recording
    moved: float | None
    timing: Timing
    grip: str
    grip_errors: dict[str, float]
    effect: Effect
    rows: tuple[int, ...]
    seen: tuple[Observation, ...]
    moving: int
    around: tuple[Observation, Observation, Observation]


def gather(recording: Recording, rehearsal: Rehearsal) -> Evidence:
    """Rehearse a demonstration; every finding is used for the next, so that each is told apart.

    Args:
        recording: The demonstration.
        rehearsal: The environment for it, with pictures.
    """
    demo = recording.demo
    timing = find_shift(demo.joint_pos, rehearsal.joints)
    errors = _grip_errors(rehearsal, demo.actions)
    grip = min(errors, key=lambda name: errors[name])
    actions = np.column_stack([demo.actions[:, :6], GRIPS[grip](demo.actions[:, 6])])
    effect = _effect(rehearsal, actions)

    def look(row: int) -> Observation:
        state = row + timing.shift
        if state == 0 or not effect.faithful:
            return rehearsal.show(state, CAMERAS)
        return rehearsal.arrive(state, actions, CAMERAS)

    first, last = max(0, -timing.shift), demo.steps - 1 - max(0, timing.shift)
    rows = tuple(int(row) for row in np.linspace(first, last, _ROWS).round())
    speed = np.linalg.norm(np.diff(rehearsal.joints, axis=0), axis=1)
    # The row itself and one on each side of it must have a state to be shown in.
    moving = first + 1 + int(np.argmax(speed[first + 1 : last])) if last - first > 2 else first + 1
    before, at, after = (look(moving + step) for step in (-1, 0, 1))
    return Evidence(
        recording=recording,
        moved=rehearsal.moved,
        timing=timing,
        grip=grip,
        grip_errors=errors,
        effect=effect,
        rows=rows,
        seen=tuple(look(row) for row in rows),
        moving=moving,
        around=(before, at, after),
    )


def find_shift(shown: FloatArray, recorded: FloatArray) -> Timing:
    """Find which recorded state each row of observations shows.

    Args:
        shown: (T, 7) rad, the joints as observed.
        recorded: (T, 7) rad, the joints in the simulator's states.
    """
    steps = len(shown)
    errors: dict[int, float] = {}
    for shift in SHIFTS:
        if steps - abs(shift) < 2:
            continue
        rows = np.arange(max(0, -shift), steps - max(0, shift))
        errors[shift] = float(np.abs(shown[rows] - recorded[rows + shift]).mean())
    told = float(np.abs(np.diff(recorded, axis=0)).mean()) > _MOVING
    best = min(errors, key=lambda shift: errors[shift]) if told else 0
    return Timing(shift=best, error=errors[best], told=told)


def _grip_errors(rehearsal: Rehearsal, actions: FloatArray) -> dict[str, float]:
    """Execute some steps around the first closing and opening under each possible convention."""
    grips = actions[:, 6]
    changes = np.diff(grips)
    starts = {int(np.argmax(kind)) for kind in (changes > 0, changes < 0) if kind.any()} or {0}
    names = list(GRIPS)
    unsigned = (grips >= 0).all() and (grips < 1).any()
    errors = {}
    for name in names[2:] if unsigned else names[:2]:
        meant = np.column_stack([actions[:, :6], GRIPS[name](grips)])
        found = [_fingers_off(rehearsal, meant, start) for start in sorted(starts)]
        errors[name] = float(np.mean(found))
    return errors


def _fingers_off(rehearsal: Rehearsal, actions: FloatArray, start: int) -> float:
    stop = min(start + _GRIP_STEPS, len(actions) - 1)
    rehearsal.enter(start, actions)
    reached = rehearsal.fingers_of(rehearsal.follow(actions[start:stop]))
    return float(np.abs(reached - rehearsal.fingers[start + 1 : stop + 1]).mean())


def _effect(rehearsal: Rehearsal, actions: FloatArray) -> Effect:
    sums = dict.fromkeys(("off", "still", "earlier", "later"), 0.0)
    along = across = 0.0
    for row in _telling_rows(actions):
        wanted = rehearsal.joints[row + 1]
        rehearsal.enter(row, actions)
        reached = {"off": _reached(rehearsal, row, actions[row])}
        for name, action in (
            ("still", still(actions[row, 6])),
            ("earlier", actions[row - 1]),
            ("later", actions[row + 1]),
        ):
            reached[name] = _reached(rehearsal, row, action)
        for name, joints in reached.items():
            sums[name] += float(np.linalg.norm(joints - wanted))
        own = reached["off"] - reached["still"]
        along += float((wanted - reached["still"]) @ own)
        across += float(own @ own)
    return Effect(scale=along / across if across else 1.0, **sums)


def _reached(rehearsal: Rehearsal, row: int, action: FloatArray) -> FloatArray:
    rehearsal.restore(row)
    joints: FloatArray = rehearsal.arm_of(rehearsal.follow(action[None]))[0]
    return joints


def _telling_rows(actions: FloatArray) -> list[int]:
    """Return rows whose actions differ from those around, all over the demonstration."""
    changes = np.linalg.norm(np.diff(actions[:, :6], axis=0), axis=1)
    telling = np.minimum(changes[:-1], changes[1:])
    parts = [part for part in np.array_split(np.arange(len(telling)), _EFFECT_ROWS) if len(part)]
    return [1 + int(part[np.argmax(telling[part])]) for part in parts]
