"""``meta/info.json`` of a LeRobot data set: its version, features and where its files lie."""

import json
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from tasks.errors import ConfigError

Version = Literal["v2.0", "v2.1", "v3.0"]

INFO = Path("meta/info.json")
READ_VERSIONS: tuple[Version, ...] = ("v2.0", "v2.1", "v3.0")

_MOST_BYTES = 64 << 20
"""Of a file of JSON."""
_MOST_NUMBERS = 10_000
"""In a row of a column."""
_MOST_PIXELS = 2048
_FIELD = re.compile(r"\{(\w+)(?::0?(\d+)d)?\}")


@dataclass(frozen=True, kw_only=True)
class Feature:
    """A column of a data set.

    Attributes:
        key: Its name.
        dtype: ``float32``, ``int64``, ``string``, ``image``, ``video`` and so on.
        shape: Of one row; images are (height, width, 3).
        codec: Of a video, such as ``av1``; empty where it is not noted.
    """

    key: str
    dtype: str
    shape: tuple[int, ...]
    codec: str = ""

    @property
    def holds_images(self) -> bool:
        """Whether its rows are images, in Parquet or in videos."""
        return self.dtype in ("image", "video")


@dataclass(frozen=True, kw_only=True)
class Info:
    """What ``meta/info.json`` declares.

    Attributes:
        root: The folder of the data set.
        fps: Frames per second as labelled; videos count time in it.
        data_path: Template of the Parquet files' paths.
        video_path: Template of the videos' paths; None without videos.
        chunks_size: Episodes per folder in version 2.
        episodes: Declared number.
        frames: Declared number.
    """

    root: Path
    version: Version
    robot: str
    fps: Fraction
    features: dict[str, Feature]
    data_path: str
    video_path: str | None
    chunks_size: int
    episodes: int
    frames: int

    def place(self, template: str, **fields: str | int) -> Path:
        """Return a path of the data set from its template.

        Raises:
            ConfigError: It would lie outside the folder, or has a field that nobody fills.
        """

        def fill(match: re.Match[str]) -> str:
            name, digits = match.groups()
            if name not in fields:
                raise self.refuse(f"the path '{template}' has the unknown field '{name}'")
            return str(fields[name]).zfill(min(int(digits or 0), 20))

        filled = PurePosixPath(_FIELD.sub(fill, template))
        if (
            filled.is_absolute()
            or ".." in filled.parts
            or not filled.parts
            or not str(filled).isprintable()
            or any(mark in str(filled) for mark in "{}\\:")
        ):
            raise self.refuse(f"the path '{filled}' leaves the folder of the data set")
        return self.root / filled

    def refuse(self, why: str, fix: str = "") -> ConfigError:
        """Return the error that says why the data set cannot be used, and what to do."""
        return refusal(self.root, why, fix)


def refusal(root: Path, why: str, fix: str = "") -> ConfigError:
    """Return the error that says why a data set cannot be used, and what to do."""
    fix = fix or "Fix: fetch or export it again, or give another."
    return ConfigError(f"The LeRobot data set '{root}' cannot be used: {why}. {fix}")


def read_json(root: Path, path: Path) -> Any:
    """Return the content of a file of JSON.

    Raises:
        ConfigError: It is missing, too large or no JSON.
    """
    name = path.relative_to(root)
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise refusal(root, f"{name} has more than {_MOST_BYTES:,} bytes")
        return json.loads(path.read_bytes())
    except OSError as error:
        raise refusal(root, f"{name} is missing or cannot be read") from error
    except (ValueError, RecursionError) as error:
        raise refusal(root, f"{name} is not JSON") from error


def read_json_lines(root: Path, path: Path) -> list[dict[str, Any]]:
    """Return the objects of a file with JSON in each line.

    Raises:
        ConfigError: It is missing, too large, or a line is no object.
    """
    name = path.relative_to(root)
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise refusal(root, f"{name} has more than {_MOST_BYTES:,} bytes")
        lines = [json.loads(line) for line in path.read_bytes().splitlines() if line.strip()]
    except OSError as error:
        raise refusal(root, f"{name} is missing or cannot be read") from error
    except (ValueError, RecursionError) as error:
        raise refusal(root, f"{name} has a line that is not JSON") from error
    if not all(isinstance(line, dict) for line in lines):
        raise refusal(root, f"{name} has a line that is no object")
    return lines


def read_info(root: Path) -> Info:
    """Read ``meta/info.json``.

    Args:
        root: The folder of the data set.

    Raises:
        ConfigError: It is missing, damaged, impossible, or of a version that is not read.
    """
    written = read_json(root, root / INFO)
    if not isinstance(written, dict):
        raise refusal(root, f"{INFO} is no object")
    version = written.get("codebase_version")
    if version not in READ_VERSIONS:
        raise refusal(
            root,
            f"its codebase_version is {str(version)[:40]!r}",
            f"Allowed: {', '.join(READ_VERSIONS)}. Fix: convert it with LeRobot's own scripts.",
        )
    try:
        declared = written["features"]
        features = {str(key): _feature(str(key), value) for key, value in declared.items()}
        fps = Fraction(str(written["fps"]))
        if not 0 < fps <= 1000:
            raise ValueError(f"fps is {written['fps']}")
        video_path = written.get("video_path")
        return Info(
            root=root,
            version=version,
            robot=str(written.get("robot_type") or "unknown"),
            fps=fps.limit_denominator(100_000),
            features=features,
            data_path=_text(written["data_path"], "data_path"),
            video_path=None if video_path is None else _text(video_path, "video_path"),
            chunks_size=_count(written.get("chunks_size", 1000), "chunks_size", least=1),
            episodes=_count(written["total_episodes"], "total_episodes"),
            frames=_count(written["total_frames"], "total_frames"),
        )
    except KeyError as error:
        raise refusal(root, f"{INFO} has no {error}") from error
    except (AttributeError, TypeError, ValueError, ZeroDivisionError) as error:
        words = " ".join(str(error).split())[:200]
        raise refusal(root, f"{INFO} is impossible ({words})") from error


def _feature(key: str, written: dict[str, Any]) -> Feature:
    if not key.isprintable() or "/" in key or len(key) > 200:
        raise ValueError(f"a feature is called {key[:40]!r}")
    dtype, shape = str(written["dtype"]), tuple(written["shape"])
    if not all(type(size) is int and size > 0 for size in shape):
        raise ValueError(f"the feature {key} has the shape {shape}")
    if dtype in ("image", "video"):
        if len(shape) == 3 and shape[0] == 3 != shape[2]:  # some declare the channels first
            shape = (*shape[1:], 3)
        if len(shape) != 3 or shape[2] != 3 or max(shape) > _MOST_PIXELS:
            raise ValueError(f"the images {key} have the shape {shape}")
    elif len(shape) != 1 or shape[0] > _MOST_NUMBERS:
        shape = (0,)  # never read
    about = written.get("info") or written.get("video_info")
    codec = about.get("video.codec", "") if isinstance(about, dict) else ""
    return Feature(key=key, dtype=dtype, shape=shape, codec=str(codec))


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) < 500:
        raise ValueError(f"{name} is {str(value)[:40]!r}")
    return value


def _count(value: Any, name: str, *, least: int = 0) -> int:
    if type(value) is not int or not least <= value < 1 << 40:
        raise ValueError(f"{name} is {str(value)[:40]!r}")
    return value
