"""Fine-tuning an RDT policy on demonstrations, through accelerate."""

import hashlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from policies.rdt.checkpoint import load_checkpoint, save_checkpoint
from policies.rdt.contract import Contract
from policies.rdt.layout import Layout, get_layout
from policies.rdt.network import Batch, RDTPolicyNetwork
from policies.rdt.presets import build_network
from tasks.errors import ConfigError
from training.augmentation import mask_conditions, shift_images
from training.config import TrainingConfig
from training.demo_reader import read_provenance
from training.run_folder import RunFolder, write_json
from training.sampling import EndlessBatches
from training.windows import DemoWindows

_LOG_EVERY = 10
_SMOOTHING = 0.95


@dataclass(frozen=True, kw_only=True)
class TrainingStatus:
    """How far a run is.

    Attributes:
        update: Updates done.
        updates: Updates in all.
        loss: Running mean of the loss.
        rate: Updates per second since this process started.
        learning_rate: Of the latest update.
    """

    update: int
    updates: int
    loss: float
    rate: float
    learning_rate: float


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
    accelerator = Accelerator(mixed_precision=config.precision)
    if accelerator.is_main_process:
        folder.claim(config)
        folder.recover()
    accelerator.wait_for_everyone()
    if folder.finished:
        return folder.checkpoint
    return _Training(config, folder, accelerator).run(progress)


