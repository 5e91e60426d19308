"""Fine-tuning an RDT policy on demonstrations, through accelerate."""

import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import set_seed
from torch import Tensor
from torch.utils.data import DataLoader

from policies.rdt.checkpoint import save_checkpoint
from policies.rdt.layout import Layout, get_layout
from policies.rdt.network import Batch, RDTPolicyNetwork
from tasks.errors import ConfigError
from training.augmentation.shifting import mask_conditions, shift_images
from training.checkpoints.shelf import STATE
from training.checkpoints.state import read_state, write_state
from training.config import TrainingConfig
from training.data.order import EndlessBatches
from training.optimisation.accumulation import accumulation
from training.optimisation.averaging import WeightAverage
from training.optimisation.freezing import prepare_network
from training.optimisation.schedule import learning_rate
from training.run_folder import RunFolder
from training.starting import describe_contract, read_windows, start_network

_LOG_EVERY = 10
_SMOOTHING = 0.95
_TOGETHER = ("NO", "MULTI_CPU", "MULTI_GPU")


@dataclass(frozen=True, kw_only=True)
class TrainingStatus:
    """How far a run is.

    Attributes:
        update: Updates done.
        updates: Updates in all.
        loss: Running mean of the loss.
        rate: Updates per second since this process started.
        learning_rate: Of the latest update.
        gradient_norm: Of the latest update, before clipping.
        samples_per_s: Windows per second over all processes since this process started.
        data_wait: Share of the time spent waiting for batches since this process started.
    """

    update: int
    updates: int
    loss: float
    rate: float
    learning_rate: float
    gradient_norm: float
    samples_per_s: float
    data_wait: float


Progress = Callable[[TrainingStatus], None]


def train(config: TrainingConfig, progress: Progress | None = None) -> Path:
    """Train until done; resume where a killed run stopped; do nothing if it is finished.

    Args:
        config: The run.
        progress: Called after every update, in the main process.

    Returns:
        The folder of the finished checkpoint.

    Raises:
        ConfigError: Bad demos or checkpoint, or the output folder is another run's.
    """
    folder = RunFolder(config.out)
    if config.threads:
        torch.set_num_threads(config.threads)
    # Known before accelerate starts: its wrappers want the accumulation from the beginning.
    passes = accumulation(config, int(os.environ.get("WORLD_SIZE", "1")))
    AcceleratorState._reset_state()  # or a second run in a process keeps the first one's precision
    accelerator = Accelerator(mixed_precision=config.precision, gradient_accumulation_steps=passes)
    if accelerator.distributed_type.value not in _TOGETHER:
        raise ConfigError(
            f"accelerate is set to {accelerator.distributed_type.value}. Allowed: one process, or "
            "data parallel on CPUs or GPUs (MULTI_CPU, MULTI_GPU). Fix: accelerate launch "
            "--multi_gpu --num_processes N -m harness.cli train ..."
        )
    if accelerator.is_main_process:
        folder.claim(config)
    accelerator.wait_for_everyone()
    if folder.finished:
        return folder.checkpoint
    return _Training(config, folder, accelerator).run(progress)


