"""Rules on how a policy is evaluated, and on settings that must be the same as in training."""

import re

from tasks.errors import ConfigError
from tasks.observation import CONTROL_HZ
from tasks.protocols import get_protocol
from training.audit.facts import Facts, MissingFact
from training.audit.rules.rule import Violation, rule

_NEAR = 0.75
"""Share of the horizon from which an execution horizon counts as near it."""

_RESTLESS = 2
_ENOUGH_EPISODES = 20
_EPISODES = {
    "openpi": "num-trials-per-task 50",
    "openvla": "--num_trials_per_task 50",
    "lerobot": "--eval.n_episodes=50",
}
"""The option of other evaluators for the episodes per task."""

_DARKER, _BROKEN = (3, 3, 3), (3, 4)
_ANY = (1000,)


@rule(
    "evaluation/exec-horizon",
    "evaluation.exec_horizons",
    source="SmolVLA 1/10/50 of 50: 80/83/52 %; RDT on libero_object 1 to 10: 78 to 90 %; rdt-small "
    "here, 64/16/8: 3/3, 0/3, 2/3 over-fit on one demo; 5, 9, 4 of 12 with 12 demos",
    fix="`libero-bench eval --exec-horizon 8,16,32,64`, which takes no training",
)
def exec_horizon(facts: Facts, exec_horizons: tuple[int, ...]) -> Violation | None:
    """Plans that are executed to their end, or hardly begun."""
    horizon = facts.evaluated.horizon or facts.trained.horizon
    if horizon is None:
        raise MissingFact("the horizon")
    longest = max(exec_horizons)
    if min(exec_horizons) >= _NEAR * horizon:
        return Violation(
            f"exec_horizon {', '.join(map(str, exec_horizons))} of a horizon of {horizon}",
            severity="major",
            expected="measured: a sweep of several, for this policy and task",
            why=f"For {longest / CONTROL_HZ:.1f} s nothing the camera sees has any effect, so "
            "errors grow unseen; 16 was best in some measurements. But 64 is no mistake as such: "
            "official RDT runs whole plans on hardware, and over-fit policies did best so. "
            "Neither 64 nor 8 is a law.",
        )
    if longest <= _RESTLESS and horizon > 4 * _RESTLESS:
        return Violation(
            f"exec_horizon {longest} of a horizon of {horizon}",
            severity="minor",
            expected="measured: a sweep of several",
            why="A new plan nearly every step can dither between ways of doing the same, and "
            "leaves no time for slow models.",
        )
    return None


@rule(
    "evaluation/step-limit",
    "evaluation.max_steps",
    "evaluation.suite",
    severity="major",
    why="Episodes end before a policy that is slower than its demonstrations can finish. Those "
    "of the drawer-and-bowl task of libero_90 take 187-213 steps.",
    source="OpenVLA, openpi and vla-evaluation-harness use the same limits",
)
def step_limit(facts: Facts, steps: int, suite: str) -> Violation | None:
    """Fewer steps than the task takes."""
    try:
        usual = get_protocol().step_limit(suite)
    except ConfigError as error:
        raise MissingFact("the suite's step limit") from error
    if steps >= usual:
        return None
    return Violation(
        f"{steps} steps at most on {suite}",
        expected=f"{usual}",
        fix="--protocol openvla" if facts.evaluation.enforced else f"--max_steps {usual}",
    )


@rule(
    "evaluation/norm",
    severity="critical",
    expected="the same",
    why="timm's RmsNorm divides by the variance up to 1.0.12 and by the mean square from "
    "1.0.13. Names and shapes are equal, so weights load without complaint and act wrongly.",
    source="pytorch-image-models #2380; samples of a tiny model moved by 0.15 of 1.6, run",
)
def norm(facts: Facts) -> Violation | None:
    """Another kind of norm than in training."""
    trained, evaluated = facts.trained.norm, facts.evaluated.norm
    if facts.evaluation.enforced and trained is not None and evaluated is None:
        return None
    if trained is None or evaluated is None:
        raise MissingFact("what RDT's norms divide by (timm's version in training and evaluation)")
    if trained == evaluated:
        return None
    return Violation(
        f"norm {trained} in training, {evaluated} in evaluation",
        fix=f"timm as in training; here --option.norm {trained}",
    )


