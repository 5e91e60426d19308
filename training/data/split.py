"""Which demonstrations of a file are trained on, and which are held out."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from tasks.demos.file import open_demo_file
from tasks.demos.folders import find_all_demo_files
from tasks.demos.reader import Demo, read_demos
from tasks.errors import ConfigError
from training.config_sections import DataSettings


def choose_demos(file: Path, there: int, settings: DataSettings, *, held_out: bool) -> range:
    """Return the places in a file of ``there`` demonstrations of those to take.

    Raises:
        ConfigError: There are too few.
    """
    first = there - settings.held_out
    wanted = settings.demos_per_task or max(first, 1)
    if first < wanted:
        raise ConfigError(
            f"'{file}' has {there} demonstrations; {settings.held_out} held out and {wanted} "
            f"to train on are asked for. Fix: lower --held-out or --demos-per-task."
        )
    return range(first, there) if held_out else range(wanted)


def demos_to_train_on(paths: Sequence[Path | str], settings: DataSettings) -> Iterator[Demo]:
    """Read the demonstrations that are trained on, without their pictures.

    Raises:
        ConfigError: A file cannot be used, or has too few demonstrations.
    """
    for path in sorted(find_all_demo_files(paths)):
        with open_demo_file(path) as file:
            there = len(file.demos())
        chosen = choose_demos(path, there, settings, held_out=False)
        demos = read_demos(path, convention=settings.convention, pictures=False)
        yield from islice(demos, chosen.stop)


def transitions(demo: Demo) -> tuple[int, ...]:
    """Return the steps at which a demonstration's phases begin, in order."""
    return tuple(sorted({phase.step for phase in demo.phases}))


def first_motion(demo: Demo) -> int:
    """Return the first step at which any joint is more than 0.01 rad from where it began.

    RDT's own data loader skips what is before; a demonstration that never moves gives 0.
    """
    moved = (np.abs(demo.joint_pos - demo.joint_pos[0]) > 0.01).any(1)
    return int(moved.argmax())
