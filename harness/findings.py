"""Checks, what they find, and going through a list of them."""

import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Status = Literal["ok", "warning", "failed", "skipped"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a check found.

    Attributes:
        status: ``warning`` is for what works but differs; ``skipped`` for what was not looked at.
        detail: What was found, a clause without a full stop.
        fix: What to do about it; empty where nothing is to be done.
    """

    status: Status
    detail: str
    fix: str = ""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One line of the examination.

    Attributes:
        name: What the line is called.
        run: Does the check; it is given a folder for pictures of what is wrong, which need not
            exist yet. Whatever it raises is a failure.
        needs: Names of earlier checks without which this one makes no sense.
        slow: Whether it takes more than a few seconds.
        simulates: Whether it is about what a worker process simulates, and is to be done in one.
    """

    name: str
    run: Callable[[Path], Finding]
    needs: tuple[str, ...] = ()
    slow: bool = False
    simulates: bool = False


Attempt = Callable[[Check, Path], "Finding"]
"""Does a check, and makes a finding of whatever it raises."""
Report = Callable[[int, str], None]
"""Is told how many checks are done and the name of the next."""


def examine(
    checks: Sequence[Check],
    folder: Path,
    *,
    quick: bool = False,
    report: Report | None = None,
    attempt: Attempt | None = None,
) -> dict[str, Finding]:
    """Go through checks in order.

    Args:
        checks: The checks; each comes after those it needs.
        folder: For pictures of what is wrong.
        quick: Leave out the slow ones.
        report: Called before each check.
        attempt: Does a check; ``attempt_here`` by default.

    Returns:
        What each found, by its name.
    """
    findings: dict[str, Finding] = {}
    for number, check in enumerate(checks):
        if report is not None:
            report(number, check.name)
        missing = [name for name in check.needs if findings[name].status in ("failed", "skipped")]
        if quick and check.slow:
            findings[check.name] = Finding(status="skipped", detail="left out by --quick")
        elif missing:
            findings[check.name] = Finding(status="skipped", detail=f"needs {', '.join(missing)}")
        else:
            findings[check.name] = (attempt or attempt_here)(check, folder)
    return findings


def healthy(findings: dict[str, Finding]) -> bool:
    """Whether nothing failed."""
    return all(finding.status != "failed" for finding in findings.values())


def attempt_here(check: Check, folder: Path) -> Finding:
    """Do a check in this process; whatever it raises is a failure."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # LIBERO prints; standard output is ours
            return check.run(folder)
    except Exception as error:
        from tasks.errors import HarnessError

        words = " ".join(str(error).split()) or "no message"
        if isinstance(error, HarnessError):  # its message names the fix
            detail, _, fix = words.partition(" Fix: ")
            return Finding(status="failed", detail=detail, fix=fix)
        detail = f"{type(error).__name__}: {words[:300]}"
        return Finding(status="failed", detail=detail, fix="Reinstall with: make setup")