class _Training:
    """One training run in one process."""

    def __init__(self, config: TrainingConfig, folder: RunFolder, accelerator: Accelerator) -> None:
        self.config, self.folder, self.accelerator = config, folder, accelerator
        set_seed(config.seed)
        network, start_contract = _network(config)
        self.layout = get_layout(config.layout)
        self.data = _windows(config, network, self.layout)
        self.contract = _contract(config, network, self.data, start_contract)
        self.step = folder.step()
        optimizer = torch.optim.AdamW(
            network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        processes = accelerator.num_processes
        batches = EndlessBatches(
            len(self.data),
            config.batch_size,
            seed=config.seed,
            start=self.step * processes,
            stop=config.updates * processes,
        )
        loader = DataLoader(self.data, batch_sampler=batches)
        # The learning rate is set by hand below: a prepared scheduler would advance once per
        # process and make the warm-up shorter on more of them.
        self.network, self.optimizer, self.loader = accelerator.prepare(network, optimizer, loader)
        self.averaged = AveragedModel(
            accelerator.unwrap_model(self.network),
            multi_avg_fn=get_ema_multi_avg_fn(config.ema),  # type: ignore[no-untyped-call]
            use_buffers=True,
        )
        self.weights = _loss_weights(config, self.layout).to(accelerator.device)
        if self.step:
            self._load_state()

    def run(self, progress: Progress | None) -> Path:
        self.network.train()
        start, first, smooth = time.perf_counter(), self.step, math.nan
        try:
            for batch in self.loader:
                loss, rate = self._update(batch)
                smooth = loss if math.isnan(smooth) else _SMOOTHING * smooth + 0.05 * loss
                if not math.isfinite(loss):
                    raise ConfigError(
                        f"The loss became {loss} at update {self.step}. "
                        f"Fix: lower --learning-rate (now {self.config.learning_rate})."
                    )
                speed = (self.step - first) / (time.perf_counter() - start)
                status = TrainingStatus(
                    update=self.step,
                    updates=self.config.updates,
                    loss=smooth,
                    rate=speed,
                    learning_rate=rate,
                )
                self._after_update(status, progress)
        except KeyboardInterrupt:
            self._save_state()
            raise
        return self._finish()

    def _update(self, batch: Batch) -> tuple[float, float]:
        rate = learning_rate(self.config, self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        # Noise and timesteps depend on the update's number alone: a resumed run is the same run.
        index = self.step * self.accelerator.num_processes + self.accelerator.process_index
        torch.manual_seed((self.config.seed << 40) + index)
        batch["images"] = shift_images(batch["images"], self.config.image_shift)
        mask_conditions(batch, self.config.condition_mask, self.data.mean_state)
        loss, _ = self.network(batch, weights=self.weights)
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.network.parameters(), self.config.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.config.ema:
            self.averaged.update_parameters(self.accelerator.unwrap_model(self.network))
        self.step += 1
        return float(loss.detach()), rate

    def _after_update(self, status: TrainingStatus, progress: Progress | None) -> None:
        if self.accelerator.is_main_process:
            if progress is not None:
                progress(status)
            if self.step % _LOG_EVERY == 0:
                self.folder.append_log(
                    {"update": self.step, "loss": status.loss, "lr": status.learning_rate}
                )
        if self.step % self.config.save_every == 0 and self.step < self.config.updates:
            self._save_state()

    def _save_state(self) -> None:
        if not self.accelerator.is_main_process:
            return
        state = {
            "network": self.accelerator.unwrap_model(self.network).state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        with self.folder.replacing_state() as writing:
            torch.save(state, writing / "training.pt")
            write_json(writing / "step.json", {"step": self.step})

    def _load_state(self) -> None:
        path = self.folder.state / "training.pt"
        try:
            state = torch.load(path, map_location=self.accelerator.device, weights_only=True)
            self.accelerator.unwrap_model(self.network).load_state_dict(state["network"])
            self.averaged.load_state_dict(state["averaged"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            raise ConfigError(
                f"The state '{path}' cannot be resumed from ({error}). "
                "Fix: remove the folder 'state' beside it to train anew."
            ) from error

    def _finish(self) -> Path:
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            raw: RDTPolicyNetwork = self.accelerator.unwrap_model(self.network)
            final = cast(RDTPolicyNetwork, self.averaged.module) if self.config.ema else raw
            extra = {"update": self.step, "training": self.config.identity()}
            save_checkpoint(self.folder.checkpoint, final, self.contract, extra=extra)
        self.accelerator.wait_for_everyone()
        return self.folder.checkpoint


def learning_rate(config: TrainingConfig, update: int) -> float:
    """Return the learning rate of an update, counted from 0: linear warm-up, then the schedule."""
    peak = config.learning_rate
    if update < config.warmup:
        return peak * (update + 1) / config.warmup
    if config.schedule == "constant":
        return peak
    progress = (update - config.warmup) / max(config.updates - config.warmup, 1)
    return peak * 0.5 * (1.0 + math.cos(math.pi * progress))


def _network(config: TrainingConfig) -> tuple[RDTPolicyNetwork, Contract | None]:
    if config.checkpoint is None:
        return build_network(config.preset), None
    network, contract = load_checkpoint(config.checkpoint)
    contract.check_layout(get_layout(config.layout))
    return network.train(), contract


def _windows(config: TrainingConfig, network: RDTPolicyNetwork, layout: Layout) -> DemoWindows:
    encoders = network.encoders_config
    return DemoWindows(
        config.demos,
        layout=layout,
        cameras=encoders.cameras,
        image_size=encoders.image_size,
        history=network.history,
        horizon=network.config.pred_horizon,
        max_words=encoders.max_words,
    )


def _contract(
    config: TrainingConfig, network: RDTPolicyNetwork, data: DemoWindows, start: Contract | None
) -> Contract:
    if start is not None:
        start.check({"render_size": data.render_size})
    made = [read_provenance(file) for file in data.files]
    description: dict[str, Any] = {
        "files": [file.name for file in data.files],
        "sha256": [_digest(file) for file in data.files],
        "demos": data.demos,
        "windows": len(data),
        "instructions": data.instructions,
        "made_by": [json.dumps(m, sort_keys=True) if m else "unknown" for m in made],
    }
    label = _label(data, made)
    if start is not None:
        description["before"] = start.demos
        label += f" after {start.demos.get('label', 'unknown demos')}"
    description["label"] = label
    return Contract.describe(
        network,
        layout=config.layout,
        render_size=data.render_size,
        orientation="rotate180",
        demos=description,
    )


def _label(data: DemoWindows, made: list[dict[str, Any]]) -> str:
    """Say in a few words which demonstrations these are: results must."""
    makers = {str(m.get("expert")) if m else "of unknown origin" for m in made}
    return f"{data.demos} {' and '.join(sorted(makers))}"


def _loss_weights(config: TrainingConfig, layout: Layout) -> Tensor:
    if config.loss == "plain":
        return torch.ones(1)
    mask = torch.from_numpy(layout.action_mask)
    return mask * (mask.numel() / mask.sum())


def _digest(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()[:16]
