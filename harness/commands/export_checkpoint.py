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
    encoders nor the layout of our actions, so these stay behind.

    Parameters
    ----------
    checkpoint
        Folder of the checkpoint.
    out
        A new or an empty folder.
    format
        pytorch: pytorch_model.bin; safetensors: model.safetensors.
    """
    from harness.display import console
    from policies.rdt.checkpoint import load_rdt
    from policies.rdt.official import export_official

    written = export_official(out, load_rdt(checkpoint), file_format=format)
    console.print(f"Written: {written}")
