"""The network, its average and its optimiser, sharded or not: gathered, saved and resumed whole."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from policies.rdt.encoders.base import FrozenEncodersConfig
from policies.rdt.model.network import RDTPolicyNetwork
from training.checkpoint_manager import TrainingState
from training.config import TrainingConfig
from training.launch import fsdp_enabled
from training.optimisation import ExponentialMovingAverage
from training.sharding import (
    gather_tensors,
    shard_like,
    shard_moments,
    shard_network,
    shard_state,
)


class WholeWeights:
    """Trained weights, and perhaps the state to resume from, gathered in the main process."""

    def __init__(
        self,
        network: RDTPolicyNetwork,
        state: dict[str, Any] | None,
        *,
        average: ExponentialMovingAverage | None = None,
        device: torch.device | None = None,
    ) -> None:
        """Hold gathered weights.

        Args:
            network: The trained network, or a copy on the CPU that has the averaged weights.
            state: The state to resume from.
            average: Average of the trained network; None for a copy.
            device: Where a copy computes.
        """
        self._network, self.state = network, state
        self._average, self._device = average, device

    @contextmanager
    def averaged(self, *, computing: bool = False) -> Iterator[RDTPolicyNetwork]:
        """Yield the network with its averaged weights.

        Args:
            computing: Whether the block calls the network, which then is moved to the device.
        """
        if self._average is not None:
            with self._average.applied(self._network):
                yield self._network
            return
        # Frozen encoders are shared with the trained network and stay on its device.
        frozen = isinstance(self._network.encoders_config, FrozenEncodersConfig)
        moved = self._network.rdt if frozen else self._network
        try:
            moved.to(self._device if computing else "cpu")
            yield self._network
        finally:
            moved.to("cpu")


class TrainedWeights:
    """A network, its average and its optimiser, whole or sharded in every process.

    Attributes:
        network: The module to call with a batch.
        raw: The network itself, with the weights that the optimiser updates.
        sharded: Whether every process has only a shard of each tensor.
    """

    def __init__(
        self,
        network: RDTPolicyNetwork,
        trained: list[nn.Parameter],
        config: TrainingConfig,
        accelerator: Accelerator,
    ) -> None:
        """Prepare a network, the same in all processes, and its parameters to train."""
        self._accelerator = accelerator
        self.sharded = fsdp_enabled()
        self._whole: RDTPolicyNetwork | None = None
        if self.sharded:
            if accelerator.is_main_process:
                self._whole = copy.deepcopy(network)  # filled when weights are gathered
            trained = shard_network(network, accelerator)
        # One operation for all shards of a kind, which torch does not choose for shards by itself.
        self._foreach = True if self.sharded else None
        optimizer = torch.optim.AdamW(
            trained,
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            foreach=self._foreach,
        )
        self.network: nn.Module
        self.optimizer: Any
        if self.sharded:
            self.network, self.raw = network, network
            self.optimizer = accelerator.prepare_optimizer(optimizer)
        else:
            self.network, self.optimizer = accelerator.prepare(network, optimizer)
            self.raw = accelerator.unwrap_model(self.network)
        self.average = ExponentialMovingAverage(self.raw, config.ema, warmup=config.ema_warmup)

    def gather(self, *, resumable: bool = True) -> WholeWeights | None:
        """Gather the weights in the main process; all processes must call this.

        Args:
            resumable: Also gather the state to resume from.

        Returns:
            None in the other processes.
        """
        main = self._accelerator.is_main_process
        state: dict[str, Any] | None = None
        if resumable:
            state = gather_tensors(self._state(), keep=main)
        if not self.sharded:
            return WholeWeights(self.raw, state, average=self.average) if main else None
        with self.average.applied(self.raw):
            weights = gather_tensors(self.raw.state_dict(), keep=main)
        if self._whole is None:
            return None
        self._whole.load_state_dict(weights)
        return WholeWeights(self._whole, state, device=self._accelerator.device)

    def _state(self) -> dict[str, Any]:
        state = {
            "network": self.raw.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        if self._accelerator.scaler is not None:
            state["scaler"] = self._accelerator.scaler.state_dict()
        return state

    def load(self, state: TrainingState) -> None:
        """Load a state that any number of processes gathered; all processes must call this.

        Raises:
            KeyError: The state lacks something.
            RuntimeError: It is of other weights.
            ValueError: It is of other weights.
        """
        network, average, optimizer = state["network"], state["average"], state["optimizer"]
        if self.sharded:
            network = shard_state(network, self.raw)
            sharded = self.average.tensors
            tensors = {n: shard_like(v, sharded[n]) for n, v in average["tensors"].items()}
            average = {**average, "tensors": tensors}
            optimizer = shard_moments(optimizer, self.optimizer)
        self.raw.load_state_dict(network)
        self.average.load_state_dict(average)
        self.optimizer.load_state_dict(optimizer)
        for group in self.optimizer.param_groups:
            group["foreach"] = self._foreach  # of this process, not of the one that saved
        if self._accelerator.scaler is not None:
            self._accelerator.scaler.load_state_dict(state["scaler"])
