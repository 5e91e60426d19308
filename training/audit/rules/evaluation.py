"""Rules on how a policy is evaluated, and on what must be the same as in training."""

import re

from tasks.errors import ConfigError
from tasks.findings import Severity
from tasks.observation import CONTROL_HZ
from tasks.protocols import get_protocol
from training.audit.facts import Facts, Unjudged, known
from training.audit.findings import Found

_NEAR = 0.75
"""Share of the horizon from which an execution horizon counts as near it."""

_RESTLESS = 2
_EPISODES = {
    "openpi": "num-trials-per-task 50",
    "openvla": "--num_trials_per_task 50",
    "lerobot": "--eval.n_episodes=50",
}
"""How others are told, where it is not our option's name."""

_DARKER, _BROKEN = (3, 3, 3), (3, 4)
_ANY = (1000,)


def exec_horizon(facts: Facts) -> Found | None:
    """Plans that are executed to their end, or hardly begun."""
    tried = known(facts.evaluation.exec_horizons, "the execution horizon")
    horizon = known(facts.evaluated.horizon or facts.trained.horizon, "the horizon")
    near = [steps for steps in tried if steps >= _NEAR * horizon]
    source = (
        "SmolVLA 1/10/50 of 50: 80/83/52 %; RDT on libero_object 1 to 10: 78 to 90 %; rdt-small "
        "here, 64/16/8: 3/3, 0/3, 2/3 over-fit on one demo; 5, 9, 4 of 12 with 12 demos"
    )
    fix = "`libero-bench eval --exec-horizon 8,16,32,64`, which takes no training"
    if len(near) == len(tried):
        seconds = max(tried) / CONTROL_HZ
        return Found(
            severity="major",
            found=f"exec_horizon {', '.join(map(str, tried))} of a horizon of {horizon}",
            expected="measured: a sweep of several, for this policy and task",
            why=f"For {seconds:.1f} s nothing the camera sees has any effect, so errors grow "
            "unseen; 16 was best in some measurements. But 64 is no mistake as such: official "
            "RDT runs whole plans on hardware, and over-fit policies did best so. Neither 64 nor "
            "8 is a law.",
            source=source,
            fix=fix,
        )
    if max(tried) <= _RESTLESS and horizon > 4 * _RESTLESS:
        return Found(
            severity="minor",
            found=f"exec_horizon {max(tried)} of a horizon of {horizon}",
            expected="measured: a sweep of several",
            why="A new plan nearly every step can dither between ways of doing the same, and "
            "leaves no time for slow models.",
            source=source,
            fix=fix,
        )
    return None


def step_limit(facts: Facts) -> Found | None:
    """Fewer steps than the task takes."""
    steps = known(facts.evaluation.max_steps, "the step limit")
    suite = known(facts.evaluation.suite, "the suite")
    try:
        usual = get_protocol().step_limit(suite)
    except ConfigError as error:
        raise Unjudged("the suite's step limit") from error
    if steps >= usual:
        return None
    return Found(
        severity="major",
        found=f"{steps} steps at most on {suite}",
        expected=f"{usual}",
        why="Episodes end before a policy that is slower than its demonstrations can finish. Those "
        "of the drawer-and-bowl task of libero_90 take 187-213 steps.",
        source="OpenVLA, openpi and vla-evaluation-harness use the same limits",
        fix="--protocol openvla" if facts.evaluation.enforced else f"--max_steps {usual}",
    )


def norm(facts: Facts) -> Found | None:
    """The kind of norm that weights were trained with and are run with."""
    trained, shown = facts.trained.norm, facts.evaluated.norm
    if facts.evaluation.enforced and trained is not None and shown is None:
        return None
    if trained is None or shown is None:
        raise Unjudged("what RDT's norms divide by (timm's version in training and evaluation)")
    if trained == shown:
        return None
    return Found(
        severity="critical",
        found=f"norm {trained} in training, {shown} in evaluation",
        expected="the same",
        why="timm's RmsNorm divides by the variance up to 1.0.12 and by the mean square from "
        "1.0.13. Names and shapes are equal, so weights load without complaint and act wrongly.",
        source="pytorch-image-models #2380; samples of a tiny model moved by 0.15 of 1.6, run",
        fix=f"timm as in training; here --option.norm {trained}",
    )


