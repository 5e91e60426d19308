"""``libero-bench doctor``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from rich.table import Table

    from harness.findings import Finding


def doctor_command(
    *,
    quick: Annotated[bool, Parameter(negative=())] = False,
    out: Path = Path("doctor"),
    json: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Examine this machine: versions, rendering, pictures, physics, speed.

    Pictures and states are compared with golden ones and with LIBERO's own environment. The exit
    code is 1 if something failed.

    Parameters
    ----------
    quick
        Leave out what simulates: a few seconds instead of a minute or two.
    out
        Folder for pictures that differ from the golden ones; made only then.
    json
        Print the findings as JSON.
    """
    from harness.display import progress_bar
    from harness.doctor.checklist import CHECKS
    from harness.doctor.worker import Worker
    from harness.findings import examine, healthy

    with Worker() as worker, progress_bar("Examining", None, "check") as bar:
        findings = examine(
            CHECKS,
            out,
            quick=quick,
            report=lambda done, name: bar.at(done, total=len(CHECKS), note=name),
            attempt=worker.attempt,
        )
        bar.at(len(CHECKS))
    if json:
        from dataclasses import asdict
        from json import dumps

        lines = [{"name": name, **asdict(found)} for name, found in findings.items()]
        print(dumps({"healthy": healthy(findings), "checks": lines}, indent=2, ensure_ascii=False))
    else:
        from harness.display import results_console

        results_console().print(_table(findings))
    return 0 if healthy(findings) else 1


def _table(findings: "dict[str, Finding]") -> "Table":
    from rich.table import Table

    from harness.display import verdict_cell, with_fix

    table = Table("", "Check", "Found", box=None, pad_edge=False)
    for name, found in findings.items():
        table.add_row(verdict_cell(found.status), name, with_fix(found.detail, found.fix))
    return table
