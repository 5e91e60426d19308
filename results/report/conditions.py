"""What is known of each run, what differs between runs, and what forbids comparing them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from results.records import RunInfo
from results.report.runs import ReportRun

_OWN = ("config.out", "config.label", "resumed")
_DECIDING = {
    "protocol.hash": "protocol",
    "provenance.packages.mujoco": "mujoco",
    "provenance.packages.robosuite": "robosuite",
}
"""What must be the same for numbers to be comparable, and how it is called."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A setting that is not the same in all runs."""

    name: str
    """Its dotted name."""

    values: tuple[str, ...]
    """What each run has; empty where it has none."""


def entries_of(info: RunInfo) -> dict[str, str]:
    """Return what is known of a run as text, by dotted names.

    Args:
        info: The run.
    """
    parts = {
        "policy": info.policy,
        "protocol": info.protocol,
        "demos": info.demos,
        "config": info.config,
        "provenance": info.provenance,
        "resumed": {
            again.at.isoformat(): again.changed or "same provenance" for again in info.resumed
        },
    }
    entries: dict[str, str] = {}
    stack: list[tuple[str, Any]] = list(reversed(parts.items()))
    while stack:
        name, value = stack.pop()
        if isinstance(value, dict):
            stack += [(f"{name}.{inner}", item) for inner, item in reversed(value.items())]
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            entries[name] = text
    return entries


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


def differences(runs: Sequence[ReportRun]) -> list[Difference]:
    """Return the settings and conditions that are not the same in all runs.

    Args:
        runs: The runs.
    """
    flat = [entries_of(run.info) for run in runs]
    names = dict.fromkeys(name for entries in flat for name in entries)
    values = {name: tuple(entries.get(name, "") for entries in flat) for name in names}
    return [
        Difference(name=name, values=mine)
        for name, mine in values.items()
        if len(set(mine)) > 1 and not name.startswith(_OWN) and not _repeats(name, values)
    ]


def _repeats(name: str, values: dict[str, tuple[str, ...]]) -> bool:
    """Whether a setting is one that the policy says again, as its execution horizon."""
    twin = f"policy.{name.removeprefix('config.').removeprefix('policy.')}"
    return name.startswith("config.") and values.get(twin) == values[name]


def warnings(runs: Sequence[ReportRun]) -> list[str]:
    """Say what forbids comparing the runs as if they were of one kind.

    Args:
        runs: The runs.

    Returns:
        A sentence for each condition that differs; runs that do not tell are not counted.
    """
    flat = [entries_of(run.info) for run in runs]
    found = []
    for name, called in _DECIDING.items():
        groups: dict[str, list[str]] = {}
        for run, entries in zip(runs, flat, strict=True):
            if name in entries:
                value = entries[name]
                if called == "protocol":
                    value = f"{run.info.protocol['name']} {value[:8]}"
                groups.setdefault(value, []).append(run.name)
        if len(groups) > 1:
            told = "; ".join(f"{value}: {', '.join(names)}" for value, names in groups.items())
            found.append(f"Not the same {called}, so the numbers are not comparable. {told}.")
    return found
