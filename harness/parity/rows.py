"""What a comparison of a demonstration with an evaluation found."""

from dataclasses import dataclass

from tasks.findings import Finding, Status


@dataclass(frozen=True, kw_only=True)
class Comparison(Finding):
    """One comparison.

    It is ``failed`` where a policy trained on such demonstrations is shown something else in an
    evaluation, and a ``warning`` where something differs that this project's training does not
    read, or does not mind.

    Attributes:
        demo: What the demonstration has, or what training makes of it.
        environment: What an evaluation has.
    """

    demo: str
    environment: str

    def as_dict(self) -> dict[str, str]:
        """Return the comparison as ``--json`` has it."""
        return {
            "check": self.name,
            "demo": self.demo,
            "environment": self.environment,
            "verdict": self.status,
            "fix": self.fix,
        }


def graded(value: float, ok: float, warning: float) -> Status:
    """Judge a difference by the most that is fine and the most that is still no failure."""
    if value <= ok:
        return "ok"
    return "warning" if value <= warning else "failed"
