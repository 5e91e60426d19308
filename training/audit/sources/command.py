"""Parsing a command: its launcher, its program, and its flags by name."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from training.audit.sources.shell.script import Command

Kind = Literal["train", "eval", "own-train", "own-eval"]

_SWITCHES: Mapping[str, frozenset[str]] = {
    "accelerate": frozenset(
        (
            *("multi_gpu", "use_deepspeed", "use_fsdp", "use_megatron_lm", "cpu", "mps", "tpu"),
            *("no_python", "quiet", "q", "debug", "same_network", "use_xpu", "m", "module"),
        )
    ),
    "deepspeed": frozenset(
        ("no_ssh", "force_multi", "save_pid", "no_python", "module", "no_local_rank")
    ),
    "torchrun": frozenset(("standalone", "no_python", "m", "module", "use_env")),
    "python": frozenset(("u", "O", "OO", "B", "E", "I", "s", "S", "v", "x", "q", "m")),
}
"""Options of launchers that take no value."""

_IRRELEVANT = frozenset(
    (
        *("cat", "echo", "printf", "tee", "grep", "sed", "awk", "head", "tail", "diff", "find"),
        *("ls", "cd", "mkdir", "rm", "cp", "mv", "ln", "chmod", "touch", "tar", "rsync", "wget"),
        *("curl", "git", "wandb", "hf", "huggingface-cli", "apt", "apt-get", "module", "source"),
        *(".", "test", "[", "which", "type", "command", "alias", "trap", "kill", "pkill", "pgrep"),
        *("ps", "export"),
    )
)
_INSTALLERS = frozenset(("pip", "pip3", "conda", "mamba", "micromamba", "uv", "poetry", "pixi"))
_MULTIPLIERS = frozenset(("srun", "mpirun", "mpiexec"))
"""Commands that start a program several times."""

_PROGRAMS: Mapping[str, tuple[str, Kind]] = {
    "lerobot-eval": ("lerobot_eval", "eval"),
    "lerobot-train": ("lerobot_train", "train"),
}
"""Commands that are programs themselves."""

_EVALUATES = re.compile(r"eval|rollout|inference|test|deploy|benchmark", re.IGNORECASE)
_TRAINS = re.compile(r"main|train|finetune|fine_tune|sft", re.IGNORECASE)
_SERVES = re.compile(r"serve|server", re.IGNORECASE)
_TRAINING = frozenset(("max_train_steps", "train_batch_size", "gradient_accumulation_steps"))
_EVALUATION = frozenset(
    (
        *("exec_horizon", "execution_horizon", "num_trials", "num_traj", "replan_steps"),
        *("num_open_loop_steps", "num_trials_per_task", "task_suite_name"),
    )
)
SWITCHES = frozenset(
    (
        *("image_aug", "load_from_hdf5", "precomp_lang_embed", "gradient_checkpointing"),
        *("scale_lr", "use_8bit_adam", "push_to_hub", "allow_tf32", "set_grads_to_none"),
        "use_lora",
    )
)
"""Flags of the official main.py and its forks that take no value."""


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """A command that trains or evaluates.

    Attributes:
        program: The script or module.
        launcher: ``accelerate``, ``deepspeed``, ``torchrun`` or ``python``; ``srun`` where that
            starts Python several times; empty where it cannot be read.
        launch: Values of the launcher's options by name, with underscores for dashes.
        flags: Values of the program's flags by name.
        open: Unreadable words that may hold further flags.
        launch_open: Unreadable words that may hold further options of the launcher.
        line: Its line in the script, from 1.
        exported: Environment variables that the script sets for it.
        unset: Variables in its words that nothing sets.
        folder: Folder of its script; None for a command line.
    """

    kind: Kind
    program: str
    launcher: str
    launch: dict[str, list[str]] = field(default_factory=dict)
    flags: dict[str, list[str]] = field(default_factory=dict)
    open: tuple[str, ...] = ()
    launch_open: tuple[str, ...] = ()
    line: int = 1
    exported: Mapping[str, str] = field(default_factory=dict)
    unset: tuple[str, ...] = ()
    folder: Path | None = None

    def path(self, name: str) -> Path:
        """Return the path of a file that the command names: as written, or beside its script."""
        path = Path(name)
        if self.folder is not None and not path.is_absolute():
            for folder in (self.folder, *self.folder.parents[:1]):
                if (folder / path).exists():
                    return folder / path
        return path


def parse_command(command: Command, folder: Path | None = None) -> Invocation | None:
    """Parse a command that trains or evaluates; None if it does neither."""
    words = list(command.words)
    if not words or PurePosixPath(words[0]).name in _IRRELEVANT:
        return None
    if PurePosixPath(words[0]).name in _INSTALLERS and "run" not in words[1:3]:
        return None
    base = Invocation(
        kind="train",
        program="",
        launcher="python",
        line=command.line,
        exported={**command.exported, **_env_variables(words)},
        unset=command.unset,
        folder=folder,
    )
    for index, word in enumerate(words):
        name = PurePosixPath(word).name
        rest = words[index + 1 :]
        if name == "libero-bench":
            return _parse_own(base, rest)
        if name in _PROGRAMS:
            program, kind = _PROGRAMS[name]
            return _with_flags(base, kind, program, rest)
        launcher = "python" if re.fullmatch(r"python[\d.]*", name) else name
        if launcher in _SWITCHES:
            return _parse_launcher(base, launcher, rest, words[:index])
        if word.endswith(".py") and not word.startswith("-"):
            if unreadable := [w for w in words[:index] if w.startswith(("$", "`"))]:
                base = replace(base, launcher="", launch_open=tuple(unreadable))
            return _parse_program(base, word, rest)
    return None


def parse_flags(words: list[str]) -> dict[str, list[str]]:
    """Parse flags: ``--name value``, ``--name=value``, ``--name a b`` and bare ``--name``.

    Later ones win, as they do with argparse.
    """
    return _flags_and_rest(words)[0]


def _flags_and_rest(words: list[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Parse flags, and return the unreadable words that may hold further ones."""
    flags: dict[str, list[str]] = {}
    unreadable: list[str] = []
    current: list[str] | None = None
    name = ""
    for word in words:
        if re.match(r"--?[A-Za-z]", word):
            name, equals, value = word.partition("=")
            name = name.lstrip("-").replace("-", "_").removeprefix("args.")
            flags[name] = current = [value] * bool(equals)
        elif _is_several(word) or (
            word.startswith(("$", "`")) and (current != [] or name in SWITCHES)
        ):
            unreadable.append(word)
        elif current is not None:
            current.append(word)
    return flags, unreadable


