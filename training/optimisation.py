"""How weights are updated: learning rate, moving average (EMA), and sharding.

Sharded, every process keeps a shard of each tensor (FSDP 2, ``fully_shard``). The units of sharding
are RDT's blocks, and the rest of the network as one. Weights, moments and averages are fp32; under
bf16 a block is gathered and computed in bf16, and gradients are summed in fp32. Frozen encoders are
not sharded: every process has them whole.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from policies.rdt.model.network import RDTPolicyNetwork
from training.config_sections import OptimisationSettings


def shard_network(network: RDTPolicyNetwork, accelerator: Accelerator) -> list[nn.Parameter]:
    """Shard a network, which must be the same in all processes.

    Args:
        network: Changed in place: its parameters become shards on the accelerator's device.
        accelerator: Knows the processes and the precision.

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
        content: The same structure in every process, with tensors sharded or whole.
        keep: Whether this process wants the result.

    Returns:
        The structure with whole tensors on the CPU in place of sharded ones; None if not wanted.
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
    """Shard a tensor in the same way as another one; all processes must call it.

    Args:
        whole: The tensor, the same in all processes; any other object is returned as it is.
        like: The other tensor, sharded or not.
    """
    if not isinstance(like, DTensor) or not isinstance(whole, Tensor):
        return whole
    return distribute_tensor(whole.to(like.device), like.device_mesh, like.placements)


def shard_state(whole: Mapping[str, Any], module: nn.Module) -> dict[str, Any]:
    """Shard a whole state dict in the same way as its module.

    Raises:
        KeyError: The module has no such tensor.
    """
    sharded = module.state_dict()
    return {name: shard_like(value, sharded[name]) for name, value in whole.items()}


def shard_moments(whole: Mapping[str, Any], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Shard an optimiser's whole state in the same way as its parameters.

    Raises:
        ValueError: It is of more parameters.
    """
    parameters = [weight for group in optimizer.param_groups for weight in group["params"]]
    if len(whole["state"]) > len(parameters):
        raise ValueError(f"moments of {len(whole['state'])} weights, there are {len(parameters)}")
    state = {
        index: {
            name: shard_like(value, parameters[index]) if _fits(value, parameters[index]) else value
            for name, value in values.items()
        }
        for index, values in whole["state"].items()
    }
    return {"state": state, "param_groups": whole["param_groups"]}


def _fits(value: Any, parameter: Tensor) -> bool:
    return isinstance(value, Tensor) and value.shape == parameter.shape


_WARMUP_POWER = 0.75


def learning_rate(settings: OptimisationSettings, update: int) -> float:
    """Return the learning rate of an update: linear warm-up, then the schedule.

    It depends on the update's number alone. A scheduler that accelerate prepares would advance once
    per process and shorten the warm-up on more of them.

    Args:
        settings: The schedule.
        update: Counted from 0.
    """
    peak, warmup = settings.learning_rate, settings.warmup_updates
    if update < warmup:
        return peak * (update + 1) / warmup
    progress = (update - warmup) / max(settings.updates - warmup, 1)
    if settings.schedule == "cosine":
        return peak * 0.5 * (1.0 + math.cos(math.pi * progress))
    if settings.schedule == "linear":
        return peak * (1.0 - progress)
    return peak


def ema_decay(updates: int, decay: float, *, warmup: bool) -> float:
    """Return the share of the old average that an update keeps.

    Args:
        updates: Updates of the average so far; the first update copies the weights.
        decay: The final decay.
        warmup: Let the decay rise as 1 − (1 + updates)^−0.75, as in RDT's training code
            (diffusers' ``EMAModel``).
    """
    if updates == 0:
        return 0.0
    return min(decay, 1.0 - (1.0 + updates) ** -_WARMUP_POWER) if warmup else decay


class ExponentialMovingAverage:
    """The average, in fp32, of the floating-point tensors in a module's state; not of frozen ones.

    Of sharded weights, each process averages its own shard.
    """

    def __init__(self, module: nn.Module, decay: float, *, warmup: bool = False) -> None:
        """Start without an average: the first update copies the weights.

        Args:
            module: The module to average; what is frozen now must stay frozen.
            decay: Final decay; 0 keeps no average.
            warmup: See ``ema_decay``.
        """
        self._decay, self._warmup = decay, warmup
        self.updates = 0
        self.tensors: dict[str, Tensor] = {}
        if decay:
            self.tensors = {name: value.float().clone() for name, value in _averaged(module)}

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Update the average with the module's weights."""
        if not self._decay:
            return
        decay = ema_decay(self.updates, self._decay, warmup=self._warmup)
        names, values = zip(*_averaged(module), strict=True)
        averages = [local_shard(self.tensors[name]) for name in names]
        weights = [local_shard(value).float() for value in values]
        torch._foreach_lerp_(averages, weights, 1.0 - decay)
        self.updates += 1

    @contextmanager
    def applied(self, module: nn.Module) -> Iterator[None]:
        """Give the module its averaged weights, if there are any, while the block runs."""
        if not self.updates:
            yield
            return
        raw = {name: value.clone() for name, value in _averaged(module)}
        _copy_into(module, self.tensors)
        try:
            yield
        finally:
            _copy_into(module, raw)

    def state_dict(self) -> dict[str, object]:
        """Return the state to resume from."""
        return {"updates": self.updates, "tensors": self.tensors}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Load what ``state_dict`` returned.

        Raises:
            ValueError: It is of other weights.
        """
        tensors, updates = state["tensors"], state["updates"]
        if not isinstance(tensors, dict) or tensors.keys() != self.tensors.keys():
            raise ValueError("the averages are of other weights")
        for name, tensor in tensors.items():
            local_shard(self.tensors[name]).copy_(local_shard(tensor))
        self.updates = int(str(updates))


def _averaged(module: nn.Module) -> list[tuple[str, Tensor]]:
    frozen = {name for name, weight in module.named_parameters() if not weight.requires_grad}
    return [
        (name, value.detach())
        for name, value in module.state_dict().items()
        if value.is_floating_point() and name not in frozen
    ]


@torch.no_grad()
def _copy_into(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    for name, value in _averaged(module):
        local_shard(value).copy_(local_shard(tensors[name]))
