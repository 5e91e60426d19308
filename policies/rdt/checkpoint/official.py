"""Checkpoints in the official layout: the hub's, DeepSpeed's, and averaged weights beside them."""

import dataclasses
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch

from policies.rdt.actions.layout import DEFAULT_LAYOUT, Layout
from policies.rdt.actions.layout_file import get_layout
from policies.rdt.actions.normalisation import Normalisation
from policies.rdt.checkpoint.contract import ANY_SIZE, Contract
from policies.rdt.checkpoint.location import CONFIG, OfficialFiles, Weights, find_official
from policies.rdt.checkpoint.lora import Adapter
from policies.rdt.checkpoint.untrusted_files import DTYPES
from policies.rdt.checkpoint.weights import (
    StoredWeights,
    list_odd_dtypes,
    open_weights,
    read_finite,
    read_json,
    unwrapped,
)
from policies.rdt.model.config import Norm, RDTConfig
from policies.rdt.model.shapes import shape_differences, tensor_count, tensor_shapes
from policies.rdt.model.transformer import RDTModel
from tasks.errors import ConfigError, HarnessError, SpecMismatchError
from tasks.observation import CAMERAS

FileFormat = Literal["safetensors", "pytorch"]

OFFICIAL_IMAGE_ENCODER = "siglip-so400m-patch14-384"
OFFICIAL_TEXT_ENCODER = "t5-v1_1-xxl"
OFFICIAL_IMAGE_SIZE = 384
"""Identities of the frozen encoders of the published weights, and the images they take."""

OFFICIAL_CAMERAS: tuple[str | None, ...] = (*CAMERAS, None)
"""Cameras in the slots of the published weights (external, right wrist, left wrist); None shows
the background."""

_HISTORY = 2

_log = logging.getLogger(__name__)


def load_official(
    source: Path | str,
    *,
    dtype: torch.dtype | None = None,
    norm: Norm = "variance",
    weights: Weights = "auto",
    config: Path | str | None = None,
    adapter: Adapter | None = None,
) -> RDTModel:
    """Load weights strictly, holding them in memory once; peculiarities are logged as warnings.

    Args:
        source: See ``find_official``, as for ``weights`` and ``config``.
        dtype: Of all weights; None for that of most of the stored numbers. In the stored dtype the
            weights share memory with the file, which must not change while they are used.
        norm: What the norms divide by. The file does not say: the published weights were trained
            with ``variance``, later ones perhaps with ``mean_square``.
        weights: The weights to take.
        config: The config of weights that have none.
        adapter: An adapter to merge into the weights.

    Returns:
        The model, on the CPU and in evaluation mode.

    Raises:
        ConfigError: It is no checkpoint, a file is damaged or not to be trusted, or the weights are
            of another kind.
        SpecMismatchError: Weights and config do not belong together, or a weight is not finite.
        PrerequisiteError: It is on the hub and the hub cannot be reached.
    """
    files = find_official(source, weights=weights, config=config)
    shape = RDTConfig.from_hub(read_json(files.config))
    stored = open_fitting(files, shape)
    return build_model(shape, stored, adapter, dtype=dtype, norm=norm)


def build_model(
    config: RDTConfig,
    stored: StoredWeights,
    adapter: Adapter | None = None,
    *,
    dtype: torch.dtype | None = None,
    norm: Norm = "variance",
    copy: bool = False,
) -> RDTModel:
    """Build a model of stored weights; see ``load_official``.

    With ``copy``, no memory is shared with the file.

    Raises:
        ConfigError: The weights are of another kind.
        SpecMismatchError: They are not those of the config or of the adapter, or not finite.
    """
    _check_tensors(config, stored)
    if adapter is not None:
        stored = adapter.merged_into(stored)
    for note in stored.notes:
        _log.warning("%s", note)
    dtype = dtype or DTYPES[next(iter(stored.parameters_by_dtype))]
    # Without storage nothing is drawn or allocated; the tensors read become the parameters.
    with torch.device("meta"):
        model = RDTModel(config, dtype=dtype, norm=norm)
    model.load_state_dict(read_finite(stored, dtype, copy=copy), strict=True, assign=True)
    return model.eval()


