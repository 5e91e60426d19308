"""Rules on what states and actions mean in RDT's unified vector, and on the loss over them."""

from policies.rdt.actions import slots
from tasks.observation import CONTROL_HZ
from training.audit.facts import Conditions, Facts, Unjudged, known
from training.audit.findings import Found

_POSES = frozenset(
    (
        *slots.RIGHT_EEF_POS,
        *slots.RIGHT_EEF_ROT6D,
        *slots.LEFT_EEF_POS,
        *slots.LEFT_EEF_ROT6D,
    )
)
_OPENINGS = (slots.RIGHT_GRIPPER_OPEN, slots.LEFT_GRIPPER_OPEN)
_UNEVEN = 100.0
"""Ratio of the variances of an action's numbers from which a plain loss neglects the smaller."""

_SPEC = "configs/state_vec.py and the data sets' preprocessing in the official repository"


def masks(facts: Facts) -> Found | None:
    """A mask that covers the state's slots and not the action's."""
    acting, training = facts.evaluated, facts.trained
    if acting.mask is None and training.mask is None:
        raise Unjudged("the mask of the unified vector")
    slots = known(training.action_slots or acting.action_slots, "the action's slots")
    state = known(training.state_slots or acting.state_slots, "the state's slots")
    lost = sorted(set(slots) - set(state))
    if not lost:
        return None
    shown = ", ".join(map(str, lost[:8]))
    why = (
        "One mask serves the state token, the action tokens and the result, which is multiplied "
        "by it: what is not in the mask comes out as zero."
    )
    source = "models/rdt_runner.py (predict_action ends with x * mask)"
    fix = "mask = union of state and action slots, in training and in evaluation"
    if acting.mask == "state":
        return Found(
            severity="critical",
            found=f"evaluation under the state's mask; action slots {shown} are not in it",
            expected="the union of both",
            why=why,
            source=source,
            fix=fix,
        )
    if training.mask == "state":
        return Found(
            severity="minor",
            found=f"trained under the state's mask, without the action's slots {shown}",
            expected="the union of both, the same in evaluation",
            why="The loss is over all slots whatever the mask, so the action is learnt; but in "
            "evaluation the mask must be another, which the network has never seen.",
            source="RDT_libero_finetune does so and reports 75 %; models/rdt_runner.py",
            fix=fix,
        )
    return None


def delta_slots(facts: Facts) -> Found | None:
    """Deltas where pre-training had absolute poses."""
    slots = known(facts.trained.delta_slots, "the slots of deltas")
    wrong = sorted(set(slots) & _POSES)
    if not wrong:
        return None
    return Found(
        severity="major",
        found=f"deltas in slots {', '.join(map(str, wrong))}",
        expected="39-44 (velocities of the hand), or absolute poses in 30-38",
        why="In pre-training 30-38 hold absolute poses, the next measured ones. There is no delta "
        "slot; the nearest in meaning are velocities. The network must unlearn first, and the "
        "same slots mean poses in the state.",
        source=_SPEC + "; a LIBERO fork with this mapping reports 0 %",
        fix="--layout eef-goal (or eef-velocity, eef-pose)",
    )


def plans_of_deltas(facts: Facts) -> Found | None:
    """A small network whose plans say how far to move, not where to."""
    if facts.training.code != "libero-bench":
        raise Unjudged("whether plans can hold goals: only this project's layouts do")
    if not known(facts.trained.delta_slots, "the slots of deltas"):
        return None
    small = facts.training.network == "rdt-small"
    return Found(
        severity="major" if small else "minor",
        found="an action is a delta of the hand",
        expected="the goal it is pulled to, turned into a delta at every control step",
        why="Errors of deltas add up over a plan: plans of rdt-small ended 2 to 3 cm beside where "
        "the demonstrations went, and a grip forgives about 2. Of a goal nothing adds up.",
        source="docs/learning.md, 64 steps a plan: 11 of 50 with deltas, 47 of 50 with goals",
        fix="--layout eef-goal",
    )


def gripper(facts: Facts) -> Found | None:
    """A gripper's command written otherwise than the gripper's state, or than it is read."""
    trained, shown = facts.trained, facts.evaluated
    kind = known(trained.gripper, "the gripper's convention in training")
    if shown.gripper is not None and shown.gripper != kind:
        return Found(
            severity="critical",
            found=f"gripper trained as {kind}, read as {shown.gripper}",
            expected="one convention",
            why="LIBERO's command is -1 open, +1 close; as an opening 1 is open. Read the other "
            "way round the hand opens where it should close.",
            source="LIBERO's controller; the layouts of this project",
            fix="decode with the mapping the policy was trained with",
        )
    shared = trained.gripper_slot in _OPENINGS
    if not shared or kind == "opening":
        return None
    closing = kind == "closing"
    same_slot = trained.gripper_state == "opening" and (
        trained.gripper_state_slot == trained.gripper_slot
    )
    return Found(
        severity="major" if closing and same_slot else "minor",
        found=f"gripper action {'(g+1)/2: 1 = closed' if closing else '-1/+1'}, "
        f"in slot {trained.gripper_slot}",
        expected="(1-g)/2: the opening in [0, 1], 1 = open",
        why="In pre-training, and in the state, this slot is the opening: 1 = open. "
        + (
            "The action says the contrary of the state in the same slot."
            if closing
            else "A range of [-1, 1] with the other sign has to be learnt anew."
        ),
        source=_SPEC + "; RDT_libero_finetune uses -1/+1 and reports 75 %",
        fix="--layout eef-goal or eef-velocity, or write (1-g)/2",
    )


