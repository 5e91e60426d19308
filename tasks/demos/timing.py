"""When the rows of a demo file were seen: before their action, or after it.

LIBERO's own files note observations seen *after* the action of a row, regenerated files and ours
those seen *before* it, and neither says so. One row off, a policy learns the action of a step ago.
Nothing is assumed: the numbers tell, or an attribute of the file, or the user.

Hand: an action moves the hand in the control step that it begins and, as the controller lags, in
some later ones. The test finds the newest action on which the motion from one row to the next
depends, given earlier actions and motions. Plain correlation cannot tell, as the action before fits
as well. Fingers: they start in the step in which the command changes. States: each is the
simulator's before the action of its row; joints are seen 2 ms after their own state and 48 ms
before the next.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from tasks.demos.schema import CONVENTION_ATTRIBUTE, Convention
from tasks.demos.source import DemoSource
from tasks.observation import ACTION_DIM, FloatArray

_PAST = 2
"""Earlier actions and motions that are accounted for."""
_LEAST_FIT, _LEAST_SCORE = 0.1, 5.0
"""Below either, an action has no effect of its own; measured on demos of a human and of the expert:
0.2 to 0.9 where it has one, at most 0.01 where not."""
_OTHER_FIT = 0.25
"""Of the fit of a row's own action, what that of the next row may have by chance."""
_STARTING_M, _RESTING_M = 3e-4, 1e-4
"""Change of the fingers' distance in the first step after a command, and at rest."""
_DECISIVE = 0.5
_MOVING = 1e-6
_SMALL_M = 0.01


@dataclass(frozen=True, kw_only=True)
class TimingEvidence:
    """What the numbers of a file show.

    Attributes:
        convention: None where they do not tell.
        words: What they show, or why they do not tell: a clause.
        mixed: Whether they show both.
    """

    convention: Convention | None
    words: str
    mixed: bool = False


@dataclass(frozen=True, kw_only=True)
class Timing:
    """When the rows of a file were seen, and how that is known.

    Attributes:
        convention: Before or after their action.
        source: The user said so, the file does, or its numbers show it.
        evidence: What its numbers show.
    """

    convention: Convention
    source: Literal["given", "stated", "found"]
    evidence: TimingEvidence

    @property
    def doubtful(self) -> bool:
        """Whether the numbers show the opposite."""
        return self.evidence.mixed or self.evidence.convention not in (None, self.convention)

    def __str__(self) -> str:
        when = "before" if self.convention == "before_action" else "after"
        who = {"given": ", as --convention says", "stated": ", as the file says", "found": ""}
        link = ", but" if self.doubtful else ":"
        if self.evidence.convention is None and not self.evidence.mixed:
            link = "; its numbers do not tell:"
        return f"rows are seen {when} their action{who[self.source]}{link} {self.evidence.words}"


def observation_timing(
    file: DemoSource, given: Convention | None = None, *, trusting: bool = False
) -> Timing:
    """Say when the rows of a file were seen.

    Args:
        file: The open file; its images are not read.
        given: What the user says; taken as it is, with a doubt where the numbers show the opposite.
        trusting: Whether what the file says is taken so, too: for whoever looks for its faults.

    Raises:
        ConfigError: Neither the file nor its numbers say it, or they contradict one another.
    """
    names = file.demos()
    if not any(file.has(f"data/{name}/obs") for name in names):
        raise file.refuse_missing(f"data/{names[0]}/obs")
    stated, evidence = stated_convention(file), timing_evidence(file)
    if given is not None:
        return Timing(convention=given, source="given", evidence=evidence)
    if stated is not None and trusting:
        return Timing(convention=stated, source="stated", evidence=evidence)
    if evidence.mixed:
        raise file.refuse(
            f"it cannot be said when its rows were seen: {evidence.words}",
            "Fix: keep demonstrations of one kind in a file, rows and states in step; or give "
            "--convention before_action or after_action for all of it.",
        )
    if stated is not None and evidence.convention not in (None, stated):
        raise file.refuse(
            f"its attribute {CONVENTION_ATTRIBUTE} says {stated}, but {evidence.words}, so it "
            f"is {evidence.convention}",
            f"Fix: correct the attribute of the group data, or give --convention {stated} to "
            "insist.",
        )
    if stated is not None:
        return Timing(convention=stated, source="stated", evidence=evidence)
    if evidence.convention is None:
        raise file.refuse(
            "it does not say whether its rows were seen before or after their action, and its "
            f"numbers do not tell: {evidence.words}",
            "Fix: give --convention before_action (as in OpenVLA's regenerated files) or "
            f"after_action (as in LIBERO's own), or set the attribute {CONVENTION_ATTRIBUTE} of "
            "the group data.",
        )
    return Timing(convention=evidence.convention, source="found", evidence=evidence)


