"""Tensors from files of strangers: read one at a time, and nothing in a file is ever run.

A safetensors file is data. A PyTorch file holds a pickle, which is a program: its instructions are
looked through first, and torch's restricted reader then follows the few that build tensors.
"""

import json
import pickletools
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from policies.rdt.shapes import Shape, list_some
from tasks.errors import ConfigError

FileKind = Literal["safetensors", "pytorch", "deepspeed"]

DTYPES: dict[str, torch.dtype] = {
    "float64": torch.float64,
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
"""What weights may be made of."""

_SAFETENSORS_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}

_MAX_JSON_BYTES = 16 << 20
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
"""Everything a pickle may name: parts of tensors, and a DeepSpeed file's plain records."""

_FIX = "Fix: fetch the file again, or give another checkpoint."


@dataclass(frozen=True, kw_only=True)
class StoredWeights:
    """What weight files hold; numbers are read when asked for.

    Attributes:
        kind: How they are stored.
        paths: The files.
        shapes: Shapes by name.
        dtypes: Dtypes by name, such as ``bfloat16``.
        read: Gives one tensor, on the CPU; it may share memory with the file.
    """

    kind: FileKind
    paths: tuple[Path, ...]
    shapes: Mapping[str, Shape]
    dtypes: Mapping[str, str]
    read: Callable[[str], Tensor] = field(repr=False)


def open_weights(path: Path) -> StoredWeights:
    """Look into a weight file, or into all that an index names.

    Args:
        path: ``*.safetensors``; a PyTorch file (``.bin``, ``.pt``) of tensors by name or of
            DeepSpeed with them under ``module``; or an index of several (``*.index.json``).

    Returns:
        Names, shapes and dtypes, and a way to the numbers.

    Raises:
        ConfigError: The file is damaged, is something else, or asks for anything to be run.
    """
    if path.name.endswith(".index.json"):
        return _open_shards(path)
    return _open_safetensors(path) if path.suffix == ".safetensors" else _open_pickle(path)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ConfigError: It is missing, too large, or something else.
    """
    try:
        if path.stat().st_size > _MAX_JSON_BYTES:
            raise ConfigError(
                f"'{path}' has {path.stat().st_size} bytes; that is no config. {_FIX}"
            )
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"'{path}' cannot be read as JSON ({_brief(error)}). {_FIX}") from error
    if not isinstance(loaded, dict):
        raise ConfigError(f"'{path}' holds a {type(loaded).__name__}, not an object. {_FIX}")
    return loaded


def nonfinite_tensors(stored: StoredWeights) -> list[str]:
    """Read all numbers once; name the tensors that hold NaN or infinity."""
    return [key for key in sorted(stored.shapes) if not torch.isfinite(stored.read(key)).all()]


def check_dtypes(stored: StoredWeights) -> None:
    """Refuse weights that are no floating-point numbers.

    Raises:
        ConfigError: Some are not.
    """
    wrong = (f"{key} {dtype}" for key, dtype in stored.dtypes.items() if dtype not in DTYPES)
    if listed := list_some("not weights", wrong):
        raise ConfigError(
            f"'{stored.paths[0]}' holds {listed}. Allowed: {', '.join(DTYPES)}. "
            "Fix: give the weights before they were quantised."
        )


def _open_safetensors(path: Path) -> StoredWeights:
    try:
        # The library checks the header: its size, the order of offsets, the file's length.
        file: Any = safe_open(path, framework="pt")
        slices = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118
        shapes = {key: tuple(part.get_shape()) for key, part in slices.items()}
        dtypes = {key: part.get_dtype() for key, part in slices.items()}
    except (SafetensorError, OSError, ValueError, OverflowError) as error:
        raise ConfigError(
            f"'{path}' is damaged or not a safetensors file ({_brief(error)}). {_FIX}"
        ) from error
    return StoredWeights(
        kind="safetensors",
        paths=(path,),
        shapes=shapes,
        dtypes={key: _SAFETENSORS_DTYPES.get(name, name) for key, name in dtypes.items()},
        read=file.get_tensor,
    )


def _open_pickle(path: Path) -> StoredWeights:
    _check_archive(path)
    try:
        loaded = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except Exception as error:  # a damaged file may raise anything
        raise ConfigError(
            f"'{path}' is damaged or not a file of weights ({_brief(error)}). {_FIX}"
        ) from error
    deepspeed = isinstance(loaded, dict) and isinstance(loaded.get("module"), dict)
    tensors = loaded["module"] if deepspeed else loaded
    if not isinstance(tensors, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in tensors.items()
    ):
        raise ConfigError(
            f"'{path}' holds something else than tensors by name. Allowed: a state dict, or "
            f"DeepSpeed's model states with one under 'module'. {_FIX}"
        )
    size = path.stat().st_size
    claimed = sum(value.numel() * value.element_size() for value in tensors.values())
    if claimed > size:  # strides of 0 make a table of any size from one number
        raise ConfigError(f"'{path}' claims {claimed} bytes of weights in {size}. {_FIX}")
    return StoredWeights(
        kind="deepspeed" if deepspeed else "pytorch",
        paths=(path,),
        shapes={key: tuple(value.shape) for key, value in tensors.items()},
        dtypes={key: str(value.dtype).removeprefix("torch.") for key, value in tensors.items()},
        read=lambda key: tensors[key].detach(),
    )


def _check_archive(path: Path) -> None:
    """Refuse an archive that would unpack to more than itself, or whose pickle names anything odd.

    torch's restricted reader refuses most of this too; looked at first, nothing at all is built
    from what is refused, and the message can say what the file asked for.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            packed = [e.filename for e in entries if e.compress_type != zipfile.ZIP_STORED]
            program = [e for e in entries if e.filename.endswith("data.pkl")]
            if packed or sum(e.file_size for e in entries) > path.stat().st_size:
                raise ConfigError(
                    f"'{path}' is a compressed archive, as torch never writes. {_FIX}"
                )
            if len(program) != 1 or program[0].file_size > _MAX_PICKLE_BYTES:
                raise ConfigError(f"'{path}' is an archive, but not one of weights. {_FIX}")
            wanted = _named(archive.read(program[0]))
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError) as error:
        raise ConfigError(
            f"'{path}' is damaged or not a PyTorch file ({_brief(error)}). Weights that torch "
            "before 1.6 wrote are not read. Fix: fetch the file again, or save it anew with torch."
        ) from error
    if odd := list_some("it asks for", wanted - _HARMLESS):
        raise ConfigError(
            f"'{path}' is refused, nothing in it was run: {odd}. Weights need "
            "tensors only. Fix: do not trust this file; get the checkpoint elsewhere, best as "
            "safetensors."
        )


