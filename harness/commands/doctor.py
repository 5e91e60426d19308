"""``libero-bench doctor``."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


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
    from harness.doctor.checks import CHECKS, CheckWorker, examine
    from tasks.findings import none_failed

    with CheckWorker() as worker, progress_bar("Examining", None, "check") as bar:
        findings = examine(
            CHECKS,
            out,
            quick=quick,
            report=lambda done, name: bar.at(done, total=len(CHECKS), note=name),
            attempt=worker.attempt,
        )
        bar.at(len(CHECKS))
    healthy = none_failed(findings.values())
    if json:
        from dataclasses import asdict
        from json import dumps

        lines = [asdict(finding) for finding in findings.values()]
        print(dumps({"healthy": healthy, "checks": lines}, indent=2, ensure_ascii=False))
    else:
        from harness.display import findings_table, results_console

        results_console().print(findings_table(findings.values()))
    return 0 if healthy else 1
