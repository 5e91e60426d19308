"""Running a study: its collections, then its cells side by side, each in a process of its own."""

import subprocess
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from time import sleep as pause
from typing import IO

from harness.demonstrations.config import CollectionConfig
from harness.display import console, progress_bar
from harness.engines import EngineOptions
from harness.parent import ending_with_this
from harness.recipes.checks import check_recipe
from harness.recipes.resolved import RecipeRun
from harness.recipes.run import run_stages
from harness.stages import collect_with_bar
from harness.studies.cells import Cell, collection_folder
from harness.studies.finished import is_finished
from harness.studies.progress import StudyProgress
from results.locking import sole_writer
from results.signals import Interruption
from tasks.errors import HarnessError, SimulatorError, unknown_name

LOGS = "logs"
"""In the study's folder: what the cells' processes said."""

_POLL_S = 1.0
_GRACE_S = 120.0
"""Seconds that cells get to finish an update and save it; a second Ctrl-C ends them at once."""


def check_study(cells: Sequence[Cell], out: Path) -> None:
    """Refuse, before the first cell, what any cell would refuse later.

    Raises:
        HarnessError: A cell cannot be done; the message names it.
    """
    for cell in cells:
        try:
            check_recipe(RecipeRun(cell.foreseen, out / cell.folder))
        except HarnessError as error:
            raise type(error)(f"Cell {cell.name}: {error}") from error


def run_cell(cells: Sequence[Cell], out: Path, name: str, engine: EngineOptions) -> None:
    """Run one cell in this process: collect what it needs, train, evaluate.

    Args:
        cells: All cells of the study.
        out: Its folder.
        name: The cell, such as ``base/0``.
        engine: What collects and evaluates.

    Raises:
        HarnessError: There is no such cell, or it cannot be done; what was finished stays.
    """
    named = {cell.name: cell for cell in cells}
    if name not in named:
        raise unknown_name("cell", name, list(named))
    cell = named[name]
    if is_finished(cell, out):
        console.print(f"Cell {name} is finished.")
        return
    check_study([cell], out)
    collect_demos([cell], out, engine)
    run = RecipeRun(cell.recipe, out / cell.folder, engine=engine)
    with sole_writer(run.out):
        run.claim()
        run_stages(run)


def run_cells(
    cells: Sequence[Cell], out: Path, *, jobs: int, command: Callable[[Cell], list[str]]
) -> dict[str, int]:
    """Run cells that are not finished, several side by side; finished ones take seconds.

    Args:
        cells: The cells, in order; their demonstrations are there.
        out: The study's folder.
        jobs: Processes side by side.
        command: Gives the command line that runs a cell.

    Returns:
        The exit code of each cell that failed, by its name; the others went on.

    Raises:
        KeyboardInterrupt: Ctrl-C; the cells were ended likewise and have saved what they had.
        SystemExit: A polite kill (SIGTERM, SIGHUP), likewise.
    """
    waiting, failed = deque(cells), dict[str, int]()
    progress = StudyProgress(cells, out)
    with (
        Interruption() as interruption,
        _Processes(out, command) as processes,
        progress_bar("Study", len(cells), "cell") as bar,
    ):
        while waiting or processes.running:
            while waiting and len(processes.running) < jobs:
                processes.start(waiting.popleft())
            with interruption.allowed():
                pause(_POLL_S)
            failed |= processes.reap()
            shares, left_s = progress.look(processes.running, waiting)
            bar.at(
                len(cells) - len(waiting) - len(shares),
                note=", ".join(f"{name} {share:.0%}" for name, share in shares.items()),
                left_s=left_s,
            )
    return failed


def collect_demos(cells: Sequence[Cell], out: Path, engine: EngineOptions) -> None:
    """Collect the demonstrations of cells, each collection once."""
    wanted = {
        collection_folder(cell.collection): cell.collection
        for cell in cells
        if cell.collection is not None
    }
    for folder, settings in wanted.items():
        config = CollectionConfig(**{**settings, **engine.chosen()}, out=out / folder)
        for item in collect_with_bar([config]):
            if item.problem:
                raise SimulatorError(f"Task {item.task} was not collected: {item.problem}")


class _Processes:
    """The processes of running cells; leaving the block ends them, their work kept."""

    def __init__(self, out: Path, command: Callable[[Cell], list[str]]) -> None:
        self._out, self._command = out, command
        self._running: dict[subprocess.Popen[bytes], tuple[Cell, IO[bytes]]] = {}

    @property
    def running(self) -> list[Cell]:
        """The cells that are under way."""
        return [cell for cell, _ in self._running.values()]

    def start(self, cell: Cell) -> None:
        """Start a cell; what it says goes into its log."""
        path = log_of(cell, self._out)
        path.parent.mkdir(parents=True, exist_ok=True)
        log = path.open("ab")
        process = subprocess.Popen(
            ending_with_this(self._command(cell)),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        self._running[process] = cell, log

    def reap(self) -> dict[str, int]:
        """Forget the processes that ended; return the exit codes of those that failed."""
        failed = {}
        for process in [each for each in self._running if each.poll() is not None]:
            cell, log = self._running.pop(process)
            log.close()
            if process.returncode:
                failed[cell.name] = process.returncode
                where = log_of(cell, self._out)
                console.print(f"Cell {cell.name} failed: {last_line(where)} ({where})")
        return failed

    def __enter__(self) -> "_Processes":
        return self

    def __exit__(self, *error: object) -> None:
        for process in self._running:
            process.terminate()
        deadline = monotonic() + _GRACE_S
        for process, (_cell, log) in self._running.items():
            try:
                process.wait(max(0.0, deadline - monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            log.close()


def log_of(cell: Cell, out: Path) -> Path:
    """Return where a cell's process writes what it says."""
    return out / LOGS / f"{cell.name.replace('/', '-')}.txt"


def last_line(log: Path) -> str:
    """Return the last line of a log that is not empty."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
