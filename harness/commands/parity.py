"""``libero-bench parity``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

if TYPE_CHECKING:
    from harness.parity.inputs import Comparison

FAILED = 1

_STAGES = 3


def parity_command(
    demo_file: Path,
    /,
    *,
    demo: int = 0,
    suite: str | None = None,
    task: str | None = None,
    checkpoint: str | None = None,
    layout: str | None = None,
    protocol: str = "openvla",
    resolution: int | None = None,
    instructions: Literal["name", "bddl"] | None = None,
    convention: Literal["before_action", "after_action"] | None = None,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Check that training on demonstrations sees what an evaluation will show.

    The simulator is put into states that the demonstration recorded, and what it shows there is
    compared: orientation, cameras and size of pictures, joints, hand, rotations, gripper; whether
    actions do what they did, whether observations belong to their rows, and whether RDT gets the
    same vectors. Exit code 1 if something failed.

    Parameters
    ----------
    demo_file
        An HDF5 file in LIBERO's format.
    demo
        Which demonstration in it.
    suite
        Its suite; by default what the file and its folder say.
    task
        Its task, an index or name; likewise.
    checkpoint
        A checkpoint whose contract is compared too: folder or hub name.
    layout
        Mapping to RDT's vector, by name or .toml file; the checkpoint's, or eef-velocity.
    protocol
        openvla, openpi, lerobot or libero: the evaluation's.
    resolution
        Pixels of the evaluation's pictures, if other than the protocol's.
    instructions
        What policies are told in training and evaluation: name or bddl, as eval has it.
    convention
        before_action or after_action: when observations were recorded, if other than what the file
        says.
    json
        Print the comparisons as JSON.
    """
    from harness.display import progress_bar
    from harness.processes import worker_variables
    from tasks.native_libraries import environment_variables

    # As workers have it, as far as libraries read it when they are imported, which is below.
    with (
        environment_variables(worker_variables(1)),
        progress_bar("Comparing", _STAGES, "part") as bar,
    ):
        import contextlib
        import io

        from tasks.errors import ConfigError
        from tasks.suites import import_libero

        import_libero()  # before robosuite is, which would warn
        from harness.parity.checks import check_demo
        from tasks.findings import none_failed

        if demo < 0:
            raise ConfigError(f"--demo {demo} is not allowed. Allowed: 0 or more.")
        stage = 0

        def report(what: str) -> None:
            nonlocal stage
            bar.at(stage, note=what)
            stage += 1

        with contextlib.redirect_stdout(io.StringIO()):  # LIBERO prints
            rows = check_demo(
                demo_file,
                index=demo,
                suite=suite,
                task=task,
                checkpoint=checkpoint,
                layout=layout,
                protocol=protocol,
                resolution=resolution,
                instructions=instructions,
                convention=convention,
                report=report,
            )
        bar.at(_STAGES)
    _print(rows, as_json=json)
    return 0 if none_failed(rows) else FAILED


def _print(rows: "list[Comparison]", *, as_json: bool) -> None:
    from tasks.findings import none_failed

    if as_json:
        from json import dumps

        plain = {"passed": none_failed(rows), "checks": [row.as_dict() for row in rows]}
        print(dumps(plain, indent=2, ensure_ascii=False))
        return
    from harness.display import findings_table, results_console

    columns = {"Demo": "demo", "Environment": "environment"}
    results_console().print(findings_table(rows, columns))
