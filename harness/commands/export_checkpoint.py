"""``libero-bench export-checkpoint``."""

from pathlib import Path
from typing import Literal


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
    from harness.display import console
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
