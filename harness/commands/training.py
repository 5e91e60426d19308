"""Commands of training: ``train``, ``train-report``, ``export-checkpoint``, ``augment-preview``."""

from json import dumps
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter, validators

from harness.commands import Switch
from harness.display import console
from harness.training_stage import best_checkpoint, train_with_bar
from training.config import TrainingConfig
from training.data_settings import AugmentationSettings
from training.monitoring.report import draw_report


def train_command(
    config: Annotated[TrainingConfig, Parameter(name="*")], *, json: Switch = False
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
    checkpoint = train_with_bar(config)
    best = best_checkpoint(config)
    if json:
        result = {"checkpoint": str(checkpoint), "updates": config.updates}
        print(dumps(result | ({"best": str(best)} if best else {}), indent=2))
        return
    console.print(f"Checkpoint: {checkpoint}")
    if best:
        console.print(f"The best one: {best} ({best.resolve().name})")


def train_report_command(run: Path, /, *, out: Path | None = None) -> None:
    """Plot a training run: loss, gradient, learning rate, speed, error of sampled plans.

    Parameters
    ----------
    run
        Folder of the run.
    out
        The PNG to write; RUN/report.png by default.
    """
    console.print(f"Written: {draw_report(run, out or run / 'report.png')}")


def augment_preview_command(
    settings: Annotated[AugmentationSettings, Parameter(name="*")] = AugmentationSettings(),
    *,
    demos: Path,
    out: Path = Path("augmentation.png"),
    size: Annotated[int, Parameter(validator=validators.Number(gte=8, lte=1024))] = 64,
    rows: Annotated[int, Parameter(validator=validators.Number(gte=1, lte=64))] = 8,
    seed: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 0,
) -> None:
    """Draw what augmentation makes of demonstrations' images, as training would see them.

    Parameters
    ----------
    demos
        An HDF5 file, or a folder of them; the first demonstration is drawn.
    out
        The PNG to write.
    size
        Pixels of the encoder's images; 64 for rdt-small, 384 for SigLIP.
    rows
        Rows of examples, the first of which is as recorded.
    seed
        Of the draws.
    """
    from training.augmentation.pipeline import draw_preview

    written = draw_preview(demos, out, settings, size=size, rows=rows, seed=seed)
    console.print(f"Written: {written}")


def export_checkpoint_command(
    checkpoint: str,
    /,
    *,
    out: Path,
    format: Literal["pytorch", "safetensors"] = "pytorch",
    base: str | None = None,
) -> None:
    """Write the RDT of a checkpoint in the layout of the official code.

    It holds config.json and the weights of RDT. Of a checkpoint of ours, these are in fp32, and the
    contract and the encoders lie beside them: libero-bench takes the folder as the checkpoint that
    it was, while the official code knows neither our small encoders nor the layout of our actions.
    If states and actions were normalised, normalisation.json has the numbers alone; the official
    code must be taught to use them.

    Parameters
    ----------
    checkpoint
        Folder of the checkpoint, or a LoRA adapter, which is merged into its base.
    out
        A new or an empty folder.
    format
        pytorch: pytorch_model.bin; safetensors: model.safetensors.
    base
        What an adapter is merged into: a folder or a hub name.
    """
    from policies.rdt.checkpoint.export import export_checkpoint

    written, contract = export_checkpoint(checkpoint, out, file_format=format, base=base)
    console.print(f"Written: {written}")
    if contract is None:
        return
    console.print("contract.json and encoders.* beside the weights are for libero-bench.")
    if contract.normalisation.method != "none":
        console.print(
            f"Its states and actions are normalised ({contract.normalisation.method}), which the "
            "official code does not know: normalised = (value - offset) / scale, with the numbers "
            f"in {written / 'normalisation.json'}."
        )
