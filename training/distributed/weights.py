"""What is trained, wherever its parts are: to be saved, resumed and looked at as a whole."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from policies.rdt.encoders.base import FrozenEncodersConfig
from policies.rdt.model.network import RDTPolicyNetwork
from training.checkpoint_manager import State
from training.config import TrainingConfig
from training.distributed.launch import fsdp_asked
from training.distributed.sharding import (
    gathered,
    scattered,
    scattered_moments,
    scattered_state,
    shard,
)
from training.optimisation.averaging import WeightAverage


class Gathered:
    """What is trained, whole, in the main process.

    Attributes:
        state: All that is needed to go on; None if it was not asked for.
    """

    def __init__(
        self,
        network: RDTPolicyNetwork,
        state: dict[str, Any] | None,
        *,
        average: WeightAverage | None = None,
        device: torch.device | None = None,
    ) -> None:
        """Note what was gathered.

        Args:
            network: The one that is trained, or a copy on the CPU with the averaged weights.
            state: See above.
            average: For the one that is trained.
            device: For a copy, where it is called.
        """
        self._network, self.state = network, state
        self._average, self._device = average, device

    @contextmanager
    def averaged(self, *, computing: bool = False) -> Iterator[RDTPolicyNetwork]:
        """Give the network with its averaged weights while the block runs.

        Args:
            computing: Whether it will be called, and must be where batches are.
        """
        if self._average is not None:
            with self._average.applied(self._network):
                yield self._network
            return
        # Large encoders are shared with the network that is trained, and stay where it is.
        frozen = isinstance(self._network.encoders_config, FrozenEncodersConfig)
        moved = self._network.rdt if frozen else self._network
        try:
            moved.to(self._device if computing else "cpu")
            yield self._network
        finally:
            moved.to("cpu")


class TrainedWeights:
    """A network, its average and its optimiser, in every process whole or in pieces.

    What is said to be done in all processes must be: those that are left out would be waited for.

    Attributes:
        network: What is called with a batch.
        raw: The network itself, with the weights that the optimiser moves.
        sharded: Whether every process has but a share of each tensor.
        optimizer: AdamW.
        average: The running average.
    """

    def __init__(
        self,
        network: RDTPolicyNetwork,
        trained: list[nn.Parameter],
        config: TrainingConfig,
        accelerator: Accelerator,
    ) -> None:
        """Hand a network to the processes.

        Args:
            network: The same in all of them.
            trained: Its parameters to train.
            config: The run.
            accelerator: With the processes.
        """
        self._accelerator = accelerator
        self.sharded = fsdp_asked()
        self._whole: RDTPolicyNetwork | None = None
        if self.sharded:
            if accelerator.is_main_process:
                self._whole = copy.deepcopy(network)  # to be filled when the whole is wanted
            trained = shard(network, accelerator)
        # One operation for all pieces of a kind, which torch does not choose for pieces by itself.
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
        self.average = WeightAverage(self.raw, config.ema, warmup=config.ema_warmup)

    def gather(self, *, resumable: bool = True) -> Gathered | None:
        """Put together what is in pieces; in all processes.

        Args:
            resumable: Also what only going on takes.

        Returns:
            All of it in the main process, None in the others.
        """
        main = self._accelerator.is_main_process
        state: dict[str, Any] | None = None
        if resumable:
            state = gathered(self._state(), keep=main)
        if not self.sharded:
            return Gathered(self.raw, state, average=self.average) if main else None
        with self.average.applied(self.raw):
            weights = gathered(self.raw.state_dict(), keep=main)
        if self._whole is None:
            return None
        self._whole.load_state_dict(weights)
        return Gathered(self._whole, state, device=self._accelerator.device)

    def _state(self) -> dict[str, Any]:
        state = {
            "network": self.raw.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        if self._accelerator.scaler is not None:
            state["scaler"] = self._accelerator.scaler.state_dict()
        return state

    def load(self, state: State) -> None:
        """Take up what was gathered before, on any number of processes; in all of them.

        Raises:
            KeyError: Something is missing.
            RuntimeError: It is of other weights.
            ValueError: It is of other weights.
        """
        network, average, optimizer = state["network"], state["average"], state["optimizer"]
        if self.sharded:
            network = scattered_state(network, self.raw)
            there = self.average.tensors
            tensors = {n: scattered(v, there[n]) for n, v in average["tensors"].items()}
            average = {**average, "tensors": tensors}
            optimizer = scattered_moments(optimizer, self.optimizer)
        self.raw.load_state_dict(network)
        self.average.load_state_dict(average)
        self.optimizer.load_state_dict(optimizer)
        for group in self.optimizer.param_groups:
            group["foreach"] = self._foreach  # of this process, not of the one that saved
        if self._accelerator.scaler is not None:
            self._accelerator.scaler.load_state_dict(state["scaler"])
