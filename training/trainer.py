"""Fine-tuning an RDT policy on demonstrations, through accelerate."""

import math
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import set_seed

from policies.rdt.checkpoint.storage import save_checkpoint
from policies.rdt.model.network import RDTPolicyNetwork
from policies.rdt.model.torch_runtime import use_threads
from results.locking import sole_writer
from results.signals import Interruption
from tasks.errors import ConfigError
from training.adapters import merged, prepare_network
from training.checkpoint_manager import STATE, read_state, write_state
from training.config import TrainingConfig
from training.data.sampling import BatchShare, load_batches
from training.data.windows import Window
from training.launch import open_accelerator
from training.losses import slot_weights, weight_table
from training.monitoring.best_checkpoint import BestCheckpoint, check_evaluator
from training.monitoring.evaluation import Evaluator
from training.monitoring.log import Log
from training.monitoring.sampled_error import SampledErrorMonitor
from training.progress import (
    StartCallback,
    Throughput,
    TrainingStart,
    TrainingStatus,
    UpdateCallback,
)
from training.run_folder import RunFolder
from training.setup import set_up
from training.trained_weights import TrainedWeights, WholeWeights
from training.update import Updater


def train(
    config: TrainingConfig,
    on_update: UpdateCallback | None = None,
    on_start: StartCallback | None = None,
    evaluator: Evaluator | None = None,
) -> Path:
    """Train until done; resume where a killed run stopped; do nothing if it is finished.

    Args:
        config: The run.
        on_update: Called after every update, in the main process.
        on_start: Called before the first one, in the main process.
        evaluator: Evaluates checkpoints in simulation if ``config.eval_every`` is set.

    Returns:
        The folder of the finished checkpoint.

    Raises:
        ConfigError: Bad demos or checkpoint, the output folder is another run's, an evaluator is
            lacking, or accelerate is set to something that the trainer does not support.
        ResultsError: Another process trains into the folder.
        KeyboardInterrupt: Ctrl-C; the current update was finished and a checkpoint saved.
        SystemExit: A polite kill (SIGTERM, SIGHUP), likewise.
    """
    check_evaluator(config, evaluator)
    folder = RunFolder(config.out)
    use_threads(config.threads)
    accelerator = open_accelerator(config)
    main = accelerator.is_main_process
    if main:
        folder.check(config)
    accelerator.wait_for_everyone()
    if folder.finished and config.from_update is None:
        return folder.checkpoint
    with sole_writer(folder.path) if main else nullcontext():
        if main:
            folder.check(config)  # another process may have come first
        best = BestCheckpoint(config, folder, evaluator, accelerator)
        training = _Training(config, folder, accelerator, best)
        if main:  # only now, as what cannot be trained shall not claim a folder
            folder.claim(config)
        accelerator.wait_for_everyone()
        return training.run(on_update, on_start)


