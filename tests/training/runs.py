"""Runs in processes of their own, and what they leave behind, to compare."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import torch

from training.checkpoint_manager import STATE
from training.run_folder import RunFolder

ROOT = Path(__file__).parents[2]
LONGEST = 200
"""Seconds after which a run hangs."""


def run_apart(
    settings: dict[str, object],
    last: int = 0,
    launch: tuple[str, ...] = (),
    program: str = "tests.training.run_killed",
) -> int:
    """Run a program on settings and an update, and return its exit status."""
    note = Path(str(settings["out"])).with_suffix(".json")
    note.write_text(json.dumps(settings))
    return run_module(program, str(note), str(last), launch=launch)


def run_module(program: str, *arguments: str, launch: tuple[str, ...] = ()) -> int:
    """Run a module in a process, and return its exit status, negative for a signal.

    Raises:
        AssertionError: It ended with an error, which the message holds.
    """
    words = [sys.executable, "-m", *launch, program, *arguments]
    # A group of its own: where it hangs, what a launcher started must not outlive it.
    group = subprocess.Popen(
        words,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        errors = group.communicate(timeout=LONGEST)[1]
    except subprocess.TimeoutExpired:
        os.killpg(group.pid, signal.SIGKILL)
        raise
    if group.returncode > 0:
        raise AssertionError(errors)
    return group.returncode


def state(out: Path, update: int) -> dict[str, object]:
    return torch.load(RunFolder(out).checkpoints.path(update) / STATE, weights_only=True)


def flat(value: object, name: str = "") -> dict[str, object]:
    if isinstance(value, dict):
        return {k: v for key, each in value.items() for k, v in flat(each, f"{name}.{key}").items()}
    if isinstance(value, list):
        return flat(dict(enumerate(value)), name)
    return {name: value}


def same(first: object, second: object) -> bool:
    ours, theirs = flat(first), flat(second)
    return ours.keys() == theirs.keys() and all(
        torch.equal(one, theirs[k]) if isinstance(one, torch.Tensor) else one == theirs[k]
        for k, one in ours.items()
    )
