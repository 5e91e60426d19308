"""What a command does: its launcher, its program, and its flags by name."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal

from training.audit.sources.shell import Command

Kind = Literal["train", "eval", "own-train", "own-eval"]

_SWITCHES = {
    "accelerate": frozenset(
        [
            "multi_gpu",
            "use_deepspeed",
            "use_fsdp",
            "use_megatron_lm",
            "cpu",
            "mps",
            "tpu",
            "no_python",
            "quiet",
            "q",
            "debug",
            "same_network",
            "use_xpu",
            "m",
            "module",
        ]
    ),
    "deepspeed": frozenset(
        ["no_ssh", "force_multi", "save_pid", "no_python", "module", "no_local_rank"]
    ),
    "torchrun": frozenset(["standalone", "no_python", "m", "module"]),
    "python": frozenset(["u", "O", "OO", "B", "E", "I", "s", "S", "v", "x", "q", "m"]),
}
"""Options of launchers that take no value."""

_SILENT = frozenset(
    ("echo", "printf", "cat", "grep", "ls", "cd", "mkdir", "pip", "conda", "git", "wandb", "rm")
)
_EVALUATES = re.compile(r"eval|rollout|inference|test|deploy|benchmark", re.IGNORECASE)
_TRAINS = re.compile(r"main|train|finetune|fine_tune|sft", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """A command that trains or evaluates.

    Attributes:
        kind: What it does, and whether it is one of ours.
        program: The script or module.
        launcher: ``accelerate``, ``deepspeed``, ``torchrun`` or ``python``.
        launch: The launcher's options by name, with underscores, without leading dashes.
        flags: The program's flags, each with the words after it.
        line: Where it stands.
    """

    kind: Kind
    program: str
    launcher: str
    launch: dict[str, list[str]] = field(default_factory=dict)
    flags: dict[str, list[str]] = field(default_factory=dict)
    line: int = 1


def understand(command: Command) -> Invocation | None:
    """Say what a command trains or evaluates; None if it does neither."""
    words = list(command.words)
    if not words or PurePosixPath(words[0]).name in _SILENT:
        return None
    for place, word in enumerate(words):
        name = PurePosixPath(word).name
        if name == "libero-bench":
            return _own(words[place + 1 :], "python", {}, command.line)
        launcher = "python" if re.fullmatch(r"python[\d.]*", name) else name
        if launcher in _SWITCHES:
            return _launched(launcher, words[place + 1 :], command.line)
    return None


def parse_flags(words: list[str]) -> dict[str, list[str]]:
    """Read flags: ``--name value``, ``--name=value``, ``--name a b`` and bare ``--name``.

    Later ones win, as they do with argparse; ``--option`` collects.
    """
    flags: dict[str, list[str]] = {}
    current: list[str] | None = None
    for word in words:
        if re.match(r"--?[A-Za-z]", word):
            name, equals, value = word.partition("=")
            name = name.lstrip("-").replace("-", "_")
            before = flags.get(name, []) if name == "option" else []
            flags[name] = current = before + [value] * bool(equals)
        elif current is not None:
            current.append(word)
    return flags


def _launched(launcher: str, words: list[str], line: int) -> Invocation | None:
    rest = list(words)
    if launcher == "accelerate":
        if not rest or rest[0] != "launch":
            return None
        del rest[0]
    options: list[str] = []
    while rest and rest[0].startswith("-"):
        name, equals, _ = rest[0].lstrip("-").replace("-", "_").partition("=")
        if launcher == "python" and name == "c":
            return None
        takes = 1 if equals or name in _SWITCHES[launcher] else 2
        options, rest = options + rest[:takes], rest[takes:]
    if not rest:
        return None
    launch = parse_flags(options)
    program = rest.pop(0)
    if launcher == "python" and program in ("torch.distributed.launch", "torch.distributed.run"):
        return _launched("torchrun", rest, line)
    if program == "accelerate.commands.launch":
        return _launched("accelerate", ["launch", *rest], line)
    if program == "harness.cli":
        return _own(rest, launcher, launch, line)
    kind = _kind(program, flags := parse_flags(rest))
    if kind is None:
        return None
    return Invocation(
        kind=kind, program=program, launcher=launcher, launch=launch, flags=flags, line=line
    )


def _own(
    words: list[str], launcher: str, launch: dict[str, list[str]], line: int
) -> Invocation | None:
    kinds: Mapping[str, Kind] = {"train": "own-train", "eval": "own-eval"}
    if not words or words[0] not in kinds:
        return None
    return Invocation(
        kind=kinds[words[0]],
        program="libero-bench",
        launcher=launcher,
        launch=launch,
        flags=parse_flags(words[1:]),
        line=line,
    )


def _kind(program: str, flags: Mapping[str, list[str]]) -> Kind | None:
    """Tell training from evaluation by flags, and where they say nothing by the program's name."""
    if flags.keys() & {"max_train_steps", "train_batch_size", "gradient_accumulation_steps"}:
        return "train"
    if flags.keys() & {"exec_horizon", "execution_horizon", "num_trials", "num_traj"}:
        return "eval"
    name = program.rpartition("/")[2] if program.endswith(".py") else program
    if _EVALUATES.search(name):
        return "eval"
    return "train" if _TRAINS.search(name) else None
