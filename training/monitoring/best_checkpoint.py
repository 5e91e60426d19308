"""Choosing the best checkpoint by success in simulation.

A checkpoint is evaluated once it is saved. The result is written into its extra last of all, so
that after a kill the newest checkpoint is either evaluated completely or evaluated again.
"""

from datetime import timedelta
from typing import Any

import torch
from accelerate import Accelerator

from policies.rdt.checkpoint.contract import Contract
from policies.rdt.checkpoint.storage import load_extra, save_extra
from tasks.errors import ConfigError
from training.config import TrainingConfig
from training.monitoring.evaluation import (
    Candidate,
    EvaluationOutcome,
    Evaluator,
    is_better,
)
from training.monitoring.log import Log
from training.run_folder import NOT_EVALUATED, SUCCESS, RunFolder

_TIMEOUT = timedelta(days=30)
"""How long other processes wait for an evaluation; the default of backends is minutes."""


def check_evaluator(config: TrainingConfig, evaluator: Evaluator | None) -> None:
    """Raise ConfigError if checkpoints are to be evaluated without an evaluator."""
    if config.eval_every and evaluator is None:
        raise ConfigError(
            f"eval_every {config.eval_every} needs an evaluator, and train() was given none. "
            "Fix: start it by 'libero-bench train', or give train() an evaluator."
        )


class BestCheckpoint:
    """Evaluates checkpoints when that is due, and keeps the best.

    Attributes:
        outcome: The latest evaluation's, in the main process.
    """

    def __init__(
        self,
        config: TrainingConfig,
        folder: RunFolder,
        evaluator: Evaluator | None,
        accelerator: Accelerator,
    ) -> None:
        self._config, self._folder, self._evaluator = config, folder, evaluator
        self._main, self._device = accelerator.is_main_process, accelerator.device
        self.outcome: EvaluationOutcome | None = None
        # Over gloo, processes sleep while they wait; under NCCL each would take a core and a GPU.
        self._waiting_group: Any = None
        if config.eval_every and accelerator.num_processes > 1:
            self._waiting_group = torch.distributed.new_group(backend="gloo", timeout=_TIMEOUT)

    def check(self, contract: Contract) -> None:
        """Let the evaluator check a contract, in the main process.

        Raises:
            HarnessError: The evaluator refuses it.
        """
        if self._config.eval_every and self._main:
            assert self._evaluator is not None
            self._evaluator.check(contract)

    def restore(self) -> None:
        """Mark the best of the remaining checkpoints if a roll-back removed the best one."""
        checkpoints, best = self._folder.checkpoints, None
        if not self._config.eval_every or checkpoints.best is not None:
            return
        for update in checkpoints.updates:
            entry = self._entry(update)
            if entry is not None and is_better(entry, best):
                best = entry
                checkpoints.mark_best(update)

    def is_due(self, update: int) -> bool:
        """Return whether an update's checkpoint is to be evaluated; equal in every process."""
        every = self._config.eval_every
        return bool(every and update) and (update % every == 0 or update == self._config.updates)

    def is_evaluated(self, update: int) -> bool:
        """Return whether there is a completely evaluated checkpoint of an update."""
        return update in self._folder.checkpoints.updates and self._entry(update) is not None

    def evaluate(self, update: int, log: Log | None) -> None:
        """Evaluate a saved checkpoint unless that was done; all processes call this.

        Args:
            update: Its update.
            log: The log, in the main process.

        Raises:
            KeyboardInterrupt: Ctrl-C; the next call resumes the evaluation.
            SystemExit: A polite kill; likewise.
        """
        if log is not None and not self.is_evaluated(update):
            self._evaluate(update, log)
        if self._waiting_group is not None:
            torch.distributed.barrier(self._waiting_group)

    def _evaluate(self, update: int, log: Log) -> None:
        assert self._evaluator is not None
        candidate = Candidate(
            update=update,
            checkpoint=self._folder.checkpoints.path(update),
            folder=self._folder.evaluation(update),
            device=str(self._device),
        )
        cuda_devices = [self._device] if self._device.type == "cuda" else []
        try:
            with torch.random.fork_rng(devices=cuda_devices):
                result = self._evaluator.evaluate(candidate)
        except Exception as error:  # a failed evaluation must not end the training
            problem = " ".join(f"{type(error).__name__}: {error}".split())
            self.outcome = EvaluationOutcome(update=update, problem=problem)
            self._folder.append_log({"event": NOT_EVALUATED, "update": update, "problem": problem})
        else:
            best = self._record(update, result.as_dict(), log)
            self.outcome = EvaluationOutcome(update=update, result=result, best=best)
        self._evaluator.report(self.outcome)

    def _record(self, update: int, entry: dict[str, Any], log: Log) -> bool:
        """Record a result; return whether it makes its checkpoint the best."""
        checkpoints = self._folder.checkpoints
        extra = load_extra(checkpoints.path(update))
        period = self._config.sample_period
        sampled = period and update % period == 0 and "sampled" in extra
        entry["sampled"] = extra["sampled"]["overall"] if sampled else None
        best = is_better(entry, None if checkpoints.best is None else self._entry(checkpoints.best))
        log.success(update, entry | {"best": best})
        if best:
            checkpoints.mark_best(update)
        save_extra(checkpoints.path(update), extra | {SUCCESS: entry})
        checkpoints.prune(self._config.keep)
        return best

    def _entry(self, update: int) -> dict[str, Any] | None:
        extra = load_extra(self._folder.checkpoints.path(update))
        entry: dict[str, Any] | None = extra.get(SUCCESS)
        return entry
