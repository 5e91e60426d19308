"""Scripts and command lines: the trainings, evaluations and installations among their commands.

Evaluations of RDT's forks, openpi, OpenVLA and OpenVLA-OFT, and LeRobot are known; a flag is a line
of a table. Sources: examples/libero/main.py of openpi, experiments/robot/libero/run_libero_eval.py
of OpenVLA-OFT, and ``lerobot-eval --help``.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from tasks.errors import ConfigError
from training.audit.sources.command import Invocation, parse_command
from training.audit.sources.extracted import (
    ALLOWED,
    ExtractedFacts,
    Setting,
    camera_names,
    count,
    counts,
    naming_source,
    number,
    one,
    switch,
    whole,
)
from training.audit.sources.launcher import read_text
from training.audit.sources.official import read_official
from training.audit.sources.own_evaluation import read_own_command
from training.audit.sources.shell.script import Command, Script

_Evaluator = Literal["rdt", "openpi", "openvla", "lerobot"]

_DEFAULTS: Mapping[_Evaluator, Mapping[str, Any]] = {
    "rdt": {},
    "openpi": {"exec_horizons": (5,), "episodes": 50},
    "openvla": {"episodes": 50},
    "lerobot": {},
}
"""Defaults of the evaluators."""

_HORIZON = 64
"""Steps of a plan of RDT's published sizes."""

EVALUATION_FLAGS: dict[str, Setting] = {
    **dict.fromkeys(
        (
            *("exec_horizon", "execution_horizon", "replan_steps", "num_open_loop_steps"),
            *("n_action_steps", "policy.n_action_steps"),
        ),
        Setting("evaluation.exec_horizons", counts),
    ),
    **dict.fromkeys(
        ("pred_horizon", "horizon", "chunk_size", "action_chunk_size", "policy.chunk_size"),
        Setting("evaluated.horizon", count),
    ),
    **dict.fromkeys(
        ("cameras", "camera_names", "camera_keys", "camera"),
        Setting("evaluated.cameras", camera_names),
    ),
    **dict.fromkeys(
        ("num_cameras", "num_images_in_input"), Setting("evaluated.camera_count", whole)
    ),
    **dict.fromkeys(
        (
            *("resolution", "camera_size", "render_size", "camera_height", "camera_heights"),
            *("env_img_res", "env.observation_height"),
        ),
        Setting("evaluated.render_size", whole),
    ),
    **dict.fromkeys(
        ("rotate_180", "rotate180"),
        Setting("evaluated.orientation", lambda words: "rotate180" if switch(words) else "raw"),
    ),
    **dict.fromkeys(
        ("flip", "flip_images", "vflip", "flip_vertical"),
        Setting("evaluated.orientation", lambda words: "flipped" if switch(words) else None),
    ),
    **dict.fromkeys(
        ("ctrl_freq", "control_freq", "control_frequency", "control_hz"),
        Setting("evaluated.control_hz", number),
    ),
    **dict.fromkeys(
        ("history", "img_history_size", "obs_history"), Setting("evaluated.history", whole)
    ),
    **dict.fromkeys(
        ("max_steps", "max_episode_steps", "step_limit", "env.episode_length"),
        Setting("evaluation.max_steps", count),
    ),
    **dict.fromkeys(
        ("suite", "benchmark", "task_suite", "task_suite_name", "dataset_name", "env.task"),
        Setting("evaluation.suite", lambda words: one(words).partition(",")[0]),
    ),
    **dict.fromkeys(
        (
            *("episodes", "num_episodes", "num_trials", "num_traj", "num_trials_per_task"),
            *("eval.n_episodes",),
        ),
        Setting("evaluation.episodes", count),
    ),
    **dict.fromkeys(
        ("temporal_agg", "temporal_ensemble", "temporal_ensembling"),
        Setting("evaluation.fusion", lambda words: "act" if switch(words) else "none"),
    ),
    **dict.fromkeys(("fps", "video_fps"), Setting("evaluation.video_fps", number)),
    "use_ema": Setting("evaluation.averaged", switch),
    **dict.fromkeys(
        (
            *("pretrained", "pretrained_path", "checkpoint", "ckpt", "pretrained_checkpoint"),
            *("policy.path", "policy.pretrained_path"),
        ),
        Setting("evaluation.checkpoint", one),
    ),
}
"""The facts that flags of LIBERO evaluations set, by the flags' names."""


