"""The log of a run: a line of JSON every so many updates, and whatever else shows it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from training.config import TrainingConfig
from training.run_folder import RunFolder
from training.watching.trackers import open_tracker

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
