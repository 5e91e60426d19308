"""Settings that decide an outcome and differ between runs, and whether the runs compare."""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from results.folder import RUN
from results.formatting import short
from results.records import RunInfo

DECIDING = ("policy", "protocol", "tasks", "episodes_per_task", "demos", "config")
"""Parts of a run's description that decide what an outcome means."""

_MOST_DESCRIBED = 6


class Difference(NamedTuple):
    """One setting that two runs do not share."""

    name: str
    here: Any
    asked: Any


def flatten(info: RunInfo, parts: Iterable[str] = DECIDING) -> dict[str, Any]:
    """Return fields of ``RunInfo`` by dotted names such as ``policy.exec_horizon``, in order."""
    fields = RUN.dump_python(info, mode="json")
    values: dict[str, Any] = {}
    stack = [(name, fields[name]) for name in reversed(list(parts))]
    while stack:
        name, value = stack.pop()
        if isinstance(value, dict):
            stack += [(f"{name}.{inner}", item) for inner, item in reversed(value.items())]
        else:
            values[name] = value
    return values


def differences(
    here: RunInfo,
    asked: RunInfo,
    volatile: Collection[str] = (),
    pinned: Collection[str] = (),
) -> list[Difference]:
    """Return the deciding settings that differ between two runs; a missing setting is None.

    Args:
        here: The one run.
        asked: The other.
        volatile: Dotted names that may differ; a name covers the names below it.
        pinned: Dotted names in the provenance that decide as well, such as ``packages.mujoco``, and
            those below them. Entries that one of the runs lacks are not compared.
    """
    old, new = flatten(here), flatten(asked)
    old_provenance = flatten(here, ["provenance"])
    new_provenance = flatten(asked, ["provenance"])
    deciding = [f"provenance.{name}" for name in pinned]
    for name in old_provenance:
        if name in new_provenance and _covered(name, deciding):
            old[name], new[name] = old_provenance[name], new_provenance[name]
    return [
        Difference(name, old.get(name), new.get(name))
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name) and not _covered(name, volatile)
    ]


def _covered(name: str, names: Collection[str]) -> bool:
    """Whether a dotted name is one of the names or lies under one."""
    return any(name == above or name.startswith(f"{above}.") for above in names)


def describe_differences(
    differing: Sequence[Difference], here: str = "here", asked: str = "asked"
) -> str:
    """Write the first differences on one line: ``policy.exec_horizon: 16 here, 8 asked``."""
    text = "; ".join(
        f"{difference.name}: {short(difference.here)} {here}, {short(difference.asked)} {asked}"
        for difference in differing[:_MOST_DESCRIBED]
    )
    more = len(differing) - _MOST_DESCRIBED
    return f"{text}; {more} more" if more > 0 else text


_SIMULATOR = re.compile(
    r"provenance\.(packages\.(mujoco|robosuite|(hf-|rlinf-)?libero(-pro-benchmark)?)$"
    r"|gl_renderer$|init_states\b)"
)
"""Entries beside the protocol that decide what a policy meets."""

_SHOWN = ("policy", "demos", "protocol", "provenance")
_MACHINES_OWN = re.compile(r"provenance\.(machine|python|checkpoint_files|init_states)\b")


@dataclass(frozen=True, kw_only=True)
class DifferingSetting:
    """A setting that is not the same in all runs."""

    name: str
    """Dotted name."""

    values: tuple[Any, ...]
    """Its value in each run; None where a run says nothing."""


@dataclass(frozen=True, kw_only=True)
class RunConditions:
    """Differences between runs that matter when their rates are compared."""

    protocols: tuple[DifferingSetting, ...]
    """What differs between the protocols; empty where all follow the same."""

    warnings: tuple[str, ...]
    """Differences that may explain other rates in place of the policies."""

    settings: tuple[DifferingSetting, ...]
    """Everything that differs: policies, checkpoints, demos, protocols, versions, renderers."""


def conditions_of(infos: Sequence[RunInfo], tags: Sequence[str]) -> RunConditions:
    """Compare the descriptions of runs.

    Args:
        infos: The runs.
        tags: A short name for setting.

    Returns:
        Their conditions.
    """
    described = [flatten(info, _SHOWN) for info in infos]
    differing = [
        DifferingSetting(name=name, values=values)
        for name in dict.fromkeys(name for names in described for name in names)
        if len(set(map(short, values := tuple(names.get(name) for names in described)))) > 1
    ]
    hashes = {info.protocol["hash"] for info in infos}
    protocols = [setting for setting in differing if setting.name.startswith("protocol.")]
    return RunConditions(
        protocols=tuple(protocols) if len(hashes) > 1 else (),
        warnings=tuple(_warnings(infos, tags, differing)),
        settings=tuple(setting for setting in differing if not _MACHINES_OWN.match(setting.name)),
    )


def describe_values(values: Sequence[Any], tags: Sequence[str]) -> str:
    """Say which run has which value, such as ``A "llvmpipe", B "NVIDIA H100"``."""
    return ", ".join(f"{tag} {short(value)}" for tag, value in zip(tags, values, strict=True))


def _warnings(
    infos: Sequence[RunInfo], tags: Sequence[str], differing: Sequence[DifferingSetting]
) -> list[str]:
    warnings = []
    hashes = [f"{info.protocol_name} {info.protocol['hash'][:8]}" for info in infos]
    if len({info.protocol["hash"] for info in infos}) > 1:
        protocols = ", ".join(f"{tag} {text}" for tag, text in zip(tags, hashes, strict=True))
        warnings.append(f"Different protocols ({protocols}): these rates do not measure the same.")
    for setting in differing:
        values = describe_values(setting.values, tags)
        # A policy without eyes leaves no renderer on record, which is no other renderer.
        known = {short(value) for value in setting.values if value is not None}
        blind = setting.name.endswith("gl_renderer") and len(known) < 2
        if _SIMULATOR.match(setting.name) and not blind:
            name = setting.name.removeprefix("provenance.").removeprefix("packages.")
            warnings.append(f"Different simulators: {name} {values}.")
        if setting.name == "demos" and len(known) > 1:
            warnings.append(f"Trained on different demos: {values}.")
    for info, tag in zip(infos, tags, strict=True):
        changed = {name for again in info.resumed for name in again.changed}
        if conditions := sorted(changed & {"packages", "gl_renderer", "init_states"}):
            warnings.append(f"{tag} was resumed with another {', '.join(conditions)}.")
    return warnings
