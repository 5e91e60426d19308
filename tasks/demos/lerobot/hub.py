"""LeRobot data sets on the Hugging Face hub, fetched by their names."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tasks.demos.source import RLDS
from tasks.errors import ConfigError, PrerequisiteError

_NAME = re.compile(r"(?:hf:)?([A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})")
_FILES = ("meta/**", "data/**", "videos/**")
_LEAST_FREE = 1 << 30


def hub_name(path: Path | str) -> str | None:
    """Return the name on the hub that a path stands for: ``hf:owner/name``, or ``owner/name``.

    A path whose first folder is on this machine is no name, unless it begins with ``hf:``.
    """
    text = str(path)
    match = _NAME.fullmatch(text)
    if match is None or (not text.startswith("hf:") and Path(text).parent.exists()):
        return None
    return match[1]


def fetch_dataset(name: str) -> Path:
    """Fetch a data set into the hub's cache, if it is not there, and return its folder.

    Args:
        name: Its name on the hub, ``owner/name``.

    Raises:
        ConfigError: There is none of that name, or it is larger than the free disk.
        PrerequisiteError: The hub cannot be reached, and the cache does not have it.
    """
    from huggingface_hub import HfApi, snapshot_download, try_to_load_from_cache
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError

    options: dict[str, Any] = {"repo_id": name, "repo_type": "dataset"}
    try:
        files = HfApi().dataset_info(name, files_metadata=True).siblings or []
        _check_format(name, [file.rfilename for file in files])
        missing = sum(
            file.size or 0
            for file in files
            if not isinstance(try_to_load_from_cache(filename=file.rfilename, **options), str)
        )
        place = Path(HF_HUB_CACHE)
        while not place.exists():
            place = place.parent
        free = shutil.disk_usage(place).free
        if missing + _LEAST_FREE > free:
            raise ConfigError(
                f"The data set '{name}' needs {missing:,} bytes more, and {place} has {free:,} "
                "free. Fix: make room, or set HF_HOME to a folder on a larger disk."
            )
        return Path(snapshot_download(**options, allow_patterns=list(_FILES)))
    except RepositoryNotFoundError as error:
        raise ConfigError(
            f"There is no data set '{name}' on the hub, or it needs a login. Fix: correct the "
            "name; for a folder on this machine give its path, such as ./folder."
        ) from error
    except ConfigError:
        raise
    except Exception as error:  # without network each layer below has its own way to fail
        if isinstance(error, OSError) and error.errno is not None and not _is_offline(error):
            raise  # such as a full disk
        try:
            return Path(snapshot_download(**options, local_files_only=True))
        except (LocalEntryNotFoundError, OSError):
            raise PrerequisiteError(
                f"The data set '{name}' is neither a folder nor in the hub's cache, and the hub "
                f"cannot be reached ({type(error).__name__}). Fix: on a machine that reaches it, "
                f"'hf download {name} --repo-type dataset --local-dir FOLDER'; then give FOLDER."
            ) from error


def _check_format(name: str, files: Sequence[str]) -> None:
    """Refuse a data set of another format, before anything is fetched."""
    if "meta/info.json" in files:
        return
    if any(re.search(r"\.tfrecord|dataset_info\.json$", file) for file in files):
        raise ConfigError(f"The data set '{name}' on the hub is {RLDS}.")
    raise ConfigError(
        f"The data set '{name}' on the hub is no LeRobot set: it has no meta/info.json. Fix: if it "
        f"has LIBERO's HDF5 files, 'hf download {name} --repo-type dataset --local-dir FOLDER', "
        "then give FOLDER."
    )


def _is_offline(error: BaseException) -> bool:
    """Whether an error says that nobody was asked."""
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

    return isinstance(error, LocalEntryNotFoundError | OfflineModeIsEnabled | ConnectionError)
