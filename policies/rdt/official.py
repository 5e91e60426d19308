"""Checkpoints in the official layout: the hub's, DeepSpeed's, and averaged weights beside them."""

import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor

from policies.rdt.config import Norm, RDTConfig
from policies.rdt.hub import find_source
from policies.rdt.model import RDTModel
from policies.rdt.shapes import list_some, shape_differences, tensor_count, tensor_shapes
from policies.rdt.weights import DTYPES, StoredWeights, check_dtypes, open_weights, read_json
from tasks.errors import ConfigError, SpecMismatchError, unknown_name

Weights = Literal["auto", "raw", "ema"]
"""Which weights of a checkpoint: ``auto`` takes the raw ones, and averaged ones where those are
alone."""

FileFormat = Literal["safetensors", "pytorch"]

CONFIG, CONTRACT = "config.json", "contract.json"
_RAW = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "pytorch_model/mp_rank_00_model_states.pt",
    "mp_rank_00_model_states.pt",
)
_EMA_FOLDER = "ema"
_EMA = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
_LEVELS_UP = 2
"""How far above a weight file its config may be: checkpoint-N/pytorch_model/mp_rank_00….pt."""


@dataclass(frozen=True, kw_only=True)
class OfficialFiles:
    """Where the parts of a checkpoint are.

    Attributes:
        config: The flat ``config.json``.
        weights: The weight file, or the index of several.
        which: Whether those are the raw or the averaged weights.
        raw: The raw weights, if they are there.
        ema: The averaged weights, if they are there.
    """

    config: Path
    weights: Path
    which: Literal["raw", "ema"]
    raw: Path | None
    ema: Path | None

    @property
    def folder(self) -> Path:
        """The checkpoint's folder."""
        return self.config.parent


def is_own(source: Path | str) -> bool:
    """Whether a folder is a checkpoint that ``save_checkpoint`` wrote."""
    return (Path(source).expanduser() / CONTRACT).is_file()


def find_official(source: Path | str, *, weights: Weights = "auto") -> OfficialFiles:
    """Find the parts of a checkpoint.

    Args:
        source: The checkpoint's folder (``checkpoint-N`` or the finished one), its ``ema`` or
            ``pytorch_model`` folder, a weight file, or a hub name; see ``hub.find_source``.
        weights: Which weights to take.

    Raises:
        ConfigError: It is no checkpoint, or it lacks those weights.
        PrerequisiteError: It is on the hub and the hub cannot be reached.
    """
    if weights not in get_args(Weights):
        raise unknown_name("choice of weights", weights, get_args(Weights))
    path = find_source(source, ema=weights == "ema")
    folder = path.parent if path.is_file() else path
    given = path if path.is_file() else None
    if folder.name == _EMA_FOLDER:
        raw, ema = None, given or _first(folder, _EMA)
    else:
        raw, ema = given or _first(folder, _RAW), _first(folder / _EMA_FOLDER, _EMA)
    chosen = {"raw": raw, "ema": ema, "auto": raw or ema}[weights]
    if chosen is None:
        raise ConfigError(_nothing_there(folder, weights, raw, ema))
    return OfficialFiles(
        config=_find_config(folder, chosen),
        weights=chosen,
        which="ema" if chosen == ema else "raw",
        raw=raw,
        ema=ema,
    )


def load_official(
    source: Path | str,
    *,
    dtype: torch.dtype | None = None,
    norm: Norm = "variance",
    weights: Weights = "auto",
) -> RDTModel:
    """Load weights strictly, holding them in memory once.

    Args:
        source: See ``find_official``.
        dtype: Of all weights; None for that of most of the stored numbers. In the stored dtype the
            weights share memory with the file, which must not change while they are used.
        norm: What the norms divide by. The file does not say: the published weights were trained
            with ``variance``, later ones perhaps with ``mean_square``.
        weights: Which weights to take.

    Returns:
        The model, on the CPU and in evaluation mode.

    Raises:
        ConfigError: It is no checkpoint, a file is damaged or not to be trusted, or the weights are
            of another kind.
        SpecMismatchError: Weights and config do not belong together, or a weight is not finite.
        PrerequisiteError: It is on the hub and the hub cannot be reached.
    """
    files = find_official(source, weights=weights)
    config = RDTConfig.from_hub(read_json(files.config))
    stored = open_weights(files.weights)
    check_tensors(config, stored)
    dtype = dtype or main_dtype(stored)
    # Without storage nothing is drawn or allocated; the tensors read become the parameters.
    with torch.device("meta"):
        model = RDTModel(config, dtype=dtype, norm=norm)
    model.load_state_dict(_read_all(stored, dtype), strict=True, assign=True)
    return model.eval()


