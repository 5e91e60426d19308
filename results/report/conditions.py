"""What is known of each run, and what the runs of the page do not share."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from results.comparison.conditions import Conditions, conditions_of
from results.differences import flat
from results.records import RunInfo
from results.report.runs import ReportRun

_PARTS = ("policy", "protocol", "demos", "config", "provenance")


def entries_of(info: RunInfo) -> dict[str, str]:
    """Return what is known of a run as text, by dotted names.

    Args:
        info: The run.
    """
    entries = {name: as_text(value) for name, value in flat(info, _PARTS).items()}
    for again in info.resumed:
        entries[f"resumed.{again.at.isoformat()}"] = as_text(again.changed or "same provenance")
    return entries


def as_text(value: Any) -> str:
    """Write a value as it stands in a run; None gives no text."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def errors_of(run: ReportRun) -> list[str]:
    """Say which episodes broke, and why.

    Args:
        run: The run.
    """
    return [
        f"{r.suite} task {r.task}, init state {r.init_state}, seed {r.seed}, "
        f"attempt {r.attempt}: {r.error}"
        for r in run.records
        if r.outcome == "error"
    ]


def shared_conditions(runs: Sequence[ReportRun]) -> Conditions:
    """Compare the conditions under which the runs were made.

    Args:
        runs: The runs.

    Returns:
        What differs, and what to be warned of.
    """
    infos = [run.info for run in runs]
    if any(info.tasks != infos[0].tasks for info in infos):
        # Other tasks have other initial states, which explains nothing.
        infos = [_without_init_states(info) for info in infos]
    return conditions_of(infos, [run.name for run in runs])


def _without_init_states(info: RunInfo) -> RunInfo:
    provenance = {name: value for name, value in info.provenance.items() if name != "init_states"}
    return dataclasses.replace(info, provenance=provenance)
