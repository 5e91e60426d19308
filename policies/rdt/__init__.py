"""RDT: a diffusion transformer that plans 64 actions from images, an instruction and the state."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tasks.native_libraries import load_triton_after_mesa

if TYPE_CHECKING:
    from policies.rdt.actions.layout_file import get_layout
    from policies.rdt.checkpoint.loading import LoadingOptions, load_network
    from policies.rdt.checkpoint.storage import load_checkpoint, save_checkpoint
    from policies.rdt.model.config import RDTConfig
    from policies.rdt.model.presets import build_network
    from policies.rdt.model.transformer import RDTInputs, RDTModel
    from policies.rdt.policy import RDTOptions, RDTPolicy

__all__ = [
    "LoadingOptions",
    "RDTConfig",
    "RDTInputs",
    "RDTModel",
    "RDTOptions",
    "RDTPolicy",
    "build_network",
    "get_layout",
    "load_checkpoint",
    "load_network",
    "save_checkpoint",
]

_MODULES = {
    "actions.layout_file": ("get_layout",),
    "checkpoint.loading": ("LoadingOptions", "load_network"),
    "checkpoint.storage": ("load_checkpoint", "save_checkpoint"),
    "model.config": ("RDTConfig",),
    "model.presets": ("build_network",),
    "model.transformer": ("RDTInputs", "RDTModel"),
    "policy": ("RDTOptions", "RDTPolicy"),
}

load_triton_after_mesa()  # before torch does it


def __getattr__(name: str) -> Any:
    """Import a public name when first asked for: importing the package alone needs no torch."""
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"policies.rdt.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
