"""How long a trainer waits for its data: HDF5 against lazily decoded videos, in one run.

The demonstrations are exported as LeRobot sets with each codec, then ``rdt-small`` trains on each
source in turn, in a process of its own.
"""

import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from harness.benchmarks.config import DemoReadingConfig
from harness.benchmarks.training_speed import run_apart, time_training
from harness.demonstrations.export import ExportConfig, export_lerobot
from tasks.demos.folders import find_demo_files

Source = Literal["hdf5 memory", "hdf5 lazy", "h264 lazy", "av1 lazy", "png lazy"]
SOURCES: tuple[Source, ...] = get_args(Source)


@dataclass(frozen=True, kw_only=True)
class ReadingFigures:
    """Figures of one source; medians over its turns.

    Attributes:
        source: The format, and where images are kept.
        megabytes: Of the source, 10⁶ bytes.
        error: Mean absolute difference of the fixed camera's encoded images, grey levels.
        samples_per_s: Windows per second.
        data_wait: Share of the time spent waiting for data.
        loss: Mean loss at the end.
    """

    source: Source
    megabytes: float
    error: float
    samples_per_s: float
    data_wait: float
    loss: float


def measure_reading(
    config: DemoReadingConfig, report: Callable[[str], None]
) -> list[ReadingFigures]:
    """Measure every source in turns.

    Args:
        config: What to measure; three more updates per turn are not counted.
        report: Called with what comes next.

    Raises:
        ConfigError: There are no demonstrations.
        HarnessError: A training failed.
    """
    files = find_demo_files(config.demos)
    turns: dict[Source, list[dict[str, float]]] = {source: [] for source in SOURCES}
    sizes = {source: sum(file.stat().st_size for file in files) for source in SOURCES}
    errors = dict.fromkeys(SOURCES, 0.0)
    with tempfile.TemporaryDirectory() as folder:
        places = _export(files, Path(folder), report, sizes, errors)
        for _ in range(config.repeats):
            for source in SOURCES:
                report(source)
                turns[source].append(_apart(config, source, places.get(source, config.demos)))
    return [
        ReadingFigures(
            source=source,
            megabytes=round(sizes[source] / 1e6, 1),
            error=errors[source],
            samples_per_s=statistics.median(turn["samples_per_s"] for turn in figures),
            data_wait=statistics.median(turn["data_wait"] for turn in figures),
            loss=statistics.median(turn["loss"] for turn in figures),
        )
        for source, figures in turns.items()
    ]


def _export(
    files: Sequence[Path],
    folder: Path,
    report: Callable[[str], None],
    sizes: dict[Source, int],
    errors: dict[Source, float],
) -> dict[Source, Path]:
    places: dict[Source, Path] = {}
    for codec, source in (("h264", SOURCES[2]), ("av1", SOURCES[3]), ("png", SOURCES[4])):
        report(f"encoding {codec}")
        out = folder / codec
        config = ExportConfig(codec=codec)  # type: ignore[arg-type]
        exported = export_lerobot(files, out, config, lambda *_: None)
        places[source] = out
        sizes[source], errors[source] = exported.bytes, exported.error.get("agentview", 0.0)
    return places


def _apart(config: DemoReadingConfig, source: Source, demos: Path) -> dict[str, float]:
    """Train on a source in a process of its own."""
    words = (source, str(demos), str(config.updates), str(config.batch_size))
    return run_apart(__name__, words, f"Training on '{source}'")


def measure(source: Source, demos: Path, *, updates: int, batch_size: int) -> dict[str, float]:
    """Train on one source in this process."""
    pictures = "memory" if source == "hdf5 memory" else "lazy"
    seconds, last = time_training(demos, updates=updates, batch_size=batch_size, pictures=pictures)
    return {
        "samples_per_s": batch_size / seconds,
        "data_wait": last.data_wait,
        "loss": last.loss,
    }


def main() -> None:
    """Measure the source that the command line names; print the figures as JSON."""
    source, demos, updates, batch_size = sys.argv[1:]
    known: dict[str, Source] = {name: name for name in SOURCES}
    found = measure(known[source], Path(demos), updates=int(updates), batch_size=int(batch_size))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
