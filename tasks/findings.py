"""What a check finds: the one form of ``doctor``, ``parity``, ``demos check`` and ``audit``."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

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
