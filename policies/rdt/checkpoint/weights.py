"""Tensors from weight files of unknown origin, read one at a time; no code in a file is run.

The format of a file follows from its first bytes, not from its name.
"""

import dataclasses
import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from policies.rdt.checkpoint.untrusted_files import (
    DEEPSPEED_ENTRY,
    DTYPES,
    FETCH_AGAIN,
    brief,
    is_safetensors,
    read_head,
    read_pickle,
)
from policies.rdt.model.shapes import Shape
from tasks.errors import ConfigError, SpecMismatchError, list_some, one_line

WRAPPERS = {
    "module": "DataParallel",
    "_orig_mod": "torch.compile",
    "_fsdp_wrapped_module": "FSDP",
    "_checkpoint_wrapped_module": "activation checkpointing",
}
"""Wrappers by the name under which they hold the module that they wrap."""

_MAX_DEPTH = 64
"""Parts of a name that are checked; a stranger's names may have millions."""


def unwrapped_names(names: Iterable[str]) -> dict[str, str]:
    """Map the names of all tensors to their names in the model itself.

    A wrapper takes the place of a module, so its name is part of the names of all tensors below.
    It may wrap the whole model or a part of it, and wrappers may be nested in any order.

    Raises:
        SpecMismatchError: Some names below a module have a wrapper's and some do not.
    """
    below: dict[tuple[str, ...], set[str]] = defaultdict(set)
    parts = {name: tuple(name.split(".")) for name in names}
    if not any(part in WRAPPERS for path in parts.values() for part in path):
        return {name: name for name in parts}
    for path in parts.values():
        for depth, part in enumerate(path[:_MAX_DEPTH]):
            below[path[:depth]].add(part)
    for module, children in below.items():
        wrapped = sorted(children & WRAPPERS.keys())
        if wrapped and len(children) > 1:
            where = f"below '{'.'.join(module)}'" if module else "at the beginning"
            others = list_some("others", children - {wrapped[0]})
            raise SpecMismatchError(
                f"Some tensors' names have '{wrapped[0]}.' {where} ({WRAPPERS[wrapped[0]]}) and "
                f"some have not ({others}): these are weights of two kinds, mixed. "
                "Fix: save the state dict of the model itself, or of the wrapped model, whole."
            )
    return {
        name: ".".join(part for part in path if part not in WRAPPERS)
        for name, path in parts.items()
    }


def list_wrappers(names: Iterable[str]) -> str:
    """List the wrappers in tensors' names, such as ``module. (DataParallel)``."""
    wrappers = {part for name in names for part in name.split(".") if part in WRAPPERS}
    return " and ".join(f"{part}. ({WRAPPERS[part]})" for part in sorted(wrappers))


FileKind = Literal["safetensors", "pytorch", "deepspeed"]

_SAFETENSORS_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}

_MAX_JSON_BYTES = 16 << 20

_ZIP = b"PK\x03\x04"
"""First bytes of an archive, in which torch saves."""


@dataclass(frozen=True, kw_only=True)
class StoredWeights:
    """The tensors of weight files; their numbers are read on demand.

    Attributes:
        kind: Format of the files.
        source: The file that was opened; of several, their index.
        shapes: Shapes by name.
        dtypes: Dtypes by name, such as ``bfloat16``.
        read: Gives one tensor, on the CPU; it may share memory with the file.
        notes: Peculiarities for the user to know, in whole sentences.
    """

    kind: FileKind
    source: Path
    shapes: Mapping[str, Shape]
    dtypes: Mapping[str, str]
    read: Callable[[str], Tensor] = field(repr=False)
    notes: tuple[str, ...] = ()

    @property
    def quoted(self) -> str:
        """The file that was opened, in quotation marks."""
        return f"'{self.source}'"

    @property
    def parameters_by_dtype(self) -> dict[str, int]:
        """Number of parameters of each dtype, the most frequent dtype first."""
        counts: Counter[str] = Counter()
        for key, dtype in self.dtypes.items():
            counts[dtype] += math.prod(self.shapes[key])
        return dict(counts.most_common())


def open_weights(path: Path) -> StoredWeights:
    """Open a weight file, or all files that an index names.

    Args:
        path: ``*.safetensors``; a PyTorch file (``.bin``, ``.pt``) of tensors by name or of
            DeepSpeed with them under ``module``; or an index of several (``*.index.json``).

    Raises:
        ConfigError: The file is damaged, is something else, or asks for code to be run.
    """
    if path.name.endswith(".index.json"):
        return _open_shards(path)
    head = read_head(path)
    pickled = head.startswith(_ZIP) or path.suffix != ".safetensors"
    return _open_pickle(path) if pickled and not is_safetensors(head) else _open_safetensors(path)


