"""An episode of an export as a folder of its own, so that a killed export loses none."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from tasks.demos.lerobot.video import Video
from tasks.demos.reader import Demo
from tasks.files import atomic_folder
from training.demos.lerobot.encoding import encode_png, encode_video
from training.demos.lerobot.schema import FPS, Array, Schema
from training.demos.lerobot.statistics import image_histogram

_ABOUT, _NUMBERS = "about.json", "numbers.npz"


@dataclass(frozen=True, kw_only=True)
class Part:
    """An exported episode.

    Attributes:
        folder: Where it lies.
        length: Frames.
        noted: Attributes of the demonstration that the set's notes keep.
        error: Mean absolute difference of the encoded images from the given ones, grey levels, by
            camera; 0 for PNG.
    """

    folder: Path
    length: int
    noted: dict[str, Any]
    error: dict[str, float]

    @property
    def columns(self) -> dict[str, Array]:
        """Its numbers by feature."""
        with np.load(self.folder / _NUMBERS, allow_pickle=False) as file:
            return {key: file[key] for key in file.files if not key.startswith("histogram ")}

    def histogram(self, key: str) -> Array:
        """Return the histogram of a camera's feature; see ``image_histogram``."""
        with np.load(self.folder / _NUMBERS, allow_pickle=False) as file:
            found: Array = file[f"histogram {key}"]
            return found

    def video(self, key: str) -> Path:
        """Return the video of a camera's feature."""
        return self.folder / f"{key}.mp4"

    def pngs(self, key: str) -> list[bytes]:
        """Return the PNG files of a camera's feature."""
        with np.load(self.folder / f"{key}.npz", allow_pickle=False) as file:
            ends, data = np.cumsum(file["sizes"]), file["data"].tobytes()
        return [data[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def write_part(
    folder: Path, demo: Demo, schema: Schema, noted: Mapping[str, Any], crf: int | None
) -> None:
    """Write an episode's part, atomically.

    Args:
        folder: The part.
        demo: The episode, with its images turned as ``rotate180`` does.
        schema: What the set holds.
        noted: Attributes of the demonstration that the set's notes keep.
        crf: See ``encode_video``.
    """
    arrays = schema.columns(demo)
    error: dict[str, float] = {}
    with atomic_folder(folder) as draft:
        for camera, key in schema.image_keys.items():
            images = demo.images[camera]
            arrays[f"histogram {key}"] = image_histogram(images)
            if schema.in_videos:
                encode_video(draft / f"{key}.mp4", images, schema.codec, crf)
                error[camera] = _difference(draft / f"{key}.mp4", images)
                continue
            files = [encode_png(picture) for picture in images]
            data = np.frombuffer(b"".join(files), dtype=np.uint8)
            np.savez(draft / f"{key}.npz", data=data, sizes=np.array([len(f) for f in files]))
            error[camera] = 0.0
        np.savez(draft / _NUMBERS, allow_pickle=False, **arrays)
        about = {"length": demo.steps, "noted": dict(noted), "error": error}
        (draft / _ABOUT).write_text(json.dumps(about), encoding="utf-8")


def read_part(folder: Path) -> Part:
    """Return a part that ``write_part`` wrote."""
    about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
    return Part(folder=folder, length=about["length"], noted=about["noted"], error=about["error"])


def _difference(path: Path, images: Array) -> float:
    video = Video(path, size=images.shape[1:3], fps=Fraction(FPS))
    try:
        decoded = video.read(range(len(images)))
    finally:
        video.close()
    return float(np.abs(decoded.astype(np.int16) - images).mean())
