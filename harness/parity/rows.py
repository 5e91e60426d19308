"""What a comparison says: a row for each thing that is compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "warning", "failed"]
"""``failed``: a policy trained on such demonstrations is shown something else in an evaluation;
``warning``: something differs that this project's training does not read, or does not mind."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One comparison.

    Attributes:
        check: What is compared.
        demo: What the demonstration has, or what training makes of it.
        environment: What an evaluation has.
        verdict: Whether they agree.
        fix: What to do where they do not.
    """

    check: str
    demo: str
    environment: str
    verdict: Verdict = "ok"
    fix: str = ""


def passed(rows: Sequence[Row]) -> bool:
    """Whether nothing failed."""
    return all(row.verdict != "failed" for row in rows)


def graded(value: float, ok: float, warning: float) -> Verdict:
    """Judge a difference by the most that is fine and the most that is still no failure."""
    if value <= ok:
        return "ok"
    return "warning" if value <= warning else "failed"
