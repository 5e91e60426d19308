"""Whole evaluations: the ``eval`` command against a straightforward loop, in wall time.

Both backends are commands of their own: importing, building simulations and starting workers
count. Only the compiled models that ``libero-bench`` keeps on disk may be there already.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from harness.benchmarks.config import EvaluationSpeedConfig
from harness.benchmarks.reference_rollout import (
    REFERENCE_CONFIG,
    REFERENCE_EPISODE,
    ReferenceConfig,
    ReferenceEpisode,
)
from harness.processes import worker_variables
from policies.registry import PolicyConfig
from results.folder import EPISODES_FILE, load_run
from tasks.errors import SimulatorError
from tasks.protocols import get_protocol

Report = Callable[[str, int], None]
"""Takes the name of what runs, and how many episodes are over in all."""

_POLL_S = 0.5


@dataclass(frozen=True, kw_only=True)
class EvaluationFigures:
    """Figures of one policy; seconds of wall time."""

    policy: str
    """Name of the policy."""

    episodes: int
    """Episodes that each backend played."""

    official_s: float
    """The loop over LIBERO's own environment."""

    ours_s: dict[int, float] = field(default_factory=dict)
    """``libero-bench eval``, by number of workers."""

    successes: int = 0
    """Episodes that succeeded."""

    same_episodes: bool = True
    """Whether each episode had the same outcome after as many steps in all backends."""

    def ratio(self, workers: int) -> float:
        """How many times less wall time ours takes."""
        return self.official_s / self.ours_s[workers]


def reference_configs(config: EvaluationSpeedConfig) -> list[ReferenceConfig]:
    """Return the configuration of each policy; policies are built to know their horizons.

    Raises:
        HarnessError: A policy cannot be built, or a task does not exist.
    """
    configs = []
    for name in config.policies:
        checkpoint = str(config.checkpoint) if name == "rdt" else None
        policy = PolicyConfig(name=name, checkpoint=checkpoint, device="cpu")
        configs.append(
            ReferenceConfig(
                policy=policy,
                tasks=config.pairs(),
                episodes=config.episodes,
                exec_horizon=min(config.exec_horizon, policy.build().spec.horizon),
                resolution=config.resolution,
                instructions=config.instructions,
            )
        )
    return configs


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Wall time of an evaluation, and its episodes."""

    seconds: float
    """Wall time."""

    episodes: Sequence[ReferenceEpisode]
    """Its episodes."""


def compare_evaluations(
    config: ReferenceConfig, workers: Sequence[int], report: Report = lambda what, done: None
) -> EvaluationFigures:
    """Evaluate the same episodes with both backends, one after the other.

    Args:
        config: What to evaluate.
        workers: Numbers of workers to try.
        report: Called as episodes finish.

    Raises:
        SimulatorError: One of the backends failed.
    """
    official = _time_official(config, report)
    over = len(official.episodes)
    ours: dict[int, Measurement] = {}
    for count in workers:
        folder = Path(tempfile.mkdtemp(prefix="libero-bench-eval-"))
        try:
            ours[count] = _time_ours(config, count, folder, over, report)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        over += len(ours[count].episodes)
    return figures_of(config.policy.name, official, ours)


def figures_of(
    policy: str, official: Measurement, ours: Mapping[int, Measurement]
) -> EvaluationFigures:
    """Compare measurements.

    Args:
        policy: Name of the policy.
        official: Of the loop over LIBERO's own environment.
        ours: Of ``libero-bench eval``, by number of workers.
    """
    reference = set(official.episodes)
    return EvaluationFigures(
        policy=policy,
        episodes=len(official.episodes),
        official_s=official.seconds,
        ours_s={count: measured.seconds for count, measured in ours.items()},
        successes=sum(episode.success for episode in official.episodes),
        same_episodes=all(set(measured.episodes) == reference for measured in ours.values()),
    )


def _time_official(config: ReferenceConfig, report: Report) -> Measurement:
    words = [
        "-m",
        "harness.benchmarks.reference_rollout",
        json.dumps(REFERENCE_CONFIG.dump_python(config)),
    ]
    variables = {**os.environ, **worker_variables(1)}
    played: list[ReferenceEpisode] = []
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
            played.append(REFERENCE_EPISODE.validate_json(line))
            report("official loop", len(played))
        check_exit(process.wait(), "the official loop", log)
    return Measurement(seconds=time.perf_counter() - start, episodes=played)


def _time_ours(
    config: ReferenceConfig, workers: int, folder: Path, over: int, report: Report
) -> Measurement:
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
            check_exit(process.returncode, "libero-bench eval", log)
    spent = time.perf_counter() - start
    records = [record for run in runs for record in load_run(run)[1]]
    episodes = [
        ReferenceEpisode(
            suite=record.suite,
            task=record.task,
            init_state=record.init_state,
            success=record.outcome == "success",
            steps=record.steps,
        )
        for record in records
    ]
    return Measurement(seconds=spent, episodes=episodes)


def _words(config: ReferenceConfig, suite: str, tasks: Sequence[int], workers: int) -> list[str]:
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


def check_exit(code: int, what: str, log: IO[str]) -> None:
    """Raise ``SimulatorError`` with the end of a process's log if it failed."""
    if code == 0:
        return
    log.seek(0)
    # The rest comes from taking the process down, such as a renderer that is freed too late.
    text = log.read().split("Exception ignored in")[0]
    tail = " ".join(text.split())[-400:]
    raise SimulatorError(
        f"{what} ended with code {code}: {tail or 'no words'}. Fix: run libero-bench doctor."
    )