def _is_several(word: str) -> bool:
    return re.fullmatch(r"\$\{?(?:[@*]|[^}]*\[[@*]\])[^}]*\}?", word) is not None


def _hides_options(words: list[str]) -> bool:
    """Return whether an unreadable word stands before the program."""
    return words[0].startswith(("$", "`")) and any(word.endswith(".py") for word in words[1:2])


def _env_variables(words: list[str]) -> dict[str, str]:
    """Return the variables of ``env A=b …`` and the like."""
    variables = {}
    for word in words:
        if match := re.match(r"([A-Za-z_]\w*)=(.*)", word, re.DOTALL):
            variables[match[1]] = match[2]
        elif word.endswith(".py") or PurePosixPath(word).name in _SWITCHES:
            break
    return variables


def _parse_launcher(
    base: Invocation, launcher: str, words: list[str], before: list[str]
) -> Invocation | None:
    rest = list(words)
    if launcher == "accelerate":
        if not rest or rest[0] != "launch":
            return None
        del rest[0]
    options: list[str] = []
    unreadable: list[str] = []
    while rest and (rest[0].startswith("-") or _hides_options(rest)):
        if not rest[0].startswith("-"):
            unreadable.append(rest.pop(0))
            continue
        name, equals, _ = rest[0].lstrip("-").replace("-", "_").partition("=")
        if launcher == "python" and name == "c":
            return None
        alone = equals or name in _SWITCHES[launcher] or (rest[1:2] and rest[1].endswith(".py"))
        takes = 1 if alone else 2
        options, rest = options + rest[:takes], rest[takes:]
    if not rest:
        return None
    multiplier = next((w for w in before if PurePosixPath(w).name in _MULTIPLIERS), None)
    if launcher == "python" and multiplier:
        launcher = "srun"
        options = [re.sub(r"^-n(\d+)$", r"--ntasks=\1", word) for word in before]
    base = replace(
        base, launcher=launcher, launch=parse_flags(options), launch_open=tuple(unreadable)
    )
    program = rest.pop(0)
    if program in ("torch.distributed.launch", "torch.distributed.run"):
        return _parse_launcher(base, "torchrun", rest, [])
    if program == "accelerate.commands.launch":
        return _parse_launcher(base, "accelerate", ["launch", *rest], [])
    if program == "harness.cli":
        return _parse_own(base, rest)
    return _parse_program(base, program, rest)


def _parse_program(base: Invocation, program: str, words: list[str]) -> Invocation | None:
    kind = _kind(program, parse_flags(words))
    return None if kind is None else _with_flags(base, kind, program, words)


def _parse_own(base: Invocation, words: list[str]) -> Invocation | None:
    kinds: Mapping[str, Kind] = {"train": "own-train", "eval": "own-eval"}
    if not words or words[0] not in kinds:
        return None
    return _with_flags(base, kinds[words[0]], "libero-bench", words[1:])


def _with_flags(base: Invocation, kind: Kind, program: str, words: list[str]) -> Invocation:
    flags, unreadable = _flags_and_rest(words)
    if _is_several(program):
        unreadable.insert(0, program)
    return replace(base, kind=kind, program=program, flags=flags, open=tuple(unreadable))


def _kind(program: str, flags: Mapping[str, list[str]]) -> Kind | None:
    """Distinguish training from evaluation by the flags, or else by the program's name."""
    if flags.keys() & _TRAINING:
        return "train"
    if flags.keys() & _EVALUATION or "examples/libero" in program:
        return "eval"
    name = program.rpartition("/")[2] if program.endswith(".py") else program
    if _EVALUATES.search(name):
        return "eval"
    if _SERVES.search(name):
        return None
    return "train" if _TRAINS.search(name) else None
