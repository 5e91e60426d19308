"""Sharding (FSDP 2): every process keeps a shard of each tensor.

RDT's blocks are sharded one by one, the rest of the network as one unit. Weights, moments and
averages are fp32; under bf16 a block is gathered and computed in bf16, and gradients are summed in
fp32. Frozen encoders are not sharded: every process has them whole.
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


def shard_network(network: RDTPolicyNetwork, accelerator: Accelerator) -> list[nn.Parameter]:
    """Shard a network, the same in all processes, in place onto the accelerator's device.

    Returns:
        The parameters to train, which are new objects.
    """
    mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
    # Inputs keep their dtype: the residual stream is fp32 as without sharding, autocast casts it
    # to bf16 where it is multiplied, and targets are not rounded.
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
    return [weight for weight in network.parameters() if weight.requires_grad]


def local_shard(tensor: Tensor) -> Tensor:
    """Return this process's shard of a tensor, sharing its memory; all of an unsharded one."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def gather_tensors(content: Any, *, keep: bool) -> Any:
    """Gather all sharded tensors in nested dicts and lists; all processes must call it.

    Args:
        content: The same structure in every process.
        keep: Whether this process wants the result.

    Returns:
        The structure with whole tensors on the CPU for sharded ones; None if not wanted.
    """
    if isinstance(content, Mapping):
        named = {name: gather_tensors(value, keep=keep) for name, value in content.items()}
        return named if keep else None
    if isinstance(content, list | tuple):
        listed = [gather_tensors(value, keep=keep) for value in content]
        return listed if keep else None
    if isinstance(content, DTensor):
        whole = content.full_tensor()
        return whole.cpu() if keep else None
    return content if keep else None


def shard_like(whole: Any, like: Tensor) -> Any:
    """Shard a tensor as another one is sharded; all processes must call it with the same.

    An object that is no tensor is returned as it is.
    """
    if not isinstance(like, DTensor) or not isinstance(whole, Tensor):
        return whole
    return distribute_tensor(whole.to(like.device), like.device_mesh, like.placements)


def shard_state(whole: Mapping[str, Any], module: nn.Module) -> dict[str, Any]:
    """Shard a whole state dict as its module is sharded.

    Raises:
        KeyError: The module has no such tensor.
    """
    sharded = module.state_dict()
    return {name: shard_like(value, sharded[name]) for name, value in whole.items()}


def shard_moments(whole: Mapping[str, Any], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Shard an optimiser's whole state as its parameters are sharded.

    Raises:
        ValueError: The state is of more parameters.
    """
    parameters = [weight for group in optimizer.param_groups for weight in group["params"]]
    if len(whole["state"]) > len(parameters):
        raise ValueError(f"moments of {len(whole['state'])} weights, there are {len(parameters)}")

    def is_moment(value: Any, index: int) -> bool:
        return isinstance(value, Tensor) and value.shape == parameters[index].shape

    state = {
        index: {
            name: shard_like(value, parameters[index]) if is_moment(value, index) else value
            for name, value in values.items()
        }
        for index, values in whole["state"].items()
    }
    return {"state": state, "param_groups": whole["param_groups"]}