def language(facts: Facts) -> Found | None:
    """Instructions or encoders other than in training."""
    trained, shown = facts.trained, facts.evaluated
    if _differ(trained.text_encoder, shown.text_encoder):
        return Found(
            severity="critical",
            found=f"text encoder {trained.text_encoder} in training, {shown.text_encoder} now",
            expected="the same",
            why="Tokens of another encoder mean nothing to the network.",
            source="the checkpoint's contract",
            fix="use the text encoder of the training",
        )
    if _differ(trained.instruction, shown.instruction):
        return Found(
            severity="major",
            found=f"instructions: {trained.instruction} in training, {shown.instruction} now",
            expected="the same words, letter for letter",
            why="Another spelling gives other tokens than any seen.",
            source="T5's tokeniser; train/dataset.py",
            fix="encode each task's instruction once and use it in both",
        )
    if not facts.official or trained.instruction == "sentence":
        return None
    return Found(
        severity="info",
        found="LIBERO's instructions are lower case without a full stop"
        if trained.instruction is None
        else "plain instructions",
        expected="Close the top drawer of the cabinet.",
        why="Pre-training instructions start with a capital and end with a full stop. With one "
        "task it hardly matters; it must be the same in evaluation.",
        source="data preprocessing of the official repository",
        fix="capitalise and add a full stop before encoding, on both sides",
    )


def video_rate(facts: Facts) -> Found | None:
    """Videos that play too fast or too slowly."""
    rate = known(facts.evaluation.video_fps, "the frame rate of videos")
    if rate == CONTROL_HZ:
        return None
    return Found(
        severity="info",
        found=f"videos at {rate:g} frames per second",
        expected=f"{CONTROL_HZ:g}, one per control step",
        why=f"They play {rate / CONTROL_HZ:g} times as fast as the robot moved; that says nothing "
        "of the policy.",
        source="LIBERO: 20 control steps per simulated second",
        fix=f"--fps {CONTROL_HZ:g}",
    )


def simulator_version(facts: Facts) -> Found | None:
    """A mujoco on which LIBERO is not what published numbers were measured on."""
    condition = known(facts.evaluation.mujoco, "the version of mujoco")
    newest = _newest(condition)
    exact = condition.startswith("==") and "*" not in condition
    shown = f"mujoco{'' if condition == '*' else condition}"
    if newest < _DARKER or (newest, exact) == (_DARKER, False):
        return None
    if newest >= _BROKEN and exact:
        severity: Severity = "major"
        why = (
            "From mujoco 3.4 on the bowl of libero_spatial task 5 slides off its ramekin before "
            "the policy acts: 98 % became 12 % at 3.8.1. Another checkpoint fell from 98.1 % to "
            "about 91 % over a suite. Floors are darker since 3.3.3."
        )
    elif newest > _BROKEN or condition == "*":
        severity = "minor"
        why = (
            "pip takes the newest that is allowed. From 3.4 on libero_spatial task 5 cannot be "
            "solved (98 % became 12 %), and floors are darker since 3.3.3."
        )
    else:
        severity = "minor"
        why = "Since 3.3.3 floors are rendered darker, so pictures are not those of the demos."
    return Found(
        severity=severity,
        found=shown if exact else f"{shown}: not pinned",
        expected="mujoco 3.2.3, which the published numbers of openpi and others were measured on",
        why=why,
        source="LIBERO issues 88 and 141; RLinf issue 1460; SimVLA issue 14",
        fix="pip install mujoco==3.2.3",
    )


def _newest(condition: str) -> tuple[int, ...]:
    """Return the newest version that a condition allows; for ``<`` the first it does not."""
    bounds = []
    for part in condition.split(","):
        match = re.fullmatch(r"(===?|<=?|~=)([\d.]+?)(?:\.\*)?", part)
        if match is None:
            continue
        numbers = tuple(int(number) for number in match[2].split(".") if number)
        if match[1] == "~=" or part.endswith(".*"):
            kept = numbers if part.endswith(".*") else numbers[:-1]
            numbers = (*kept[:-1], kept[-1] + 1) if kept else ()
        bounds.append(numbers)
    return min(bounds, default=_ANY)


def few_episodes(facts: Facts) -> Found | None:
    """Too few episodes to tell anything apart."""
    episodes = known(facts.evaluation.episodes, "the episodes per task")
    if episodes >= 20:
        return None
    return Found(
        severity="minor",
        found=f"{episodes} episodes per task",
        expected="50: one per initial state",
        why="0 of 5 still allows a true rate of 43 %; 0 of 50 allows 7 % (95 % Wilson).",
        source="Wilson's interval",
        fix=_EPISODES.get(facts.evaluation.evaluator or "", "--episodes 50"),
    )


def _differ(trained: object, shown: object) -> bool:
    return None not in (trained, shown) and trained != shown
