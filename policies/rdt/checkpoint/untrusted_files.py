"""Weight files of unknown origin: their kind by the first bytes, and PyTorch files read safely.

A PyTorch file holds a pickle, which is a program. It is not run: its instructions are listed first,
and torch's restricted reader then follows only those that build tensors.
"""

import pickletools
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tasks.errors import ConfigError, list_some

FETCH_AGAIN = "Fix: fetch the file again, or give another checkpoint."

_HEAD_BYTES = 512
_MAX_ERROR_CHARACTERS = 160

_OPTIMIZER_NAMES = (
    "optimizer.",
    "scheduler.",
    "scaler.",
    "random_states",
    "training_args.",
    "rng_",
)
"""Prefixes of files that training code leaves beside weights."""

OPTIMIZER_ENDING = "_optim_states.pt"
"""Suffix of DeepSpeed's optimizer shards."""


def brief(error: BaseException) -> str:
    """Give the first line of an error, shortened; some libraries write paragraphs."""
    lines = str(error).strip().splitlines()
    text = lines[0] if lines else type(error).__name__
    return text if len(text) <= _MAX_ERROR_CHARACTERS else f"{text[: _MAX_ERROR_CHARACTERS - 1]}…"


def is_training_state(name: str) -> bool:
    """Whether a file's name is that of the state of an optimizer, a scheduler or the like."""
    return name.startswith(_OPTIMIZER_NAMES) or name.endswith(OPTIMIZER_ENDING)


def is_safetensors(head: bytes) -> bool:
    """Whether a file begins as safetensors: 8 bytes of length, of which the upper are 0, then {."""
    return head[4:9] == b"\0\0\0\0{"


def read_head(path: Path) -> bytes:
    """Read the first bytes of a weight file.

    Raises:
        ConfigError: It cannot be read, is empty, a Git LFS pointer, a web page or other text, or
            is the state of an optimizer.
    """
    if is_training_state(path.name):
        raise ConfigError(
            f"'{path}' is what an optimizer or a scheduler goes on from; it holds no weights that "
            "can be loaded. Fix: give the folder of the checkpoint, or its weight file."
        )
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise ConfigError(f"'{path}' cannot be read ({brief(error)}). {FETCH_AGAIN}") from error
    if is_safetensors(head):
        return head
    start = head.lstrip().lower()
    if not start:
        raise ConfigError(f"'{path}' is empty ({path.stat().st_size} bytes). {FETCH_AGAIN}")
    if start.startswith(b"version https://git-lfs"):
        raise ConfigError(
            f"'{path}' is a Git LFS pointer: a few lines in place of the weights, which were not "
            "fetched. Fix: run 'git lfs pull' in that folder, or fetch it with 'hf download'."
        )
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise ConfigError(
            f"'{path}' is a web page, not weights; a download has saved what the site said. "
            "Fix: fetch the file with 'hf download', logged in where that is needed."
        )
    if start.startswith((b"{", b"[")):
        raise ConfigError(f"'{path}' is text (JSON), not weights. {FETCH_AGAIN}")
    return head


