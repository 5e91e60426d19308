"""Commands that check: ``doctor`` a machine, ``parity`` demonstrations, ``audit`` a training."""

import contextlib
import io
import os
from dataclasses import asdict, fields
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, validators

from harness.commands import Flat, Switch
from harness.display import findings_table, progress_bar, reasoned_findings_table, results_console
from harness.parity.config import ParityConfig
from harness.processes import worker_variables
from tasks.errors import SEVERITIES, Severity, none_failed
from tasks.libero_package import import_libero
from tasks.native_libraries import environment_variables

if TYPE_CHECKING:
    from training.audit.audit import AuditResult

FAILED = 1
CRITICAL = 1
"""Exit code of ``audit --strict`` where something is critical."""

_PARTS = 3
"""Steps that ``parity`` reports: reading, opening the task, acting the demonstration out."""
_AUDIT_WIDTH = 100
_LISTED_MISSING = 10

Positive = Annotated[int, Parameter(validator=validators.Number(gte=1))]


def doctor_command(
    *, quick: Switch = False, out: Path = Path("doctor"), json: Switch = False
) -> int:
    """Examine this machine: versions, rendering, images, physics, speed.

    Images and states are compared with golden ones and with LIBERO's own environment. The exit
    code is 1 if something failed.

    Parameters
    ----------
    quick
        Leave out what simulates: a few seconds instead of a minute or two.
    out
        Folder for images that differ from the golden ones; made only then.
    json
        Print the findings as JSON.
    """
    from harness.doctor.checks import CHECKS, CheckWorker, examine

    with CheckWorker() as worker, progress_bar("Examining", None, "check") as bar:
        findings = examine(
            CHECKS,
            out,
            quick=quick,
            report=lambda done, name: bar.at(done, total=len(CHECKS), note=name),
            attempt=worker.attempt,
        ).values()
        bar.at(len(CHECKS))
    healthy = none_failed(findings)
    if json:
        plain = {"healthy": healthy, "checks": list(map(asdict, findings))}
        print(dumps(plain, indent=2, ensure_ascii=False))
    else:
        results_console().print(findings_table(findings))
    return 0 if healthy else FAILED


def parity_command(
    demo_file: Path,
    /,
    config: Annotated[ParityConfig, Flat] = ParityConfig(),
    *,
    json: Switch = False,
) -> int:
    """Check that training on demonstrations sees what an evaluation will show.

    The simulator is put into states that the demonstration recorded, and what it shows there is
    compared: orientation, cameras and size of images, joints, hand, rotations, gripper; whether
    actions do what they did, whether observations belong to their rows, and whether RDT gets the
    same vectors. Exit code 1 if something failed.

    Parameters
    ----------
    demo_file
        An HDF5 file in LIBERO's format.
    json
        Print the comparisons as JSON.
    """
    # As workers have it, as far as libraries read it when they are imported, which is below.
    with (
        environment_variables(worker_variables(1)),
        progress_bar("Comparing", _PARTS, "part") as bar,
    ):
        import_libero()  # before robosuite is, which would warn
        from harness.parity.checks import check_demo

        parts: list[str] = []

        def report(part: str) -> None:
            bar.at(len(parts), note=part)
            parts.append(part)

        with contextlib.redirect_stdout(io.StringIO()):  # LIBERO prints
            comparisons = check_demo(demo_file, config, report)
        bar.at(_PARTS)
    passed = none_failed(comparisons)
    if json:
        plain = {"passed": passed, "checks": [each.as_dict() for each in comparisons]}
        print(dumps(plain, indent=2, ensure_ascii=False))
    else:
        columns = {"Demo": "demo", "Environment": "environment"}
        results_console().print(findings_table(comparisons, columns))
    return 0 if passed else FAILED


def audit_command(
    inputs: list[str],
    /,
    *,
    gpus: Positive | None = None,
    demos: Positive | None = None,
    layout: str | None = None,
    least: Severity = "info",
    strict: Switch = False,
    json: Switch = False,
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
    from training.audit.audit import audit

    result = audit(
        inputs,
        gpus=gpus,
        demos=demos,
        layout=layout,
        environment=os.environ,
        options=option_names(),
    )
    if json:
        print(dumps(result.as_dict(), indent=2, ensure_ascii=False))
    else:
        _print_audit(result, least)
    return CRITICAL if strict and result.count("critical") else 0


def option_names() -> dict[str, list[str]]:
    """Return the options of ``train`` and ``eval`` that are no settings of a training."""
    from harness.evaluation.config import EvaluationConfig, SweepConfig
    from policies.registry import PolicyConfig

    configs = (PolicyConfig, EvaluationConfig, SweepConfig)
    names = {field.name for config in configs for field in fields(config)}
    return {"train": ["json"], "eval": sorted({*names, "option", "json"} - {"name", "options"})}


def _print_audit(result: "AuditResult", least: Severity) -> None:
    console = results_console(_AUDIT_WIDTH)
    sources = dict.fromkeys(_short(source) for source in result.sources)
    console.print(f"Audited: {', '.join(sources)}\n")
    shown = SEVERITIES[: SEVERITIES.index(least) + 1]
    findings = [f for f in result.findings if f.status in shown]
    console.print(reasoned_findings_table(findings))
    counts = ", ".join(f"{result.count(s)} {s}" for s in SEVERITIES)
    console.print(f"\n{counts}. {len(result.passed)} rules found nothing.", style="bold")
    for note in result.notes:
        console.print(f"Note: {note}")
    for known, what in ((result.facts.trains, "training"), (result.facts.evaluates, "evaluation")):
        if not known:
            console.print(f"No input says anything of the {what}.")
    if missing := list(result.skipped):
        more = len(missing) - _LISTED_MISSING
        listed = "; ".join(missing[:_LISTED_MISSING])
        listed += f"; and {more} more (--json)" if more > 0 else ""
        unreadable = " in words that can be read" if result.facts.unreadable else ""
        console.print(f"Not judged, as no input says it{unreadable}: {listed}.")


def _short(source: str) -> str:
    return source if len(source) <= _AUDIT_WIDTH // 2 else f"…/{Path(source).name}"
