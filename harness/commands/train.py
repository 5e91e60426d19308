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

    The result is OUT/checkpoint, and with --eval-every or --sample-period OUT/checkpoints/best. A
    killed run resumes with the same command. Several GPUs or machines: accelerate launch
    --multi_gpu --num_processes 8 -m harness.cli train ...

    Parameters
    ----------
    json
        Print the result as JSON.
    """
    from harness.display import console
    from harness.stages import best_checkpoint, train_with_bar

    written = train_with_bar(settings)
    best = best_checkpoint(settings)
    if json:
        from json import dumps

        found = {"checkpoint": str(written), "updates": settings.updates}
        print(dumps(found | ({"best": str(best)} if best else {}), indent=2))
        return
    console.print(f"Checkpoint: {written}")
    if best:
        console.print(f"The best one: {best} ({best.resolve().name})")
