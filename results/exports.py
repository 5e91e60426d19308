"""A run in others' words: LeRobot's ``eval_info.json`` and the ``model-index`` of model cards."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Literal, get_args

from results.folder import load_run
from results.leaderboard.rows import LeaderboardRow, rows_from_runs
from results.records import EpisodeRecord, RunInfo
from tasks.errors import ResultsError
from tasks.files import write_text

ExportFormat = Literal["lerobot", "model-index"]

_OWN = "libero-bench"
"""In JSON, the name under which stands what others have no place for."""

_HEAD = "# Written by libero-bench export.\n"
"""The first line of YAML."""

_TITLES = {
    "libero_spatial": "LIBERO-Spatial",
    "libero_object": "LIBERO-Object",
    "libero_goal": "LIBERO-Goal",
    "libero_10": "LIBERO-10 (Long)",
    "libero_90": "LIBERO-90",
}


@dataclass(frozen=True, kw_only=True)
class _Export:
    folder: Path
    info: RunInfo
    counted: tuple[EpisodeRecord, ...]
    rows: tuple[LeaderboardRow, ...]


def export_run(folder: Path | str, format: ExportFormat, *, incomplete: bool = False) -> str:
    """Write a run in another project's format.

    Args:
        folder: The run folder.
        format: ``lerobot`` or ``model-index``.
        incomplete: Export a run too of which episodes are missing or broke.

    Returns:
        The text, JSON or YAML, ending in a newline.

    Raises:
        ResultsError: The format is unknown, the run cannot be read, has no episode that counts,
            or, without ``incomplete``, lacks some.
    """
    writers = {"lerobot": _lerobot, "model-index": _model_index}
    if format not in writers:
        raise ResultsError(
            f"Unknown format '{format}'. Allowed: {', '.join(get_args(ExportFormat))}."
        )
    folder = Path(folder)
    info, records = load_run(folder)
    rows = rows_from_runs([(info, records)])
    counted = tuple(record for record in records if record.outcome != "error")
    if not counted:
        raise ResultsError(f"'{folder}' has no episode that counts: nothing can be exported.")
    lacking = [row for row in rows if not row.complete]
    if lacking and not incomplete:
        row = lacking[0]
        raise ResultsError(
            f"'{folder}' is incomplete ({row.suite}: {row.episodes} of {row.expected} episodes "
            f"count, {row.errors} broke): finish it with the command that began it, or export what "
            "there is with --incomplete."
        )
    return writers[format](_Export(folder=folder, info=info, counted=counted, rows=tuple(rows)))


def write_export(path: Path | str, text: str, *, overwrite: bool = False) -> None:
    """Put an export into a file, in one step.

    Args:
        path: The file; its folder is made if it is missing.
        text: What ``export_run`` returns.
        overwrite: Replace a file that is no export of this project.

    Raises:
        ResultsError: Something else is there.
    """
    path = Path(path)
    if path.is_dir():
        raise ResultsError(f"'{path}' is a folder: give --out a file.")
    if path.exists() and not overwrite and not _is_export(path):
        raise ResultsError(
            f"'{path}' was not written by this command: give --out another file, or --overwrite "
            "to lose it."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text, several_writers=True)


def _is_export(path: Path) -> bool:
    """Whether a file is a former export, which a newer one may replace; or empty."""
    held = path.read_bytes()
    if not held or held.startswith(_HEAD.encode()):
        return True
    try:
        data = json.loads(held)
    except ValueError:
        return False
    return isinstance(data, dict) and _OWN in data


def _lerobot(run: _Export) -> str:
    """Write what ``lerobot-eval`` writes (``eval_policy_all`` of LeRobot 0.6).

    Our own additions stand under one name of their own.

    LIBERO's reward is 1 at success, which ends an episode, so sum and maximum are the success. The
    seconds are those of the episodes: with several workers, more than the clock's.
    """
    tasks = [(suite, task) for suite in run.info.suites for task in run.info.tasks[suite]]
    mine = {key: [r for r in run.counted if (r.suite, r.task) == key] for key in tasks}
    per_task = [
        {"task_group": suite, "task_id": task, "metrics": _metrics(records, run.folder)}
        for (suite, task), records in mine.items()
        if records
    ]
    groups = {
        suite: [r for r in run.counted if r.suite == suite]
        for suite in run.info.suites
        if any(r.suite == suite for r in run.counted)
    }
    seconds = sum(record.wall_s for record in run.counted)
    overall = {
        **_aggregate(run.counted),
        "eval_s": seconds,
        "eval_ep_s": seconds / len(run.counted),
        **_films(run.counted, run.folder),
    }
    info = {
        "per_task": per_task,
        "per_group": {
            suite: {**_aggregate(records), **_films(records, run.folder)}
            for suite, records in groups.items()
        },
        "overall": overall,
        _OWN: _own(run),
    }
    return json.dumps(info, indent=2, ensure_ascii=False) + "\n"


def _metrics(records: Sequence[EpisodeRecord], folder: Path) -> dict[str, Any]:
    records = sorted(records, key=lambda record: record.key)
    successes = [record.outcome == "success" for record in records]
    rewards = [float(success) for success in successes]
    return {
        "sum_rewards": rewards,
        "max_rewards": list(rewards),
        "successes": successes,
        **_films(records, folder),
    }


def _aggregate(records: Sequence[EpisodeRecord]) -> dict[str, Any]:
    rate = fmean(record.outcome == "success" for record in records)
    return {
        "avg_sum_reward": rate,
        "avg_max_reward": rate,
        "pc_success": 100.0 * rate,
        "n_episodes": len(records),
    }


def _films(records: Sequence[EpisodeRecord], folder: Path) -> dict[str, list[str]]:
    """List the videos; those that a world model predicts are of LeRobot's policies alone."""
    paths = [folder / record.video for record in records if record.video is not None]
    return {
        "video_paths": [str(path) for path in paths if path.is_file()],
        "predicted_video_paths": [],
    }


