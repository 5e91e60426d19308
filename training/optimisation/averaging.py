"""The exponential moving average of weights, in fp32 whatever the weights are."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from training.distributed.sharding import piece

_POWER = 0.75


def decay(updates: int, most: float, *, warmup: bool) -> float:
    """Return the share of the old average that an update keeps.

    Args:
        updates: Weights averaged before, 0 at the first time, when the average becomes the weights.
        most: The decay in the end.
        warmup: Let it rise as 1 − (1 + updates)^−0.75, as RDT's training code does (diffusers'
            ``EMAModel``).
    """
    if updates == 0:
        return 0.0
    return min(most, 1.0 - (1.0 + updates) ** -_POWER) if warmup else most


class WeightAverage:
    """A running average of the floating tensors in a module's state dict; not of frozen weights.

    Where they are in pieces, each process averages its own.
    """

    def __init__(self, module: nn.Module, most: float, *, warmup: bool = False) -> None:
        """Start from nothing: the first update copies the weights.

        Args:
            module: What to average; what is frozen now must stay so.
            most: Decay; 0 keeps no average at all.
            warmup: See ``decay``.
        """
        self._most, self._warmup = most, warmup
        self.updates = 0
        self.tensors: dict[str, Tensor] = {}
        if most:
            self.tensors = {name: value.float().clone() for name, value in _floating(module)}

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Take the module's weights in."""
        if not self._most:
            return
        keep = decay(self.updates, self._most, warmup=self._warmup)
        names, values = zip(*_floating(module), strict=True)
        averages = [piece(self.tensors[name]) for name in names]
        torch._foreach_lerp_(averages, [piece(value).float() for value in values], 1.0 - keep)
        self.updates += 1

    @contextmanager
    def applied(self, module: nn.Module) -> Iterator[None]:
        """Let the module have the averaged weights while the block runs, if there are any."""
        if not self.updates:
            yield
            return
        raw = {name: value.clone() for name, value in _floating(module)}
        _put(module, self.tensors)
        try:
            yield
        finally:
            _put(module, raw)

    def state_dict(self) -> dict[str, object]:
        """Return all that is needed to go on."""
        return {"updates": self.updates, "tensors": self.tensors}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Take up what ``state_dict`` gave.

        Raises:
            ValueError: It is of other weights.
        """
        tensors, updates = state["tensors"], state["updates"]
        if not isinstance(tensors, dict) or tensors.keys() != self.tensors.keys():
            raise ValueError("the averages are of other weights")
        for name, tensor in tensors.items():
            piece(self.tensors[name]).copy_(piece(tensor))
        self.updates = int(str(updates))


def _floating(module: nn.Module) -> list[tuple[str, Tensor]]:
    frozen = {name for name, each in module.named_parameters() if not each.requires_grad}
    return [
        (name, value.detach())
        for name, value in module.state_dict().items()
        if value.is_floating_point() and name not in frozen
    ]


@torch.no_grad()
def _put(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    for name, value in _floating(module):
        piece(value).copy_(piece(tensors[name]))
