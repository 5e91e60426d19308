"""Rules on demonstrations, sampling and noise."""

from training.audit.facts import Facts
from training.audit.rules.rule import Violation, rule

USUAL_DEMO = 150
"""Control steps of a LIBERO demonstration, where no input says it."""

_SHORT = 128
_FEW_PASSES, _TOO_FEW_PASSES = 12, 5
_LOUD_DB = 20
_MOSTLY = 0.5


@rule(
    "data/updates-per-demo",
    "training.updates",
    "training.demos",
    expected="15 or more",
    why="The policies here that succeeded had seen each window 15 to 27 times.",
    source="measured: rdt-small, 12-16 demos, 1,100-1,900 updates of 32",
)
def updates_per_demo(facts: Facts, updates: int, demos: int) -> Violation | None:
    """Too few passes over the demonstrations."""
    training = facts.training
    windows = demos * (training.demo_steps or USUAL_DEMO)
    passes = updates * facts.batch() / windows
    continued = facts.small and bool(training.start)
    if passes >= _FEW_PASSES or (continued and passes >= 1):
        return None
    wanted = -(-2 * _FEW_PASSES * windows // facts.batch())
    return Violation(
        f"{updates:,} updates x {facts.batch()} on {demos} demos: "
        f"each window is seen {passes:.1f} times",
        severity="major" if passes < _TOO_FEW_PASSES else "minor",
        fix=f"--updates {wanted}" if not facts.official else f"--max_train_steps={wanted}",
    )


@rule(
    "data/short-episodes",
    expected="no demonstration lost",
    why=f"It drops episodes of fewer than {_SHORT} steps without a word, and never starts a "
    "window before the arm first moves. Demonstrations of the drawer-and-bowl task have "
    "187-213 steps; those of simple tasks can be shorter than 128.",
    source="data/hdf5_vla_dataset.py",
    fix="lower the limit (num_steps < 128) in the dataset script, and print how many remain",
)
def short_episodes(facts: Facts) -> Violation | None:
    """Demonstrations that the official HDF5 loader drops."""
    if not facts.official:
        return None
    shortest = facts.training.shortest_demo or facts.training.demo_steps
    if shortest is not None and shortest >= _SHORT:
        return None
    return Violation(
        "the official HDF5 loader" + (f", demos of {shortest} steps" if shortest else ""),
        severity="info" if shortest is None else "major",
    )


@rule(
    "data/state-noise",
    severity="minor",
    expected="40 dB (1 %)",
    why="The policy is taught to distrust where its hand is.",
    source="finetune.sh; the formula in train/dataset.py",
    fix="--state_noise_snr=40",
)
def state_noise(facts: Facts) -> str | None:
    """Noise on the state that hides it."""
    if facts.trains and facts.training.state_noise_db is None:
        return None
    decibels: float = facts.need("training.state_noise_db")
    if decibels >= _LOUD_DB:
        return None
    return f"state noise at {decibels:g} dB: {10 ** (-decibels / 20):.0%} of each state's spread"


@rule("data/targets", severity="minor")
def targets(facts: Facts) -> Violation | None:
    """Deltas without the noise that they correct, or goals with it."""
    learnt, goals = facts.training.targets, facts.trained.goals
    if learnt == "executed" and goals:
        return Violation(
            "goals of the hand with the demonstrator's noise in them",
            expected="intended goals: each is right wherever noise has put the hand",
            why="A goal does not depend on the steps before it, so nothing is lost with the noise; "
            "kept, it is learnt as if it were meant.",
            source="arithmetic; the layout eef-goal",
            fix="--targets intended, as by default",
        )
    if learnt != "intended" or goals:
        return None
    return Violation(
        "intended actions as targets",
        expected="executed ones, for plans that are executed for more than a few steps",
        why="The intended actions still hold what corrects the demonstrator's noise, but not the "
        "noise itself: added up over a plan they lead beside where the demonstration went.",
        source="arithmetic; a push of 0.15 for 8 steps moves the hand by more than a centimetre",
        fix="--targets executed, or --layout eef-goal",
    )


@rule(
    "data/condition-masking",
    "training.condition_mask",
    expected="0.1",
    source="train/dataset.py; main.py's default",
)
def condition_masking(facts: Facts, probability: float) -> Violation | None:
    """No hidden conditions in training, though something is missing in evaluation."""
    detail = f"conditions hidden with probability {probability:g}"
    fix = "--cond_mask_prob=0.1" if facts.official else "--condition-mask 0.1"
    trained, evaluated = facts.trained.number_of_cameras, facts.evaluated.number_of_cameras
    missing = trained is not None and evaluated is not None and evaluated < trained
    if probability == 0 and missing:
        return Violation(
            detail,
            severity="major",
            why="A camera is missing in evaluation, and no sample without one was ever seen: "
            "pre-training hid each picture with probability 0.1.",
            fix=fix,
        )
    if probability > _MOSTLY:
        why = "Most samples lack their state or a picture."
        return Violation(detail, severity="minor", why=why, fix=fix)
    return None
