"""Downloading LIBERO's own demonstrations, made by humans, from the Hugging Face hub."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.errors import ConfigError, PrerequisiteError
from tasks.suites import ORIGINAL_SUITES, Task

REPOSITORY = "yifengzhu-hf/LIBERO-datasets"
"""Of LIBERO's first author; the files are ``SUITE/TASK_demo.hdf5``, as in LIBERO's own archives."""


@dataclass(frozen=True, kw_only=True)
class Downloaded:
    """One file.

    Attributes:
        path: Where it is.
        before: Whether it was whole before.
    """

    path: Path
    before: bool


def download_demos(tasks: Sequence[Task], out: Path) -> list[Downloaded]:
    """Download the demo files of tasks; those that are there are not fetched again.

    An interrupted download is continued by the same call.

    Args:
        tasks: Of LIBERO's own suites.
        out: Folder; a task goes to ``<out>/<suite>/<task>_demo.hdf5``.

    Raises:
        ConfigError: There are no demonstrations of a suite, or what came is no demo file.
        PrerequisiteError: The hub cannot be reached.
    """
    for task in tasks:
        if task.suite not in ORIGINAL_SUITES:
            raise ConfigError(
                f"Nobody demonstrated {task.suite}. Allowed: {', '.join(ORIGINAL_SUITES)}. "
                "Fix: make demos with 'libero-bench collect'."
            )
    found = []
    for task in tasks:
        path = out / task.demo_file
        before = path.exists()
        if not before:
            _fetch(task, out)
            _check(path)
        found.append(Downloaded(path=path, before=before))
    return found


def _fetch(task: Task, out: Path) -> None:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError

    try:
        hf_hub_download(REPOSITORY, task.demo_file, repo_type="dataset", local_dir=out)
    except (EntryNotFoundError, RepositoryNotFoundError) as error:
        if _offline(error):
            raise _unreachable(task, out, error) from error
        raise ConfigError(
            f"The hub's data set {REPOSITORY} has no file {task.demo_file} "
            f"({type(error).__name__}). Fix: make demos with 'libero-bench collect'."
        ) from error
    except Exception as error:  # without network each layer below has its own way to fail
        if isinstance(error, OSError) and error.errno is not None and not _offline(error):
            raise  # such as a full disk
        raise _unreachable(task, out, error) from error


def _offline(error: BaseException) -> bool:
    """Whether an error says that nobody was asked."""
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

    return isinstance(error, LocalEntryNotFoundError | OfflineModeIsEnabled | ConnectionError)


def _unreachable(task: Task, out: Path, error: Exception) -> PrerequisiteError:
    return PrerequisiteError(
        f"The Hugging Face hub cannot be reached for {task.demo_file} ({type(error).__name__}). "
        f"Fix: download where there is network ('hf download {REPOSITORY} --repo-type dataset "
        f'--include "{task.suite}/*" --local-dir {out}\') and copy the folder here; or make demos '
        "without network with 'libero-bench collect'."
    )


def _check(path: Path) -> None:
    """Refuse what is no demo file, such as a page that a proxy answered with."""
    from tasks.demo_file import open_demo_file

    try:
        with open_demo_file(path) as file:
            file.demos()
    except ConfigError:
        path.rename(path.with_suffix(".hdf5.broken"))
        raise
