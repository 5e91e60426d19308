"""Rules on states and actions in RDT's unified vector, and on the loss over them."""

from policies.rdt.actions import slots
from tasks.observation import CONTROL_HZ
from training.audit.facts import Facts, MissingFact
from training.audit.rules.rule import Violation, rule

_POSES = frozenset(
    (*slots.RIGHT_EEF_POS, *slots.RIGHT_EEF_ROT6D, *slots.LEFT_EEF_POS, *slots.LEFT_EEF_ROT6D)
)
_OPENINGS = (slots.RIGHT_GRIPPER_OPEN, slots.LEFT_GRIPPER_OPEN)
_LISTED_SLOTS = 8
_UNEVEN = 100.0
"""Ratio of the variances of an action's numbers from which a plain loss neglects the smaller."""

_SPEC = "configs/state_vec.py and the data sets' preprocessing in the official repository"


@rule("actions/mask", fix="mask = union of state and action slots, in training and in evaluation")
def mask(facts: Facts) -> Violation | None:
    """A mask that covers the state's slots and not the action's."""
    trained, evaluated = facts.trained, facts.evaluated
    if evaluated.mask is None and trained.mask is None:
        raise MissingFact("the mask of the unified vector")
    action = trained.action_slots or evaluated.action_slots
    state = trained.state_slots or evaluated.state_slots
    if action is None:
        raise MissingFact("the action's slots")
    if state is None:
        raise MissingFact("the state's slots")
    uncovered = sorted(set(action) - set(state))
    if not uncovered:
        return None
    listed = ", ".join(map(str, uncovered[:_LISTED_SLOTS]))
    if evaluated.mask == "state":
        return Violation(
            f"evaluation under the state's mask; action slots {listed} are not in it",
            severity="critical",
            expected="the union of both",
            why="One mask serves the state token, the action tokens and the result, which is "
            "multiplied by it: what is not in the mask comes out as zero.",
            source="models/rdt_runner.py (predict_action ends with x * mask)",
        )
    if trained.mask == "state":
        return Violation(
            f"trained under the state's mask, without the action's slots {listed}",
            severity="minor",
            expected="the union of both, the same in evaluation",
            why="The loss is over all slots whatever the mask, so the action is learnt; but in "
            "evaluation the mask must be another, which the network has never seen.",
            source="RDT_libero_finetune does so and reports 75 %; models/rdt_runner.py",
        )
    return None


@rule(
    "actions/mapping",
    "trained.action_slots",
    "evaluated.action_slots",
    severity="critical",
    expected="one mapping",
    why="The slots that are read were trained towards zero, or towards something else.",
    source="the loss covers all 128 slots; unused ones have target 0",
    fix="give the evaluation the layout of the training",
)
def mapping(facts: Facts, trained: tuple[int, ...], evaluated: tuple[int, ...]) -> str | None:
    """States or actions in other slots than in training."""
    states = facts.trained.state_slots, facts.evaluated.state_slots
    if trained == evaluated and (None in states or states[0] == states[1]):
        return None
    misplaced = "states" if trained == evaluated else "actions"
    return f"{misplaced} use other slots in evaluation than in training"


@rule("actions/normalisation", "trained.normalisation", severity="critical")
def normalisation(facts: Facts, trained: str) -> Violation | None:
    """Statistics that belong to something else, or differ between training and evaluation."""
    evaluated = facts.evaluated.normalisation
    if trained == "state":
        return Violation(
            "actions normalised with the statistics of states",
            expected="none, or statistics of the actions",
            why="Deltas are about 1e-2 where positions are about 1: divided by the state's spread "
            "they vanish beside the other slots, and decoding multiplies what noise is left.",
            source="a LIBERO attempt at 0 % names this first; dataset_stat.json holds states only",
            fix="normalise with action statistics (--normalise meanstd), or not at all",
        )
    if evaluated is None or evaluated == trained:
        return None
    return Violation(
        f"normalisation: {trained} in training, {evaluated} in evaluation",
        expected="the same",
        why="Every action is scaled and shifted by what was not undone.",
        source="arithmetic",
        fix="undo in evaluation exactly what training did",
    )


