"""Going through a list of checks."""

import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tasks.errors import HarnessError
from tasks.findings import Finding, failure


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


Attempt = Callable[[Check, Path], Finding]
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
            finding = Finding(status="skipped", detail="left out by --quick")
        elif missing:
            finding = Finding(status="skipped", detail=f"needs {', '.join(missing)}")
        else:
            finding = (attempt or attempt_here)(check, folder)
        findings[check.name] = replace(finding, name=check.name)
    return findings


def attempt_here(check: Check, folder: Path) -> Finding:
    """Do a check in this process; whatever it raises is a failure."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # LIBERO prints; standard output is ours
            return check.run(folder)
    except HarnessError as error:
        return failure(error)
    except Exception as error:
        words = " ".join(str(error).split()) or "no message"
        detail = f"{type(error).__name__}: {words[:300]}"
        return Finding(status="failed", detail=detail, fix="Reinstall with: make setup")