def read_foreign_evaluation(run: Invocation, extracted: ExtractedFacts) -> None:
    """Extract facts from a command that evaluates with the code of others."""
    for name, words in run.flags.items():
        if name in EVALUATION_FLAGS:
            extracted.set_from(EVALUATION_FLAGS[name], f"--{name}", words)
    checkpoint = extracted.stated["evaluation"].get("checkpoint")
    if checkpoint and "/ema" in f"/{checkpoint}":
        extracted.set("evaluation", averaged=True)
    extracted.checkpoint = checkpoint
    family = _evaluator(run)
    extracted.set("evaluation", evaluator=family)
    extracted.default("evaluation", **_DEFAULTS[family])
    if family == "rdt":
        extracted.default("evaluated", horizon=_HORIZON)


def _evaluator(run: Invocation) -> _Evaluator:
    """Return the owner of the code that a command evaluates with."""
    name = PurePosixPath(run.program).name
    if "lerobot" in run.program or any(flag.startswith(("policy.", "env.")) for flag in run.flags):
        return "lerobot"
    if "examples/libero" in run.program or "replan_steps" in run.flags:
        return "openpi"
    if name == "run_libero_eval.py" or "num_open_loop_steps" in run.flags:
        return "openvla"
    return "rdt"


_INSTALLERS = frozenset(("pip", "pip3", "uv", "conda", "mamba", "micromamba", "poetry", "pixi"))
_MUJOCO = re.compile(r"mujoco(?:\[[^\]]*\])?((?:[=<>!~]+[^=<>!~]+)*)")

_WORD = r"(?<![-\w])(?:grad(?:ient)?[\s_-]*)?accum(?:ulat\w*)?(?:[\s_-]*steps?)?"
_ACCUMULATION = (
    re.compile(_WORD + r"\s*(?:of|is|to|=|:|over|x|×|\*)?\s*(\d+)\b", re.IGNORECASE),
    re.compile(r"\b(\d+)\s*(?:x|×|-fold|steps? of)?\s*" + _WORD, re.IGNORECASE),
)
_BATCH = re.compile(
    r"(?<![-\w])(?:effective|total|global)[\s_-]*batch(?:[\s_-]*size)?(.*)", re.IGNORECASE
)
_FIRST = re.compile(r"\D{0,12}(\d+)\b(?!\s*(?:x|×|\*|per|/))", re.IGNORECASE)


def read_commands(
    script: Script,
    source: str,
    folder: Path | None = None,
    options: Mapping[str, Collection[str]] | None = None,
) -> list[ExtractedFacts]:
    """Extract facts from the trainings, evaluations and installations of a script.

    Args:
        script: The script.
        source: Its name, for messages.
        folder: Its folder; None for a command line.
        options: Options of our commands that are no settings of a training, by command.

    Raises:
        ConfigError: No command trains, evaluates or installs mujoco.
    """
    runs = _runs(script.commands, folder) or _runs(script.uncalled, folder)
    installed = [v for c in script.commands if (v := installed_mujoco(c, folder)) is not None]
    notes = [f"{source}: {note}." for note in script.notes]
    if not runs and not installed:
        raise ConfigError(
            f"No command in {source} trains or evaluates. Known: accelerate launch, deepspeed, "
            "torchrun or python with a training or evaluation script, lerobot-eval, libero-bench "
            f"train, libero-bench eval.{' '.join(['', *notes])} Allowed inputs: {ALLOWED}."
        )
    trainings = [run for run in runs if run.kind in ("train", "own-train")]
    judged = [run for run in runs if run not in trainings[:-1]]
    several = len({run.line for run in runs}) > 1
    extractions = [_read_command(run, source, options or {}, several=several) for run in judged]
    for extracted, run in zip(extractions, judged, strict=True):
        if run.kind == "train":
            extracted.set("training", **promises(script.comments))
    if installed:
        extractions.append(ExtractedFacts(source=source))
        extractions[-1].set("evaluation", mujoco=installed[-1])
    extractions[0].lost_flags += script.lost_flags
    extractions[0].notes += notes
    if judged != runs:
        last = f"the last, in line {trainings[-1].line}, is judged"
        extractions[0].notes.append(f"{source} trains {len(trainings)} times; {last}.")
    join_exec_horizons(extractions)
    return extractions


