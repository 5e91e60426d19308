"""Fine-tuning an RDT policy on demonstrations, through accelerate."""

import math
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast, set_seed
from torch import Tensor
from torch.distributed.tensor import DTensor

from policies.rdt.checkpoint.storage import save_checkpoint
from policies.rdt.model.network import RDTPolicyNetwork
from results.locking import sole_writer
from results.signals import Interruption
from tasks.errors import ConfigError
from training.adapters import merged, prepare_network
from training.augmentation.pipeline import augment_images
from training.checkpoint_manager import STATE, read_state, write_state
from training.config import TrainingConfig
from training.data.masking import add_state_noise, mask_conditions
from training.data.windows import DemoWindows, Window
from training.distributed.launch import open_accelerator
from training.losses import slot_weights, weight_table
from training.monitoring.best_checkpoint import Selection, check_judge
from training.monitoring.evaluation import Judge
from training.monitoring.log import Log
from training.monitoring.sampled_error import SampledError, sampled_error
from training.optimisation import learning_rate
from training.progress import Clock, Progress, Report, TrainingStart, TrainingStatus
from training.run_folder import RunFolder
from training.setup import load_windows, read_windows, start_network
from training.terms import describe_contract, find_terms, starting_notes, wording_notes
from training.trained_weights import TrainedWeights, WholeWeights

_SMOOTHING = 0.95


def train(
    config: TrainingConfig,
    progress: Progress | None = None,
    report: Report | None = None,
    judge: Judge | None = None,
) -> Path:
    """Train until done; resume where a killed run stopped; do nothing if it is finished.

    Args:
        config: The run.
        progress: Called after every update, in the main process.
        report: Called before the first one, in the main process.
        judge: Evaluates checkpoints in simulation, if ``config.eval_every`` asks for that.

    Returns:
        The folder of the finished checkpoint.

    Raises:
        ConfigError: Bad demos or checkpoint, the output folder is another run's, a judge is
            lacking, or accelerate is set to something that the trainer does not do.
        ResultsError: Another process trains into the folder.
        KeyboardInterrupt: Ctrl-C; the update in hand was finished and a checkpoint saved.
        SystemExit: A polite kill (SIGTERM, SIGHUP), likewise.
    """
    check_judge(config, judge)
    folder = RunFolder(config.out)
    if config.threads:
        torch.set_num_threads(config.threads)
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
        selection = Selection(config, folder, judge, accelerator)
        training = _Training(config, folder, accelerator, selection)
        if main:  # only now, as what cannot be trained shall not claim a folder
            folder.claim(config)
        accelerator.wait_for_everyone()
        return training.run(progress, report)