DTYPES: dict[str, torch.dtype] = {
    "float64": torch.float64,
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
"""Dtypes of weights, by name."""

DEEPSPEED_ENTRY = "module"
_ENTRIES = (DEEPSPEED_ENTRY, "state_dict", "model_state_dict", "model")
"""Names under which training code keeps the weights in a file with other entries."""

_MAX_PICKLE_BYTES = 64 << 20

_HARMLESS = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    "torch Size",
    "builtins set",
    "__builtin__ set",
    *(f"torch {name}" for name in DTYPES),
    *(
        f"torch {kind}Storage"
        for kind in ("Double", "Float", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte")
    ),
    "torch BoolStorage",
}
"""Names that a pickle may import: parts of tensors, and a DeepSpeed file's plain records."""


def read_pickle(path: Path) -> tuple[dict[str, Tensor], str | None]:
    """Read the weights in a PyTorch file.

    Args:
        path: A file that ``torch.save`` wrote: tensors by name, alone or as one of several entries
            (DeepSpeed's ``module``, ``state_dict``, ``model_state_dict``, ``model``).

    Returns:
        The tensors, sharing memory with the file, and the name of their entry, if they have one.

    Raises:
        ConfigError: The file is damaged, is something else, or asks for code to be run.
    """
    _check_archive(path)
    try:
        loaded = _load(path)
    except Exception as error:  # a damaged file may raise anything
        raise ConfigError(
            f"'{path}' is damaged or not a file of weights ({brief(error)}). {FETCH_AGAIN}"
        ) from error
    tensors, entry = _find_weights(loaded, path)
    size = path.stat().st_size
    # Strides of 0 make a table of any size from one number; storages may be shared, though.
    claimed = [v for v in tensors.values() if v.nbytes > v.untyped_storage().nbytes()]
    storages = {
        v.untyped_storage().data_ptr(): v.untyped_storage().nbytes() for v in tensors.values()
    }
    total = sum(storages.values()) + sum(value.nbytes for value in claimed)
    if claimed or total > size:
        raise ConfigError(f"'{path}' claims {total} bytes of weights in {size}. {FETCH_AGAIN}")
    return tensors, entry


def _load(path: Path) -> Any:
    if path.suffix != ".safetensors":
        return torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    # By its path, newer versions of torch take such a file for what its name says.
    with path.open("rb") as file:
        return torch.load(file, map_location="cpu", weights_only=True)


def _find_weights(loaded: Any, path: Path) -> tuple[dict[str, Tensor], str | None]:
    if _is_state_dict(loaded):
        return loaded, None
    entries = loaded if isinstance(loaded, dict) else {}
    names = [entry for entry in _ENTRIES if _is_state_dict(entries.get(entry))]
    if len(names) == 1:
        return entries[names[0]], names[0]
    twice = f"weights under {' and '.join(names)}" if names else ""
    raise ConfigError(
        f"'{path}' holds {twice or 'something else than tensors by name'}. Allowed: a state dict, "
        f"alone or under one of {', '.join(_ENTRIES)}. Fix: save the weights alone "
        "(torch.save(model.state_dict(), FILE)), or fetch the file again."
    )


def _is_state_dict(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in value.items())
    )


def _check_archive(path: Path) -> None:
    """Refuse an archive that would unpack to more than itself, or whose pickle imports other names.

    torch's restricted reader refuses most of this too. Checked before, nothing is built from a
    refused file, and the message can name the imports.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            packed = [e.filename for e in entries if e.compress_type != zipfile.ZIP_STORED]
            program = [e for e in entries if e.filename.endswith("data.pkl")]
            if packed or sum(e.file_size for e in entries) > path.stat().st_size:
                raise ConfigError(
                    f"'{path}' is a compressed archive, as torch never writes. {FETCH_AGAIN}"
                )
            if len(program) != 1 or program[0].file_size > _MAX_PICKLE_BYTES:
                raise ConfigError(f"'{path}' is an archive, but not one of weights. {FETCH_AGAIN}")
            imports = _pickle_imports(archive.read(program[0]))
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError) as error:
        raise ConfigError(
            f"'{path}' is damaged or not a PyTorch file ({brief(error)}). Weights that torch "
            "before 1.6 wrote are not read. Fix: fetch the file again, or save it anew with torch."
        ) from error
    if unknown := list_some("it asks for", imports - _HARMLESS):
        raise ConfigError(
            f"'{path}' is refused, nothing in it was run: {unknown}. Weights need "
            "tensors only. Fix: do not trust this file; get the checkpoint elsewhere, best as "
            "safetensors."
        )


def _pickle_imports(program: bytes) -> set[str]:
    """List the names that a pickle would import, without running it."""
    names: set[str] = set()
    for code, argument, _ in pickletools.genops(program):
        if code.name in ("GLOBAL", "INST"):
            names.add(str(argument))
        elif code.name in ("STACK_GLOBAL", "EXT1", "EXT2", "EXT4", "OBJ", "NEWOBJ_EX"):
            names.add(f"something by {code.name}")
    return names
