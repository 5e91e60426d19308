"""What a rule finds, and going through all rules."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self, cast, get_args

from tasks.findings import Finding, Severity
from training.audit.facts import Facts, Unjudged

SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""From the worst. ``critical``: success is unlikely, or training is not what it seems; ``major``:
can cost tens of percentage points, or what was asked for does not happen; ``minor``: costs
something, or makes the result hard to judge; ``info``: nothing to mend."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a rule says where it fires.

    Attributes:
        severity: How bad it is.
        found: What the input has.
        expected: What would be right.
        why: What it does, in a sentence or two.
        source: Where that is known from: code, a paper, a measurement.
        fix: What to change, the flag where there is one; empty where nothing is to be done.
    """

    severity: Severity
    found: str
    expected: str
    why: str
    source: str
    fix: str = ""


@dataclass(frozen=True)
class Rule:
    """One thing that can be wrong.

    Attributes:
        name: Theme and rule, such as ``optimisation/effective-batch``.
        check: Says what it found, or None; raises ``Unjudged`` if it has to know more.
    """

    name: str
    check: Callable[[Facts], Found | None]


@dataclass(frozen=True, kw_only=True)
class AuditFinding(Finding):
    """What a rule found; its name is the rule's, its status the severity.

    Attributes:
        expected: What would be right.
        why: What it does, in a sentence or two.
        source: Where that is known from.
    """

    expected: str
    why: str
    source: str

    @classmethod
    def of(cls, rule: str, found: Found) -> Self:
        """Return what a rule found."""
        return cls(
            name=rule,
            status=found.severity,
            detail=found.found,
            expected=found.expected,
            why=found.why,
            source=found.source,
            fix=found.fix,
        )

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


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The outcome of an audit.

    Attributes:
        findings: The worst first; among equals, in the order of the rules.
        passed: Rules that had what they needed and found nothing.
        unjudged: What is not known, with the rules that would have to know it.
    """

    findings: tuple[AuditFinding, ...]
    passed: tuple[str, ...]
    unjudged: dict[str, tuple[str, ...]]

    def count(self, severity: Severity) -> int:
        """Return how many findings are so severe."""
        return sum(finding.status == severity for finding in self.findings)


def judge(facts: Facts, rules: Sequence[Rule]) -> Verdict:
    """Go through rules.

    Args:
        facts: What is known.
        rules: From the one whose matter weighs most.
    """
    findings: list[AuditFinding] = []
    passed: list[str] = []
    unjudged: dict[str, list[str]] = {}
    for rule in rules:
        try:
            found = rule.check(facts)
        except Unjudged as lacking:
            unjudged.setdefault(str(lacking), []).append(rule.name)
            continue
        if found is None:
            passed.append(rule.name)
        else:
            findings.append(AuditFinding.of(rule.name, found))
    findings.sort(key=lambda finding: SEVERITIES.index(cast(Severity, finding.status)))
    return Verdict(
        findings=tuple(findings),
        passed=tuple(passed),
        unjudged={what: tuple(names) for what, names in unjudged.items()},
    )