def unwrapped(stored: StoredWeights) -> StoredWeights:
    """Give weights the names of the model itself; see ``unwrapped_names``, also for errors."""
    names = unwrapped_names(stored.shapes)
    if not (wrappers := list_wrappers(names)):
        return stored
    saved = {new: old for old, new in names.items()}
    note = f"{stored.source.name}: {wrappers} taken out of the tensors' names."
    return dataclasses.replace(
        stored,
        shapes={new: stored.shapes[old] for new, old in saved.items()},
        dtypes={new: stored.dtypes[old] for new, old in saved.items()},
        read=lambda key: stored.read(saved[key]),
        notes=(*stored.notes, note),
    )


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ConfigError: It is missing, too large, or something else.
    """
    try:
        if path.stat().st_size > _MAX_JSON_BYTES:
            raise ConfigError(
                f"'{path}' has {path.stat().st_size} bytes; that is no config. {FETCH_AGAIN}"
            )
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"'{path}' cannot be read as JSON ({brief(error)}). {FETCH_AGAIN}"
        ) from error
    if not isinstance(loaded, dict):
        raise ConfigError(f"'{path}' holds a {type(loaded).__name__}, not an object. {FETCH_AGAIN}")
    return loaded


def nonfinite_tensors(stored: StoredWeights) -> list[str]:
    """Read all numbers once; name the tensors that hold NaN or infinity."""
    return [key for key in sorted(stored.shapes) if not torch.isfinite(stored.read(key)).all()]


def read_finite(
    stored: StoredWeights, dtype: torch.dtype, *, copy: bool = False
) -> dict[str, Tensor]:
    """Read all tensors in a dtype; with ``copy``, no memory is shared with the file.

    Raises:
        SpecMismatchError: Some numbers are not finite.
    """
    tensors: dict[str, Tensor] = {}
    broken = []
    for key in stored.shapes:
        tensors[key] = stored.read(key).to(dtype, copy=copy).contiguous()
        if not torch.isfinite(tensors[key]).all():
            broken.append(key)
    if broken:
        what = f"NaN or infinity (as {str(dtype).removeprefix('torch.')}) in"
        raise SpecMismatchError(
            f"{stored.quoted} holds {list_some(what, broken)}"
            ". Such weights give no plan. Fix: take an earlier checkpoint, or another dtype."
        )
    return tensors


def list_odd_dtypes(stored: StoredWeights) -> str:
    """List the tensors that are no floating-point numbers; empty if there are none."""
    return list_some(
        "not weights",
        (f"{key} {dtype}" for key, dtype in stored.dtypes.items() if dtype not in DTYPES),
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
            f"'{path}' is damaged or not a safetensors file ({brief(error)}). {FETCH_AGAIN}"
        ) from error
    return StoredWeights(
        kind="safetensors",
        source=path,
        shapes=shapes,
        dtypes={key: _SAFETENSORS_DTYPES.get(name, name) for key, name in dtypes.items()},
        read=file.get_tensor,
    )


def _open_pickle(path: Path) -> StoredWeights:
    tensors, entry = read_pickle(path)
    plain = entry in (None, DEEPSPEED_ENTRY)
    return StoredWeights(
        kind="deepspeed" if entry == DEEPSPEED_ENTRY else "pytorch",
        source=path,
        shapes={key: tuple(value.shape) for key, value in tensors.items()},
        dtypes={key: str(value.dtype).removeprefix("torch.") for key, value in tensors.items()},
        read=lambda key: tensors[key].detach(),
        notes=() if plain else (f"{path.name}: the weights are those under '{entry}'.",),
    )


def _open_shards(index: Path) -> StoredWeights:
    places = read_json(index).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(p, str) for p in places.values()):
        raise ConfigError(f"'{index}' has no weight_map from names to files. {FETCH_AGAIN}")
    names = sorted(set(places.values()))
    for name in names:
        # A name that leads elsewhere would read files the user never meant.
        if Path(name).name != name or name.endswith(".index.json"):
            raise ConfigError(
                f"'{index}' names the file '{one_line(name)}' outside its folder. {FETCH_AGAIN}"
            )
    missing = [name for name in names if not (index.parent / name).is_file()]
    if missing:
        raise ConfigError(
            f"'{index}' names {len(names)} files, of which {len(missing)} not there: "
            f"{list_some('missing', missing)}. Fix: fetch them too, into the same folder."
        )
    parts = {name: open_weights(index.parent / name) for name in names}
    for key, name in places.items():
        if key not in parts[name].shapes:
            raise ConfigError(
                f"'{index}' places {one_line(key)} in '{name}', which lacks it. {FETCH_AGAIN}"
            )
    return StoredWeights(
        kind=parts[names[0]].kind if parts else "safetensors",
        source=index,
        shapes={key: parts[name].shapes[key] for key, name in places.items()},
        dtypes={key: parts[name].dtypes[key] for key, name in places.items()},
        read=lambda key: parts[places[key]].read(key),
    )
