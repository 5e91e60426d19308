"""How often the scripted expert solves each task: the sanity ceiling of every leaderboard.

Episodes start from LIBERO's initial states and are judged strictly, as demonstrations are
(``harness.demonstrations.episode``). Each finished episode is a line of a JSONL file, so a killed
measurement goes on where it stopped.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from pydantic import Field, ValidationInfo, field_validator
from pydantic.dataclasses import dataclass

from harness.benchmarks.config import ORIGINAL_SUITES
from harness.capacity import MOST_WORKERS
from harness.options import Names, all_tasks, read_tasks
from harness.processes import worker_pool
from policies.interface import UnsupportedGoalError
from tasks.errors import ConfigError
from tasks.protocols import IndexedStart, get_protocol
from tasks.settings import MOST_NUMBERS, MOST_SEED, settings
from tasks.suites import find_task


@settings
class ExpertTableConfig:
    """Settings of ``bench expert``."""

    suites: Names = ORIGINAL_SUITES
    """Names with commas between them."""

    tasks: tuple[int, ...] | None = None
    """Indices or names such as 0,3 or 0-4, of every suite; all by default."""

    episodes: int = Field(default=20, ge=1, le=MOST_NUMBERS)
    """Episodes per task, from initial states 0, 1, ..."""

    noise: float = Field(default=0.15, ge=0, le=1)
    """Standard deviation of the action noise, 0 to 1."""

    speed: float = Field(default=1.0, gt=0, le=1)
    """The expert's largest action, up to 1."""

    protocol: Annotated[str, Parameter(parse=False)] = "openvla"
    """Step limits, settling and fixtures."""

    seed: int = Field(default=0, ge=0, le=MOST_SEED)
    """Of the noise."""

    workers: int = Field(default=2, ge=1, le=MOST_WORKERS)
    """Processes; they do not change the result."""

    out: Path = Path("expert-table.jsonl")
    """JSONL file of the finished episodes."""

    @field_validator("tasks", mode="before")
    @classmethod
    def _read_tasks(cls, value: Any, info: ValidationInfo) -> Any:
        return read_tasks(value, info.data.get("suites", ()))

    def pairs(self) -> tuple[tuple[str, int], ...]:
        """Return suite and index of each task.

        Raises:
            ConfigError: A suite or task does not exist.
        """
        return tuple(
            (suite, find_task(suite, index).index)
            for suite in self.suites
            for index in (all_tasks(suite) if self.tasks is None else self.tasks)
        )

    def recipe(self) -> dict[str, object]:
        """Return the settings that an episode depends on, beside its task and initial state."""
        return {name: getattr(self, name) for name in ("noise", "speed", "protocol", "seed")}


@dataclass(frozen=True, kw_only=True)
class ExpertEpisode:
    """One episode of the expert.

    Attributes:
        suite: Suite.
        task: Index in the suite.
        name: The task's name.
        init_state: Index of the initial state.
        success: Whether it was strictly solved.
        steps: Control steps until that was decided.
        reason: Why it was not solved.
        wall_s: Seconds it took, planning included.
    """

    suite: str
    task: int
    name: str
    init_state: int
    success: bool
    steps: int
    reason: str = ""
    wall_s: float = 0.0


EpisodeCallback = Callable[[ExpertEpisode], None]


def measure_expert(
    config: ExpertTableConfig, progress: EpisodeCallback | None = None
) -> list[ExpertEpisode]:
    """Let the expert play every episode that is not in the file yet.

    Args:
        config: What to measure.
        progress: Called after each new episode.

    Returns:
        All episodes that were asked for, by task and initial state.

    Raises:
        ConfigError: Unknown task, or the file holds episodes measured otherwise.
    """
    wanted = [
        (find_task(suite, index).suite, index, state)
        for suite, index in config.pairs()
        for state in range(config.episodes)
    ]
    played = {(e.suite, e.task, e.init_state): e for e in _kept(config)}
    missing = [key for key in wanted if key not in played]
    if missing:
        config.out.parent.mkdir(parents=True, exist_ok=True)
        with config.out.open("a", encoding="utf-8") as lines:
            for episode in _play_all(config, missing):
                lines.write(json.dumps(config.recipe() | asdict(episode)) + "\n")
                lines.flush()
                played[episode.suite, episode.task, episode.init_state] = episode
                if progress is not None:
                    progress(episode)
    return [played[key] for key in wanted]


def _kept(config: ExpertTableConfig) -> Iterator[ExpertEpisode]:
    """Read the episodes of an earlier measurement; a line cut off by a kill is skipped."""
    if not config.out.exists():
        return
    recipe = config.recipe()
    for line in config.out.read_text(encoding="utf-8").splitlines():
        try:
            plain = json.loads(line)
        except ValueError:
            continue
        other = {name: plain.pop(name, None) for name in recipe}
        if other != recipe:
            raise ConfigError(
                f"'{config.out}' holds episodes measured with {other}, not {recipe}. "
                "Fix: give another --out, or remove the file."
            )
        yield ExpertEpisode(**plain)


