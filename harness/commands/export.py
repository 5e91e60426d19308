"""``libero-bench export``."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def export_command(
    run: Path,
    /,
    *,
    format: Literal["lerobot", "model-index"],
    out: Path | None = None,
    incomplete: Annotated[bool, Parameter(negative=())] = False,
    overwrite: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Write a run in another project's format.

    Parameters
    ----------
    run
        Folder of the run.
    format
        lerobot: the eval_info.json of lerobot-eval. model-index: YAML for the head of a model card
        on the Hugging Face Hub, with interval and protocol.
    out
        The file; standard output by default. A former export is replaced.
    incomplete
        Export a run too of which episodes are missing or broke.
    overwrite
        Replace a file that is no former export.
    """
    from results.exports import export_run, write_export

    text = export_run(run, format, incomplete=incomplete)
    if out is None:
        print(text, end="")
        return
    from harness.display import console

    write_export(out, text, overwrite=overwrite)
    console.print(f"Written: {out}")
