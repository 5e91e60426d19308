"""Checkpoints in the official layout: the hub's, DeepSpeed's, and averaged weights beside them."""

import dataclasses
import json
import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

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

FileFormat = Literal["safetensors", "pytorch"]

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
    """Load weights strictly, holding them in memory once.

    What the user should know of how they were read is logged as a warning.

    Args:
        source: See ``find_official``.
        dtype: Of all weights; None for that of most of the stored numbers. In the stored dtype the
            weights share memory with the file, which must not change while they are used.
        norm: What the norms divide by. The file does not say: the published weights were trained
            with ``variance``, later ones perhaps with ``mean_square``.
        weights: Which weights to take.
        config: Its config, where it has none itself; see ``find_official``.
        adapter: Is merged into the weights.

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

    Args:
        config: The shape.
        stored: The weights.
        adapter: Is merged into them.
        dtype: See there.
        norm: See there.
        copy: Whether nothing may be shared with the file.

    Raises:
        ConfigError: The weights are of another kind.
        SpecMismatchError: They are not those of the config or of the adapter, or not finite.
    """
    check_tensors(config, stored)
    if adapter is not None:
        stored = adapter.merged_into(stored)
    for note in stored.notes:
        _log.warning("%s", note)
    dtype = dtype or main_dtype(stored)
    # Without storage nothing is drawn or allocated; the tensors read become the parameters.
    with torch.device("meta"):
        model = RDTModel(config, dtype=dtype, norm=norm)
    model.load_state_dict(read_finite(stored, dtype, copy=copy), strict=True, assign=True)
    return model.eval()


def open_fitting(files: OfficialFiles, config: RDTConfig) -> StoredWeights:
    """Open the first of a checkpoint's weight files that is whole and fits its config.

    Args:
        files: Where they are.
        config: What they must fit.

    Returns:
        The weights under the model's own names; what else was there is in their notes. A file that
        is the only one is given back even where it does not fit: see ``find_mismatch``.

    Raises:
        ConfigError: The only file cannot be read, or none of several is of use.
        SpecMismatchError: The names in the only file are of two kinds.
    """
    if not files.spare:
        return unwrapped(open_weights(files.weights))
    wrong: dict[str, str] = {}
    for path in (files.weights, *files.spare):
        try:
            stored = unwrapped(open_weights(path))
            problem = find_mismatch(config, stored)
        except HarnessError as error:
            problem = str(error).partition(" Fix:")[0].rstrip(".")
        else:
            if not problem and not wrong:
                return stored
            if not problem:
                aside = "; ".join(f"{name} is of no use ({why})" for name, why in wrong.items())
                note = f"{path.name} was taken: {aside}."
                return dataclasses.replace(stored, notes=(*stored.notes, note))
        wrong[path.name] = problem
    raise ConfigError(
        f"None of the weight files in '{files.folder}' is of use: "
        f"{'; '.join(f'{name}: {why}' for name, why in wrong.items())}. Fix: fetch one of them "
        "again, or keep weights and config.json of one checkpoint together."
    )


def find_mismatch(config: RDTConfig, stored: StoredWeights) -> str:
    """Say how weights are not those of a config, before anything is built from either.

    Returns:
        Which names, shapes or dtypes are wrong; empty if none is.
    """
    # A config from a stranger may ask for any depth; its tensors are listed only if it can be true.
    if (wanted := tensor_count(config)) > 2 * len(stored.shapes) + 1000:
        return f"the config asks for {wanted} tensors, there are {len(stored.shapes)}"
    if any(".lora_A." in key for key in stored.shapes):
        return "low-rank adapters are in it, not merged; peft's merge_and_unload() merges them"
    return shape_differences(tensor_shapes(config), stored.shapes) or list_odd_dtypes(stored)


def check_tensors(config: RDTConfig, stored: StoredWeights) -> None:
    """Refuse weights that are not those of a config; see ``find_mismatch``.

    Raises:
        ConfigError: They are not floating-point numbers.
        SpecMismatchError: Names or shapes are others.
    """
    if not (mismatch := find_mismatch(config, stored)):
        return
    if mismatch == list_odd_dtypes(stored):
        raise ConfigError(
            f"{stored.place} holds {mismatch}. Allowed: {', '.join(DTYPES)}. "
            "Fix: give the weights before they were quantised."
        )
    raise SpecMismatchError(
        f"The tensors in {stored.place} are not those of its config: {mismatch}. "
        "Fix: keep weights and config.json of one checkpoint together."
    )


def main_dtype(stored: StoredWeights) -> torch.dtype:
    """Give the dtype of most of the stored numbers."""
    counts: Counter[str] = Counter()
    for key, name in stored.dtypes.items():
        counts[name] += torch.Size(stored.shapes[key]).numel()
    return DTYPES[counts.most_common(1)[0][0]]


def export_official(
    folder: Path | str,
    model: RDTModel,
    *,
    file_format: FileFormat = "pytorch",
    beside: Mapping[str, bytes] | None = None,
) -> Path:
    """Write a model in the hub's layout, for the official code and ``load_official`` to read.

    Args:
        folder: Where to; a new or an empty folder.
        model: The weights, written in the dtype they have. RDT's norm mode is in no file.
        file_format: ``pytorch`` writes ``pytorch_model.bin`` as the official training does,
            ``safetensors`` writes ``model.safetensors``, which the official code tries first.
        beside: More files, by name.

    Returns:
        The folder.

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
    tensors = {key: _own_storage(value) for key, value in model.state_dict().items()}
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


def _own_storage(tensor: Tensor) -> Tensor:
    """Detach a tensor from what it is a view of, which would be written along."""
    return tensor.detach().cpu().contiguous().clone()
