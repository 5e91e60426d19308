"""Frames of videos by their number: found by integer arithmetic, decoded when they are needed.

A file is read as MP4 alone, from the disk alone, with the decoders that LeRobot's sets need, so
that a file made to look like a playlist reaches nothing.

Nothing here has threads of its own, and a process never frees videos that the one it was forked
from had open: FFmpeg would wait for ever for threads that the fork has not.
"""

import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from tasks.errors import ConfigError
from tasks.observation import Image

CODECS = ("av1", "h264", "hevc", "vp9")
_MOST_OPEN = 48
"""Videos that a process keeps open."""
_MOST_AHEAD = 24
"""Frames that are decoded and dropped rather than looked for from the key frame before."""
_THREADED_SINCE = 17
"""PyAV's version from which it converts frames on several threads unless told otherwise."""
_STEPS_BACK = (0, 1, 16, 256, 1 << 30)
"""Frames before the wanted one from which a key frame is looked for, in turn."""


class Video:
    """An open video."""

    def __init__(self, path: Path, *, size: tuple[int, int], fps: Fraction) -> None:
        """Open a video.

        Args:
            path: The MP4 file.
            size: Height and width that its frames must have, pixels.
            fps: Frames per second.

        Raises:
            ConfigError: It is missing, damaged, or of another codec or size.
        """
        import av  # takes a quarter of a second

        self._path, self._size, self._fps = path, size, fps
        self._errors = (av.FFmpegError, OSError, ValueError, EOFError, IndexError)
        try:
            self._container = av.open(
                str(path),
                format="mp4",
                options={"protocol_whitelist": "file", "use_absolute_path": "0"},
                metadata_errors="replace",
            )
            self._stream = self._container.streams.video[0]
        except self._errors as error:
            raise self._refuse("it is missing, truncated or no MP4 file") from error
        context = self._stream.codec_context
        if context is None or self._stream.time_base is None or context.name not in _decoders():
            raise self._refuse(f"its codec is not one of {', '.join(CODECS)}")
        if (context.height, context.width) != size:
            given = f"{context.height}×{context.width}"
            raise self._refuse(f"its frames have {given} pixels, not {size[0]}×{size[1]}")
        context.thread_count = 1
        threaded = int(av.__version__.partition(".")[0]) >= _THREADED_SINCE
        self._conversion = {"threads": 1} if threaded else {}
        self._time: Fraction = self._stream.time_base
        self.frames: int = self._stream.frames
        """Frames that it declares; 0 where it does not say."""
        self._decoded: Iterator[Any] = iter(())
        self._at: int | None = None

    def read(self, numbers: Sequence[int]) -> Image:
        """Decode some frames, (n, H, W, 3) uint8.

        Args:
            numbers: From 0, ascending; repetitions are allowed.

        Raises:
            ConfigError: A frame is missing or damaged.
        """
        out = np.empty((len(numbers), *self._size, 3), dtype=np.uint8)
        for row, number in enumerate(numbers):
            if row and number == numbers[row - 1]:
                out[row] = out[row - 1]
            else:
                out[row] = self._frame(number)
        return out

    def is_cut_off(self) -> bool:
        """Whether the file ends before the last of the frames that it lists."""
        entries = getattr(self._stream, "index_entries", None)  # older PyAV has none
        if entries is not None:
            size = self._path.stat().st_size
            return any(entry.pos + entry.size > size for entry in entries)
        try:
            self._frame(self.frames - 1)
        except ConfigError:
            return True
        return False

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def _frame(self, number: int) -> Image:
        if self._at is not None and self._at < number <= self._at + _MOST_AHEAD:
            picture = self._decode_to(number)
            if picture is not None:
                return picture
        # Frames shown before a key frame but stored after it need the key frame before that one.
        for back in _STEPS_BACK:
            self._seek(max(number - back, 0))
            picture = self._decode_to(number)
            if picture is not None:
                return picture
            if back >= number:
                break
        raise self._refuse(f"frame {number} is missing")

    def _decode_to(self, number: int) -> Image | None:
        """Decode up to a frame and return it; None where a later one comes first."""
        try:
            for frame in self._decoded:
                if frame.pts is None:
                    raise self._refuse(f"frame {number} has no time")
                self._at = self._number(frame.pts)
                if self._at == number:
                    return self._picture(frame, number)
                if self._at > number:
                    break
        except self._errors as error:
            self._at = None
            raise self._refuse(f"frame {number} cannot be decoded") from error
        self._at = None
        return None

    def _picture(self, frame: Any, number: int) -> Image:
        if frame.is_corrupt:
            raise self._refuse(f"frame {number} is damaged")
        picture: Image = frame.to_ndarray(format="rgb24", **self._conversion)
        if picture.shape[:2] != self._size:
            raise self._refuse(f"frame {number} has another size")
        return picture

    def _seek(self, number: int) -> None:
        time = round(number / self._fps / self._time)
        try:
            self._container.seek(time, stream=self._stream, backward=True)
        except self._errors as error:
            raise self._refuse(f"frame {number} cannot be found") from error
        self._decoded = self._container.decode(self._stream)

    def _number(self, time: int) -> int:
        """Return the number of the frame nearest to a time in the stream's units."""
        exact = time * self._time * self._fps
        return (2 * exact.numerator + exact.denominator) // (2 * exact.denominator)

    def _refuse(self, why: str) -> ConfigError:
        return ConfigError(
            f"The video '{self._path}' cannot be used: {why}. Fix: fetch it again; "
            "'libero-bench demos check' names all that are broken, and 'libero-bench demos "
            "export' writes a set without them."
        )