def check_tensors(config: RDTConfig, stored: StoredWeights) -> None:
    """Refuse weights that are not those of a config, before anything is built from either.

    Raises:
        ConfigError: They are not floating-point numbers.
        SpecMismatchError: Names or shapes differ.
    """
    place = f"'{stored.paths[0]}'" if stored.paths else "the index"
    # A config from a stranger may ask for any depth; its tensors are listed only if it can be true.
    if tensor_count(config) > 2 * len(stored.shapes) + 1000:
        raise SpecMismatchError(
            f"The config asks for {tensor_count(config)} tensors, but {place} holds "
            f"{len(stored.shapes)}. Fix: keep weights and config.json of one checkpoint together."
        )
    if found := shape_differences(tensor_shapes(config), stored.shapes):
        raise SpecMismatchError(
            f"The tensors in {place} are not those of its config: {found}. "
            "Fix: keep weights and config.json of one checkpoint together."
        )
    check_dtypes(stored)


def main_dtype(stored: StoredWeights) -> torch.dtype:
    """Give the dtype of most of the stored numbers."""
    counts: Counter[str] = Counter()
    for key, name in stored.dtypes.items():
        counts[name] += torch.Size(stored.shapes[key]).numel()
    return DTYPES[counts.most_common(1)[0][0]]


def export_official(
    folder: Path | str, model: RDTModel, *, file_format: FileFormat = "pytorch"
) -> Path:
    """Write a model in the hub's layout, for the official code and ``load_official`` to read.

    Args:
        folder: Where to; a new or an empty folder.
        model: The weights, written in the dtype they have. RDT's norm mode is in no file.
        file_format: ``pytorch`` writes ``pytorch_model.bin`` as the official training does,
            ``safetensors`` writes ``model.safetensors``, which the official code tries first.

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
    # Last: a folder that was not written to its end is not taken for a checkpoint.
    text = json.dumps(model.config.to_hub(), indent=2, sort_keys=True) + "\n"
    (folder / CONFIG).write_text(text, encoding="utf-8")
    return folder


def _read_all(stored: StoredWeights, dtype: torch.dtype) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    broken = []
    for key in stored.shapes:
        tensors[key] = stored.read(key).to(dtype).contiguous()
        if not torch.isfinite(tensors[key]).all():
            broken.append(key)
    if broken:
        what = f"NaN or infinity (as {str(dtype).removeprefix('torch.')}) in"
        raise SpecMismatchError(
            f"'{stored.paths[0]}' holds {list_some(what, broken)}"
            ". Such weights give no plan. Fix: take an earlier checkpoint, or another dtype."
        )
    return tensors


def _own_storage(tensor: Tensor) -> Tensor:
    """Detach a tensor from what it is a view of, which would be written along."""
    return tensor.detach().cpu().contiguous().clone()


def _first(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _find_config(folder: Path, weights: Path) -> Path:
    tried = [folder, *weights.parents[: _LEVELS_UP + 1]]
    for place in tried:
        if (place / CONFIG).is_file():
            return place / CONFIG
    raise ConfigError(
        f"'{weights}' has no {CONFIG}: not beside it and not {_LEVELS_UP} folders above it. The "
        "number of heads and what the network predicts are not in the weights. "
        f"Fix: put the {CONFIG} of the checkpoint into '{folder}'."
    )


def _nothing_there(folder: Path, weights: Weights, raw: Path | None, ema: Path | None) -> str:
    if raw or ema:
        has, lacks = ("raw", "averaged (ema)") if raw else ("averaged (ema)", "raw")
        return (
            f"'{folder}' holds {has} weights only, asked were the {lacks} ones ('{weights}'). "
            "Fix: choose weights 'auto'."
        )
    steps = sorted(
        (int(found[1]), place.name)
        for place in folder.glob("checkpoint-*")
        if (found := re.fullmatch(r"checkpoint-(\d{1,18})", place.name))
    )
    if steps:
        return (
            f"'{folder}' holds {len(steps)} checkpoints, but no weights of its own. "
            f"Fix: give one of them, such as '{folder / steps[-1][1]}'."
        )
    return (
        f"'{folder}' is not a checkpoint: no weights there. Allowed: a folder with {CONFIG} and "
        f"one of {', '.join(_RAW[:-1])} or {_EMA_FOLDER}/{_EMA[0]}. "
        "Fix: give the folder of a finished checkpoint."
    )
