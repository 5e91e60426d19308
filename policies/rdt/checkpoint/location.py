"""Locating the parts of a checkpoint; explaining what a folder without usable weights holds."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from policies.rdt.checkpoint.hub import find_source
from policies.rdt.checkpoint.untrusted_files import is_training_state
from tasks.errors import ConfigError, unknown_name

Weights = Literal["auto", "raw", "ema"]
"""Choice among a checkpoint's weights; ``auto`` takes the raw ones, or else the averaged ones."""

CONFIG, CONTRACT = "config.json", "contract.json"
_DEEPSPEED = "mp_rank_00_model_states.pt"
WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    f"pytorch_model/{_DEEPSPEED}",
    _DEEPSPEED,
)
"""Names of weight files, by preference; the official code, too, tries safetensors first."""

SPLIT_PREFIX = ("zero_pp_rank_", "bf16_zero_pp_rank_", "fp16_zero_pp_rank_")
"""Prefixes of DeepSpeed's files that hold one process' part."""

_EMA_FOLDER = "ema"
_ENDINGS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
_NOT_RDT = ("encoders.", "adapter_model.", "mp_rank_", *SPLIT_PREFIX)
"""Prefixes of files that hold no RDT or a part of one."""

_LEVELS_UP = 2
"""Folders up from a weight file to its config: checkpoint-N/pytorch_model/mp_rank_00….pt."""


def numbered_folders(folder: Path, prefix: str) -> list[Path]:
    """List folders such as ``checkpoint-2000``, in the order of their numbers."""
    numbered = (
        (int(match[1]), path)
        for path in folder.glob(f"{prefix}*")
        if (match := re.fullmatch(rf"{re.escape(prefix)}(\d{{1,18}})", path.name)) and path.is_dir()
    )
    return [path for _, path in sorted(numbered)]


def explain_missing_weights(folder: Path, weights: Weights, *, raw: bool, ema: bool) -> str:
    """Explain what a folder holds instead of the requested weights, and the fix.

    Args:
        folder: The folder that was searched.
        weights: The request.
        raw: Whether raw weights are there.
        ema: Whether averaged weights are there.
    """
    if raw or ema:
        has, lacks = ("raw", "averaged (ema)") if raw else ("averaged (ema)", "raw")
        return (
            f"'{folder}' holds {has} weights only, asked were the {lacks} ones ('{weights}'). "
            "Fix: choose weights 'auto'."
        )
    steps = numbered_folders(folder, "checkpoint-")
    tags = numbered_folders(folder, "global_step")
    if steps := steps or (tags if len(tags) > 1 else []):
        return (
            f"'{folder}' holds {len(steps)} checkpoints, but no weights of its own. "
            f"Fix: give one of them, such as '{steps[-1]}'."
        )
    return _of_another_kind(folder) or (
        f"'{folder}' is not a checkpoint: no weights there. Allowed: a folder with config.json and "
        "one of model.safetensors, pytorch_model.bin, their index.json, DeepSpeed's "
        "mp_rank_00_model_states.pt, or ema/model.safetensors. "
        "Fix: give the folder of a finished checkpoint."
    )


def explain_split_weights(folder: Path) -> str:
    """Explain how to join weights that DeepSpeed has split over processes, found in ``folder``."""
    above = folder.parent
    has_script = (above / "zero_to_fp32.py").is_file() or (above / "latest").is_file()
    root = shlex.quote(str(above if has_script else folder))
    return (
        f"'{folder}' holds DeepSpeed's parts of the weights, one file per process (ZeRO-3, or "
        "optimizer shards alone), and no whole ones. Fix: join them where DeepSpeed is installed: "
        f"python zero_to_fp32.py {root} OUT (the script lies in the checkpoint; before DeepSpeed "
        "0.15.3 OUT is a file, pytorch_model.bin), put config.json into OUT and give that."
    )


def _of_another_kind(folder: Path) -> str | None:
    shards = [f"{prefix}*" for prefix in SPLIT_PREFIX]
    if part := _first(folder, *shards, *(f"*/{pattern}" for pattern in shards)):
        return explain_split_weights(part.parent)
    if part := _first(folder, "*.distcp", "*/*.distcp"):
        return (
            f"'{part.parent}' holds weights that FSDP has split over processes. Fix: join them: "
            f"accelerate merge-weights {shlex.quote(str(part.parent))} OUT, put config.json into "
            "OUT and give that."
        )
    if part := _first(folder, "*-of-*.safetensors", "*-of-*.bin"):
        whole = "model.safetensors" if part.suffix == ".safetensors" else "pytorch_model.bin"
        return (
            f"'{folder}' holds parts of the weights ('{part.name}' …), but no {whole}.index.json "
            "that says what is where. Fix: fetch that file too."
        )
    if _first(folder, "adapter_model.*"):
        return (
            f"'{folder}' holds the weights of an adapter without its adapter_config.json; rank and "
            "alpha are not in the weights. Fix: fetch that file too."
        )
    if part := _first(folder, "*.h5", "*.msgpack", "*.gguf", "*.npz"):
        return (
            f"'{part}' is no format that RDT's weights come in. Allowed: safetensors and PyTorch "
            "files. Fix: fetch one of these."
        )
    return None


