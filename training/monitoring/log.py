"""The log of a run: train.jsonl, and TensorBoard or Weights & Biases."""

import time
import uuid
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tasks.errors import ConfigError, PrerequisiteError
from training.config import TrainingConfig
from training.run_folder import RunFolder

if TYPE_CHECKING:
    from training.progress import TrainingStatus


class Log:
    """Writes ``train.jsonl`` and feeds the tracker."""

    def __init__(self, folder: RunFolder, config: TrainingConfig, done: int = 0) -> None:
        """Open the log of a run of which some updates are done.

        Raises:
            PrerequisiteError: The tracker is not installed.
            ConfigError: The tracker does not start.
        """
        self._folder, self._every, self._clip = folder, config.log_every, config.clip
        self._tracker = open_tracker(
            config.track,
            folder.path,
            config.identity(),
            done=done,
            restarted=config.from_update is not None,
        )
        self._seen = self._clipped = 0

    def note(self, status: "TrainingStatus") -> None:
        """Count an update; write a line if it is due."""
        self._seen += 1
        self._clipped += status.gradient_norm > self._clip
        if status.update % self._every:
            return
        self.write(
            {
                "update": status.update,
                "loss": status.loss,
                "lr": status.learning_rate,
                "gradient_norm": status.gradient_norm,
                "clipped": round(self._clipped / self._seen, 3),
                "samples_per_s": round(status.samples_per_s, 2),
                "data_wait": round(status.data_wait, 4),
            }
        )
        self._seen = self._clipped = 0

    def write(self, entry: Mapping[str, Any]) -> None:
        """Write a line."""
        self._folder.append_log(entry)
        if self._tracker is not None:
            flat = dict(entry.get("sampled") or entry)
            numbers = {
                f"sampled/{name}" if "sampled" in entry else name: float(value)
                for name, value in flat.items()
                if isinstance(value, int | float) and name not in ("update", "windows")
            }
            slots = flat.get("per_slot") or {}
            numbers |= {f"sampled/slot_{slot}": float(value) for slot, value in slots.items()}
            self._tracker.log(numbers, int(entry["update"]))

    def success(self, update: int, entry: Mapping[str, Any]) -> None:
        """Write the result of an evaluation in simulation.

        Args:
            update: Update of the checkpoint.
            entry: ``EvaluationResult`` as plain data, and ``best``.
        """
        self._folder.append_log({"update": update, "success": entry})
        if self._tracker is not None:
            rates = {"all": entry, **entry["per_task"]}
            shares = {
                f"success/{name.replace(' ', '_')}": rate["k"] / rate["n"]
                for name, rate in rates.items()
                if rate["n"]
            }
            self._tracker.log(shares, update)

    def close(self) -> None:
        """Close the tracker."""
        if self._tracker is not None:
            self._tracker.close()


_RUN_ID = "wandb.id"


class Tracker(Protocol):
    """Shows numbers over updates."""

    def log(self, values: Mapping[str, float], update: int) -> None:
        """Take values of an update."""
        ...

    def close(self) -> None:
        """Write what is left."""
        ...


class _TensorBoard:
    def __init__(self, folder: Path, done: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # Points that an earlier process wrote of updates that are repeated are purged.
        purge = done + 1 if folder.is_dir() else None
        _wait_for_next_second(folder)
        self._writer: Any = SummaryWriter(str(folder), purge_step=purge)

    def log(self, values: Mapping[str, float], update: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, update)
        self._writer.flush()  # a process that is killed writes nothing more

    def close(self) -> None:
        self._writer.close()


def _wait_for_next_second(folder: Path) -> None:
    """Wait until the name of a new file sorts after those in a folder.

    TensorBoard reads files in the order of their names, which hold the second of their creation; of
    two files of one second it might read the purge in the later one first.
    """
    seconds = [path.name.split(".")[3] for path in folder.glob("events.out.tfevents.*")]
    taken = [int(second) for second in seconds if second.isdigit()]
    while int(time.time()) in taken:
        time.sleep(0.05)


class _Wandb:
    def __init__(self, folder: Path, settings: Mapping[str, Any], *, restarted: bool) -> None:
        import wandb

        run_id = folder / _RUN_ID
        if restarted or not run_id.exists():
            run_id.write_text(uuid.uuid4().hex[:8], encoding="utf-8")
        # Of repeated updates wandb keeps the first points: it takes only new ones.
        self._run: Any = wandb.init(
            project="libero-bench",
            name=folder.name,
            id=run_id.read_text(encoding="utf-8").strip(),
            resume="allow",
            dir=str(folder),
            config=dict(settings),
        )

    def log(self, values: Mapping[str, float], update: int) -> None:
        self._run.log(dict(values), step=update)

    def close(self) -> None:
        self._run.finish()


class FallibleTracker:
    """A tracker whose failure is a warning, after which nothing more is tracked."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker: Tracker | None = tracker

    def log(self, values: Mapping[str, float], update: int) -> None:
        """Take values of an update."""
        if self._tracker is not None:
            try:
                self._tracker.log(values, update)
            except Exception as error:
                self._give_up(error)

    def close(self) -> None:
        """Write what is left."""
        if self._tracker is not None:
            try:
                self._tracker.close()
            except Exception as error:
                self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        name, self._tracker = type(self._tracker).__name__.strip("_"), None
        warnings.warn(
            f"{name} failed ({error}); training goes on, and train.jsonl has everything. To track "
            "it again, stop and give the same command.",
            stacklevel=3,
        )


def open_tracker(
    name: str, folder: Path, settings: Mapping[str, Any], *, done: int = 0, restarted: bool = False
) -> Tracker | None:
    """Open the tracker ``tensorboard`` or ``wandb``; none for ``none``.

    Args:
        name: The tracker.
        folder: Folder of the run.
        settings: Settings of the run.
        done: Updates done before; tracking continues from there.
        restarted: Whether the run was rolled back, so that a new run is tracked.

    Raises:
        PrerequisiteError: The tracker is not installed.
        ConfigError: It does not start.
    """
    if name == "none":
        return None
    try:
        if name == "tensorboard":
            return FallibleTracker(_TensorBoard(folder / "tensorboard", done))
        return FallibleTracker(_Wandb(folder, settings, restarted=restarted))
    except ImportError as error:
        raise PrerequisiteError(
            f"--track {name} needs the package {name}, which is not installed. "
            f"Fix: pip install 'libero-bench[{name}]'."
        ) from error
    except Exception as error:
        offline = ", or set WANDB_MODE=offline" if name == "wandb" else ""
        raise ConfigError(
            f"--track {name} does not start ({' '.join(str(error).split())[:200]}). "
            f"Fix: what it says{offline}, or drop --track."
        ) from error