@rule("evaluation/language")
def language(facts: Facts) -> Violation | None:
    """Instructions or encoders other than in training."""
    trained, evaluated = facts.trained, facts.evaluated
    if _differ(trained.text_encoder, evaluated.text_encoder):
        return Violation(
            f"text encoder {trained.text_encoder} in training, {evaluated.text_encoder} now",
            severity="critical",
            expected="the same",
            why="Tokens of another encoder mean nothing to the network.",
            source="the checkpoint's contract",
            fix="use the text encoder of the training",
        )
    if _differ(trained.instruction, evaluated.instruction):
        return Violation(
            f"instructions: {trained.instruction} in training, {evaluated.instruction} now",
            severity="major",
            expected="the same words, letter for letter",
            why="Another spelling gives other tokens than any seen.",
            source="T5's tokeniser; train/dataset.py",
            fix="encode each task's instruction once and use it in both",
        )
    if not facts.official or trained.instruction == "sentence":
        return None
    return Violation(
        "LIBERO's instructions are lower case without a full stop"
        if trained.instruction is None
        else "plain instructions",
        severity="info",
        expected="Close the top drawer of the cabinet.",
        why="Pre-training instructions start with a capital and end with a full stop. With one "
        "task it hardly matters; it must be the same in evaluation.",
        source="data preprocessing of the official repository",
        fix="capitalise and add a full stop before encoding, on both sides",
    )


@rule(
    "evaluation/video-rate",
    "evaluation.video_fps",
    severity="info",
    expected=f"{CONTROL_HZ:g}, one per control step",
    source="LIBERO: 20 control steps per simulated second",
    fix=f"--fps {CONTROL_HZ:g}",
)
def video_rate(facts: Facts, rate: float) -> Violation | None:
    """Videos that play too fast or too slowly."""
    if rate == CONTROL_HZ:
        return None
    return Violation(
        f"videos at {rate:g} frames per second",
        why=f"They play {rate / CONTROL_HZ:g} times as fast as the robot moved; that says nothing "
        "of the policy.",
    )


@rule(
    "evaluation/simulator-version",
    "evaluation.mujoco",
    severity="minor",
    expected="mujoco 3.2.3, which the published numbers of openpi and others were measured on",
    why="Since 3.3.3 floors are rendered darker, so pictures are not those of the demos.",
    source="LIBERO issues 88 and 141; RLinf issue 1460; SimVLA issue 14",
    fix="pip install mujoco==3.2.3",
)
def simulator_version(facts: Facts, requirement: str) -> Violation | str | None:
    """A mujoco on which LIBERO is not what published numbers were measured on."""
    newest = _newest(requirement)
    exact = requirement.startswith("==") and "*" not in requirement
    detail = f"mujoco{'' if requirement == '*' else requirement}" + ": not pinned" * (not exact)
    if newest < _DARKER or (newest, exact) == (_DARKER, False):
        return None
    if newest >= _BROKEN and exact:
        return Violation(
            detail,
            severity="major",
            why="From mujoco 3.4 on the bowl of libero_spatial task 5 slides off its ramekin "
            "before the policy acts: 98 % became 12 % at 3.8.1. Another checkpoint fell from "
            "98.1 % to about 91 % over a suite. Floors are darker since 3.3.3.",
        )
    if newest > _BROKEN or requirement == "*":
        return Violation(
            detail,
            why="pip takes the newest that is allowed. From 3.4 on libero_spatial task 5 cannot be "
            "solved (98 % became 12 %), and floors are darker since 3.3.3.",
        )
    return detail


def _newest(requirement: str) -> tuple[int, ...]:
    """Return the newest version that a requirement allows; for ``<`` the first it does not."""
    bounds = []
    for part in requirement.split(","):
        match = re.fullmatch(r"(===?|<=?|~=)([\d.]+?)(?:\.\*)?", part)
        if match is None:
            continue
        numbers = tuple(int(number) for number in match[2].split(".") if number)
        if match[1] == "~=" or part.endswith(".*"):
            kept = numbers if part.endswith(".*") else numbers[:-1]
            numbers = (*kept[:-1], kept[-1] + 1) if kept else ()
        bounds.append(numbers)
    return min(bounds, default=_ANY)


@rule(
    "evaluation/few-episodes",
    "evaluation.episodes",
    severity="minor",
    expected="50: one per initial state",
    why="0 of 5 still allows a true rate of 43 %; 0 of 50 allows 7 % (95 % Wilson).",
    source="Wilson's interval",
)
def few_episodes(facts: Facts, episodes: int) -> Violation | None:
    """Too few episodes to tell anything apart."""
    if episodes >= _ENOUGH_EPISODES:
        return None
    fix = _EPISODES.get(facts.evaluation.evaluator or "", "--episodes 50")
    return Violation(f"{episodes} episodes per task", fix=fix)


def _differ(trained: object, evaluated: object) -> bool:
    return None not in (trained, evaluated) and trained != evaluated