def normalisation(facts: Facts) -> Found | None:
    """Statistics that belong to something else, or differ between training and evaluation."""
    trained = known(facts.trained.normalisation, "how actions are normalised")
    shown = facts.evaluated.normalisation
    if trained == "state":
        return Found(
            severity="critical",
            found="actions normalised with the statistics of states",
            expected="none, or statistics of the actions",
            why="Deltas are about 1e-2 where positions are about 1: divided by the state's spread "
            "they vanish beside the other slots, and decoding multiplies what noise is left.",
            source="a LIBERO attempt at 0 % names this first; dataset_stat.json holds states only",
            fix="normalise with action statistics (--normalise meanstd), or not at all",
        )
    if shown is not None and shown != trained:
        return Found(
            severity="critical",
            found=f"normalisation: {trained} in training, {shown} in evaluation",
            expected="the same",
            why="Every action is scaled and shifted by what was not undone.",
            source="arithmetic",
            fix="undo in evaluation exactly what training did",
        )
    return None


def same_mapping(facts: Facts) -> Found | None:
    """Actions read from other slots than they were written to."""
    trained = known(facts.trained.action_slots, "the action's slots")
    shown = known(facts.evaluated.action_slots, "the action's slots in evaluation")
    if trained == shown and _same_states(facts.trained, facts.evaluated):
        return None
    what = "states" if trained == shown else "actions"
    return Found(
        severity="critical",
        found=f"{what} use other slots in evaluation than in training",
        expected="one mapping",
        why="The slots that are read were trained towards zero, or towards something else.",
        source="the loss covers all 128 slots; unused ones have target 0",
        fix="give the evaluation the layout of the training",
    )


def loss_weights(facts: Facts) -> Found | None:
    """Parts of an action that a plain loss hardly sees."""
    loss = known(facts.training.loss, "the loss")
    if loss == "weighted":
        return None
    reasons = []
    # Each number of a normalised action spreads as far as the others.
    if facts.trained.rotation == "delta-6d" and facts.trained.normalisation != "action":
        reasons.append("a tiny delta as a 6-D rotation is about (1, 0, 0, 0, 1, 0) whatever it is")
    spread = facts.training.action_std
    if spread is not None and min(spread) > 0 and (max(spread) / min(spread)) ** 2 > _UNEVEN:
        reasons.append(f"the numbers of an action spread from {min(spread):g} to {max(spread):g}")
    if not reasons:
        if facts.trained.rotation is None and spread is None:
            raise Unjudged("how actions hold rotations")
        return None
    return Found(
        severity="major",
        found=f"{loss} MSE, and {' and '.join(reasons)}",
        expected="parts of similar size: raw actions in [-1, 1], or a loss weighted by action "
        "statistics with bounds",
        why="The error of the small parts is lost beside the gripper's and the large parts'. A "
        "policy can have a small loss and never turn its hand.",
        source="models/rdt_runner.py (unweighted mean over 64 x 128); a LIBERO attempt at 0 %",
        fix="--layout eef-velocity; or --normalise meanstd, or --loss weighted, where rotations "
        "must stay so",
    )


def control_frequency(facts: Facts) -> Found | None:
    """A control frequency that is not LIBERO's."""
    trained, shown = facts.trained.control_hz, facts.evaluated.control_hz
    if trained is None and shown is None:
        raise Unjudged("the control frequency (dataset_control_freq.json)")
    wrong = [hz for hz in (trained, shown) if hz not in (None, CONTROL_HZ)]
    if not wrong:
        return None
    differ = None not in (trained, shown) and trained != shown
    words = [
        f"{name} {hz:g} Hz" for name, hz in (("training", trained), ("evaluation", shown)) if hz
    ]
    return Found(
        severity="major" if differ else "minor",
        found=", ".join(words),
        expected=f"{CONTROL_HZ:g} Hz in both",
        why="The frequency is a token of its own, and tells the network how far a step goes. "
        + ("The two differ, so plans come at another pace." * differ),
        source="LIBERO: 20 control steps per simulated second; configs/dataset_control_freq.json",
        fix="an entry of 20 for your data set in configs/dataset_control_freq.json",
    )


def not_in_the_command(facts: Facts) -> Found | None:
    """What no official command says, because it is code."""
    if not facts.official or facts.trained.action_slots is not None:
        return None
    return Found(
        severity="info",
        found="the dataset script, which no flag describes",
        expected="slots 39-44 and 10 for LIBERO's deltas, gripper (1-g)/2, mask = union, metres "
        "and radians, 20 Hz, no normalisation by states",
        why="A LIBERO attempt at 0 % failed here and not in a flag: deltas in the pose slots "
        "30-38, 6-D rotations of tiny deltas, 1 = closed, the state's mask.",
        source="LIBERO forks of the official code; data/hdf5_vla_dataset.py",
        fix="say what your script does in a facts file, or with --layout, and audit again",
    )


def _same_states(trained: Conditions, shown: Conditions) -> bool:
    return None in (trained.state_slots, shown.state_slots) or (
        trained.state_slots == shown.state_slots
    )
