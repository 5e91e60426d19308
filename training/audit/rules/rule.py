"""A rule of the audit: the facts it needs, its condition, and the texts of its finding."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

from tasks.errors import Finding, Severity
from training.audit.facts import Facts


@dataclass(frozen=True, kw_only=True)
class AuditFinding(Finding):
    """A finding whose name is the rule's, whose status the severity and whose detail the input.

    Attributes:
        expected: The right value.
        why: The consequence, in a sentence or two.
        source: The evidence: code, a paper, a measurement.
    """

    expected: str
    why: str
    source: str

    def as_dict(self) -> dict[str, str]:
        """Return the finding as ``--json`` has it."""
        return {
            "severity": self.status,
            "found": self.detail,
            "expected": self.expected,
            "why": self.why,
            "source": self.source,
            "fix": self.fix,
            "rule": self.name,
        }


class Texts(TypedDict, total=False):
    """Severity and texts of a finding, as ``AuditFinding`` has them."""

    severity: Severity
    expected: str
    why: str
    source: str
    fix: str


class Violation:
    """A violation of a rule: the input's value, and texts that replace the rule's own."""

    def __init__(self, detail: str, **texts: Unpack[Texts]) -> None:
        """Describe the input's value in ``detail``."""
        self.detail = detail
        self.texts = texts


Condition = Callable[..., Violation | str | None]
"""Takes the facts and the values of those that the rule needs. Returns the violation, the input's
value alone, or None; may raise ``MissingFact``."""


@dataclass(frozen=True)
class Rule:
    """A rule on the facts.

    Attributes:
        name: Theme and rule, such as ``optimisation/effective-batch``.
        needs: Names of facts without which the rule is skipped, such as ``training.updates``.
        texts: Severity and texts of its finding, unless the condition gives others.
    """

    name: str
    needs: tuple[str, ...]
    condition: Condition
    texts: Texts

    def check(self, facts: Facts) -> AuditFinding | None:
        """Return the finding, or None where nothing is wrong.

        Raises:
            MissingFact: A fact that the rule needs is not known.
        """
        values: list[Any] = [facts.need(name) for name in self.needs]
        violation = self.condition(facts, *values)
        if violation is None:
            return None
        if isinstance(violation, str):
            violation = Violation(violation)
        texts: Texts = {**self.texts, **violation.texts}
        return AuditFinding(
            name=self.name,
            status=texts["severity"],
            detail=violation.detail,
            expected=texts["expected"],
            why=texts["why"],
            source=texts["source"],
            fix=texts.get("fix", ""),
        )


def rule(name: str, *needs: str, **texts: Unpack[Texts]) -> Callable[[Condition], Rule]:
    """Make a rule of the decorated condition; for the arguments see ``Rule``."""

    def make(condition: Condition) -> Rule:
        return Rule(name=name, needs=needs, condition=condition, texts=texts)

    return make
