"""Why a folder holds no weights that can be used, and how to get some that can."""

import re
import shlex
from pathlib import Path
from typing import Literal

SPLIT_PREFIX = ("zero_pp_rank_", "bf16_zero_pp_rank_", "fp16_zero_pp_rank_")
"""How the names of DeepSpeed's files begin that hold one process' part."""


def numbered_folders(folder: Path, prefix: str) -> list[Path]:
    """List folders such as ``checkpoint-2000``, in the order of their numbers."""
    found = (
        (int(match[1]), place)
        for place in folder.glob(f"{prefix}*")
        if (match := re.fullmatch(rf"{re.escape(prefix)}(\d{{1,18}})", place.name))
        and place.is_dir()
    )
    return [place for _, place in sorted(found)]


def nothing_there(
    folder: Path, weights: Literal["auto", "raw", "ema"], *, raw: bool, ema: bool
) -> str:
    """Say what a folder holds instead of the weights that were looked for, and the fix.

    Args:
        folder: Where they were looked for.
        weights: Which were asked for.
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
    """Say how weights become whole that DeepSpeed has split over processes.

    Args:
        folder: Where the parts are; the script that joins them is there or one above.
    """
    above = folder.parent
    root = (
        above if (above / "zero_to_fp32.py").is_file() or (above / "latest").is_file() else folder
    )
    place = shlex.quote(str(root))
    return (
        f"'{folder}' holds DeepSpeed's parts of the weights, one file per process (ZeRO-3, or "
        "optimizer shards alone), and no whole ones. Fix: join them where DeepSpeed is installed: "
        f"python zero_to_fp32.py {place} OUT (the script lies in the checkpoint; before DeepSpeed "
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
