"""Weights in pieces: every process keeps a share of each tensor (FSDP 2, ``fully_shard``).

The units that are put together and taken apart again are RDT's blocks, and all the rest as one.
Weights, moments and averages are fp32; under bf16 a block is sent and computed with in bf16, and
gradients are summed in fp32. Frozen encoders are not in pieces: every process has them whole.
"""

from collections.abc import Mapping
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from policies.rdt.model.network import RDTPolicyNetwork


def shard(network: RDTPolicyNetwork, accelerator: Accelerator) -> list[nn.Parameter]:
    """Share out a network, which must be the same in all processes.

    Args:
        network: Changed in place: its parameters become pieces, on the accelerator's device.
        accelerator: With the processes and the precision.

    Returns:
        The parameters to train, which are others than before.
    """
    mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
    # What goes in keeps its dtype: the residual stream is fp32 as without pieces, autocast makes
    # bf16 of it where it is multiplied, and targets are not rounded.
    computed = torch.bfloat16 if accelerator.mixed_precision == "bf16" else None
    plain = MixedPrecisionPolicy(reduce_dtype=torch.float32, cast_forward_inputs=False)
    blocks = MixedPrecisionPolicy(
        param_dtype=computed, reduce_dtype=torch.float32, cast_forward_inputs=False
    )
    for parameter in network.parameters():  # those of convolutions are channels-last
        parameter.data = parameter.data.contiguous()
    units = [fully_shard(block, mesh=mesh, mp_policy=blocks) for block in network.rdt.model.blocks]
    units.append(fully_shard(network, mesh=mesh, mp_policy=plain))
    if accelerator.device.type == "cpu":
        for unit in units:  # gloo sums, and does not average
            unit.set_force_sum_reduction_for_comms(True)
    return [each for each in network.parameters() if each.requires_grad]


def piece(tensor: Tensor) -> Tensor:
    """Return this process's share of a tensor, sharing its memory; all of it if it is whole."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def gathered(content: Any, *, keep: bool) -> Any:
    """Put together all tensors in nested dicts and lists; all processes must call it.

    Args:
        content: The same structure everywhere, with tensors in pieces or whole.
        keep: Whether this process wants the result.

    Returns:
        The same with whole tensors on the CPU in place of those in pieces; None if not wanted.
    """
    if isinstance(content, Mapping):
        found = {name: gathered(each, keep=keep) for name, each in content.items()}
        return found if keep else None
    if isinstance(content, list | tuple):
        listed = [gathered(each, keep=keep) for each in content]
        return listed if keep else None
    if isinstance(content, DTensor):
        whole = content.full_tensor()
        return whole.cpu() if keep else None
    return content if keep else None


def scattered(whole: Any, like: Tensor) -> Any:
    """Take a tensor apart as another one is; all processes must call it.

    Args:
        whole: The tensor, the same in all processes; anything else is given back.
        like: In pieces or not.
    """
    if not isinstance(like, DTensor) or not isinstance(whole, Tensor):
        return whole
    return distribute_tensor(whole.to(like.device), like.device_mesh, like.placements)


def scattered_state(whole: Mapping[str, Any], module: nn.Module) -> dict[str, Any]:
    """Take a module's whole state apart as the module is.

    Raises:
        KeyError: The module has no such tensor.
    """
    there = module.state_dict()
    return {name: scattered(value, there[name]) for name, value in whole.items()}


def scattered_moments(whole: Mapping[str, Any], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Take an optimiser's whole state apart as its parameters are.

    Raises:
        ValueError: It is of more parameters.
    """
    parameters = [each for group in optimizer.param_groups for each in group["params"]]
    if len(whole["state"]) > len(parameters):
        raise ValueError(f"moments of {len(whole['state'])} weights, there are {len(parameters)}")
    taken = {
        place: {
            name: scattered(value, parameters[place]) if _like(value, parameters[place]) else value
            for name, value in values.items()
        }
        for place, values in whole["state"].items()
    }
    return {"state": taken, "param_groups": whole["param_groups"]}


def _like(value: Any, parameter: Tensor) -> bool:
    return isinstance(value, Tensor) and value.shape == parameter.shape