def _first(folder: Path, *patterns: str) -> Path | None:
    return next((path for pattern in patterns for path in sorted(folder.glob(pattern))), None)


@dataclass(frozen=True, kw_only=True)
class OfficialFiles:
    """Paths of the parts of a checkpoint.

    Attributes:
        weights: The weight file, or the index of several.
        spare: More weight files of the same kind, in case ``weights`` cannot be used.
        which: The kind of ``weights``.
        raw: The raw weights, if there are any.
        ema: The averaged weights, if there are any.
    """

    folder: Path
    config: Path
    weights: Path
    spare: tuple[Path, ...]
    which: Literal["raw", "ema"]
    raw: Path | None
    ema: Path | None


def is_own_checkpoint(source: Path | str) -> bool:
    """Whether a folder is a checkpoint that ``save_checkpoint`` wrote."""
    return (Path(source).expanduser() / CONTRACT).is_file()


def find_official(
    source: Path | str, *, weights: Weights = "auto", config: Path | str | None = None
) -> OfficialFiles:
    """Find the parts of a checkpoint.

    Args:
        source: The checkpoint's folder (``checkpoint-N`` or the finished one), its ``ema`` or
            ``pytorch_model`` folder, a weight file, or a hub name; see ``hub.find_source``.
        weights: The weights to take.
        config: A ``config.json`` or its folder, for a checkpoint without one.

    Raises:
        ConfigError: It is no checkpoint, or it lacks those weights.
        PrerequisiteError: It is on the hub and the hub cannot be reached.
    """
    if weights not in get_args(Weights):
        raise unknown_name("choice of weights", weights, get_args(Weights))
    path = find_source(source, ema=weights == "ema")
    folder = path.parent if path.is_file() else path
    if path.is_file() and path.name.startswith(SPLIT_PREFIX):
        raise ConfigError(explain_split_weights(folder))
    files: Sequence[Path] = (path,) if path.is_file() else weight_files(folder)
    averaged = folder.absolute().name == _EMA_FOLDER
    raws = () if averaged else files
    emas = files if averaged else weight_files(folder / _EMA_FOLDER)
    chosen = {"raw": raws, "ema": emas, "auto": raws or emas}[weights]
    if not chosen:
        raise ConfigError(explain_missing_weights(folder, weights, raw=bool(raws), ema=bool(emas)))
    config_file = _config_of(folder, chosen[0]) if config is None else _named_config(config)
    return OfficialFiles(
        folder=config_file.parent if config is None else folder,
        config=config_file,
        weights=chosen[0],
        spare=tuple(chosen[1:]),
        which="ema" if chosen is emas else "raw",
        raw=raws[0] if raws else None,
        ema=emas[0] if emas else None,
    )


def weight_files(folder: Path) -> Sequence[Path]:
    """List a folder's weight files by preference; all are assumed to hold the same weights.

    Raises:
        ConfigError: None has a usual name, and several might hold weights.
    """
    if not folder.is_dir():
        return ()
    usual = [folder / name for name in WEIGHTS]
    if (tag := _deepspeed_tag(folder)) is not None:
        usual.append(folder / tag / _DEEPSPEED)
    existing = [path for path in dict.fromkeys(usual) if path.is_file()]
    return existing or _of_any_name(folder)


def _deepspeed_tag(folder: Path) -> str | None:
    """Give the folder that DeepSpeed's file ``latest`` names, or the only one there is."""
    latest = folder / "latest"
    if latest.is_file():
        tag = latest.read_bytes()[:256].decode(errors="replace").strip()
        return tag if Path(tag).name == tag else None
    steps = numbered_folders(folder, "global_step")
    return steps[0].name if len(steps) == 1 else None


def _of_any_name(folder: Path) -> Sequence[Path]:
    candidates = sorted(
        path
        for path in folder.iterdir()
        if path.suffix in _ENDINGS
        and not path.name.startswith(_NOT_RDT)
        and "-of-" not in path.stem
        and not is_training_state(path.name)
        and path.is_file()
    )
    if len(candidates) > 1:
        names = ", ".join(path.name for path in candidates[:4])
        raise ConfigError(
            f"'{folder}' holds {len(candidates)} files that may be weights ({names}"
            f"{', …' if len(candidates) > 4 else ''}), none under a usual name. Fix: give one of "
            f"them, such as '{candidates[0]}'."
        )
    return candidates


def _named_config(config: Path | str) -> Path:
    path = Path(config).expanduser()
    path = path / CONFIG if path.is_dir() else path
    if not path.is_file():
        raise ConfigError(
            f"There is no '{path}'. Needed: the {CONFIG} of an RDT, or the folder of one. "
            "Fix: correct the path."
        )
    return path


def _config_of(folder: Path, weights: Path) -> Path:
    for parent in (folder, *weights.parents[: _LEVELS_UP + 1]):
        if (parent / CONFIG).is_file():
            return parent / CONFIG
    raise ConfigError(
        f"'{weights}' has no {CONFIG}: not beside it and not {_LEVELS_UP} folders above it. The "
        f"number of heads and what the network predicts are not in the weights. Fix: copy the "
        f"{CONFIG} of the RDT that it was trained from into '{folder}', or name it with "
        "--option.config FILE (inspect: --config FILE)."
    )
