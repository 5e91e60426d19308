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
from training.monitoring.evaluation import NOT_JUDGED, SUCCESS, Candidate, Judge, Verdict, is_better
from training.monitoring.log import Log
from training.run_folder import RunFolder

_PATIENCE = timedelta(days=30)
"""How long other processes wait for an evaluation; by themselves backends give up in minutes."""


def check_judge(config: TrainingConfig, judge: Judge | None) -> None:
    """Refuse a run whose checkpoints are to be judged by nobody.

    Raises:
        ConfigError: It is one.
    """
    if config.eval_every and judge is None:
        raise ConfigError(
            f"eval_every {config.eval_every} needs a judge, and train() was given none. "
            "Fix: start it by 'libero-bench train', or give train() a judge."
        )


class Selection:
    """Says when a checkpoint is to be judged, has it judged, and keeps the best.

    Attributes:
        verdict: What the latest checkpoint came to, in the main process.
    """

    def __init__(
        self,
        config: TrainingConfig,
        folder: RunFolder,
        judge: Judge | None,
        accelerator: Accelerator,
    ) -> None:
        """Get ready, in every process."""
        self._config, self._folder, self._judge = config, folder, judge
        self._main, self._device = accelerator.is_main_process, accelerator.device
        self.verdict: Verdict | None = None
        # Over gloo, processes sleep while they wait; under NCCL each would take a core and a GPU.
        self._others: Any = None
        if config.eval_every and accelerator.num_processes > 1:
            self._others = torch.distributed.new_group(backend="gloo", timeout=_PATIENCE)

    def check(self, contract: Contract) -> None:
        """Let the judge refuse what it could never judge, in the main process.

        Raises:
            HarnessError: It does.
        """
        if self._config.eval_every and self._main:
            assert self._judge is not None
            self._judge.check(contract)

    def find_best(self) -> None:
        """Point at the best of those that are left, where a rollback took the best away."""
        checkpoints, best = self._folder.checkpoints, None
        if not self._config.eval_every or checkpoints.best is not None:
            return
        for update in checkpoints.updates:
            entry = self._judged(update)
            if entry is not None and is_better(entry, best):
                best = entry
                checkpoints.mark_best(update)

    def due(self, update: int) -> bool:
        """Whether the checkpoint of an update is to be judged; the same in every process."""
        every = self._config.eval_every
        return bool(every and update) and (update % every == 0 or update == self._config.updates)

    def judged(self, update: int) -> bool:
        """Whether there is a checkpoint of an update that was judged to the end."""
        return update in self._folder.checkpoints.updates and self._judged(update) is not None

    def decide(self, update: int, log: Log | None) -> None:
        """Have a saved checkpoint judged, unless that was done; all processes call this.

        Args:
            update: Its update.
            log: The log, in the main process.

        Raises:
            KeyboardInterrupt: Ctrl-C; called again, it goes on.
            SystemExit: A polite kill; likewise.
        """
        if log is not None and not self.judged(update):
            self._decide(update, log)
        if self._others is not None:
            torch.distributed.barrier(self._others)

    def _decide(self, update: int, log: Log) -> None:
        assert self._judge is not None
        candidate = Candidate(
            update=update,
            checkpoint=self._folder.checkpoints.path(update),
            folder=self._folder.evaluation(update),
            device=str(self._device),
        )
        cards = [self._device] if self._device.type == "cuda" else []
        try:
            with torch.random.fork_rng(devices=cards):
                success = self._judge.judge(candidate)
        except Exception as error:  # no evaluation is worth a training
            why = " ".join(f"{type(error).__name__}: {error}".split())
            self.verdict = Verdict(update=update, problem=why)
            self._folder.append_log({"event": NOT_JUDGED, "update": update, "problem": why})
        else:
            best = self._keep(update, success.as_dict(), log)
            self.verdict = Verdict(update=update, success=success, best=best)
        self._judge.tell(self.verdict)

    def _keep(self, update: int, entry: dict[str, Any], log: Log) -> bool:
        """Write down what an evaluation came to; return whether it makes a checkpoint the best."""
        checkpoints = self._folder.checkpoints
        extra = load_extra(checkpoints.path(update))
        period = self._config.sample_period
        measured = period and update % period == 0 and "sampled" in extra
        entry["sampled"] = extra["sampled"]["overall"] if measured else None
        best = is_better(
            entry, None if checkpoints.best is None else self._judged(checkpoints.best)
        )
        log.success(update, entry | {"best": best})
        if best:
            checkpoints.mark_best(update)
        save_extra(checkpoints.path(update), extra | {SUCCESS: entry})
        checkpoints.prune(self._config.keep)
        return best

    def _judged(self, update: int) -> dict[str, Any] | None:
        entry: dict[str, Any] | None = load_extra(self._folder.checkpoints.path(update)).get(
            SUCCESS
        )
        return entry