class _Training:
    """One training run in one process."""

    def __init__(self, config: TrainingConfig, folder: RunFolder, accelerator: Accelerator) -> None:
        self.config, self.folder, self.accelerator = config, folder, accelerator
        set_seed(config.seed)
        network, start_contract = start_network(config)
        self.layout = get_layout(config.layout)
        self.data = read_windows(config, network, self.layout)
        self.contract = describe_contract(config, network, self.data, start_contract)
        optimizer = torch.optim.AdamW(
            prepare_network(network, config),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
        )
        self.network, self.optimizer = accelerator.prepare(network, optimizer)
        self.average = WeightAverage(self.raw, config.ema, warmup=config.ema_warmup)
        self.weights = _loss_weights(config, self.layout).to(accelerator.device)
        self.passes: int = accelerator.gradient_accumulation_steps
        self.together: int = self.passes * accelerator.num_processes
        self.step = self._resume()
        self._whole = True

    @property
    def raw(self) -> RDTPolicyNetwork:
        """The network itself, with the weights that the optimiser moves."""
        unwrapped: RDTPolicyNetwork = self.accelerator.unwrap_model(self.network)
        return unwrapped

    def run(self, progress: Progress | None) -> Path:
        self.network.train()
        clock, smooth = _Clock(self.step, self._samples()), math.nan
        batches = iter(self._loader())
        try:
            while self.step < self.config.updates:
                loss, norm, rate = self._update(batches, clock)
                smooth = loss if math.isnan(smooth) else _SMOOTHING * smooth + 0.05 * loss
                if not math.isfinite(loss):
                    raise ConfigError(
                        f"The loss became {loss} at update {self.step}. "
                        f"Fix: lower --learning-rate (now {self.config.learning_rate})."
                    )
                status = TrainingStatus(
                    update=self.step,
                    updates=self.config.updates,
                    loss=smooth,
                    learning_rate=rate,
                    gradient_norm=norm,
                    **clock.read(self.step),
                )
                self._after_update(status, progress)
        except KeyboardInterrupt:
            if self._whole and self.step not in self.folder.shelf.updates:
                self._save()
            raise
        return self._finish()

    def _samples(self) -> int:
        """Windows per update, over all processes."""
        return self.config.batch_size * self.together

    def _loader(self) -> "DataLoader[Batch]":
        order = EndlessBatches(
            len(self.data),
            self.config.batch_size,
            seed=self.config.seed,
            start=self.step * self.together,
            stop=self.config.updates * self.together,
            rank=self.accelerator.process_index,
            processes=self.accelerator.num_processes,
        )
        return DataLoader(
            self.data,
            batch_sampler=order,
            num_workers=self.config.workers,
            pin_memory=self.accelerator.device.type == "cuda",
        )

    def _update(self, batches: Iterator[Batch], clock: "_Clock") -> tuple[float, float, float]:
        self._whole = False
        rate = learning_rate(self.config, self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        total = torch.zeros((), device=self.accelerator.device)
        norm = 0.0
        for turn in range(self.passes):
            with clock.waiting():
                batch = next(batches)
            # Noise and timesteps depend on the batch's number alone: a resumed run is the same
            # run, and so is one on another number of processes.
            index = self.step * self.together + turn * self.accelerator.num_processes
            torch.manual_seed((self.config.seed << 40) + index + self.accelerator.process_index)
            with self.accelerator.accumulate(self.network):
                loss, _ = self.network(self._prepared(batch), weights=self.weights)
                self.accelerator.backward(loss)
                total += loss.detach()
                if self.accelerator.sync_gradients:
                    norm = float(self._clip())
                self.optimizer.step()
                self.optimizer.zero_grad(set_to_none=True)
        self.average.update(self.raw)
        self.step += 1
        self._whole = True
        mean = self.accelerator.reduce(total / self.passes, "mean")
        return float(mean), norm, rate

    def _prepared(self, batch: Batch) -> Batch:
        """Move a batch to where it is computed on, augment it and hide parts of it."""
        moved: Any = {
            name: value.to(self.accelerator.device, non_blocking=True)
            for name, value in batch.items()
            if isinstance(value, Tensor)
        }
        ready: Batch = moved
        ready["images"] = shift_images(ready["images"], self.config.image_shift)
        mask_conditions(ready, self.config.condition_mask, self.data.mean_state)
        return ready

    def _clip(self) -> Tensor:
        """Clip the gradient of the whole update; return its norm before."""
        norm: Tensor | None = self.accelerator.clip_grad_norm_(
            self.network.parameters(), self.config.clip
        )
        assert norm is not None  # None is for wrappers that are refused
        return norm

    def _after_update(self, status: TrainingStatus, progress: Progress | None) -> None:
        if self.accelerator.is_main_process:
            if progress is not None:
                progress(status)
            if self.step % _LOG_EVERY == 0:
                self.folder.append_log(
                    {"update": self.step, "loss": status.loss, "lr": status.learning_rate}
                )
        if self.step % self.config.save_every == 0 and self.step < self.config.updates:
            self._save()

    def _save(self) -> None:
        if not self.accelerator.is_main_process:
            return
        self.folder.shelf.put(self.step, self._write)
        self.folder.shelf.prune(self.config.keep)

    def _write(self, folder: Path) -> None:
        """Write the policy as it is and, beside it, all that is needed to go on."""
        self._write_policy(folder)
        state = {
            "step": self.step,
            "samples": self._samples(),
            "network": self.raw.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        if self.accelerator.scaler is not None:
            state["scaler"] = self.accelerator.scaler.state_dict()
        write_state(folder / STATE, state)

    def _write_policy(self, folder: Path) -> None:
        extra = {"update": self.step, "training": self.config.identity()}
        with self.average.applied(self.raw):
            save_checkpoint(folder, self.raw, self.contract, extra=extra)

    def _resume(self) -> int:
        """Take up the newest checkpoint of the run, if there is one; return its update."""
        there = self.folder.shelf.updates
        if not there:
            return 0
        path = self.folder.shelf.place(there[-1]) / STATE
        state = read_state(path, self._samples(), self.accelerator.device)
        with state.restoring():
            self.raw.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            if self.accelerator.scaler is not None:
                self.accelerator.scaler.load_state_dict(state["scaler"])
        return there[-1]

    def _finish(self) -> Path:
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            self._write_policy(self.folder.checkpoint)
        self.accelerator.wait_for_everyone()
        return self.folder.checkpoint


class _Clock:
    """How fast a run is, and how long it waits for data."""

    def __init__(self, step: int, samples: int) -> None:
        self._first, self._samples = step, samples
        self._start, self._waited = time.perf_counter(), 0.0

    def waiting(self) -> "_Clock":
        """Count the time of a block as waiting."""
        return self

    def __enter__(self) -> None:
        self._since = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._waited += time.perf_counter() - self._since

    def read(self, step: int) -> dict[str, float]:
        """Return the fields of ``TrainingStatus`` that are about time."""
        spent = time.perf_counter() - self._start
        rate = (step - self._first) / spent
        return {
            "rate": rate,
            "samples_per_s": rate * self._samples,
            "data_wait": self._waited / spent,
        }


def _loss_weights(config: TrainingConfig, layout: Layout) -> Tensor:
    if config.loss == "plain":
        return torch.ones(1)
    mask = torch.from_numpy(layout.action_mask)
    return mask * (mask.numel() / mask.sum())
