"""``libero-bench augment-preview``."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators

from training.config_sections import AugmentationSettings


def augment_preview_command(
    settings: Annotated[AugmentationSettings | None, Parameter(name="*")] = None,
    *,
    demos: Path,
    out: Path = Path("augmentation.png"),
    size: Annotated[int, Parameter(validator=validators.Number(gte=8, lte=1024))] = 64,
    rows: Annotated[int, Parameter(validator=validators.Number(gte=1, lte=64))] = 8,
    seed: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 0,
) -> None:
    """Draw what augmentation makes of demonstrations' pictures, as training would see them.

    Parameters
    ----------
    demos
        An HDF5 file, or a folder of them; the first demonstration is drawn.
    out
        The PNG to write.
    size
        Pixels of the encoder's pictures; 64 for rdt-small, 384 for SigLIP.
    rows
        Rows of examples, the first of which is as recorded.
    seed
        Of the draws.
    """
    from harness.display import console
    from training.augmentation.pipeline import draw_preview

    chosen = settings or AugmentationSettings()
    console.print(f"Written: {draw_preview(demos, out, chosen, size=size, rows=rows, seed=seed)}")
