"""How weights are updated: the learning rate, and the moving average (EMA)."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from training.config_sections import OptimisationSettings
from training.sharding import local_shard

_WARMUP_POWER = 0.75


def learning_rate(settings: OptimisationSettings, update: int) -> float:
    """Return the learning rate of an update, counted from 0: linear warm-up, then the schedule.

    A scheduler that accelerate prepares would advance once per process, not once per update.
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
    """Return the share of the old average that an update keeps; 0 for the first.

    Args:
        updates: Updates of the average so far.
        decay: The final decay.
        warmup: Let the decay rise as 1 − (1 + updates)^−0.75, as in RDT's training code
            (diffusers' ``EMAModel``).
    """
    if updates == 0:
        return 0.0
    return min(decay, 1.0 - (1.0 + updates) ** -_WARMUP_POWER) if warmup else decay


class ExponentialMovingAverage:
    """The fp32 average of a module's floating-point tensors that are not frozen.

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
        """Load the averaged weights, if there are any, into the module while the block runs."""
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