def open_fitting(files: OfficialFiles, config: RDTConfig) -> StoredWeights:
    """Open the first of a checkpoint's weight files that is whole and fits its config.

    Returns:
        The weights under the model's own names, with a note on each file that was skipped. A single
        file is opened even if it does not fit: see ``find_mismatch``.

    Raises:
        ConfigError: The only file cannot be read, or none of several is of use.
        SpecMismatchError: The names in the only file are of two kinds.
    """
    if not files.spare:
        return unwrapped(open_weights(files.weights))
    problems: dict[str, str] = {}
    for path in (files.weights, *files.spare):
        try:
            stored = unwrapped(open_weights(path))
            problem = find_mismatch(config, stored)
        except HarnessError as error:
            problem = str(error).partition(" Fix:")[0].rstrip(".")
        else:
            if not problem and not problems:
                return stored
            if not problem:
                skipped = "; ".join(f"{n} is of no use ({why})" for n, why in problems.items())
                note = f"{path.name} was taken: {skipped}."
                return dataclasses.replace(stored, notes=(*stored.notes, note))
        problems[path.name] = problem
    raise ConfigError(
        f"None of the weight files in '{files.folder}' is of use: "
        f"{'; '.join(f'{name}: {why}' for name, why in problems.items())}. Fix: fetch one of them "
        "again, or keep weights and config.json of one checkpoint together."
    )


def find_mismatch(config: RDTConfig, stored: StoredWeights) -> str:
    """Describe names, shapes and dtypes that do not fit a config; empty if all do."""
    # A config from a stranger may ask for any depth; its tensors are listed only if it can be true.
    if (needed := tensor_count(config)) > 2 * len(stored.shapes) + 1000:
        return f"the config asks for {needed} tensors, there are {len(stored.shapes)}"
    if any(".lora_A." in key for key in stored.shapes):
        return "low-rank adapters are in it, not merged; peft's merge_and_unload() merges them"
    return shape_differences(tensor_shapes(config), stored.shapes) or list_odd_dtypes(stored)


def _check_tensors(config: RDTConfig, stored: StoredWeights) -> None:
    if not (mismatch := find_mismatch(config, stored)):
        return
    if mismatch == list_odd_dtypes(stored):
        raise ConfigError(
            f"{stored.quoted} holds {mismatch}. Allowed: {', '.join(DTYPES)}. "
            "Fix: give the weights before they were quantised."
        )
    raise SpecMismatchError(
        f"The tensors in {stored.quoted} are not those of its config: {mismatch}. "
        "Fix: keep weights and config.json of one checkpoint together."
    )


def official_contract(
    config: RDTConfig, layout: Layout | None = None, normalisation: Normalisation | None = None
) -> Contract:
    """Make the contract that a checkpoint without one is assumed to have.

    It names the published encoders, LIBERO's two cameras, and upright images of any size; without a
    layout, the default one.
    """
    layout = layout or get_layout(DEFAULT_LAYOUT)
    return Contract(
        image_encoder=OFFICIAL_IMAGE_ENCODER,
        text_encoder=OFFICIAL_TEXT_ENCODER,
        render_size=ANY_SIZE,
        image_size=OFFICIAL_IMAGE_SIZE,
        history=config.image_axes[0] if config.image_axes else _HISTORY,
        horizon=config.pred_horizon,
        layout=layout.name,
        layout_rules=layout.as_dict(),
        normalisation=normalisation or Normalisation(),
    )


def export_official(
    folder: Path | str,
    model: RDTModel,
    *,
    file_format: FileFormat = "pytorch",
    beside: Mapping[str, bytes] | None = None,
) -> Path:
    """Write a model in the hub's layout, for the official code and ``load_official`` to read.

    Args:
        folder: A new or an empty folder, which is given back.
        model: Written in its dtype. No file says what its norms divide by.
        file_format: ``pytorch`` writes ``pytorch_model.bin`` as the official training does,
            ``safetensors`` writes ``model.safetensors``, which the official code tries first.
        beside: Contents of more files, by name.

    Raises:
        ConfigError: The folder holds something.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(
            f"Cannot export to '{folder}': something is there. Allowed: a new or an empty folder. "
            "Fix: give another name."
        )
    folder.mkdir(parents=True, exist_ok=True)
    # A view would be written with all of the tensor that it is a view of.
    state = model.state_dict()
    tensors = {key: value.detach().cpu().contiguous().clone() for key, value in state.items()}
    if file_format == "safetensors":
        from safetensors.torch import save_file

        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    else:
        torch.save(tensors, folder / "pytorch_model.bin")
    for name, contents in (beside or {}).items():
        (folder / name).write_bytes(contents)
    # Last: a folder that was not written to its end is not taken for a checkpoint.
    text = json.dumps(model.config.to_hub(), indent=2, sort_keys=True) + "\n"
    (folder / CONFIG).write_text(text, encoding="utf-8")
    return folder
