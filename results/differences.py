"""How the descriptions of runs differ: what decides an outcome, under dotted names."""

import json
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from results.folder import RUN
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


def differences(here: RunInfo, asked: RunInfo, volatile: Collection[str] = ()) -> list[Difference]:
    """Return what decides an outcome and is not the same in two runs.

    Args:
        here: The one run.
        asked: The other.
        volatile: Dotted names that may differ; a name covers what lies under it.

    Returns:
        The differences, in the order of the settings; a missing setting is None.
    """
    one, other = flat(here), flat(asked)
    return [
        Difference(name, one.get(name), other.get(name))
        for name in dict.fromkeys([*one, *other])
        if one.get(name) != other.get(name)
        and not any(name == free or name.startswith(f"{free}.") for free in volatile)
    ]


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


def short(value: object, limit: int = 60) -> str:
    """Write a value on one line of limited length."""
    text = json.dumps(value, ensure_ascii=False, default=str) if value is not None else "none"
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
