"""Training against a straightforward loop: samples per second, waiting for data, memory.

The two backends take turns, each in a process of its own, so that its memory is its own.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.benchmarks.config import TrainingSpeedConfig
from harness.benchmarks.process_memory import peak_mb
from tasks.demos.folders import find_demo_files
from tasks.errors import HarnessError
from training.config import TrainingConfig

if TYPE_CHECKING:
    from training.progress import TrainingStatus

BACKENDS = ("loop", "ours")
_WARM = 3


@dataclass(frozen=True, kw_only=True)
class TrainingFigures:
    """Figures of one backend; medians over its turns.

    Attributes:
        side: ``loop`` or ``ours``.
        samples_per_s: Windows per second.
        data_wait: Share of the time spent waiting for data.
        memory_mb: Most memory of the process, 10⁶ bytes.
        gpu_mb: Most memory on the GPU, 10⁶ bytes; 0 on a CPU.
    """

    side: str
    samples_per_s: float
    data_wait: float
    memory_mb: float
    gpu_mb: float


def compare_training(
    config: TrainingSpeedConfig, report: Callable[[str], None]
) -> list[TrainingFigures]:
    """Measure both backends in turns.

    Args:
        config: What to measure; three more updates per turn are not counted.
        report: Called with the backend that runs next.

    Raises:
        ConfigError: There is no demo file.
        HarnessError: A backend failed.
    """
    assert config.demos is not None
    find_demo_files(config.demos)
    turns: dict[str, list[TrainingFigures]] = {backend: [] for backend in BACKENDS}
    for _ in range(config.repeats):
        for backend in BACKENDS:
            report(backend)
            words = (backend, str(config.demos), str(config.updates), str(config.batch_size))
            figures = run_apart(__name__, words, f"The side '{backend}'")
            turns[backend].append(TrainingFigures(**figures))
    return [
        TrainingFigures(
            side=backend,
            samples_per_s=statistics.median(turn.samples_per_s for turn in figures),
            data_wait=statistics.median(turn.data_wait for turn in figures),
            memory_mb=statistics.median(turn.memory_mb for turn in figures),
            gpu_mb=statistics.median(turn.gpu_mb for turn in figures),
        )
        for backend, figures in turns.items()
    ]


def run_apart(module: str, words: Sequence[str], what: str) -> dict[str, Any]:
    """Run a module in a process of its own; return the JSON that its last line is.

    Args:
        module: The module.
        words: Its arguments.
        what: Names it in the message.

    Raises:
        HarnessError: It failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", module, *words],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise HarnessError(f"{what} failed: {done.stderr.strip()[-500:]}")
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def measure(backend: str, demos: Path, *, updates: int, batch_size: int) -> TrainingFigures:
    """Measure one backend in this process."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    if backend == "loop":
        from harness.benchmarks.reference_training import run_loop

        files = find_demo_files(demos)
        seconds, wait = run_loop(
            files, updates=updates, batch_size=batch_size, warm=_WARM, device=device
        )
    else:
        seconds, last = time_training(
            demos, updates=updates, batch_size=batch_size, learning_rate=1e-4
        )
        wait = last.data_wait
    return TrainingFigures(
        side=backend,
        samples_per_s=batch_size / seconds,
        data_wait=wait,
        memory_mb=peak_mb(),
        gpu_mb=torch.cuda.max_memory_allocated() / 1e6 if device == "cuda" else 0.0,
    )


def time_training(
    demos: Path, *, updates: int, batch_size: int, **settings: Any
) -> "tuple[float, TrainingStatus]":
    """Train with this project's trainer.

    Args:
        demos: What to train on.
        updates: Updates that are timed; three more come before.
        batch_size: Windows per update.
        settings: Others of the training.

    Returns:
        Seconds per update, and the status after the last.
    """
    from training.trainer import train

    seen: list[tuple[float, TrainingStatus]] = []
    with tempfile.TemporaryDirectory() as folder:
        config = TrainingConfig(
            demos=(demos,),
            out=Path(folder) / "run",
            updates=updates + _WARM,
            batch_size=batch_size,
            layout="eef-velocity",
            **settings,
        )
        train(config, lambda status: seen.append((time.perf_counter(), status)))
    seconds = (seen[-1][0] - seen[_WARM - 1][0]) / updates
    return seconds, seen[-1][1]


def main() -> None:
    """Measure the backend that the command line names; print the figures as JSON."""
    backend, demos, updates, batch_size = sys.argv[1:]
    figures = measure(backend, Path(demos), updates=int(updates), batch_size=int(batch_size))
    print(json.dumps(asdict(figures)))


if __name__ == "__main__":
    main()
