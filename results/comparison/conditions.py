"""Under which conditions runs were made, and what that says about comparing them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from results.differences import flatten
from results.formatting import short
from results.records import RunInfo

_SIMULATOR = re.compile(
    r"provenance\.(packages\.(mujoco|robosuite|(hf-|rlinf-)?libero(-pro-benchmark)?)$"
    r"|gl_renderer$|init_states\b)"
)
"""What else than the protocol decides what a policy meets."""

_SHOWN = ("policy", "demos", "protocol", "provenance")
_MACHINES_OWN = re.compile(r"provenance\.(machine|python|checkpoint_files|init_states)\b")


@dataclass(frozen=True, kw_only=True)
class DifferingSetting:
    """One thing that is not the same in all runs."""

    name: str
    """Dotted name."""

    values: tuple[Any, ...]
    """Its value in each run; None where a run says nothing."""


@dataclass(frozen=True, kw_only=True)
class RunConditions:
    """What a reader must know of the runs before comparing their rates."""

    protocols: tuple[DifferingSetting, ...]
    """What differs between the protocols; empty where all follow the same."""

    warnings: tuple[str, ...]
    """What may explain a difference in place of the policies."""

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