@rule("actions/gripper", "trained.gripper")
def gripper(facts: Facts, kind: str) -> Violation | None:
    """A gripper's command written otherwise than the gripper's state, or than it is read."""
    trained, evaluated = facts.trained, facts.evaluated
    if evaluated.gripper is not None and evaluated.gripper != kind:
        return Violation(
            f"gripper trained as {kind}, read as {evaluated.gripper}",
            severity="critical",
            expected="one convention",
            why="LIBERO's command is -1 open, +1 close; as an opening 1 is open. Read the other "
            "way round the hand opens where it should close.",
            source="LIBERO's controller; the layouts of this project",
            fix="decode with the mapping the policy was trained with",
        )
    if trained.gripper_slot not in _OPENINGS or kind == "opening":
        return None
    closing = kind == "closing"
    same_slot = trained.gripper_state_slot == trained.gripper_slot
    contradicted = closing and trained.gripper_state == "opening" and same_slot
    convention = "(g+1)/2: 1 = closed" if closing else "-1/+1"
    return Violation(
        f"gripper action {convention}, in slot {trained.gripper_slot}",
        severity="major" if contradicted else "minor",
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


@rule(
    "actions/delta-slots",
    "trained.delta_slots",
    severity="major",
    expected="39-44 (velocities of the hand), or absolute poses in 30-38",
    why="In pre-training 30-38 hold absolute poses, the next measured ones. There is no delta "
    "slot; the nearest in meaning are velocities. The network must unlearn first, and the "
    "same slots mean poses in the state.",
    source=_SPEC + "; a LIBERO fork with this mapping reports 0 %",
    fix="--layout eef-goal (or eef-velocity, eef-pose)",
)
def delta_slots(facts: Facts, delta_slots: tuple[int, ...]) -> str | None:
    """Deltas where pre-training had absolute poses."""
    wrong = sorted(set(delta_slots) & _POSES)
    return f"deltas in slots {', '.join(map(str, wrong))}" if wrong else None


@rule(
    "actions/plans-of-deltas",
    expected="the goal it is pulled to, turned into a delta at every control step",
    why="Errors of deltas add up over a plan: plans of rdt-small ended 2 to 3 cm beside where "
    "the demonstrations went, and a grip forgives about 2. Of a goal nothing adds up.",
    source="docs/learning.md, 64 steps a plan: 11 of 50 with deltas, 47 of 50 with goals",
    fix="--layout eef-goal",
)
def plans_of_deltas(facts: Facts) -> Violation | None:
    """A small network whose plans say how far to move, not where to."""
    if not facts.ours:
        raise MissingFact("whether plans can hold goals: only this project's layouts do")
    if not facts.need("trained.delta_slots"):
        return None
    return Violation(
        "an action is a delta of the hand", severity="major" if facts.small else "minor"
    )


@rule(
    "actions/loss-weights",
    "training.loss",
    severity="major",
    expected="parts of similar size: raw actions in [-1, 1], or a loss weighted by action "
    "statistics with bounds",
    why="The error of the small parts is lost beside the gripper's and the large parts'. A "
    "policy can have a small loss and never turn its hand.",
    source="models/rdt_runner.py (unweighted mean over 64 x 128); a LIBERO attempt at 0 %",
    fix="--layout eef-velocity; or --normalise meanstd, or --loss weighted, where rotations "
    "must stay so",
)
def loss_weights(facts: Facts, loss: str) -> str | None:
    """Parts of an action that a plain loss hardly sees."""
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
            raise MissingFact("how actions hold rotations")
        return None
    return f"{loss} MSE, and {' and '.join(reasons)}"


@rule(
    "actions/control-frequency",
    expected=f"{CONTROL_HZ:g} Hz in both",
    source="LIBERO: 20 control steps per simulated second; configs/dataset_control_freq.json",
    fix="an entry of 20 for your data set in configs/dataset_control_freq.json",
)
def control_frequency(facts: Facts) -> Violation | None:
    """A control frequency that is not LIBERO's."""
    trained, evaluated = facts.trained.control_hz, facts.evaluated.control_hz
    if trained is None and evaluated is None:
        raise MissingFact("the control frequency (dataset_control_freq.json)")
    if all(hz in (None, CONTROL_HZ) for hz in (trained, evaluated)):
        return None
    differ = None not in (trained, evaluated) and trained != evaluated
    known = {"training": trained, "evaluation": evaluated}
    return Violation(
        ", ".join(f"{name} {hz:g} Hz" for name, hz in known.items() if hz),
        severity="major" if differ else "minor",
        why="The frequency is a token of its own, and tells the network how far a step goes. "
        + ("The two differ, so plans come at another pace." * differ),
    )


@rule(
    "actions/dataset-script",
    severity="info",
    expected="slots 39-44 and 10 for LIBERO's deltas, gripper (1-g)/2, mask = union, metres "
    "and radians, 20 Hz, no normalisation by states",
    why="A LIBERO attempt at 0 % failed here and not in a flag: deltas in the pose slots "
    "30-38, 6-D rotations of tiny deltas, 1 = closed, the state's mask.",
    source="LIBERO forks of the official code; data/hdf5_vla_dataset.py",
    fix="say what your script does in a facts file, or with --layout, and audit again",
)
def dataset_script(facts: Facts) -> str | None:
    """An official training, whose dataset script no command describes."""
    if not facts.official or facts.trained.action_slots is not None:
        return None
    return "the dataset script, which no flag describes"
