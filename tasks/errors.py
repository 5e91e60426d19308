"""The errors a user can cause, each with what was given, what is allowed and the fix; findings.

The command line prints an error as one line and exits with code 2; nothing else is caught there. A
finding is the one form in which ``doctor``, ``parity``, ``demos check`` and ``audit`` report.
"""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from pydantic import ValidationError


_LISTED = 3


class HarnessError(Exception):
    """Base of every error that a user can cause and mend."""


class ConfigError(HarnessError):
    """A setting has a value that is not allowed."""


class PrerequisiteError(HarnessError):
    """Something that must be installed or present is not; the message says how to get it."""


class SpecMismatchError(HarnessError):
    """Two parts do not fit together, such as a checkpoint and a protocol."""


class SimulatorError(HarnessError):
    """The simulator could not do what was asked of it."""


class ResultsError(Exception):
    """A run or a number is not as it must be.

    The message is one line and says what was given, what is allowed and the fix.
    """


def unknown_name(kind: str, given: object, allowed: Iterable[str]) -> ConfigError:
    """Build the error for a name that is not known.

    Args:
        kind: What the name stands for, such as ``"suite"``.
        given: What the user gave.
        allowed: All valid names.

    Returns:
        A ``ConfigError`` naming the valid names and the nearest one.
    """
    names = list(allowed)
    near = difflib.get_close_matches(str(given), names, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    shown = ", ".join(names) if len(names) <= 24 else f"{', '.join(names[:24])}, … ({len(names)})"
    said = str(given) if len(str(given)) <= 80 else f"{str(given)[:80]}…"
    return ConfigError(f"Unknown {kind} '{said}'. Allowed: {shown}.{hint}")


_ALTERNATIVES = ("int", "float", "str", "bool", "none")
"""What pydantic adds to the place of a mistake in a setting of several types; like
``literal['measured']``, which has brackets, it is no setting's name."""


def first_mistake(error: "ValidationError") -> tuple[str, str]:
    """Return the setting that pydantic refused first, and why; misspelt settings come first.

    Args:
        error: What pydantic raised.

    Returns:
        The setting's name, dotted, and a sentence without a full stop.
    """
    mistakes = error.errors(include_url=False)
    unknown = [
        m for m in mistakes if m["type"] in ("unexpected_keyword_argument", "extra_forbidden")
    ]
    chosen = (unknown or mistakes)[0]
    parts = [str(part) for part in chosen["loc"]]
    named = (part for part in parts if "[" not in part and part not in _ALTERNATIVES)
    place = ".".join(named) or "setting"
    if unknown:
        return place, "there is no such setting"
    if chosen["type"].startswith("missing"):
        return place, "it must be given"
    given = chosen.get("input")
    shown = "" if isinstance(given, dict) else f"{given!r} given; "
    why = chosen["msg"].replace("a valid tuple", "a list").replace("a valid dictionary", "a table")
    return place, shown + why[:1].lower() + why[1:]


def differing_settings(there: Mapping[str, object], asked: Mapping[str, object]) -> str:
    """Say in words which settings differ, such as ``updates: 100 there, 200 asked``.

    Args:
        there: What some finished work was made with.
        asked: What is asked now; settings that only ``there`` has are not compared.

    Returns:
        The differences with ``; `` between them, empty if there are none.
    """
    return "; ".join(
        f"{name}: {there.get(name)!r} there, {value!r} asked"
        for name, value in asked.items()
        if there.get(name) != value
    )


def list_some(what: str, names: Iterable[str]) -> str:
    """Give ``what: a, b, c, … (17 in all)``, or nothing where there are no names."""
    ordered = sorted(names)
    if not ordered:
        return ""
    shown = ", ".join(one_line(name) for name in ordered[:_LISTED])
    rest = f", … ({len(ordered)} in all)" if len(ordered) > _LISTED else ""
    return f"{what}: {shown}{rest}"


def one_line(name: str) -> str:
    """Make a name from a stranger's file fit to be shown: it may be long and hold anything."""
    printable = "".join(c if c.isprintable() else "?" for c in name[:200])
    return printable if len(name) <= len(printable) else printable + "…"


Status = Literal["ok", "warning", "failed", "skipped"]
"""``warning`` is for what works but differs; ``skipped`` for what was not looked at."""

Severity = Literal["critical", "major", "minor", "info"]
"""How bad an audit finds something, from the worst."""

SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""From the worst. ``critical``: success is unlikely, or training is not what it seems; ``major``:
can cost tens of percentage points, or what was asked for does not happen; ``minor``: costs
something, or makes the result hard to judge; ``info``: nothing to mend."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a check found.

    Attributes:
        name: What was looked at. A check that is one of a list leaves it empty; the list knows it.
        status: Whether it is as it should be; of an audit, how bad it is.
        detail: What was found, a clause without a full stop.
        fix: What to do about it; empty where nothing is to be done.
    """

    name: str = ""
    status: Status | Severity = "ok"
    detail: str = ""
    fix: str = ""


def none_failed(findings: Iterable[Finding]) -> bool:
    """Whether nothing failed."""
    return all(finding.status != "failed" for finding in findings)


def failure(error: Exception, name: str = "") -> Finding:
    """Return the failure that an error of ours stands for; its message names the fix."""
    detail, _, fix = " ".join(str(error).split()).partition(" Fix: ")
    return Finding(name=name, status="failed", detail=detail or "no message", fix=fix)