def _own(run: _Export) -> dict[str, Any]:
    """Say what others' formats have no place for."""
    return {
        "run": run.info.name,
        "policy": run.info.policy,
        "protocol": run.info.protocol,
        "demos": run.info.demos,
        "packages": run.info.provenance.get("packages"),
        "suites": {row.suite: _numbers(row) for row in run.rows},
    }


def _numbers(row: LeaderboardRow) -> dict[str, Any]:
    return {
        "successes": row.successes,
        "episodes": row.episodes,
        "episodes_asked_for": row.expected,
        "errors": row.errors,
        "interval_95": [row.low, row.high],
        "interval_method": row.method,
    }


def _model_index(run: _Export) -> str:
    """Write the metadata that the head of a model card takes between its two lines of dashes."""
    # Importing it takes a while, and only this needs it.
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult(
            task_type="robotics",
            task_name="Robotics",
            dataset_type=row.suite,
            dataset_name=_TITLES.get(row.suite, row.suite),
            dataset_config=f"{row.protocol} {row.protocol_hash}",
            dataset_args=_asked(run.info, row),
            metric_type="success_rate",
            metric_name=_metric_name(row),
            metric_value=round(100.0 * row.rate, 2),
            metric_args={**_numbers(row), **_policy(run.info.policy)},
        )
        for row in run.rows
        if row.rate is not None
    ]
    data = ModelCardData(model_name=run.info.name, eval_results=results)
    return f"{_HEAD}{data.to_yaml().rstrip()}\n"


def _metric_name(row: LeaderboardRow) -> str:
    part = "" if row.complete else f", incomplete of {row.expected}"
    return (
        f"success rate, % (95 % {row.method} {100 * row.low:.1f}–{100 * row.high:.1f}; "
        f"{row.successes}/{row.episodes}{part}; protocol {row.protocol} {row.protocol_hash[:8]})"
    )


def _asked(info: RunInfo, row: LeaderboardRow) -> dict[str, Any]:
    asked = {"tasks": sorted(row.tasks), "episodes_per_task": info.episodes_per_task}
    return {**asked, "seed": info.config["seed"]} if "seed" in info.config else asked


def _policy(policy: Mapping[str, Any]) -> dict[str, Any]:
    names = ("exec_horizon", "fusion", "checkpoint_sha256")
    return {name: policy[name] for name in names if policy.get(name) is not None}
