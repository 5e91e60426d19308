"""The demo files of a run, each opened once: their demonstrations and descriptions."""

import resource
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tasks.demos.file import open_demos
from tasks.demos.folders import demo_instruction, find_all_demo_files, noted_otherwise
from tasks.demos.reader import Demo, read_demo
from tasks.demos.source import DemoSource
from tasks.demos.timing import Timing, observation_timing
from tasks.errors import ConfigError
from training.data.image_cache import ImageCache
from training.data.images import (
    CameraSlots,
    DemoImages,
    ImageScan,
    LazyImages,
    MemoryImages,
    Prepare,
    lazy_rows,
    scan_images,
)
from training.data_settings import DataSettings

_MEMORY_BYTES = 2 << 30
"""Images kept in memory unless --images says otherwise."""

_OTHER_FILES = 256
"""Files that a process may have open beside demo files."""


@dataclass(frozen=True, kw_only=True)
class LoadedDemo:
    """A demonstration, whose images may stay in the file.

    Attributes:
        demo: The demonstration without its images.
        rank: Its index among the training, or held-out, demonstrations of its file.
        of: The number of these.
    """

    demo: Demo
    images: DemoImages
    rank: int
    of: int


@dataclass(frozen=True, kw_only=True)
class LoadedFile:
    """A demo file that was read.

    Attributes:
        digest: The first 16 hexadecimal digits of its SHA-256.
        provenance: How it was made; empty if it does not say so.
        conventions: What was found out about foreign data; empty for HDF5 files.
        timing: When its rows were observed.
        instruction: The instruction that is learnt.
        noted_instruction: Another instruction that it notes, if any.
    """

    path: Path
    digest: str
    provenance: dict[str, Any]
    conventions: dict[str, Any]
    timing: Timing
    instruction: str
    noted_instruction: str | None
    training: tuple[LoadedDemo, ...]
    held_out: tuple[LoadedDemo, ...]


@dataclass(frozen=True, kw_only=True)
class LoadedDemos:
    """All demo files of a run, ordered by their paths.

    Attributes:
        render_size: Height and width of their images, pixels.
        note: A sentence on where images are kept; empty where there is nothing to say.
    """

    files: tuple[LoadedFile, ...]
    render_size: int
    note: str = ""

    @property
    def training(self) -> list[LoadedDemo]:
        """Demonstrations to train on."""
        return [demo for file in self.files for demo in file.training]

    @property
    def held_out(self) -> list[LoadedDemo]:
        """Demonstrations that are held out."""
        return [demo for file in self.files for demo in file.held_out]


def load_demos(
    paths: Sequence[Path | str], settings: DataSettings, slots: CameraSlots, prepare: Prepare
) -> LoadedDemos:
    """Read the demonstrations of a run.

    All files are open at once, as their images together decide whether memory holds them.

    Args:
        paths: HDF5 files, or folders of them.
        settings: Which demonstrations are used, and where images are kept.
        slots: Cameras whose images are needed.
        prepare: The image encoder's preparation.

    Raises:
        ConfigError: A file cannot be used, does not tell when its rows were observed or has too few
            demonstrations, or images differ in size.
    """
    files = sorted(find_all_demo_files(paths))
    _allow_open_files(len(files))
    with ExitStack() as stack:
        opened = [stack.enter_context(open_demos(path)) for path in files]
        scans = [scan_images(file, slots.shown) for file in opened]
        sizes = frozenset[int]().union(*(scan.sizes for scan in scans))
        if len(sizes) != 1:
            raise ConfigError(
                f"The demos have pictures of {sorted(sizes)} pixels. "
                "Allowed: one size. Fix: train on one of them, or render them alike."
            )
        lazy, cache, note = _is_lazy(settings, scans, prepare), None, ""
        if settings.pictures == "cache":
            cache = ImageCache(prepare, slots, min(sizes))
            note = cache.check_space(sum(scan.count for scan in scans))
        loaded = tuple(
            _load_file(file, settings, slots, prepare, lazy=lazy, cache=cache) for file in opened
        )
    return LoadedDemos(files=loaded, render_size=min(sizes), note=note)


def _allow_open_files(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def _is_lazy(settings: DataSettings, scans: Sequence[ImageScan], prepare: Prepare) -> bool:
    if settings.pictures != "auto":
        return settings.pictures != "memory"
    if any(scan.in_videos for scan in scans):
        return True
    image_bytes = prepare(np.zeros((1, 16, 16, 3), dtype=np.uint8)).numel()
    return sum(scan.count for scan in scans) * image_bytes > _MEMORY_BYTES


def _load_file(
    file: DemoSource,
    settings: DataSettings,
    slots: CameraSlots,
    prepare: Prepare,
    *,
    lazy: bool,
    cache: ImageCache | None,
) -> LoadedFile:
    names = file.demos()
    training = choose_demos(file.path, len(names), settings, held_out=False)
    held_out = choose_demos(file.path, len(names), settings, held_out=True)
    timing = observation_timing(file, settings.convention)
    instruction, digest = demo_instruction(file, settings.instructions), file.digest()

    def load(indices: range) -> tuple[LoadedDemo, ...]:
        loaded = []
        for rank, index in enumerate(indices):
            demo = read_demo(
                file,
                names[index],
                instruction=instruction,
                convention=timing.convention,
                cameras=() if lazy else slots.shown,
            )
            images: DemoImages
            if lazy:
                rows = lazy_rows(file, demo.name, slots.shown)
                images = unkept = LazyImages(demo, rows, slots, prepare)
                if cache is not None:
                    images = cache.images(unkept, digest, demo.name, demo.steps)
            else:
                images = MemoryImages(demo, slots, prepare)
            demo = replace(demo, images={})
            loaded.append(LoadedDemo(demo=demo, images=images, rank=rank, of=len(indices)))
        return tuple(loaded)

    return LoadedFile(
        path=file.path,
        digest=digest,
        provenance=file.provenance(),
        conventions=dict(file.conventions()),
        timing=timing,
        instruction=instruction,
        noted_instruction=noted_otherwise(file, instruction),
        training=load(training),
        held_out=load(held_out),
    )


def choose_demos(path: Path, count: int, settings: DataSettings, *, held_out: bool) -> range:
    """Return the indices of the demonstrations of a file to train on, or of the held-out ones.

    Raises:
        ConfigError: The file has too few; ``count`` is their number.
    """
    first = count - settings.held_out
    wanted = settings.demos_per_task or max(first, 1)
    if first < wanted:
        raise ConfigError(
            f"'{path}' has {count} demonstrations; {settings.held_out} held out and {wanted} "
            f"to train on are asked for. Fix: lower --held-out or --demos-per-task."
        )
    return range(first, count) if held_out else range(wanted)
