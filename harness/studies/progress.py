"""How far the cells of a study have come, read from their files."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from time import monotonic

from harness.recipes.resolved import RecipeRun
from harness.studies.cells import Cell
from results.folder import EPISODES_FILE, RUN_FILE, read_info
from training.config import TrainingConfig
from training.run_folder import RunFolder

_TRAINING_SHARE = 0.7
"""Of a cell's time, roughly; evaluations take the rest."""

_ENOUGH = 0.01
"""What of a cell must have been done before the rest is foretold from it."""

_TAIL = 4096


class StudyProgress:
    """How much of a study's cells is done, and how long the rest will take.

    Args:
        cells: The cells that are not finished.
        out: The study's folder.
    """

    def __init__(self, cells: Sequence[Cell], out: Path) -> None:
        self._progress = {cell.name: _CellProgress(cell, out) for cell in cells}
        self._at_first = {name: each.share() for name, each in self._progress.items()}
        self._since, self._before = monotonic(), sum(self._at_first.values())

    def look(
        self, running: Sequence[Cell], waiting: Iterable[Cell]
    ) -> tuple[dict[str, float], float | None]:
        """Read how far the cells are.

        Args:
            running: Those under way.
            waiting: Those not begun now, perhaps earlier; all others have ended.

        Returns:
            The share of each running cell that is done, by its name; and the seconds that all
            cells will take, None while that cannot be told.
        """
        shares = {cell.name: self._progress[cell.name].share() for cell in running}
        begun_earlier = [self._at_first[cell.name] for cell in waiting]
        left = len(shares) - sum(shares.values()) + len(begun_earlier) - sum(begun_earlier)
        there, now = len(self._progress) - left, monotonic()
        if there < self._before:  # a training that resumes forgets what came after it last saved
            self._since, self._before = now, there
        done = there - self._before
        return shares, (now - self._since) * left / done if done >= _ENOUGH else None


class _CellProgress:
    """How much of a cell is done."""

    def __init__(self, cell: Cell, out: Path) -> None:
        run = RecipeRun(cell.recipe, out / cell.folder)
        assert run.training is not None
        self._training = run.training
        self._folders = [config.out for config in run.evaluations]

    def share(self) -> float:
        """Return the share of the cell's work that is done, 0 to 1."""
        evaluated = sum(map(_evaluated, self._folders)) / len(self._folders)
        return _TRAINING_SHARE * _trained(self._training) + (1 - _TRAINING_SHARE) * evaluated


def _trained(config: TrainingConfig) -> float:
    folder = RunFolder(config.out)
    if folder.checkpoint.exists():
        return 1.0
    if not folder.log.exists():
        return 0.0
    with folder.log.open("rb") as log:
        log.seek(max(0, folder.log.stat().st_size - _TAIL))
        lines = log.read().splitlines()
    for line in reversed(lines):
        try:
            return min(1.0, float(json.loads(line)["update"]) / config.updates)
        except (ValueError, KeyError, TypeError):
            continue  # a line that is being written, or one without an update
    return 0.0


def _evaluated(folder: Path) -> float:
    """Return the share of a run's episodes that have a line; retries count once more."""
    if not (folder / RUN_FILE).exists() or not (folder / EPISODES_FILE).exists():
        return 0.0
    info = read_info(folder)
    if info.status == "complete":
        return 1.0
    lines = (folder / EPISODES_FILE).read_bytes().count(b"\n")
    return min(1.0, lines / max(1, info.expected_episodes))
