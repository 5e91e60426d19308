"""The log of a run: a line of JSON every so many updates, and whatever else shows it."""

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
        """Open the log of a run.

        Args:
            folder: Of the run.
            config: The run.
            done: Updates done before.

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
            anew=config.from_update is not None,
        )
        self._seen = self._clipped = 0

    def note(self, status: "TrainingStatus") -> None:
        """Take an update in; write a line if it is time."""
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
        """Write down what an evaluation in simulation came to.

        Args:
            update: Of the checkpoint.
            entry: ``Success`` as plain data, and whatever else is known.
        """
        self._folder.append_log({"update": update, "success": entry})
        if self._tracker is not None:
            rates = {"all": entry, **entry["per_task"]}
            shares = {
                f"success/{name.replace(' ', '_')}": each["k"] / each["n"]
                for name, each in rates.items()
                if each["n"]
            }
            self._tracker.log(shares, update)

    def close(self) -> None:
        """Let the tracker write what is left."""
        if self._tracker is not None:
            self._tracker.close()


_IDENTITY = "wandb.id"


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

        # What an earlier process wrote of updates that are now done again is not shown.
        purge = done + 1 if folder.is_dir() else None
        _wait_for_a_later_second(folder)
        self._writer: Any = SummaryWriter(str(folder), purge_step=purge)

    def log(self, values: Mapping[str, float], update: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, update)
        self._writer.flush()  # a process that is killed writes nothing more

    def close(self) -> None:
        self._writer.close()


def _wait_for_a_later_second(folder: Path) -> None:
    """Wait until a file that is begun now sorts after those in a folder.

    TensorBoard reads files in the order of their names, which begin with the second they were begun
    in: of two in one second, the later one's purge might come first.
    """
    seconds = [path.name.split(".")[3] for path in folder.glob("events.out.tfevents.*")]
    begun = [int(second) for second in seconds if second.isdigit()]
    while int(time.time()) in begun:
        time.sleep(0.05)


class _Wandb:
    def __init__(self, folder: Path, settings: Mapping[str, Any], *, anew: bool) -> None:
        import wandb

        note = folder / _IDENTITY
        if anew or not note.exists():
            note.write_text(uuid.uuid4().hex[:8], encoding="utf-8")
        # Of updates that are done again, wandb keeps what it has: it takes none that are not new.
        self._run: Any = wandb.init(
            project="libero-bench",
            name=folder.name,
            id=note.read_text(encoding="utf-8").strip(),
            resume="allow",
            dir=str(folder),
            config=dict(settings),
        )

    def log(self, values: Mapping[str, float], update: int) -> None:
        self._run.log(dict(values), step=update)

    def close(self) -> None:
        self._run.finish()


class Careful:
    """A tracker that gives up, with a warning, where the one that it guards fails."""

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
    name: str, folder: Path, settings: Mapping[str, Any], *, done: int = 0, anew: bool = False
) -> Tracker | None:
    """Open a tracker.

    Args:
        name: ``tensorboard``, ``wandb``, or ``none``.
        folder: Of the run.
        settings: Of the run.
        done: Updates done before; what is tracked goes on from there.
        anew: Whether what follows differs from what an earlier process tracked.

    Raises:
        PrerequisiteError: It is not installed.
        ConfigError: It does not start.
    """
    if name == "none":
        return None
    try:
        if name == "tensorboard":
            return Careful(_TensorBoard(folder / "tensorboard", done))
        return Careful(_Wandb(folder, settings, anew=anew))
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
