"""``libero-bench train``."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def train_command(
    *,
    demos: list[Path],
    out: Path,
    preset: str = "rdt-small",
    checkpoint: Path | None = None,
    updates: int = 2000,
    batch_size: int = 32,
    learning_rate: float = 1e-3,
    warmup: int = 100,
    schedule: Literal["cosine", "constant"] = "cosine",
    weight_decay: float = 0.01,
    clip: float = 1.0,
    ema: float = 0.995,
    loss: Literal["plain", "masked"] = "plain",
    image_shift: int = 0,
    condition_mask: float = 0.0,
    precision: Literal["no", "bf16", "fp16"] = "no",
    seed: int = 0,
    save_every: int = 250,
    threads: int = 0,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Fine-tune RDT on demonstrations.

    The result is OUT/checkpoint. A killed run resumes with the same command. Several GPUs or
    machines: accelerate launch -m harness.cli train ...

    Parameters
    ----------
    demos
        HDF5 files in LIBERO's format, or folders of them.
    out
        Folder of the run.
    preset
        Shape of a fresh network.
    checkpoint
        Weights to start from instead of fresh ones.
    updates
        Optimiser updates.
    batch_size
        Windows per process and update.
    learning_rate
        Peak learning rate.
    warmup
        Updates over which it rises.
    schedule
        What it does then.
    weight_decay
        Decoupled weight decay of AdamW.
    clip
        Largest norm of the gradient.
    ema
        Decay of the averaged weights that are saved; 0 for the raw ones.
    loss
        plain: over all 128 slots, as RDT is trained; masked: over the action's.
    image_shift
        Pictures are shifted at random by up to so many pixels.
    condition_mask
        Probability of hiding the state, and each picture, from a sample.
    precision
        Mixed precision.
    seed
        Of weights, order and noise.
    save_every
        Updates between states to resume from.
    threads
        CPU threads; 0 leaves it to torch.
    json
        Print the result as JSON.
    """
    from harness.display import console
    from harness.stages import train_with_bar
    from training.config import TrainingConfig

    config = TrainingConfig(
        demos=tuple(demos),
        out=out,
        preset=preset,
        checkpoint=checkpoint,
        updates=updates,
        batch_size=batch_size,
        learning_rate=learning_rate,
        warmup=warmup,
        schedule=schedule,
        weight_decay=weight_decay,
        clip=clip,
        ema=ema,
        loss=loss,
        image_shift=image_shift,
        condition_mask=condition_mask,
        precision=precision,
        seed=seed,
        save_every=save_every,
        threads=threads,
    )
    written = train_with_bar(config)
    if json:
        from json import dumps

        print(dumps({"checkpoint": str(written), "updates": updates}, indent=2))
    else:
        console.print(f"Checkpoint: {written}")
