"""Encoding of images: PNG files, and videos whose episodes can be joined without a loss."""

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from tasks.errors import ConfigError
from tasks.files import atomic_file
from tasks.observation import Image
from training.demos.lerobot.schema import FPS

_GROUP = 2
"""Frames from one key frame to the next: what LeRobot's own videos have, for reading at random."""

ENCODERS: dict[str, tuple[str, int, dict[str, str]]] = {
    "h264": ("libx264", 20, {"preset": "medium", "bf": "0", "threads": "1"}),
    "av1": ("libsvtav1", 30, {"preset": "8", "svtav1-params": "lp=1"}),
}
"""By codec the encoder, its usual constant rate factor (smaller is better and larger), options."""


def encode_video(
    path: Path, images: Image, codec: str, crf: int | None = None, *, fps: int = FPS
) -> None:
    """Write images as an MP4 file, atomically.

    Args:
        path: The file.
        images: (T, H, W, 3) uint8.
        codec: One of ``ENCODERS``.
        crf: Constant rate factor; the codec's usual one by default.
        fps: Frames per second.

    Raises:
        ConfigError: This installation has no such encoder, or the size is odd.
    """
    import av

    name, usual, options = ENCODERS[codec]
    height, width = images.shape[1:3]
    if height % 2 or width % 2:
        raise ConfigError(
            f"Images of {height}×{width} pixels cannot be videos, whose sizes are even. "
            "Fix: --codec png."
        )
    _quiet(av)
    with atomic_file(path) as draft, _writing(av, draft) as container:
        try:
            stream = container.add_stream(
                name, rate=fps, options={**options, "crf": str(usual if crf is None else crf)}
            )
        except (av.FFmpegError, ValueError) as error:
            raise ConfigError(
                f"The installed PyAV has no encoder {name}. Fix: another --codec, or "
                "pip install --upgrade av."
            ) from error
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        stream.codec_context.gop_size = _GROUP
        stream.codec_context.time_base = stream.time_base = Fraction(1, fps)
        for number, picture in enumerate(images):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def join_videos(
    path: Path, parts: Sequence[Path], lengths: Sequence[int], *, fps: int = FPS
) -> None:
    """Join videos of ``encode_video`` into one, atomically, without encoding anything again.

    Args:
        path: The file.
        parts: The videos, in order.
        lengths: Frames of each.
        fps: Frames per second.

    Raises:
        ConfigError: A part is damaged.
    """
    import av

    _quiet(av)
    with atomic_file(path) as draft, _writing(av, draft) as container:
        out: Any = None
        before = 0
        for part, length in zip(parts, lengths, strict=True):
            with av.open(str(part), format="mp4") as given:
                stream = given.streams.video[0]
                if stream.frames != length:
                    raise ConfigError(
                        f"'{part}' has {stream.frames} frames, not {length}. Fix: delete it and "
                        "run the command again."
                    )
                out = out or container.add_stream_from_template(stream, opaque=True)
                assert stream.time_base is not None
                shift = round(Fraction(before, fps) / stream.time_base)
                for packet in given.demux(stream):
                    if packet.dts is None or packet.pts is None:
                        continue
                    packet.pts += shift
                    packet.dts += shift
                    packet.stream = out
                    container.mux(packet)
            before += length


def encode_png(picture: Image) -> bytes:
    """Return an image (H, W, 3) uint8 as a PNG file."""
    from PIL import Image as Pillow

    file = io.BytesIO()
    Pillow.fromarray(picture).save(file, format="PNG")
    return file.getvalue()


@contextmanager
def _writing(av: Any, draft: Path) -> Iterator[Any]:
    with av.open(
        str(draft), mode="w", format="mp4", options={"movflags": "faststart"}
    ) as container:
        yield container


def _quiet(av: Any) -> None:
    av.logging.set_level(av.logging.ERROR)
    os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 writes its settings to stderr otherwise