def stated_convention(file: DemoSource) -> Convention | None:
    """Return what a file says of its rows; None where it says nothing, as official files.

    Raises:
        ConfigError: It says something else.
    """
    written = file.attribute("data", CONVENTION_ATTRIBUTE)
    known: dict[Any, Convention] = {name: name for name in get_args(Convention)}
    if written is None:
        return None
    if not isinstance(written, str) or written not in known:
        raise file.refuse(
            f"its {CONVENTION_ATTRIBUTE} is '{written}'",
            f"Allowed: {', '.join(known)}. Fix: correct the attribute of the group data.",
        )
    return known[written]


def timing_evidence(file: DemoSource) -> TimingEvidence:
    """Find out from its numbers when the rows of a file were seen.

    Raises:
        ConfigError: The file has no observations, or holds impossible values.
    """
    demos = [_read(file, name) for name in file.demos()]
    alone = {demo.name: _weigh([demo]) for demo in demos}
    for name, evidence in alone.items():
        if evidence.mixed:
            return TimingEvidence(convention=None, words=f"in {name} {evidence.words}", mixed=True)
    examples = {e.convention: name for name, e in reversed(alone.items()) if e.convention}
    if len(examples) > 1:
        words = "; ".join(f"in {name} {alone[name].words}" for name in sorted(examples.values()))
        return TimingEvidence(convention=None, words=words, mixed=True)
    return _weigh(demos)


def check_states(file: DemoSource, name: str) -> None:
    """Refuse a demonstration whose states are not those before the actions of their rows.

    Raises:
        ConfigError: They are not, so its actions do not start from its first state.
    """
    if (evidence := _weigh([_read(file, name)])).mixed:
        raise file.refuse(
            f"the states of {name} are not those before its actions: {evidence.words}",
            "Fix: pair each action with the state before it.",
        )


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """The numbers of one demonstration that tell; what is missing is None."""

    name: str
    actions: FloatArray
    hand: FloatArray | None
    fingers: FloatArray | None
    joints: FloatArray | None
    states: FloatArray | None


def _read(file: DemoSource, name: str) -> _Rows:
    place = f"data/{name}"
    actions = file.numbers(f"{place}/actions", (ACTION_DIM,)).astype(np.float64)

    def numbers(key: str, size: int | None) -> FloatArray | None:
        if not file.has(f"{place}/{key}"):
            return None
        found: FloatArray = file.numbers(f"{place}/{key}", (size,), steps=len(actions))
        return found.astype(np.float64)

    robot = numbers("robot_states", 9)
    pose = numbers("obs/ee_states", 6) if robot is None else robot[:, 2:]
    return _Rows(
        name=name,
        actions=actions,
        hand=numbers("obs/ee_pos", 3) if pose is None else pose[:, :3],
        fingers=numbers("obs/gripper_states", 2) if robot is None else robot[:, :2],
        joints=numbers("obs/joint_states", 7),
        states=numbers("states", None),
    )


def _weigh(demos: Sequence[_Rows]) -> TimingEvidence:
    """Weigh what some demonstrations show: how the robot moves, and its states."""
    moved, motion = _by_hand(demos)
    if moved is None and _hand_rests(demos):
        moved, motion = _by_fingers(demos)
    stood, states = _by_states(demos)
    if moved and stood and moved != stood:
        return TimingEvidence(convention=None, words=f"{motion}, but {states}", mixed=True)
    if moved or stood:
        shown = ", and ".join(each for each in (moved and motion, stood and states) if each)
        return TimingEvidence(convention=moved or stood, words=shown)
    return TimingEvidence(convention=None, words=motion)


def _by_hand(demos: Sequence[_Rows]) -> tuple[Convention | None, str]:
    usable = [(d.actions, d.hand) for d in demos if d.hand is not None and len(d.hand) > 2 * _PAST]
    if not any(demo.hand is not None for demo in demos):
        return None, "it has neither robot_states nor obs/ee_states"
    if not usable:
        return None, f"none of its demonstrations has more than {2 * _PAST} steps"
    own, following, later = effects = [_own_effect(usable, ahead) for ahead in range(3)]
    at_own, at_next, at_later = (f"(fit {max(fit, 0.0):.2f})" for fit, _ in effects)
    if _clear(later):
        return None, f"the hand follows the action two rows later {at_later}"
    if _clear(following) and following[0] > own[0]:
        return "after_action", (
            f"the hand moves on from a row as the next row's action says {at_next}, not its own "
            f"{at_own}"
        )
    if _clear(own) and following[0] < _OTHER_FIT * own[0]:
        return "before_action", (
            f"the hand moves on from a row as its own action says {at_own}, not the next row's "
            f"{at_next}"
        )
    return None, (
        f"the hand moves on from a row as neither its own action says {at_own} nor the next row's "
        f"{at_next}"
    )