class _Training:
    """One training run in one process."""

    def __init__(
        self,
        config: TrainingConfig,
        folder: RunFolder,
        accelerator: Accelerator,
        selection: Selection,
    ) -> None:
        self.config, self.folder, self.accelerator = config, folder, accelerator
        self.selection = selection
        set_seed(config.seed)
        network, start_contract = start_network(config, accelerator.device)
        terms = find_terms(config, folder, network, start_contract)
        self.layout = terms.layout
        self.data = read_windows(config, network, terms)
        self.held_out = (
            read_windows(config, network, terms, held_out=True) if config.held_out else None
        )
        self.contract = describe_contract(network, self.layout, self.data, start_contract)
        selection.check(self.contract)
        self.notes = (
            *starting_notes(self.contract, start_contract, self.data, config),
            *wording_notes(self.data, config.instructions),
        )
        trained = prepare_network(network, config)
        self.trained = TrainedWeights(network, trained, config, accelerator)
        self.network, self.optimizer = self.trained.network, self.trained.optimizer
        weights = slot_weights(config, self.layout, self.data.action_std)
        self.table = weight_table(self.layout, self.data.action_std, weights)
        self.weights = weights.to(accelerator.device)
        self.passes: int = accelerator.gradient_accumulation_steps
        self.together: int = self.passes * accelerator.num_processes
        self.best = math.inf
        self.sampled: SampledError | None = None
        self.step = self.saved = 0
        self.log: Log | None = None

    def run(self, progress: Progress | None, report: Report | None) -> Path:
        self.step = self.saved = self._resume()
        if self.accelerator.is_main_process:
            self.selection.find_best()
            self.folder.cut_log(self.step, judged=self.selection.judged(self.step))
            self.log = Log(self.folder, self.config, self.step)
            if report is not None:
                report(self._start())
        self.network.train()
        loading = load_windows(
            self.config,
            self.data,
            start=self.step,
            together=self.together,
            rank=self.accelerator.process_index,
            of=self.accelerator.num_processes,
            pin_memory=self.accelerator.device.type == "cuda",
        )
        try:
            with Interruption() as interruption:
                with loading as stream:
                    self._train(stream, interruption, progress)
                return self._finish()
        except KeyboardInterrupt:
            # Whoever was told of an update may end the run. What is in pieces is put together by
            # all processes or by none, and the others do not know of it.
            if self.step != self.saved and not self.trained.sharded:
                self._save()
            raise
        finally:
            if self.log is not None:
                self.log.close()

    def _train(
        self, stream: Iterator[Window], interruption: Interruption, progress: Progress | None
    ) -> None:
        """Make all updates that are left; end after one where a signal came in any process."""
        clock, smooth = Clock(self.step, self._samples()), math.nan
        self._judge(clock)  # where a kill came before that was done
        while self.step < self.config.updates:
            loss, norm, rate, stop = self._update(stream, clock, interruption)
            smooth = loss if math.isnan(smooth) else _SMOOTHING * smooth + 0.05 * loss
            if not math.isfinite(loss):
                raise ConfigError(
                    f"The loss became {loss} at update {self.step}. Fix: lower "
                    f"--learning-rate (now {self.config.learning_rate}); --from-update N goes "
                    "on from an earlier checkpoint."
                )
            status = TrainingStatus(
                update=self.step,
                updates=self.config.updates,
                loss=smooth,
                learning_rate=rate,
                gradient_norm=norm,
                sampled=self.sampled,
                verdict=self.selection.verdict,
                **clock.read(self.step),
            )
            if self.log is not None:
                self.log.note(status)  # before it is saved: a kill must not take the line away
            self._watch()
            if not stop:  # else whoever resumes has it judged
                self._judge(clock)
            self._save_if_due(stop=stop)
            if progress is not None and self.accelerator.is_main_process:
                verdict = self.selection.verdict
                progress(replace(status, sampled=self.sampled, verdict=verdict))
            if stop:
                self.accelerator.wait_for_everyone()  # a launcher ends those that are left
                interruption.end()

    def _start(self) -> TrainingStart:
        weights = [(each.numel(), each.requires_grad) for each in self.trained.raw.parameters()]
        return TrainingStart(
            update=self.step,
            demos=self.data.demos,
            held_out=self.held_out.demos if self.held_out else 0,
            windows=len(self.data),
            weights=sum(count for count, trained in weights if trained),
            all_weights=sum(count for count, _ in weights),
            processes=self.accelerator.num_processes,
            passes=self.passes,
            samples=self._samples(),
            device=str(self.accelerator.device),
            loss_weights=self.table,
            notes=self.notes,
        )

    def _samples(self) -> int:
        """Windows per update, over all processes."""
        return self.config.batch_size * self.together

    def _update(
        self, stream: Iterator[Window], clock: Clock, interruption: Interruption
    ) -> tuple[float, float, float, bool]:
        """Make an update; return loss, norm, learning rate, and whether all are to stop now."""
        rate = learning_rate(self.config, self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        total = torch.zeros((), device=self.accelerator.device)
        norm = 0.0
        for turn in range(self.passes):
            with clock.waiting():
                batch = next(stream)
            # Noise and timesteps depend on the batch's number alone: a resumed run is the same
            # run, and so is one on another number of processes.
            index = self.step * self.together + turn * self.accelerator.num_processes
            torch.manual_seed((self.config.seed << 40) + index + self.accelerator.process_index)
            with self.accelerator.accumulate(self.network):
                ready = self._prepared(batch)
                weights = self.weights
                if "valid" in ready:
                    weights = weights * ready["valid"][..., None]
                with self.accelerator.autocast():
                    loss, _ = self.network(ready, weights=weights)
                self.accelerator.backward(loss)
                total += loss.detach()
                if self.accelerator.sync_gradients:
                    norm = float(self._clip())
                self.optimizer.step()
                self.optimizer.zero_grad(set_to_none=True)
        self.trained.average.update(self.trained.raw)
        self.step += 1
        # One message for both, so that all processes stop after the same update.
        said = torch.stack((total / self.passes, torch.full_like(total, interruption.pending)))
        loss, stop = self.accelerator.reduce(said, "mean").tolist()
        return loss, norm, rate, stop > 0

    def _prepared(self, batch: Window) -> Window:
        """Move a batch to where it is computed on, augment it and hide parts of it."""
        ready = self._moved(batch)
        ready["images"] = augment_images(ready["images"], self.config)
        add_state_noise(ready, self.config.state_noise_db)
        mask_conditions(
            ready,
            self.config,
            self.contract.cameras,
            self.data.mean_state,
            self.data.no_text,
            missing=self.contract.missing_cameras,
        )
        return ready

    def _moved(self, batch: Any) -> Window:
        moved: Any = {
            name: value.to(self.accelerator.device, non_blocking=True)
            for name, value in batch.items()
            if isinstance(value, Tensor)
        }
        window: Window = moved
        return window

    def _clip(self) -> Tensor:
        """Clip the gradient of the whole update; return its norm before."""
        norm: Tensor | None = self.accelerator.clip_grad_norm_(
            self.network.parameters(), self.config.clip
        )
        assert norm is not None  # None is for wrappers that are refused
        return norm.full_tensor() if isinstance(norm, DTensor) else norm

    def _watch(self) -> None:
        """Sample plans on held-out demonstrations when it is time; keep the best weights."""
        period = self.config.sample_period
        if self.held_out is None or not period or self.step % period:
            return
        whole = self.trained.gather(resumable=False)
        if whole is not None:
            with whole.averaged(computing=True) as network:
                self._sample(network, self.held_out)
        better = self.sampled is not None and self.sampled.overall < self.best
        better = better and not self.config.eval_every  # success chooses then
        if self._agreed(better):
            if self.sampled is not None:
                self.best = self.sampled.overall
            self._save(best=True)

    def _sample(self, network: RDTPolicyNetwork, data: DemoWindows) -> None:
        """Measure the error of sampled plans; in the main process."""
        network.eval()
        with torch.random.fork_rng():
            self.sampled = sampled_error(
                network, data, self.layout, windows=self.config.sample_windows, move=self._moved
            )
        network.train()
        if self.log is not None:
            self.log.write({"update": self.step, "sampled": self.sampled.as_dict()})

    def _agreed(self, choice: bool) -> bool:
        """Return what the main process chose; in all processes."""
        chosen = torch.tensor(int(choice), device=self.accelerator.device)
        return bool(broadcast(chosen))

    def _judge(self, clock: Clock) -> None:
        """Save the policy as it is and have it judged in simulation when it is time."""
        if self.selection.due(self.step):
            with clock.paused():
                if self.step != self.saved:
                    self._save()
                self.selection.decide(self.step, self.log)

    def _save_if_due(self, *, stop: bool) -> None:
        """Add a checkpoint when it is time, or the run stops here, unless there is this one."""
        due = self.step % self.config.save_every == 0 and self.step < self.config.updates
        if (due or stop) and self.step != self.saved:
            self._save()

    def _save(self, *, best: bool = False) -> None:
        """Add a checkpoint, and perhaps call it the best; in all processes."""
        self.saved = self.step
        whole = self.trained.gather()
        if whole is None:
            return
        self.folder.checkpoints.save(self.step, lambda folder: self._write(folder, whole))
        if best:
            self.folder.checkpoints.mark_best(self.step)
        self.folder.checkpoints.prune(self.config.keep)

    def _write(self, folder: Path, whole: WholeWeights) -> None:
        """Write the policy as it is and, beside it, all that is needed to go on."""
        with whole.averaged() as network:
            self._write_policy(folder, network)
        noted = {"step": self.step, "samples": self._samples(), "best": self.best}
        write_state(folder / STATE, noted | (whole.state or {}))

    def _write_policy(self, folder: Path, network: RDTPolicyNetwork) -> None:
        extra: dict[str, Any] = {
            "update": self.step,
            "training": self.config.identity(),
            "loss_weights": self.table,
        }
        if self.sampled is not None:
            extra["sampled"] = self.sampled.as_dict()
        with merged(network):
            save_checkpoint(folder, network, self.contract, extra=extra)

    def _resume(self) -> int:
        """Take up the newest checkpoint of the run, if there is one; return its update."""
        there = self.folder.checkpoints.updates
        if not there:
            return 0
        path = self.folder.checkpoints.path(there[-1]) / STATE
        # In pieces, nobody has room for all of it, nor needs more of it than a tensor at a time.
        device = None if self.trained.sharded else self.accelerator.device
        state = read_state(path, self._samples(), device)
        with state.restoring():
            self.trained.load(state)
            self.best = float(state["best"])
        return there[-1]

    def _finish(self) -> Path:
        """Write the finished policy; in all processes."""
        self.accelerator.wait_for_everyone()
        whole = self.trained.gather(resumable=False)
        if whole is not None:
            with whole.averaged() as network:
                self._write_policy(self.folder.checkpoint, network)
        self.accelerator.wait_for_everyone()
        return self.folder.checkpoint
