"""Names as wrapped models save them: ``module.`` of DDP, ``_orig_mod.`` of ``torch.compile``."""

from collections import defaultdict
from collections.abc import Iterable

from policies.rdt.model.shapes import list_some
from tasks.errors import SpecMismatchError

WRAPPERS = {
    "module": "DataParallel",
    "_orig_mod": "torch.compile",
    "_fsdp_wrapped_module": "FSDP",
    "_checkpoint_wrapped_module": "activation checkpointing",
}
"""Under which name a wrapper holds the module that it wraps, and what the wrapper is."""

_DEEPEST = 64
"""Parts of a name that are looked at; a stranger's names may have millions."""


def unwrapped_names(names: Iterable[str]) -> dict[str, str]:
    """Give the names that tensors have in the model itself.

    A wrapper stands in the place of a module, so it is part of the names of all tensors below that
    place. It may wrap the whole model or a part of it, and wrappers may be nested in any order.

    Args:
        names: Of all tensors.

    Returns:
        The names in the model, by the given ones.

    Raises:
        SpecMismatchError: Some names below a place have a wrapper's and some do not.
    """
    below: dict[tuple[str, ...], set[str]] = defaultdict(set)
    parts = {name: tuple(name.split(".")) for name in names}
    if not any(part in WRAPPERS for path in parts.values() for part in path):
        return {name: name for name in parts}
    for path in parts.values():
        for depth, part in enumerate(path[:_DEEPEST]):
            below[path[:depth]].add(part)
    for place, children in below.items():
        wrapped = sorted(children & WRAPPERS.keys())
        if wrapped and len(children) > 1:
            where = f"below '{'.'.join(place)}'" if place else "at the beginning"
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


def wrappers_in(names: Iterable[str]) -> str:
    """Say which wrappers' names are in tensors' names, such as ``module. (DataParallel)``."""
    seen = {part for name in names for part in name.split(".") if part in WRAPPERS}
    return " and ".join(f"{part}. ({WRAPPERS[part]})" for part in sorted(seen))
