"""Settings that decide an outcome and that two runs do not share, under dotted names."""

from collections.abc import Collection, Iterable, Sequence
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
    """Return parts of a run's description under dotted names, in their order.

    Args:
        info: The run.
        parts: Fields of ``RunInfo``.

    Returns:
        Values by names such as ``policy.exec_horizon``.
    """
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
    """Return what decides an outcome and is not the same in two runs.

    Args:
        here: The one run.
        asked: The other.
        volatile: Dotted names that may differ; a name covers what lies under it.
        pinned: Dotted names in the provenance that decide as well, such as ``packages.mujoco``;
            likewise. What one of the runs does not say is not compared.

    Returns:
        The differences, in the order of the settings; a missing setting is None.
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
    """Write differences on one line, the first few of them.

    Args:
        differing: At least one difference.
        here: What to call the one run.
        asked: What to call the other.

    Returns:
        Such as ``policy.exec_horizon: 16 here, 8 asked``.
    """
    text = "; ".join(
        f"{difference.name}: {short(difference.here)} {here}, {short(difference.asked)} {asked}"
        for difference in differing[:_MOST_DESCRIBED]
    )
    more = len(differing) - _MOST_DESCRIBED
    return f"{text}; {more} more" if more > 0 else text
