"""``libero-bench export-checkpoint``."""

from pathlib import Path
from typing import Literal


def export_checkpoint_command(
    checkpoint: Path,
    /,
    *,
    out: Path,
    format: Literal["pytorch", "safetensors"] = "pytorch",
) -> None:
    """Write the RDT of a checkpoint of ours in the layout of the official code.

    It holds config.json and the weights of RDT, in fp32. The official code knows neither our small
    encoders nor the layout of our actions, so these stay behind. If states and actions were
    normalised, normalisation.json has the numbers; the official code must be taught to use them.

    Parameters
    ----------
    checkpoint
        Folder of the checkpoint.
    out
        A new or an empty folder.
    format
        pytorch: pytorch_model.bin; safetensors: model.safetensors.
    """
    from json import dumps

    from harness.display import console
    from policies.rdt.checkpoint import load_contract, load_rdt
    from policies.rdt.official import export_official

    normalisation = load_contract(checkpoint).normalisation
    written = export_official(out, load_rdt(checkpoint), file_format=format)
    console.print(f"Written: {written}")
    if normalisation.method != "none":
        beside = written / "normalisation.json"
        beside.write_text(dumps(normalisation.as_plain(), indent=2) + "\n", encoding="utf-8")
        console.print(
            f"Its states and actions are normalised ({normalisation.method}), which the official "
            f"code does not know: normalised = (value - offset) / scale, with the numbers in "
            f"{beside}."
        )
