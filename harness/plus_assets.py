"""Fetching LIBERO-Plus's pack of assets from the Hugging Face hub, and what is there without it."""

import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tasks.errors import ConfigError, PrerequisiteError
from tasks.files import draft_of
from tasks.plus.catalogue import PLUS_SUITES, plus_tasks, scene_needs

REPOSITORY = "Sylvest/LIBERO-plus"
"""Data set of LIBERO-Plus's authors; ``RLinf/LIBERO-plus-assets`` is a mirror."""

ARCHIVE = "assets.zip"
_FOLDER = "assets"
_KINDS = ("scenes", "textures", "new_objects")


@dataclass(frozen=True, kw_only=True)
class Availability:
    """How many tasks of one suite and dimension can run here.

    Attributes:
        suite: The suite.
        dimension: What its tasks perturb.
        tasks: How many there are.
        available: How many have their assets on this machine.
    """

    suite: str
    dimension: str
    tasks: int
    available: int


def availability() -> list[Availability]:
    """Count LIBERO-Plus's tasks, and those that can run on this machine.

    Raises:
        PrerequisiteError: LIBERO-Plus is not installed, or damaged.
    """
    counts: dict[tuple[str, str], list[bool]] = {}
    for suite in PLUS_SUITES:
        for task in plus_tasks(suite):
            there = not scene_needs(task).missing
            counts.setdefault((suite, task.name.dimension), []).append(there)
    return [
        Availability(suite=suite, dimension=dimension, tasks=len(there), available=sum(there))
        for (suite, dimension), there in counts.items()
    ]


def fetch_assets(out: Path, repository: str, progress: Callable[[int, int], None]) -> Path:
    """Download the pack and unpack what scenes are made of; a second call goes on.

    Args:
        out: The folder; the assets go to ``<out>/assets``.
        repository: The hub's data set.
        progress: Called with the files that are unpacked and their number.

    Returns:
        The folder of the assets.

    Raises:
        ConfigError: The archive holds no assets, or is damaged.
        PrerequisiteError: The hub cannot be reached.
    """
    archive = _download(out, repository)
    target = out / _FOLDER
    try:
        with zipfile.ZipFile(archive) as packed:
            wanted = [(info, inner) for info in packed.infolist() if (inner := _inner(info))]
            if not wanted:
                raise ConfigError(
                    f"'{archive}' holds no {', '.join(_KINDS)}. Fix: remove it and try again."
                )
            for done, (info, inner) in enumerate(wanted, start=1):
                path = target / inner
                if not path.is_file() or path.stat().st_size != info.file_size:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    draft = draft_of(path)
                    with packed.open(info) as source, draft.open("wb") as copy:
                        shutil.copyfileobj(source, copy)
                    draft.replace(path)
                progress(done, len(wanted))
    except (zipfile.BadZipFile, EOFError) as error:
        raise ConfigError(
            f"'{archive}' is damaged ({error}). Fix: remove it and give the same command."
        ) from error
    return target


def _inner(info: zipfile.ZipInfo) -> str:
    """Return an entry's path below the pack's ``assets``; empty where it is none of them."""
    parts = PurePosixPath(info.filename).parts
    if info.is_dir() or ".." in parts or _FOLDER not in parts:
        return ""
    inner = parts[parts.index(_FOLDER) + 1 :]
    return str(PurePosixPath(*inner)) if len(inner) > 1 else ""


def _download(out: Path, repository: str) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError

    path = out / ARCHIVE
    if path.is_file() and zipfile.is_zipfile(path):
        return path
    try:
        return Path(hf_hub_download(repository, ARCHIVE, repo_type="dataset", local_dir=out))
    except (EntryNotFoundError, HFValidationError) as error:
        raise ConfigError(
            f"The hub's data set '{repository}' has no {ARCHIVE} ({type(error).__name__}). "
            f"Allowed: {REPOSITORY}, or a mirror."
        ) from error
    except (HfHubHTTPError, OSError, ValueError, RuntimeError) as error:
        if isinstance(error, OSError) and error.errno is not None and error.filename is not None:
            raise  # such as a full disk
        raise PrerequisiteError(
            f"The Hugging Face hub cannot be reached for {repository} ({type(error).__name__}). "
            f"Fix: download {ARCHIVE} where there is network ('hf download {repository} {ARCHIVE} "
            f"--repo-type dataset --local-dir {out}'), copy it to '{out}' and give the same "
            "command."
        ) from error
