"""An audit: facts are extracted from the inputs, and the rules applied to them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from policies.rdt.actions.layout_file import get_layout
from tasks.errors import SEVERITIES, Severity
from training.audit.facts import Facts, MissingFact
from training.audit.rules import RULES
from training.audit.rules.rule import AuditFinding
from training.audit.sections import SECTIONS
from training.audit.sources.contract import describe_layout
from training.audit.sources.extracted import ExtractedFacts, combine
from training.audit.sources.inputs import read_input


@dataclass(frozen=True, kw_only=True)
class AuditResult:
    """The outcome of an audit.

    Attributes:
        sources: The inputs that were read.
        findings: The worst first; among equals, in the order of the rules.
        passed: Rules that had the facts they need and found nothing.
        skipped: Missing facts, with the rules that need them.
        notes: On how inputs were read, and on their contradictions.
    """

    sources: tuple[str, ...]
    facts: Facts
    findings: tuple[AuditFinding, ...]
    passed: tuple[str, ...]
    skipped: dict[str, tuple[str, ...]]
    notes: tuple[str, ...]

    def count(self, severity: Severity) -> int:
        """Return how many findings are so severe."""
        return sum(finding.status == severity for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Return plain data; facts that no input states are left out."""
        facts = asdict(self.facts)
        return {
            "inputs": list(self.sources),
            "summary": {severity: self.count(severity) for severity in SEVERITIES},
            "findings": [finding.as_dict() for finding in self.findings],
            "passed": list(self.passed),
            "unjudged": {what: list(rules) for what, rules in self.skipped.items()},
            "notes": list(self.notes),
            "facts": {
                section: {
                    name: value for name, value in facts[section].items() if value is not None
                }
                for section in SECTIONS
            },
        }


def audit(
    inputs: Sequence[str],
    *,
    gpus: int | None = None,
    demos: int | None = None,
    layout: str | None = None,
    environment: Mapping[str, str] | None = None,
    options: Mapping[str, Collection[str]] | None = None,
) -> AuditResult:
    """Audit inputs together, so that training and evaluation are compared.

    Args:
        inputs: See ``sources.extracted.ALLOWED``.
        gpus: Processes of the training, where no input says it or another number is meant.
        demos: Demonstrations trained on.
        layout: Mapping to the unified vector that an official dataset script has.
        environment: Variables that scripts may use.
        options: Options of ``libero-bench train`` and ``eval`` that are no settings of a training,
            by command; without them, those of ``eval`` are not checked.

    Raises:
        ConfigError: An input cannot be read, or there is no such layout.
        HarnessError: A checkpoint cannot be used.
    """
    extractions = [
        extracted for name in inputs for extracted in read_input(name, environment, options)
    ]
    sources = tuple(extracted.source for extracted in extractions)
    extractions += _named_checkpoints(extractions)
    command_line = ExtractedFacts(source="the command line")
    command_line.set("training", processes=gpus, demos=demos)
    if layout is not None:
        mapping = get_layout(layout)
        command_line.set("trained", **describe_layout(mapping, training=True))
        command_line.default("evaluated", **describe_layout(mapping, training=False))
    facts, notes = combine([*extractions, command_line])
    findings, passed, skipped = _apply_rules(facts)
    return AuditResult(
        sources=sources,
        facts=facts,
        findings=tuple(findings),
        passed=tuple(passed),
        skipped={missing: tuple(names) for missing, names in skipped.items()},
        notes=tuple(notes),
    )


def _named_checkpoints(extractions: Sequence[ExtractedFacts]) -> list[ExtractedFacts]:
    """Read checkpoints of ours that evaluations name, unless they are inputs themselves."""
    inputs = {Path(extracted.source).resolve() for extracted in extractions}
    named = dict.fromkeys(e.checkpoint for e in extractions if e.checkpoint)
    contents = []
    for name in named:
        folder = Path(name)
        if (folder / "contract.json").is_file() and folder.resolve() not in inputs:
            contents += read_input(name)
    return contents


def _apply_rules(facts: Facts) -> tuple[list[AuditFinding], list[str], dict[str, list[str]]]:
    """Return findings, rules that found nothing, and missing facts with the rules they stop."""
    findings: list[AuditFinding] = []
    passed: list[str] = []
    skipped: dict[str, list[str]] = {}
    for rule in RULES:
        try:
            finding = rule.check(facts)
        except MissingFact as missing:
            skipped.setdefault(str(missing), []).append(rule.name)
            continue
        if finding is None:
            passed.append(rule.name)
        else:
            findings.append(finding)
    findings.sort(key=lambda finding: SEVERITIES.index(finding.status))
    return findings, passed, skipped
