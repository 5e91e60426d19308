"""Which weights are trained, and how the network computes while it is."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from policies.rdt.model.network import RDTPolicyNetwork
from tasks.errors import ConfigError, PrerequisiteError
from training.optimisation.lora_settings import LoraSettings, Targets
from training.optimisation.settings import OptimisationSettings


def prepare_network(
    network: RDTPolicyNetwork, settings: OptimisationSettings
) -> list[nn.Parameter]:
    """Freeze what is to stay, add adapters, switch on what saves memory or time.

    Args:
        network: Changed in place; its weights become fp32.
        settings: What is asked.

    Returns:
        The parameters to train.

    Raises:
        ConfigError: Nothing is left to train.
        PrerequisiteError: Adapters are asked for, and the package that makes them is missing.
    """
    network.float()
    frozen: list[nn.Module] = []
    if settings.freeze == "encoders":
        frozen = [network.image_encoder, network.text_encoder]
    elif settings.freeze == "trunk":
        frozen = [network.rdt.model]
    for module in frozen:
        module.requires_grad_(False)
    if settings.freeze == "trunk":
        network.rdt.model.final_layer.requires_grad_(True)
    if settings.lora_rank:
        add_adapters(network, settings)
    network.rdt.model.recompute = settings.gradient_checkpointing
    if settings.compile:
        network.rdt.model.compile()
    trained = [each for each in network.parameters() if each.requires_grad]
    if not trained:
        raise ConfigError(f"--freeze {settings.freeze} leaves nothing to train. Fix: drop it.")
    return trained


_PARTS: dict[Targets, tuple[str, ...]] = {
    "attention": (".attn.", ".cross_attn."),
    "attention-ffn": (".attn.", ".cross_attn.", ".ffn."),
}
"""What the names of layers hold that get adapters."""


def add_adapters(network: RDTPolicyNetwork, settings: LoraSettings) -> None:
    """Put adapters into the trunk, and let of RDT only them and what was asked for be trained.

    An adapter starts as zero: its matrices A and B add B·A·alpha/rank to a weight, and B is zero.

    Args:
        network: Changed in place.
        settings: With a rank.

    Raises:
        PrerequisiteError: peft is not installed.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise PrerequisiteError(
            f"--lora-rank {settings.lora_rank} needs the package peft, which is not installed. "
            "Fix: pip install 'libero-bench[lora]'."
        ) from error
    trunk = network.rdt.model
    network.rdt.requires_grad_(False)
    adapters = LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha or settings.lora_rank,
        lora_dropout=settings.lora_dropout,
        target_modules=target_layers(trunk, settings),
        bias="none",
    )
    inject_adapter_in_model(adapters, trunk)
    if settings.lora_train_adaptors:
        rdt = network.rdt
        for part in (rdt.lang_adaptor, rdt.img_adaptor, rdt.state_adaptor, trunk.final_layer):
            part.requires_grad_(True)


def target_layers(trunk: nn.Module, settings: LoraSettings) -> list[str]:
    """Return the names of the linear layers that get adapters; none that is trained itself."""
    layers = [name for name, each in trunk.named_modules() if isinstance(each, nn.Linear)]
    if settings.lora_targets != "all-linear":
        parts = _PARTS[settings.lora_targets]
        return [name for name in layers if any(part in name for part in parts)]
    itself = "final_layer." if settings.lora_train_adaptors else ()
    return [name for name in layers if not name.startswith(itself)]


@contextmanager
def merged(network: nn.Module) -> Iterator[None]:
    """Let a network be a plain one while the block runs: every adapter added to its weight.

    The weights themselves are not touched, so that afterwards they are the same to the last bit.
    """
    adapted: list[tuple[nn.Module, str, Any]] = [
        (parent, name, child)
        for parent in network.modules()
        for name, child in parent.named_children()
        if hasattr(child, "get_delta_weight")
    ]
    for parent, name, layer in adapted:
        setattr(parent, name, _plain(layer))
    try:
        yield
    finally:
        for parent, name, layer in adapted:
            setattr(parent, name, layer)


@torch.no_grad()
def _plain(layer: Any) -> nn.Linear:
    base = layer.base_layer
    # Without storage nothing is drawn: the run's random numbers must not depend on saving.
    plain = nn.Linear(base.in_features, base.out_features, bias=False, device="meta")
    total = base.weight + sum(layer.get_delta_weight(name) for name in layer.active_adapters)
    plain.weight = nn.Parameter(total, requires_grad=False)
    plain.bias = base.bias
    return plain