def _play_all(
    config: ExpertTableConfig, keys: Sequence[tuple[str, int, int]]
) -> Iterator[ExpertEpisode]:
    """Play episodes in worker processes; yield them as they finish."""
    with worker_pool(min(config.workers, len(keys))) as pool:
        for future in as_completed([pool.submit(play_episode, config, *key) for key in keys]):
            yield future.result()


def play_episode(
    config: ExpertTableConfig, suite: str, index: int, init_state: int
) -> ExpertEpisode:
    """Play one episode in this process; its simulator is kept for the next one of the task."""
    from harness.demonstrations.episode import play_strictly
    from harness.demonstrations.playback import cached_simulator
    from policies.expert import ExpertPolicy

    start = time.perf_counter()
    task = find_task(suite, index)
    simulator = cached_simulator(task, get_protocol(config.protocol), images=False)
    # The fixtures are those of the protocol, the noise is the measurement's own.
    simulator.reset(init_state)
    indexed = IndexedStart(init_state=init_state, seed=config.seed * 1_000_000 + init_state)
    expert = ExpertPolicy(speed=config.speed, noise=config.noise)
    try:
        outcome = play_strictly(simulator, expert, indexed)
        success, steps, reason = outcome.motion is not None, outcome.steps, outcome.reason
    except UnsupportedGoalError as error:
        success, steps, reason = False, 0, str(error)
    return ExpertEpisode(
        suite=suite,
        task=index,
        name=task.name,
        init_state=init_state,
        success=success,
        steps=steps,
        reason=reason,
        wall_s=round(time.perf_counter() - start, 2),
    )


@dataclass(frozen=True, kw_only=True)
class ExpertRow:
    """A task's line of the table.

    Attributes:
        suite: Suite.
        task: Index in the suite.
        name: The task's name.
        episodes: Episodes played.
        solved: Of them strictly solved.
        mean_steps: Mean control steps of the solved ones; None without any.
        failures: Why the others failed, each reason once.
    """

    suite: str
    task: int
    name: str
    episodes: int
    solved: int
    mean_steps: float | None
    failures: tuple[str, ...] = ()


def table_rows(episodes: Iterable[ExpertEpisode]) -> list[ExpertRow]:
    """Summarise episodes by task, in the order of their first episode."""
    grouped: dict[tuple[str, int], list[ExpertEpisode]] = {}
    for episode in episodes:
        grouped.setdefault((episode.suite, episode.task), []).append(episode)
    rows = []
    for (suite, task), group in grouped.items():
        steps = [e.steps for e in group if e.success]
        reasons = dict.fromkeys(e.reason for e in group if not e.success)
        rows.append(
            ExpertRow(
                suite=suite,
                task=task,
                name=group[0].name,
                episodes=len(group),
                solved=len(steps),
                mean_steps=sum(steps) / len(steps) if steps else None,
                failures=tuple(reasons),
            )
        )
    return rows


def as_markdown(rows: Sequence[ExpertRow], config: ExpertTableConfig) -> str:
    """Write the table as Markdown: a line per suite, then one per task.

    Args:
        rows: Of the tasks.
        config: What was measured.
    """
    command = f"libero-bench bench expert --suites {','.join(config.suites)}"
    if config.tasks is not None:
        command += f" --tasks {','.join(map(str, config.tasks))}"
    command += f" --episodes {config.episodes} --noise {config.noise:g}"
    lines = ["# How often the expert solves each task", ""]
    lines += [
        "Strictly: success holds for 10 steps and is still true 40 steps later, without a failed",
        "grasp on the way. Made by:",
        "",
        f"    {command}",
        "",
        "| suite | tasks | solved | share | tasks never solved |",
        "|---|---|---|---|---|",
    ]
    for suite in dict.fromkeys(row.suite for row in rows):
        group = [row for row in rows if row.suite == suite]
        solved, played = sum(r.solved for r in group), sum(r.episodes for r in group)
        never = sum(r.solved == 0 for r in group)
        share = f"{100 * solved / played:.1f} %"
        lines.append(f"| {suite} | {len(group)} | {solved}/{played} | {share} | {never} |")
    lines += ["", "| suite | task | name | solved | mean steps |", "|---|---|---|---|---|"]
    for row in rows:
        steps = "–" if row.mean_steps is None else f"{row.mean_steps:.0f}"
        solved_of = f"{row.solved}/{row.episodes}"
        lines.append(f"| {row.suite} | {row.task} | {row.name} | {solved_of} | {steps} |")
    return "\n".join(lines) + "\n"