class _Training:
    """One training run in one process."""

    def __init__(
        self,
        config: TrainingConfig,
        folder: RunFolder,
        accelerator: Accelerator,
        best: BestCheckpoint,
    ) -> None:
        self.config, self.folder, self.accelerator = config, folder, accelerator
        self.best = best
        set_seed(config.seed)
        self.setup = set_up(config, folder, accelerator.device)
        best.check(self.setup.contract)
        network, layout = self.setup.network, self.setup.layout
        trained = prepare_network(network, config)
        self.trained = TrainedWeights(network, trained, config, accelerator)
        std = self.setup.windows.action_std
        loss_weights = slot_weights(config, layout, std)
        self.loss_table = weight_table(layout, std, loss_weights)
        self.updater = Updater(config, self.setup, self.trained, loss_weights, accelerator)
        self.errors = SampledErrorMonitor(
            config, self.trained, self.setup.held_out, layout, self.updater.move, accelerator
        )
        self.step = self.saved = 0
        self.log: Log | None = None

    def run(self, on_update: UpdateCallback | None, on_start: StartCallback | None) -> Path:
        self.step = self.saved = self._resume()
        if self.accelerator.is_main_process:
            self.best.restore()
            self.folder.cut_log(self.step, evaluated=self.best.is_evaluated(self.step))
            self.log = Log(self.folder, self.config, self.step)
            if on_start is not None:
                on_start(self._start())
        self.trained.network.train()
        loading = load_batches(
            self.config,
            self.setup.windows,
            BatchShare(
                batches_per_update=self.updater.batches_per_update,
                rank=self.accelerator.process_index,
                processes=self.accelerator.num_processes,
            ),
            start=self.step,
            pin_memory=self.accelerator.device.type == "cuda",
        )
        try:
            with Interruption() as interruption:
                with loading as batches:
                    self._train(batches, interruption, on_update)
                return self._finish()
        except KeyboardInterrupt:
            # A callback may end the run. Shards are gathered by all processes or by none, and the
            # other processes do not know of it.
            if self.step != self.saved and not self.trained.sharded:
                self._save()
            raise
        finally:
            if self.log is not None:
                self.log.close()

    def _train(
        self,
        batches: Iterator[Window],
        interruption: Interruption,
        on_update: UpdateCallback | None,
    ) -> None:
        """Make all remaining updates; end after one during which any process got a signal."""
        throughput, smooth = Throughput(self.step, self.updater.samples), math.nan
        self._evaluate(throughput)  # where a kill came before that was done
        while self.step < self.config.updates:
            result = self.updater.update(self.step, batches, throughput, interruption)
            self.step += 1
            smooth = result.loss if math.isnan(smooth) else 0.95 * smooth + 0.05 * result.loss
            if not math.isfinite(result.loss):
                raise ConfigError(
                    f"The loss became {result.loss} at update {self.step}. Fix: lower "
                    f"--learning-rate (now {self.config.learning_rate}); --from-update N goes "
                    "on from an earlier checkpoint."
                )
            status = TrainingStatus(
                update=self.step,
                updates=self.config.updates,
                loss=smooth,
                learning_rate=result.learning_rate,
                gradient_norm=result.gradient_norm,
                sampled=self.errors.latest,
                evaluation=self.best.outcome,
                **throughput.read(self.step),
            )
            if self.log is not None:
                self.log.note(status)  # before it is saved: a kill must not take the line away
            if self.errors.measure(self.step, self.log):
                self._save(best=True)
            if not result.stop:  # else the resumed run evaluates it
                self._evaluate(throughput)
            self._save_if_due(stop=result.stop)
            if on_update is not None and self.accelerator.is_main_process:
                on_update(replace(status, sampled=self.errors.latest, evaluation=self.best.outcome))
            if result.stop:
                self.accelerator.wait_for_everyone()  # a launcher ends those that are left
                interruption.end()

    def _start(self) -> TrainingStart:
        weights = list(self.trained.raw.parameters())
        windows, held_out = self.setup.windows, self.setup.held_out
        return TrainingStart(
            update=self.step,
            demos=windows.demos,
            held_out=held_out.demos if held_out else 0,
            windows=len(windows),
            weights=sum(weight.numel() for weight in weights if weight.requires_grad),
            all_weights=sum(weight.numel() for weight in weights),
            processes=self.accelerator.num_processes,
            passes=self.updater.passes,
            samples=self.updater.samples,
            device=str(self.accelerator.device),
            loss_weights=self.loss_table,
            notes=self.setup.notes,
        )

    def _evaluate(self, throughput: Throughput) -> None:
        """Save the policy and evaluate it in simulation if that is due."""
        if self.best.is_due(self.step):
            with throughput.paused():
                if self.step != self.saved:
                    self._save()
                self.best.evaluate(self.step, self.log)

    def _save_if_due(self, *, stop: bool) -> None:
        due = self.step % self.config.save_every == 0 and self.step < self.config.updates
        if (due or stop) and self.step != self.saved:
            self._save()

    def _save(self, *, best: bool = False) -> None:
        """Add a checkpoint, and perhaps mark it as the best; all processes call this."""
        self.saved = self.step
        whole = self.trained.gather()
        if whole is None:
            return
        checkpoints = self.folder.checkpoints
        checkpoints.save(self.step, lambda folder: self._write_checkpoint(folder, whole))
        if best:
            checkpoints.mark_best(self.step)
        checkpoints.prune(self.config.keep)

    def _write_checkpoint(self, folder: Path, whole: WholeWeights) -> None:
        """Write the policy and, beside it, the state to resume from."""
        with whole.averaged() as network:
            self._write_policy(folder, network)
        progress = {
            "step": self.step,
            "samples": self.updater.samples,
            "best": self.errors.lowest,
        }
        write_state(folder / STATE, progress | (whole.state or {}))

    def _write_policy(self, folder: Path, network: RDTPolicyNetwork) -> None:
        extra: dict[str, Any] = {
            "update": self.step,
            "training": self.config.identity(),
            "loss_weights": self.loss_table,
        }
        if self.errors.latest is not None:
            extra["sampled"] = self.errors.latest.as_dict()
        with merged(network):
            save_checkpoint(folder, network, self.setup.contract, extra=extra)

    def _resume(self) -> int:
        """Load the newest checkpoint of the run, if there is one; return its update."""
        updates = self.folder.checkpoints.updates
        if not updates:
            return 0
        path = self.folder.checkpoints.path(updates[-1]) / STATE
        # Sharded: no process has room for all of it, or needs more than one tensor at a time.
        device = None if self.trained.sharded else self.accelerator.device
        state = read_state(path, self.updater.samples, device)
        with state.restoring():
            self.trained.load(state)
            self.errors.lowest = float(state["best"])
        return updates[-1]

    def _finish(self) -> Path:
        """Write the finished policy; all processes call this."""
        self.accelerator.wait_for_everyone()
        whole = self.trained.gather(resumable=False)
        if whole is not None:
            with whole.averaged() as network:
                self._write_policy(self.folder.checkpoint, network)
        self.accelerator.wait_for_everyone()
        return self.folder.checkpoint
