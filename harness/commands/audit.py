"""``libero-bench audit``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

if TYPE_CHECKING:
    from training.audit.audit import AuditResult

CRITICAL = 1
"""Exit code of ``--strict`` where something is critical."""

_WIDTH = 100
_LISTED_MISSING = 10


def audit_command(
    inputs: list[str],
    /,
    *,
    gpus: int | None = None,
    demos: int | None = None,
    layout: str | None = None,
    least: Literal["critical", "major", "minor", "info"] = "info",
    strict: Annotated[bool, Parameter(negative=())] = False,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Say what is wrong with how a policy is trained and evaluated, why, and what to change.

    Nothing is run. Give training and evaluation together, and differences between them are found.

    Parameters
    ----------
    inputs
        Shell scripts; Python files that start commands; commands in quotation marks (accelerate
        launch ... main.py ..., libero-bench train ..., an evaluation); runs of train or eval;
        recipes; checkpoints; requirements.txt; or TOML files that state facts, such as
        [trained] control_hz = 25.
    gpus
        Processes of the training, if no input says it.
    demos
        Demonstrations it is trained on.
    layout
        Mapping of states and actions that an official dataset script has: a name or a TOML file.
    least
        Least severity to show.
    strict
        Exit with 1 if something is critical.
    json
        Print everything as JSON.
    """
    import os

    from tasks.errors import ConfigError
    from training.audit.audit import audit

    for name, number in (("gpus", gpus), ("demos", demos)):
        if number is not None and number < 1:
            raise ConfigError(f"--{name} {number} is not allowed. Allowed: 1 or more.")
    result = audit(
        inputs,
        gpus=gpus,
        demos=demos,
        layout=layout,
        environment=os.environ,
        options=_own_options(),
    )
    if json:
        from json import dumps

        print(dumps(_as_json(result), indent=2, ensure_ascii=False))
    else:
        _show(result, least)
    return CRITICAL if strict and result.count("critical") else 0


def _own_options() -> dict[str, list[str]]:
    """Return the options of our commands that are no settings of a training."""
    from inspect import get_annotations

    from harness.commands.evaluate import evaluate_command
    from harness.commands.train import train_command

    return {
        "train": [*get_annotations(train_command)],
        "eval": [*get_annotations(evaluate_command)],
    }


def _as_json(result: "AuditResult") -> dict[str, Any]:
    from dataclasses import asdict

    from training.audit.facts import SECTIONS
    from training.audit.rules.rule import SEVERITIES

    facts = asdict(result.facts)
    return {
        "inputs": list(result.sources),
        "summary": {severity: result.count(severity) for severity in SEVERITIES},
        "findings": [finding.as_dict() for finding in result.findings],
        "passed": list(result.passed),
        "unjudged": {what: list(rules) for what, rules in result.skipped.items()},
        "notes": list(result.notes),
        "facts": {
            section: {name: value for name, value in facts[section].items() if value is not None}
            for section in SECTIONS
        },
    }


def _show(result: "AuditResult", least: str) -> None:
    from harness.display import findings_table, results_console
    from training.audit.rules.rule import SEVERITIES

    console = results_console(_WIDTH)
    sources = dict.fromkeys(_short(source) for source in result.sources)
    console.print(f"Audited: {', '.join(sources)}\n")
    shown = SEVERITIES[: [*SEVERITIES].index(least) + 1]  # type: ignore[arg-type]
    findings = [f for f in result.findings if f.status in shown]
    console.print(findings_table(findings, reasons=("expected", "why", "source")))
    console.print()
    counts = ", ".join(f"{result.count(s)} {s}" for s in SEVERITIES)
    console.print(f"{counts}. {len(result.passed)} rules found nothing.", style="bold")
    for note in result.notes:
        console.print(f"Note: {note}")
    for known, what in ((result.facts.trains, "training"), (result.facts.evaluates, "evaluation")):
        if not known:
            console.print(f"No input says anything of the {what}.")
    if missing := list(result.skipped):
        more = len(missing) - _LISTED_MISSING
        listed = "; ".join(missing[:_LISTED_MISSING]) + (f"; and {more} more (--json)" * (more > 0))
        unreadable = " in words that can be read" if result.facts.unreadable else ""
        console.print(f"Not judged, as no input says it{unreadable}: {listed}.")


def _short(source: str) -> str:
    return source if len(source) <= _WIDTH // 2 else f"…/{Path(source).name}"
