"""What is printed as a fix can be typed: our commands and options parse, theirs are known."""

import re
import shlex
from collections.abc import Iterator

from cyclopts import CycloptsError

from harness.cli import app
from harness.commands.checks import option_names
from tasks.errors import HarnessError
from tests.training.audit.cases import CASES
from tests.training.audit.rule_cases import training
from training.audit.facts import Facts, MissingFact
from training.audit.rules import RULES
from training.audit.rules.rule import AuditFinding
from training.audit.sources.official import MAIN_FLAGS
from training.audit.sources.own_training import SETTINGS
from training.audit.sources.scripts import EVALUATION_FLAGS

COMMANDS = (
    "train --demos d --out o",
    "eval --policy rdt --suite libero_90 --out o",
)
THEIRS = MAIN_FLAGS | EVALUATION_FLAGS.keys() | {"num_processes"}
EVALUATION = set(option_names()["eval"])
OPTIONS = re.compile(
    r"(?:--[a-z][\w.-]*(?:[= ](?!if\b|without\b)[\w.\"/][^\s,;()]*)?\s?)+(?![^`]*`)"
)


LARGE = training(
    {"code": "libero-bench", "network": "rdt-1b"},
    **{"start": "", "batch": 1, "processes": 1, "updates": 100, "save_every": 50, "keep": 1},
    **{"clip": 0, "demos": 50, "learning_rate": 1.0, "scheduler": "cosine", "warmup": 50},
    **{"augmentation": False, "lora_rank": 8, "condition_mask": 1.0, "shift": 0.5},
)
"""A training of ours with much to mend."""


def findings() -> Iterator[tuple[Facts, AuditFinding]]:
    for given in (LARGE, *(each for case in CASES for each in (case.fires, case.quiet))):
        for rule in RULES:
            try:
                found = rule.check(given)
            except MissingFact:
                continue
            if found is not None:
                yield given, found


def parses(words: str) -> bool:
    try:
        app.parse_args(shlex.split(words), exit_on_error=False, print_error=False)
    except (CycloptsError, HarnessError):
        return False
    return True


def test_our_commands_refuse_what_they_should() -> None:
    """Else the tests below could not fail."""
    assert all(map(parses, COMMANDS))
    assert not parses(f"{COMMANDS[1]} --option norm=variance")
    assert not parses(f"{COMMANDS[0]} --no-such 1")
    assert not parses(f"{COMMANDS[0]} --batch-size many")


def test_every_fix_can_be_typed() -> None:
    """A run of options is typed as it stands; a switch of a fork is known by its name."""
    fixes = {(given.training.code, found.fix) for given, found in findings()}
    typed = {command for _, fix in fixes for command in re.findall(r"`libero-bench ([^`]*)`", fix)}
    for command in typed:
        kind, *rest = shlex.split(command)
        base = next(each for each in COMMANDS if each.startswith(f"{kind} "))
        assert parses(shlex.join([*shlex.split(base), *rest])), command
    runs = {(code, run[0].strip()) for code, fix in fixes for run in OPTIONS.finditer(fix)}
    ours: dict[str, dict[frozenset[str], str]] = {command: {} for command in COMMANDS}
    for code, run in sorted(runs, key=str):
        names = frozenset(name.replace("-", "_") for name in re.findall(r"--([\w.-]+)", run))
        said_of_ours = code == "libero-bench" or (code is None and names <= EVALUATION)
        if said_of_ours or not names <= THEIRS:
            command = COMMANDS[0 if names <= SETTINGS else 1]
            ours[command][names] = run if set(" =") & set(run) else f"{run} 1"
    for command, typed in ours.items():
        assert len(typed) >= 2
        assert parses(" ".join([command, *typed.values()])), typed
