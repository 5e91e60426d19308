"""Facts about a checkpoint, read from its headers; the numbers are only searched for NaN."""

import dataclasses
import json
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from policies.rdt.actions.layout_file import get_layout
from policies.rdt.checkpoint.contract import Contract
from policies.rdt.checkpoint.loading import find_parts, read_older_normalisation
from policies.rdt.checkpoint.location import (
    OfficialFiles,
    Weights,
    find_official,
    is_own_checkpoint,
)
from policies.rdt.checkpoint.official import (
    OFFICIAL_CAMERAS,
    find_mismatch,
    official_contract,
    open_fitting,
)
from policies.rdt.checkpoint.storage import open_encoders, read_parts
from policies.rdt.checkpoint.weights import StoredWeights, nonfinite_tensors, read_json
from policies.rdt.model.config import RDTConfig
from policies.rdt.model.presets import PRESETS
from policies.rdt.model.shapes import element_count, tensor_count

Kind = Literal["libero-bench", "official", "deepspeed", "ema"]
"""Who wrote a checkpoint: this project, the official code, DeepSpeed; or averaged weights."""

_NORM_UNKNOWN = (
    "The file does not say. Weights trained with timm 1.0.12 or older, the official code's pin, "
    "need variance; with timm 1.0.13 or newer, mean_square. To settle it, load them both ways "
    "(load_official with norm=...) and compare compute_loss on the demonstrations they were "
    "trained on: the right one is lower."
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inspection:
    """Facts about a checkpoint.

    Attributes:
        source: The checkpoint as the user named it.
        weights: The weight file, or the index of several.
        which: ``raw`` or ``ema``.
        ema: Averaged weights, if there are any.
        disk_bytes: Size of the folder, or of the weight file that was named.
        preset: Name of the published shape, if it has one.
        dtypes: Number of parameters by dtype.
        encoder_parameters: Numbers in the encoders saved along; 0 where none are.
        mismatch: Differences between tensors and config; empty if there are none.
        notes: Peculiarities of reading the weights.
        nonfinite: Tensors that hold NaN or infinity; None if not searched for.
        norm: None for official checkpoints, which do not say.
        contract: For official checkpoints, the assumed one.
        needs: Encoders that an evaluation must be given.
        given: Options of this inspection that an evaluation must be given too, by name.
    """

    source: str
    folder: Path
    kind: Kind
    weights: Path
    which: str
    ema: Path | None
    disk_bytes: int
    config: RDTConfig
    preset: str | None
    tensors: int
    parameters: int
    dtypes: dict[str, int]
    encoder_parameters: int
    mismatch: str
    notes: tuple[str, ...]
    nonfinite: list[str] | None
    norm: str | None
    norm_hint: str
    contract: Contract
    needs: tuple[str, ...]
    given: dict[str, str]

    @property
    def healthy(self) -> bool:
        """Whether the weights fit the config and no NaN or infinity was found."""
        return not self.mismatch and not self.nonfinite

    def as_dict(self) -> dict[str, Any]:
        """Return the facts as plain data for JSON."""
        plain: dict[str, Any] = TypeAdapter(Inspection).dump_python(self, mode="json")
        plain["config"] = self.config.to_hub()
        plain["contract"] = json.loads(self.contract.to_json())
        plain["camera_slots"] = list(_camera_slots(self))
        return plain | {"healthy": self.healthy}


def inspect_checkpoint(
    source: Path | str,
    *,
    weights: Weights = "auto",
    check_numbers: bool = True,
    base: str | None = None,
    config: str | None = None,
    layout: str | None = None,
) -> Inspection:
    """Inspect a checkpoint without building a model.

    Args:
        source: Folder, weight file or hub name; see ``location.find_official``.
        weights: Which weights to inspect.
        check_numbers: Read all numbers once, in search of NaN and infinity.
        base: The checkpoint that an adapter is merged into.
        config: The ``config.json`` of weights that have none beside them, or its folder.
        layout: Mapping to the unified vector, where the checkpoint does not say it.

    Raises:
        ConfigError: It is no checkpoint, or a file is damaged or not to be trusted.
        SpecMismatchError: A newer version wrote it, or its contract, configs and encoders do not
            belong together.
        PrerequisiteError: It is on the hub and the hub cannot be reached.
    """
    path, adapter = find_parts(source, base, weights)
    files = find_official(path, weights=weights, config=config)
    own = is_own_checkpoint(files.folder)
    parts = read_parts(files.folder) if own else None
    shape = RDTConfig.from_hub(read_json(files.config)) if parts is None else parts.config
    stored = open_fitting(files, shape)
    mismatch = find_mismatch(shape, stored)
    if adapter is not None and not mismatch:
        stored = adapter.merged_into(stored)
    encoders = None if parts is None else open_encoders(parts)
    mapping = None if layout is None else get_layout(layout)
    if parts is None:
        contract = official_contract(shape, mapping, read_older_normalisation(path, mapping))
    else:
        contract = parts.contract
        if mapping is not None:
            contract.check_layout(mapping)
    inspected = [stored] if encoders is None else [stored, encoders]
    options = {"base": base, "config": config, "layout": None if own else layout}
    return Inspection(
        source=str(source),
        folder=files.folder if adapter is None else adapter.folder,
        kind=_kind(files, stored, own),
        weights=(stored if adapter is None else adapter.stored).source,
        which=files.which,
        ema=files.ema,
        disk_bytes=_size(files, Path(source)),
        config=shape,
        preset=next((name for name, p in PRESETS.items() if _same_shape(p.rdt, shape)), None),
        tensors=len(stored.shapes),
        parameters=element_count(stored.shapes),
        dtypes=stored.parameters_by_dtype,
        encoder_parameters=0 if encoders is None else element_count(encoders.shapes),
        mismatch=mismatch,
        notes=tuple(note for tensors in inspected for note in tensors.notes),
        nonfinite=sorted(key for tensors in inspected for key in nonfinite_tensors(tensors))
        if check_numbers
        else None,
        norm=contract.norm if own else None,
        norm_hint=f"The contract says {contract.norm}." if own else _NORM_UNKNOWN,
        contract=contract,
        needs=() if encoders is not None and encoders.shapes else _needs(contract),
        given={name: value for name, value in options.items() if value is not None},
    )


def _kind(files: OfficialFiles, stored: StoredWeights, own: bool) -> Kind:
    if own:
        return "libero-bench"
    if files.which == "ema":
        return "ema"
    return "deepspeed" if stored.kind == "deepspeed" else "official"


def _needs(contract: Contract) -> tuple[str, ...]:
    return (
        f"image encoder {contract.image_encoder} (option siglip)",
        f"text encoder {contract.text_encoder} (option t5), or instructions encoded before "
        "(option language_cache)",
    )


def _camera_slots(inspection: Inspection) -> tuple[str | None, ...]:
    """List the cameras in RDT's image slots of one control step; None shows the background."""
    if inspection.kind != "libero-bench":
        return OFFICIAL_CAMERAS
    contract = inspection.contract
    return tuple(None if c in contract.missing_cameras else c for c in contract.cameras)


def _same_shape(preset: RDTConfig, config: RDTConfig) -> bool:
    return tensor_count(preset) == tensor_count(config) and (
        dataclasses.replace(config, noise_scheduler=preset.noise_scheduler, ema=preset.ema)
        == preset
    )


def _size(files: OfficialFiles, source: Path) -> int:
    if source.is_file():
        return source.stat().st_size
    return sum(file.stat().st_size for file in files.folder.rglob("*") if file.is_file())
