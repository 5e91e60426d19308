"""RDT: a diffusion transformer that plans 64 actions from images, words and the arm's state."""

from typing import TYPE_CHECKING, Any

from tasks.native_libraries import load_triton_after_mesa

if TYPE_CHECKING:
    from policies.rdt.model.config import RDTConfig
    from policies.rdt.model.transformer import RDTModel

__all__ = ["RDTConfig", "RDTModel"]

_HOMES = {"RDTConfig": "policies.rdt.model.config", "RDTModel": "policies.rdt.model.transformer"}

load_triton_after_mesa()  # before torch does it


def __getattr__(name: str) -> Any:
    """Import a public name when first asked for: importing the package alone needs no torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