def _decoders() -> frozenset[str]:
    return frozenset({*CODECS, "libdav1d", "libaom-av1", "libvpx-vp9"})


_open: OrderedDict[Path, Video] = OrderedDict()
_inherited: list[Video] = []
"""Videos of the process that this one was forked from."""


def _keep_inherited() -> None:
    _inherited.extend(_open.values())
    _open.clear()


os.register_at_fork(after_in_child=_keep_inherited)


def read_frames(
    path: Path, numbers: Sequence[int], *, size: tuple[int, int], fps: Fraction
) -> Image:
    """Decode frames of a video, (n, H, W, 3) uint8; this process keeps the last videos open.

    Args:
        path: The MP4 file.
        numbers: From 0, ascending.
        size: Height and width that they must have.
        fps: Frames per second.

    Raises:
        ConfigError: The video or a frame is missing or damaged.
    """
    if path not in _open:
        while len(_open) >= _MOST_OPEN:
            _open.popitem(last=False)[1].close()
        _open[path] = Video(path, size=size, fps=fps)
    _open.move_to_end(path)
    return _open[path].read(numbers)


@lru_cache(maxsize=8192)
def _declared(path: Path, size: tuple[int, int], fps: Fraction, _stamp: int) -> tuple[int, str]:
    """Return the frames that a video declares, and what is wrong with it."""
    try:
        video = Video(path, size=size, fps=fps)
    except ConfigError as error:
        return 0, str(error).partition("cannot be used: ")[2].partition(". Fix")[0]
    try:
        return video.frames, "its end is cut off" if video.is_cut_off() else ""
    finally:
        video.close()


def video_fault(path: Path, *, size: tuple[int, int], fps: Fraction, frames: int) -> str:
    """Say what is wrong with a video without decoding it; empty if nothing is.

    Args:
        path: The MP4 file.
        size: Height and width that its frames must have.
        fps: Frames per second.
        frames: How many it must have at least.
    """
    if not path.is_file():
        return "it is missing"
    declared, fault = _declared(path, size, fps, path.stat().st_mtime_ns)
    if not fault and declared < frames:
        fault = f"it has {declared} frames, {frames} are needed"
    return fault
