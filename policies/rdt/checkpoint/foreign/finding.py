"""Where the parts of a checkpoint are: the hub's layout, DeepSpeed's, and averaged weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from policies.rdt.checkpoint.foreign.explaining import (
    SPLIT_PREFIX,
    explain_split_weights,
    nothing_there,
    numbered_folders,
)
from policies.rdt.checkpoint.foreign.unusable import is_training_state
from policies.rdt.checkpoint.hub import find_source
from tasks.errors import ConfigError, unknown_name

Weights = Literal["auto", "raw", "ema"]
"""Which weights of a checkpoint: ``auto`` takes the raw ones, and averaged ones where those are
alone."""

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
"""Names of weight files; the official code, too, tries safetensors first."""

_EMA_FOLDER = "ema"
_ENDINGS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
_NOT_RDT = ("encoders.", "adapter_model.", "mp_rank_", *SPLIT_PREFIX)
"""How the names of files begin that hold something else than an RDT, or a part of one."""

_LEVELS_UP = 2
"""How far above a weight file its config may be: checkpoint-N/pytorch_model/mp_rank_00….pt."""


@dataclass(frozen=True, kw_only=True)
class OfficialFiles:
    """Where the parts of a checkpoint are.

    Attributes:
        folder: The checkpoint's folder.
        config: The flat ``config.json``.
        weights: The weight file, or the index of several.
        spare: More weight files of the same kind, for where that one is of no use.
        which: Whether those are the raw or the averaged weights.
        raw: The raw weights, if they are there.
        ema: The averaged weights, if they are there.
    """

    folder: Path
    config: Path
    weights: Path
    spare: tuple[Path, ...]
    which: Literal["raw", "ema"]
    raw: Path | None
    ema: Path | None


def is_own(source: Path | str) -> bool:
    """Whether a folder is a checkpoint that ``save_checkpoint`` wrote."""
    return (Path(source).expanduser() / CONTRACT).is_file()


def find_official(
    source: Path | str, *, weights: Weights = "auto", config: Path | str | None = None
) -> OfficialFiles:
    """Find the parts of a checkpoint.

    Args:
        source: The checkpoint's folder (``checkpoint-N`` or the finished one), its ``ema`` or
            ``pytorch_model`` folder, a weight file, or a hub name; see ``hub.find_source``.
        weights: Which weights to take.
        config: Its ``config.json``, or the folder of one, where it has none itself.

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
    own: Sequence[Path] = (path,) if path.is_file() else weight_files(folder)
    averaged = folder.absolute().name == _EMA_FOLDER
    raws = () if averaged else own
    emas = own if averaged else weight_files(folder / _EMA_FOLDER)
    chosen = {"raw": raws, "ema": emas, "auto": raws or emas}[weights]
    if not chosen:
        raise ConfigError(nothing_there(folder, weights, raw=bool(raws), ema=bool(emas)))
    found = _config_of(folder, chosen[0]) if config is None else _given_config(config)
    return OfficialFiles(
        folder=found.parent if config is None else folder,
        config=found,
        weights=chosen[0],
        spare=tuple(chosen[1:]),
        which="ema" if chosen is emas else "raw",
        raw=raws[0] if raws else None,
        ema=emas[0] if emas else None,
    )


def weight_files(folder: Path) -> Sequence[Path]:
    """List a folder's weight files, the one to take first; all are said to hold the same.

    Raises:
        ConfigError: None has a usual name, and several might hold weights.
    """
    if not folder.is_dir():
        return ()
    usual = [folder / name for name in WEIGHTS]
    if (tag := _deepspeed_tag(folder)) is not None:
        usual.append(folder / tag / _DEEPSPEED)
    there = [path for path in dict.fromkeys(usual) if path.is_file()]
    return there or _of_any_name(folder)


def _deepspeed_tag(folder: Path) -> str | None:
    """Give the folder that DeepSpeed's file ``latest`` names, or the only one there is."""
    latest = folder / "latest"
    if latest.is_file():
        tag = latest.read_bytes()[:256].decode(errors="replace").strip()
        return tag if Path(tag).name == tag else None
    steps = numbered_folders(folder, "global_step")
    return steps[0].name if len(steps) == 1 else None


def _of_any_name(folder: Path) -> Sequence[Path]:
    found = sorted(
        path
        for path in folder.iterdir()
        if path.suffix in _ENDINGS
        and not path.name.startswith(_NOT_RDT)
        and "-of-" not in path.stem
        and not is_training_state(path.name)
        and path.is_file()
    )
    if len(found) > 1:
        names = ", ".join(path.name for path in found[:4])
        raise ConfigError(
            f"'{folder}' holds {len(found)} files that may be weights ({names}"
            f"{', …' if len(found) > 4 else ''}), none under a usual name. Fix: give one of them, "
            f"such as '{found[0]}'."
        )
    return found


def _given_config(config: Path | str) -> Path:
    path = Path(config).expanduser()
    found = path / CONFIG if path.is_dir() else path
    if not found.is_file():
        raise ConfigError(
            f"There is no '{found}'. Needed: the {CONFIG} of an RDT, or the folder of one. "
            "Fix: correct the path."
        )
    return found


def _config_of(folder: Path, weights: Path) -> Path:
    tried = [folder, *weights.parents[: _LEVELS_UP + 1]]
    for place in tried:
        if (place / CONFIG).is_file():
            return place / CONFIG
    raise ConfigError(
        f"'{weights}' has no {CONFIG}: not beside it and not {_LEVELS_UP} folders above it. The "
        f"number of heads and what the network predicts are not in the weights. Fix: copy the "
        f"{CONFIG} of the RDT that it was trained from into '{folder}', or name it with "
        "--option.config FILE (inspect: --config FILE)."
    )
