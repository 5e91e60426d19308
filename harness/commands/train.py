"""``libero-bench train``."""

from typing import Annotated

from cyclopts import Parameter

from training.config import TrainingConfig


def train_command(
    settings: Annotated[TrainingConfig, Parameter(name="*")],
    *,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Fine-tune RDT on demonstrations.

    The result is OUT/checkpoint. A killed run resumes with the same command. Several GPUs or
    machines: accelerate launch --multi_gpu --num_processes 8 -m harness.cli train ...

    Parameters
    ----------
    json
        Print the result as JSON.
    """
    from harness.display import console
    from harness.stages import train_with_bar

    written = train_with_bar(settings)
    if json:
        from json import dumps

        print(dumps({"checkpoint": str(written), "updates": settings.updates}, indent=2))
    else:
        console.print(f"Checkpoint: {written}")
