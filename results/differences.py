"""How the descriptions of runs differ: what decides an outcome, under dotted names."""

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from results.folder import RUN
from results.formatting import short
from results.records import RunInfo

DECIDING = ("policy", "protocol", "tasks", "episodes_per_task", "demos", "config")
"""Parts of a run's description that decide what an outcome means."""

_SHOWN = 6


class Difference(NamedTuple):
    """One setting that two runs do not share."""

    name: str
    here: Any
    asked: Any


def flat(info: RunInfo, parts: Iterable[str] = DECIDING) -> dict[str, Any]:
    """Return parts of a run's description under dotted names, in their order.

    Args:
        info: The run.
        parts: Fields of ``RunInfo``.

    Returns:
        Values by names such as ``policy.exec_horizon``.
    """
    whole = RUN.dump_python(info, mode="json")
    found: dict[str, Any] = {}
    stack = [(name, whole[name]) for name in reversed(list(parts))]
    while stack:
        name, value = stack.pop()
        if isinstance(value, dict):
            stack += [(f"{name}.{inner}", item) for inner, item in reversed(value.items())]
        else:
            found[name] = value
    return found


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
    one, other = flat(here), flat(asked)
    there, now = flat(here, ["provenance"]), flat(asked, ["provenance"])
    under = [f"provenance.{name}" for name in pinned]
    for name in there:
        if name in now and _covered(name, under):
            one[name], other[name] = there[name], now[name]
    return [
        Difference(name, one.get(name), other.get(name))
        for name in dict.fromkeys([*one, *other])
        if one.get(name) != other.get(name) and not _covered(name, volatile)
    ]


def _covered(name: str, names: Collection[str]) -> bool:
    """Whether a dotted name is one of the names or lies under one."""
    return any(name == above or name.startswith(f"{above}.") for above in names)


def in_words(found: Collection[Difference], here: str = "here", asked: str = "asked") -> str:
    """Say differences on one line, the first few of them.

    Args:
        found: At least one difference.
        here: What to call the one run.
        asked: What to call the other.

    Returns:
        Such as ``policy.exec_horizon: 16 here, 8 asked``.
    """
    shown = "; ".join(
        f"{each.name}: {short(each.here)} {here}, {short(each.asked)} {asked}"
        for each in list(found)[:_SHOWN]
    )
    return shown + (f"; {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")
