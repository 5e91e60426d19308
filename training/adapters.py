"""The choice of trained weights: freezing and low-rank adapters (LoRA)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from policies.rdt.encoders.siglip import SiglipImageEncoder
from policies.rdt.model.network import RDTPolicyNetwork
from tasks.errors import ConfigError, PrerequisiteError
from training.config import TrainingConfig
from training.config_sections import LoraSettings, LoraTargets


def prepare_network(network: RDTPolicyNetwork, config: TrainingConfig) -> list[nn.Parameter]:
    """Freeze weights, add adapters, enable gradient checkpointing and compilation, in place.

    Returns:
        The parameters to train, which are fp32; a frozen SigLIP computes in bf16 under that
        precision.

    Raises:
        ConfigError: Nothing is left to train.
        PrerequisiteError: Adapters are wanted and peft is not installed.
    """
    network.float()
    if config.precision == "bf16" and isinstance(network.image_encoder, SiglipImageEncoder):
        # As in RDT's training code. In fp32 the tower takes most of an update on a GPU.
        network.image_encoder.compute_in(torch.bfloat16)
    frozen: list[nn.Module] = []
    if config.freeze == "encoders":
        frozen = [network.image_encoder, network.text_encoder]
    elif config.freeze == "trunk":
        frozen = [network.rdt.model]
    for module in frozen:
        module.requires_grad_(False)
    if config.freeze == "trunk":
        network.rdt.model.final_layer.requires_grad_(True)
    if config.lora_rank:
        add_adapters(network, config)
    network.rdt.model.recompute = config.gradient_checkpointing
    if config.compile:
        network.rdt.model.compile()
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    if not trained:
        raise ConfigError(f"--freeze {config.freeze} leaves nothing to train. Fix: drop it.")
    return trained


_PARTS: dict[LoraTargets, tuple[str, ...]] = {
    "attention": (".attn.", ".cross_attn."),
    "attention-ffn": (".attn.", ".cross_attn.", ".ffn."),
}
"""Parts of the names of adapted layers."""


def add_adapters(network: RDTPolicyNetwork, settings: LoraSettings) -> None:
    """Add adapters to the trunk in place; of RDT only they, and perhaps its adaptors, are trained.

    An adapter adds B·A·alpha/rank to a weight; B is zero at the start.

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
    """Return the names of the linear layers that get adapters, without those trained anyway."""
    layers = [name for name, layer in trunk.named_modules() if isinstance(layer, nn.Linear)]
    if settings.lora_targets != "all-linear":
        parts = _PARTS[settings.lora_targets]
        return [name for name in layers if any(part in name for part in parts)]
    trained_anyway = "final_layer." if settings.lora_train_adaptors else ()
    return [name for name in layers if not name.startswith(trained_anyway)]


@contextmanager
def merged(network: nn.Module) -> Iterator[None]:
    """Merge every adapter into its weight while the block runs.

    Merged layers are temporary copies: the weights are unchanged afterwards, to the last bit.
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