def _runs(commands: Sequence[Command], folder: Path | None) -> list[Invocation]:
    return [run for command in commands if (run := parse_command(command, folder))]


def _read_command(
    run: Invocation, source: str, options: Mapping[str, Collection[str]], *, several: bool
) -> ExtractedFacts:
    extracted = ExtractedFacts(source=f"{source}, line {run.line}" if several else source)
    if run.open:
        extracted.open = True
        extracted.notes.append(
            f"{extracted.source}: {', '.join(run.open)} may hold further flags; what the command "
            "does not say is not judged by defaults."
        )
    with naming_source(extracted.source):
        if run.kind.startswith("own"):
            read_own_command(run, extracted, options)
        elif run.kind == "train":
            read_official(run, extracted)
        else:
            read_foreign_evaluation(run, extracted)
    return extracted


def join_exec_horizons(extractions: list[ExtractedFacts]) -> None:
    """Join evaluations that differ in the execution horizon to one sweep."""
    evaluations = [extracted.stated["evaluation"] for extracted in extractions]
    horizons = [h for facts in evaluations for h in facts.get("exec_horizons", ())]
    for extracted in extractions:
        if extracted.stated["evaluation"].get("exec_horizons"):
            extracted.set("evaluation", exec_horizons=tuple(dict.fromkeys(horizons)))


def installed_mujoco(command: Command, folder: Path | None) -> str | None:
    """Return the version of mujoco that a command installs, as ``required_mujoco`` does."""
    words = list(command.words)
    names = [PurePosixPath(word).name for word in words]
    if not _INSTALLERS & set(names[:4]) or not {"install", "add", "create"} & set(names):
        return None
    requirement = None
    for before, word in zip(["", *words], words, strict=False):
        if before in ("-r", "--requirement") or word.startswith("--requirement="):
            path = (folder or Path()) / word.removeprefix("--requirement=")
            requirement = required_mujoco(read_text(path)) or requirement
        else:
            requirement = required_mujoco(word) or requirement
    return requirement


def required_mujoco(text: str) -> str | None:
    """Return the version of mujoco in requirements of pip or in an environment of conda.

    Returns:
        Such as ``==3.2.3`` or ``>=3.1,<3.4``, ``*`` for any version; None if it is not required.
    """
    for line in text.splitlines():
        match = _MUJOCO.fullmatch(re.sub(r"^\s*-\s|[;#].*|\s", "", line))
        if match:
            single = re.match(r"=[^=]", match[1])  # as conda writes it
            return f"={match[1]}" if single else match[1].strip(",") or "*"
    return None


def promises(comments: Iterable[str]) -> dict[str, int | None]:
    """Return the accumulation and the samples per update that comments promise.

    Flags that are commented out are no promise.
    """
    prose = [comment for comment in comments if "--" not in comment]
    return {
        "promised_accumulation": next(filter(None, map(_accumulation, prose)), None),
        "promised_batch": next(filter(None, map(_batch, prose)), None),
    }


def _accumulation(comment: str) -> int | None:
    matches = (pattern.search(comment) for pattern in _ACCUMULATION)
    return next((int(match[1]) for match in matches if match), None)


def _batch(comment: str) -> int | None:
    """Return the number beside a product, as in ``4 x 8 x 8 = 256``, or the first one."""
    match = _BATCH.search(comment)
    if match is None:
        return None
    for term in match[1].split("="):
        numbers = re.findall(r"\d+", term)
        if len(numbers) == 1:
            return int(numbers[0])
    first = _FIRST.match(match[1])
    return None if first is None else int(first[1])
