"""Whole evaluations: the ``eval`` command against a straightforward loop, in wall time.

Both sides are commands of their own, started from nothing: importing, building simulations and
starting workers count. Only the compiled models that ``libero-bench`` keeps on disk may be there
already.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from harness.benchmarks.reference_rollout import LOOP, PLAYED, LoopConfig, Played
from harness.processes import worker_variables
from results.folder import EPISODES_FILE, load_run
from tasks.errors import SimulatorError
from tasks.protocols import get_protocol

Report = Callable[[str, int], None]
"""Told what runs, and how many episodes are over on all sides together."""

_POLL_S = 0.5


@dataclass(frozen=True, kw_only=True)
class EvaluationFigures:
    """What was measured with one policy; seconds of wall time."""

    policy: str
    """Name of the policy."""

    episodes: int
    """Episodes that each side played."""

    official_s: float
    """The loop over LIBERO's own environment."""

    ours_s: dict[int, float] = field(default_factory=dict)
    """``libero-bench eval``, by number of workers."""

    successes: int = 0
    """Episodes that succeeded."""

    same_episodes: bool = True
    """Whether every side had the same outcome after the same number of steps in each episode."""

    def ratio(self, workers: int) -> float:
        """How many times less wall time ours takes."""
        return self.official_s / self.ours_s[workers]


def compare_evaluations(
    config: LoopConfig, workers: Sequence[int], report: Report = lambda what, done: None
) -> EvaluationFigures:
    """Evaluate the same episodes on both sides, one after the other.

    Args:
        config: What to evaluate.
        workers: Numbers of workers to try.
        report: Told how far it is.

    Raises:
        SimulatorError: One of the sides failed.
    """
    official_s, wanted = _time_official(config, report)
    over = len(wanted)
    ours_s: dict[int, float] = {}
    same = True
    for count in workers:
        folder = Path(tempfile.mkdtemp(prefix="libero-bench-eval-"))
        try:
            ours_s[count], given = _time_ours(config, count, folder, over, report)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        over += len(given)
        same = same and set(given) == set(wanted)
    return EvaluationFigures(
        policy=config.policy.name,
        episodes=len(wanted),
        official_s=official_s,
        ours_s=ours_s,
        successes=sum(played.success for played in wanted),
        same_episodes=same,
    )


def _time_official(config: LoopConfig, report: Report) -> tuple[float, list[Played]]:
    words = ["-m", "harness.benchmarks.reference_rollout", json.dumps(LOOP.dump_python(config))]
    variables = {**os.environ, **worker_variables(1)}
    played: list[Played] = []
    report("official loop", 0)
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [sys.executable, *words],
            stdout=subprocess.PIPE,
            stderr=log,
            encoding="utf-8",
            errors="replace",
            env=variables,
        )
        assert process.stdout is not None
        for line in process.stdout:
            played.append(PLAYED.validate_json(line))
            report("official loop", len(played))
        _check(process.wait(), "the official loop", log)
    return time.perf_counter() - start, played


def _time_ours(
    config: LoopConfig, workers: int, folder: Path, over: int, report: Report
) -> tuple[float, list[Played]]:
    what = f"ours, {workers} worker{'s' if workers > 1 else ''}"
    runs: list[Path] = []
    start = time.perf_counter()
    for suite, tasks in _by_suite(config.tasks):
        done = over + sum(_lines(run) for run in runs)
        runs.append(folder / suite)
        with tempfile.TemporaryFile("w+") as log:
            words = [*_words(config, suite, tasks, workers), "--out", str(runs[-1])]
            process = subprocess.Popen(
                [sys.executable, "-m", "harness.cli", *words], stdout=log, stderr=log
            )
            while process.poll() is None:
                report(what, done + _lines(runs[-1]))
                try:
                    process.wait(_POLL_S)
                except subprocess.TimeoutExpired:
                    continue
            _check(process.returncode, "libero-bench eval", log)
    spent = time.perf_counter() - start
    records = [record for run in runs for record in load_run(run)[1]]
    return spent, [
        Played(
            suite=record.suite,
            task=record.task,
            init_state=record.init_state,
            success=record.outcome == "success",
            steps=record.steps,
        )
        for record in records
    ]


def _words(config: LoopConfig, suite: str, tasks: Sequence[int], workers: int) -> list[str]:
    words = ["eval", "--policy", config.policy.name, "--suite", suite]
    words += ["--tasks", ",".join(map(str, tasks)), "--episodes", str(config.episodes)]
    words += ["--workers", str(workers), "--protocol", get_protocol().name]
    optional = {
        "--checkpoint": config.policy.checkpoint,
        "--exec-horizon": config.exec_horizon,
        "--resolution": config.resolution,
        "--instructions": config.instructions,
    }
    for name, value in optional.items():
        words += [] if value is None else [name, str(value)]
    return words


def _by_suite(tasks: Iterable[tuple[str, int]]) -> list[tuple[str, list[int]]]:
    grouped: dict[str, list[int]] = {}
    for suite, task in tasks:
        grouped.setdefault(suite, []).append(task)
    return list(grouped.items())


def _lines(run: Path) -> int:
    path = run / EPISODES_FILE
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _check(code: int, what: str, log: IO[str]) -> None:
    if code == 0:
        return
    log.seek(0)
    # What follows comes from taking the process down, such as a renderer that is freed too late.
    said = log.read().split("Exception ignored in")[0]
    tail = " ".join(said.split())[-400:]
    raise SimulatorError(
        f"{what} ended with code {code}: {tail or 'no words'}. Fix: run libero-bench doctor."
    )
