"""One optimiser update: batches, augmentation, masking, loss, gradient, average."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.distributed.tensor import DTensor

from results.signals import Interruption
from training.augmentation.pipeline import augment_images
from training.config import TrainingConfig
from training.data.windows import Window, add_state_noise, mask_conditions
from training.optimisation import learning_rate
from training.progress import Throughput
from training.setup import RunSetup
from training.trained_weights import TrainedWeights


@dataclass(frozen=True, kw_only=True)
class UpdateResult:
    """The result of an update.

    Attributes:
        loss: Mean over the windows of all processes.
        gradient_norm: Before clipping.
        stop: Whether all processes are to stop after it.
    """

    loss: float
    gradient_norm: float
    learning_rate: float
    stop: bool


class Updater:
    """Makes the updates of a run in one process."""

    def __init__(
        self,
        config: TrainingConfig,
        setup: RunSetup,
        trained: TrainedWeights,
        loss_weights: Tensor,
        accelerator: Accelerator,
    ) -> None:
        """Prepare for updates; ``loss_weights`` are (V,), one for each slot."""
        self._config, self._setup, self._trained = config, setup, trained
        self._accelerator = accelerator
        self._loss_weights = loss_weights.to(accelerator.device)
        self.passes: int = accelerator.gradient_accumulation_steps

    @property
    def batches_per_update(self) -> int:
        """Batches of all processes in an update."""
        count: int = self.passes * self._accelerator.num_processes
        return count

    @property
    def samples(self) -> int:
        """Windows per update, over all processes."""
        return self._config.batch_size * self.batches_per_update

    def update(
        self,
        number: int,
        batches: Iterator[Window],
        throughput: Throughput,
        interruption: Interruption,
    ) -> UpdateResult:
        """Make an update.

        Args:
            number: Updates done before.
            batches: The batches of this process.
            throughput: Measures the waiting for batches.
            interruption: Whether a signal asked this process to stop.
        """
        optimizer, accelerator = self._trained.optimizer, self._accelerator
        rate = learning_rate(self._config, number)
        for group in optimizer.param_groups:
            group["lr"] = rate
        total = torch.zeros((), device=accelerator.device)
        norm = 0.0
        for turn in range(self.passes):
            with throughput.waiting():
                batch = next(batches)
            # Noise and timesteps depend on the batch's number alone: a resumed run is the same
            # run, and so is one on another number of processes.
            index = number * self.batches_per_update + turn * accelerator.num_processes
            torch.manual_seed((self._config.seed << 40) + index + accelerator.process_index)
            with accelerator.accumulate(self._trained.network):
                loss = self._loss(batch)
                accelerator.backward(loss)
                total += loss.detach()
                if accelerator.sync_gradients:
                    norm = float(self._clip())
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
        self._trained.average.update(self._trained.raw)
        # One message for both, so that all processes stop after the same update.
        message = torch.stack((total / self.passes, torch.full_like(total, interruption.pending)))
        mean_loss, stopping = accelerator.reduce(message, "mean").tolist()
        return UpdateResult(
            loss=mean_loss, gradient_norm=norm, learning_rate=rate, stop=stopping > 0
        )

    def _loss(self, batch: Window) -> Tensor:
        prepared = self._prepare(batch)
        weights = self._loss_weights
        if "valid" in prepared:
            weights = weights * prepared["valid"][..., None]
        with self._accelerator.autocast():
            loss: Tensor = self._trained.network(prepared, weights=weights)[0]
        return loss

    def _prepare(self, batch: Window) -> Window:
        """Move a batch to the device, augment its images and mask conditions."""
        prepared = self.move(batch)
        prepared["images"] = augment_images(prepared["images"], self._config)
        add_state_noise(prepared, self._config.state_noise_db)
        contract, windows = self._setup.contract, self._setup.windows
        mask_conditions(
            prepared,
            self._config,
            contract.cameras,
            windows.mean_state,
            windows.no_text,
            missing=contract.missing_cameras,
        )
        return prepared

    def move(self, batch: Any) -> Window:
        """Move a batch to the device."""
        moved: Any = {
            name: value.to(self._accelerator.device, non_blocking=True)
            for name, value in batch.items()
            if isinstance(value, Tensor)
        }
        window: Window = moved
        return window

    def _clip(self) -> Tensor:
        """Clip the gradient of the whole update; return its norm before."""
        norm: Tensor | None = self._accelerator.clip_grad_norm_(
            self._trained.network.parameters(), self._config.clip
        )
        assert norm is not None  # None is for wrappers that are refused
        return norm.full_tensor() if isinstance(norm, DTensor) else norm
