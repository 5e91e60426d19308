"""Does RDT get the same unified vectors from a demonstration as from the environment, and back?"""

from collections.abc import Sequence

import numpy as np

from harness.parity.inputs import Evidence
from harness.parity.rows import Comparison, graded
from policies.rdt.actions.layout import Layout
from tasks.actions import action_now
from tasks.findings import Status
from tasks.observation import robot_state_at, stack_robot_states

_SLOTS = (0.02, 0.1)
_EXACT = 1e-5


def check_layout(evidence: Evidence, layout: Layout) -> list[Comparison]:
    """Compare encoded states, masks, and actions that were encoded and read back."""
    return [_state(evidence, layout), _masks(layout), _round_trip(evidence, layout)]


def _state(evidence: Evidence, layout: Layout) -> Comparison:
    trained = layout.encode_state(
        **robot_state_at(evidence.recording.demo.robot, list(evidence.rows))
    )
    acting = layout.encode_state(**stack_robot_states(evidence.seen))
    error = np.abs(trained - acting).max(0)
    worst = int(error.argmax())
    status = graded(float(error.max()), *_SLOTS)
    return Comparison(
        name="encoded state",
        demo=f"{len(layout.state_slots)} slots of {layout.name}, at most {error.max():.1e} apart",
        environment=f"largest in slot {worst}" if error.max() > 0 else "the same numbers",
        status=status,
        fix="" if status == "ok" else "see the rows on joints, hand and gripper",
    )


def _masks(layout: Layout) -> Comparison:
    training, acting = layout.training_mask > 0, layout.mask > 0
    lost = [slot for slot in layout.action_slots if not acting[slot]]
    status: Status = "ok"
    fix = ""
    if lost:
        status = "failed"
        fix = f"slots {_spans(lost)} of an action are masked, so they come out as 0: use 'union'"
    elif (training != acting).any():
        status = "warning"
        fix = "the masks differ, which is right only for checkpoints that were trained so"
    return Comparison(
        name="mask",
        demo=f"training: slots {_spans(np.flatnonzero(training).tolist())}",
        environment=f"evaluation: slots {_spans(np.flatnonzero(acting).tolist())}",
        status=status,
        fix=fix,
    )


def _round_trip(evidence: Evidence, layout: Layout) -> Comparison:
    """Encode what training learns and read it as an evaluation does."""
    demo = evidence.recording.demo
    robot = evidence.recording.demo.robot
    start = robot_state_at(robot, 0)
    if not layout.needs_state:
        if layout.holds_goals:
            goals = layout.decode_actions(layout.targets(demo.actions, robot))
            hands = zip(goals, demo.ee_pos, demo.ee_quat, strict=True)
            read = np.stack([action_now(goal, pos, quat) for goal, pos, quat in hands])
        else:
            read = layout.decode_actions(layout.encode_actions(demo.actions))
        error = float(np.abs(read - demo.actions)[:, :6].max())
        wrong = int((read[:, 6] != np.sign(demo.actions[:, 6])).sum())
        found = f"arm at most {error:.1e} apart, gripper another in {wrong} of {demo.steps} steps"
        good = error <= _EXACT and not wrong
        fix = "" if good else "see the layout's gripper and scales, and the gripper command"
    else:
        # Not the demonstrator's commands, but some that lead where the demonstration went.
        read = layout.decode_actions(layout.targets(demo.actions, robot), start)
        wrong = int((read[:, 6] != np.sign(demo.actions[:, 6])).sum())
        clipped = float((np.abs(read[:, :6]) >= 1.0).mean())
        found = f"gripper another in {wrong} of {demo.steps} steps, {clipped:.0%} at the limits"
        good = not wrong and clipped < 0.5
        fix = "" if good else "see the layout's gripper and response, and the gripper command"
    return Comparison(
        name="actions and back",
        demo=f"{len(layout.action_slots)} slots of {layout.name}",
        environment=found,
        status="ok" if good else "failed",
        fix=fix,
    )


def _spans(numbers: Sequence[int]) -> str:
    """Write slots such as 0–6, 10."""
    shown: list[str] = []
    start = previous = numbers[0] if numbers else 0
    for number in [*numbers[1:], -1] if numbers else []:
        if number != previous + 1:
            shown.append(str(start) if start == previous else f"{start}–{previous}")
            start = number
        previous = number
    return ", ".join(shown) or "none"
