"""Which weights are trained, and how the network computes while it is."""

from torch import nn

from policies.rdt.network import RDTPolicyNetwork
from tasks.errors import ConfigError
from training.optimisation.lora import add_adapters
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
