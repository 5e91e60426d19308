"""Are a demonstration's actions LIBERO's own, and do they survive RDT's unified vectors?"""

import numpy as np

from harness.parity.inputs import LIBERO_GRIP, Comparison, Inputs, graded
from policies.rdt.actions.layout import Layout
from results.formatting import spans
from tasks.actions import action_now
from tasks.errors import Status
from tasks.observation import ACTION_DIM, robot_state_at, stack_robot_states

_SMALL = 0.05
_BETTER = 0.5
_SCALES = (0.8, 1.25)
_SLOTS = (0.02, 0.1)
_EXACT = 1e-5


def check_actions(inputs: Inputs) -> list[Comparison]:
    """Look at the range of actions, where they lead, and what the gripper's command means."""
    return [_range(inputs), _effect(inputs), _grip(inputs)]


def _range(inputs: Inputs) -> Comparison:
    actions = inputs.recording.demo.actions
    arm, grips = actions[:, : ACTION_DIM - 1], np.unique(actions[:, -1])
    largest = float(np.abs(arm).max())
    few = len(grips) <= 3
    commands = ", ".join(f"{grip:+g}" for grip in grips) if few else f"{len(grips)} values"
    small = largest < _SMALL
    return Comparison(
        name="action range",
        demo=f"{arm.min():+.2f} to {arm.max():+.2f}; gripper {commands}",
        environment="−1 to +1, units of 0.05 m and 0.5 rad",
        status="warning" if small else "ok",
        fix="they look like metres and radians: divide by 0.05 and 0.5" if small else "",
    )


def _effect(inputs: Inputs) -> Comparison:
    effect = inputs.effect
    status: Status = "ok"
    fix = ""
    if not effect.faithful:
        status = "failed"
        fix = "store the actions that were executed, LIBERO's own numbers, without normalisation"
        if effect.later < _BETTER * effect.off:
            fix = "actions[t] leads to states[t]; it must lead to states[t + 1]: shift them by one"
        elif effect.earlier < _BETTER * effect.off:
            fix = "actions[t] starts from states[t + 1]; it must from states[t]: shift them by one"
        elif not _SCALES[0] < effect.scale < _SCALES[1]:
            fix = f"the arm moved {effect.scale:.2g} times as far as these actions move it: {fix}"
    return Comparison(
        name="action effect",
        demo="each leads from its recorded state to the next",
        environment=(
            f"ends {effect.off:.1e} rad from there; standing still {effect.still:.1e}; motion × "
            f"{effect.scale:.2f}"
        ),
        status=status,
        fix=fix,
    )


def _grip(inputs: Inputs) -> Comparison:
    good = inputs.grip == LIBERO_GRIP
    numbers = ", ".join(
        f"{name}: {error * 1e3:.1f} mm" for name, error in inputs.grip_errors.items()
    )
    return Comparison(
        name="gripper command",
        demo=f"{inputs.grip} explains the recorded fingers best",
        environment=f"{LIBERO_GRIP}; fingers off by {numbers}",
        status="ok" if good else "failed",
        fix="" if good else f"store it as {LIBERO_GRIP}, in actions and intended_actions",
    )


def check_layout(inputs: Inputs, layout: Layout) -> list[Comparison]:
    """Compare encoded states, masks, and actions that were encoded and read back."""
    return [_state(inputs, layout), _masks(layout), _round_trip(inputs, layout)]


def _state(inputs: Inputs, layout: Layout) -> Comparison:
    trained = layout.encode_state(robot_state_at(inputs.recording.demo.robot, list(inputs.rows)))
    acting = layout.encode_state(stack_robot_states(inputs.seen))
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
        fix = f"slots {spans(lost)} of an action are masked, so they come out as 0: use 'union'"
    elif (training != acting).any():
        status = "warning"
        fix = "the masks differ, which is right only for checkpoints that were trained so"
    return Comparison(
        name="mask",
        demo=f"training: slots {spans(np.flatnonzero(training)) or 'none'}",
        environment=f"evaluation: slots {spans(np.flatnonzero(acting)) or 'none'}",
        status=status,
        fix=fix,
    )


def _round_trip(inputs: Inputs, layout: Layout) -> Comparison:
    """Encode what training learns and read it as an evaluation does."""
    demo = inputs.recording.demo
    robot = inputs.recording.demo.robot
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
        detail = f"arm at most {error:.1e} apart, gripper another in {wrong} of {demo.steps} steps"
        good = error <= _EXACT and not wrong
        fix = "" if good else "see the layout's gripper and scales, and the gripper command"
    else:
        # Not the demonstrator's commands, but some that lead where the demonstration went.
        read = layout.decode_actions(layout.targets(demo.actions, robot), start)
        wrong = int((read[:, 6] != np.sign(demo.actions[:, 6])).sum())
        clipped = float((np.abs(read[:, :6]) >= 1.0).mean())
        detail = f"gripper another in {wrong} of {demo.steps} steps, {clipped:.0%} at the limits"
        good = not wrong and clipped < 0.5
        fix = "" if good else "see the layout's gripper and response, and the gripper command"
    return Comparison(
        name="actions and back",
        demo=f"{len(layout.action_slots)} slots of {layout.name}",
        environment=detail,
        status="ok" if good else "failed",
        fix=fix,
    )