def _named(program: bytes) -> set[str]:
    """List everything a pickle would import, without running it."""
    names: set[str] = set()
    for code, argument, _ in pickletools.genops(program):
        if code.name in ("GLOBAL", "INST"):
            names.add(str(argument))
        elif code.name in ("STACK_GLOBAL", "EXT1", "EXT2", "EXT4", "OBJ", "NEWOBJ_EX"):
            names.add(f"something by {code.name}")
    return names


def _open_shards(index: Path) -> StoredWeights:
    places = read_json(index).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(p, str) for p in places.values()):
        raise ConfigError(f"'{index}' has no weight_map from names to files. {_FIX}")
    parts: dict[str, StoredWeights] = {}
    for name in sorted(set(places.values())):
        # A name that leads elsewhere would read files the user never meant.
        if Path(name).name != name or name.endswith(".index.json"):
            raise ConfigError(f"'{index}' names the file '{name}' outside its folder. {_FIX}")
        if not (index.parent / name).is_file():
            raise ConfigError(
                f"'{index.parent / name}', named in '{index.name}', is missing. {_FIX}"
            )
        parts[name] = open_weights(index.parent / name)
    for key, name in places.items():
        if key not in parts[name].shapes:
            raise ConfigError(f"'{index}' places {key} in '{name}', which lacks it. {_FIX}")
    return StoredWeights(
        kind=next(iter(parts.values())).kind if parts else "safetensors",
        paths=tuple(index.parent / name for name in parts),
        shapes={key: parts[name].shapes[key] for key, name in places.items()},
        dtypes={key: parts[name].dtypes[key] for key, name in places.items()},
        read=lambda key: parts[places[key]].read(key),
    )


def _brief(error: BaseException) -> str:
    """Give the first line of an error, shortened; some libraries write paragraphs."""
    lines = str(error).strip().splitlines()
    text = lines[0] if lines else type(error).__name__
    return text if len(text) <= 160 else text[:159] + "…"