def _hand_rests(demos: Sequence[_Rows]) -> bool:
    return all(
        demo.hand is not None and float(np.abs(demo.hand - demo.hand[0]).max()) < _SMALL_M
        for demo in demos
    )


def _own_effect(demos: Sequence[tuple[FloatArray, FloatArray]], ahead: int) -> tuple[float, float]:
    """Return what an action adds to what is known of the hand's motion from one row to the next.

    Args:
        demos: Per demonstration actions (T, 7) and the hand's positions (T, 3), metres.
        ahead: Which action: that of the row where the motion begins, or so many rows later.

    Returns:
        The share of what earlier actions and motions leave unexplained that it explains, negative
        where the hand moves against it; and by how many standard errors that is no chance.
    """
    acts, knowns, motions = [], [], []
    for actions, hand in demos:
        motion = np.diff(hand, axis=0)
        begin = np.arange(_PAST, len(hand) - _PAST)
        pasts = range(1, _PAST + 1)
        before = [actions[begin + ahead - past, :3] for past in pasts]
        before += [motion[begin - past] for past in pasts]
        acts.append(actions[begin + ahead, :3].ravel())
        motions.append(motion[begin].ravel())
        knowns.append(np.stack([each.ravel() for each in before], axis=1))
    known = np.concatenate(knowns)
    act, motion = (_rest(np.concatenate(each), known) for each in (acts, motions))
    size = np.sqrt((act @ act) * (motion @ motion))
    correlation = float(act @ motion / size) if size > 0 else 0.0
    return correlation * abs(correlation), correlation * np.sqrt(len(act))


def _rest(values: FloatArray, known: FloatArray) -> FloatArray:
    """Return what a linear regression leaves of (n,) values; nothing where only rounding is."""
    left: FloatArray = values - known @ np.linalg.lstsq(known, values, rcond=None)[0]
    return left if left @ left > 1e-18 * (values @ values) else np.zeros_like(left)


def _clear(effect: tuple[float, float]) -> bool:
    return effect[0] >= _LEAST_FIT and effect[1] >= _LEAST_SCORE


def _by_fingers(demos: Sequence[_Rows]) -> tuple[Convention | None, str]:
    before = after = 0
    for demo in demos:
        if demo.fingers is None:
            continue
        change = np.diff(demo.fingers[:, 0] - demo.fingers[:, 1])
        command = np.sign(demo.actions[:, -1])
        for step in np.flatnonzero(np.diff(command)) + 1:
            if not 2 <= step < len(change):
                continue
            told = -command[step] * change  # positive where the fingers move as told
            starts, rests = told > _STARTING_M, np.abs(told) < _RESTING_M
            before += bool(rests[step - 1] and starts[step])
            after += bool(rests[step - 2] and starts[step - 1])
    if not before and not after:
        return None, "the hand stays within 1 cm, and the fingers do not start from rest"
    if before and after:
        return (
            None,
            "only the fingers move, and start now before, now after the row of their command",
        )
    if before:
        return "before_action", f"the fingers start after the row of their command ({before}×)"
    return "after_action", f"the fingers have started in the row of their command ({after}×)"


def _by_states(demos: Sequence[_Rows]) -> tuple[Convention | None, str]:
    before = after = moved = 0.0
    for demo in demos:
        joints, states, fingers = demo.joints, demo.states, demo.fingers
        if joints is None or states is None or states.shape[1] < 10:
            continue
        seen = joints if fingers is None else np.concatenate([joints, fingers], axis=1)
        arm = states[:, 1 : 1 + seen.shape[1]]
        # Regenerated files keep the first state from before they let the scene settle.
        before += float(np.abs(seen[1:] - arm[1:]).sum())
        after += float(np.abs(seen[:-1] - arm[1:]).sum())
        moved += float(np.abs(np.diff(arm[1:], axis=0)).sum())
    low, high = sorted((before, after))
    if moved < _MOVING or low > _DECISIVE * high:
        return None, ""
    if before < after:
        return "before_action", "joints are those of their row's state"
    return "after_action", "joints are those of the next row's state"
