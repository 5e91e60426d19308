"""What a benchmark measured is shown, however the benchmark ends."""

import json
import os
import signal
from collections.abc import Callable
from typing import Any, NoReturn

import pytest
import torch

from harness.benchmarks import policy_speed
from harness.benchmarks.config import PolicyCase
from harness.benchmarks.policy_speed import PolicyFigures
from harness.cli import main
from tasks.errors import PrerequisiteError
from tests.harness.benchmarks.figures import policy_figures

pytestmark = pytest.mark.usefixtures("signals_arrive")

WORDS = ["bench", "policy", "--batch", "1,2,3", "--repeats", "1", "--solver-steps", "1"]


def no_memory() -> NoReturn:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")


def no_compiler() -> NoReturn:
    raise PrerequisiteError("There is no compiler.")


@pytest.mark.parametrize(
    ("end", "code", "words"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGINT), 130, "Interrupted."),
        (lambda: os.kill(os.getpid(), signal.SIGTERM), 143, "Ended by signal 15."),
        (no_compiler, 2, "There is no compiler."),
        (
            no_memory,
            2,
            "with 3 episodes at once does not fit the GPU's memory (CUDA out of memory)",
        ),
    ],
)
@pytest.mark.parametrize("as_json", [True, False])
def test_finished_rows_are_shown(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    end: Callable[[], None],
    code: int,
    words: str,
    as_json: bool,
) -> None:

    def until_the_third(case: PolicyCase, report: Any) -> PolicyFigures:
        if case.batch == 3:
            end()
        return policy_figures(case)

    monkeypatch.setattr(policy_speed, "measure", until_the_third)
    assert main([*WORDS, *(["--json"] if as_json else [])]) == code
    said = capsys.readouterr()
    assert words in said.err
    if as_json:
        assert [row["case"]["batch"] for row in json.loads(said.out)] == [1, 2]
    else:
        assert said.out.count("rdt-small  ") == 2 * 3  # two rows in each of three tables


def test_without_a_row_nothing_is_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy_speed, "measure", lambda case, report: no_compiler())
    assert main(WORDS) == 2
    assert not capsys.readouterr().out
