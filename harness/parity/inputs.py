"""The common inputs of all comparisons, and the form of their findings."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from harness.parity.dry_run import DryRun, still
from tasks.demos.reader import Recording
from tasks.errors import Finding, Status
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
"""Conventions of a gripper's command, and LIBERO's command for each."""

_ROWS = 5
_EFFECT_ROWS = 8
_GRIP_STEPS = 12
_MOVING = 1e-3
_FAITHFUL = 0.25
_EXACT = 1e-3


@dataclass(frozen=True, kw_only=True)
class RowShift:
    """By how many rows observations are off the recorded states.

    Attributes:
        shift: Comparison t shows the state of row t + shift.
        error: Mean difference of the joints then, rad.
        certain: Whether the arm moves enough to tell.
    """

    shift: int
    error: float
    certain: bool


@dataclass(frozen=True, kw_only=True)
class ActionEffect:
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
class Inputs:
    """All that the checks compare.

    Attributes:
        recording: The demonstration.
        moved: See ``DryRun``.
        row_shift: By how many rows observations are off.
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
    row_shift: RowShift
    grip: str
    grip_errors: dict[str, float]
    effect: ActionEffect
    rows: tuple[int, ...]
    seen: tuple[Observation, ...]
    moving: int
    around: tuple[Observation, Observation, Observation]


def gather_inputs(recording: Recording, dry_run: DryRun) -> Inputs:
    """Rehearse a demonstration; every finding is used for the next, so that each is certain apart.

    Args:
        recording: The demonstration.
        dry_run: The environment for it, with images.
    """
    demo = recording.demo
    row_shift = find_shift(demo.joint_pos, dry_run.joints)
    errors = _grip_errors(dry_run, demo.actions)
    grip = min(errors, key=lambda name: errors[name])
    actions = np.column_stack([demo.actions[:, :6], GRIPS[grip](demo.actions[:, 6])])
    effect = _effect(dry_run, actions)

    def observe(row: int) -> Observation:
        state = row + row_shift.shift
        if state == 0 or not effect.faithful:
            return dry_run.show(state, CAMERAS)
        return dry_run.arrive(state, actions, CAMERAS)

    first, last = max(0, -row_shift.shift), demo.steps - 1 - max(0, row_shift.shift)
    rows = tuple(int(row) for row in np.linspace(first, last, _ROWS).round())
    speed = np.linalg.norm(np.diff(dry_run.joints, axis=0), axis=1)
    # The row itself and one on each side of it must have a state to be shown in.
    moving = first + 1 + int(np.argmax(speed[first + 1 : last])) if last - first > 2 else first + 1
    before, at, after = (observe(moving + step) for step in (-1, 0, 1))
    return Inputs(
        recording=recording,
        moved=dry_run.moved,
        row_shift=row_shift,
        grip=grip,
        grip_errors=errors,
        effect=effect,
        rows=rows,
        seen=tuple(observe(row) for row in rows),
        moving=moving,
        around=(before, at, after),
    )


def find_shift(shown: FloatArray, recorded: FloatArray) -> RowShift:
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
    certain = float(np.abs(np.diff(recorded, axis=0)).mean()) > _MOVING
    best = min(errors, key=lambda shift: errors[shift]) if certain else 0
    return RowShift(shift=best, error=errors[best], certain=certain)


def _grip_errors(dry_run: DryRun, actions: FloatArray) -> dict[str, float]:
    """Execute some steps around the first closing and opening under each possible convention."""
    grips = actions[:, 6]
    changes = np.diff(grips)
    starts = {int(np.argmax(kind)) for kind in (changes > 0, changes < 0) if kind.any()} or {0}
    names = list(GRIPS)
    unsigned = (grips >= 0).all() and (grips < 1).any()
    errors = {}
    for name in names[2:] if unsigned else names[:2]:
        meant = np.column_stack([actions[:, :6], GRIPS[name](grips)])
        offsets = [_fingers_off(dry_run, meant, start) for start in sorted(starts)]
        errors[name] = float(np.mean(offsets))
    return errors


def _fingers_off(dry_run: DryRun, actions: FloatArray, start: int) -> float:
    stop = min(start + _GRIP_STEPS, len(actions) - 1)
    dry_run.enter(start, actions)
    reached = dry_run.fingers_of(dry_run.follow(actions[start:stop]))
    return float(np.abs(reached - dry_run.fingers[start + 1 : stop + 1]).mean())


def _effect(dry_run: DryRun, actions: FloatArray) -> ActionEffect:
    sums = dict.fromkeys(("off", "still", "earlier", "later"), 0.0)
    along = across = 0.0
    for row in _telling_rows(actions):
        wanted = dry_run.joints[row + 1]
        dry_run.enter(row, actions)
        reached = {"off": _reached(dry_run, row, actions[row])}
        for name, action in (
            ("still", still(actions[row, 6])),
            ("earlier", actions[row - 1]),
            ("later", actions[row + 1]),
        ):
            reached[name] = _reached(dry_run, row, action)
        for name, joints in reached.items():
            sums[name] += float(np.linalg.norm(joints - wanted))
        own = reached["off"] - reached["still"]
        along += float((wanted - reached["still"]) @ own)
        across += float(own @ own)
    return ActionEffect(scale=along / across if across else 1.0, **sums)


def _reached(dry_run: DryRun, row: int, action: FloatArray) -> FloatArray:
    dry_run.restore(row)
    joints: FloatArray = dry_run.arm_of(dry_run.follow(action[None]))[0]
    return joints


def _telling_rows(actions: FloatArray) -> list[int]:
    """Return rows whose actions differ from those around, all over the demonstration."""
    changes = np.linalg.norm(np.diff(actions[:, :6], axis=0), axis=1)
    telling = np.minimum(changes[:-1], changes[1:])
    parts = [part for part in np.array_split(np.arange(len(telling)), _EFFECT_ROWS) if len(part)]
    return [1 + int(part[np.argmax(telling[part])]) for part in parts]


@dataclass(frozen=True, kw_only=True)
class Comparison(Finding):
    """One comparison.

    It is ``failed`` where a policy trained on such demonstrations is shown something else in an
    evaluation, and a ``warning`` where something differs that this project's training does not
    read, or does not mind.

    Attributes:
        demo: What the demonstration has, or what training makes of it.
        environment: What an evaluation has.
    """

    demo: str
    environment: str

    def as_dict(self) -> dict[str, str]:
        """Return the comparison as ``--json`` has it."""
        return {
            "check": self.name,
            "demo": self.demo,
            "environment": self.environment,
            "verdict": self.status,
            "fix": self.fix,
        }


def graded(value: float, ok: float, warning: float) -> Status:
    """Judge a difference by the most that is fine and the most that is still no failure."""
    if value <= ok:
        return "ok"
    return "warning" if value <= warning else "failed"
