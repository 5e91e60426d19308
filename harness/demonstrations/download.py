"""Downloading LIBERO's own demonstrations, made by humans, from the Hugging Face hub."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.demos.file import open_demo_file
from tasks.errors import ConfigError, PrerequisiteError
from tasks.observation import ACTION_DIM
from tasks.suites import ORIGINAL_SUITES, Task

REPOSITORY = "yifengzhu-hf/LIBERO-datasets"
"""Of LIBERO's first author; the files are ``SUITE/TASK_demo.hdf5``, as in LIBERO's own archives."""


@dataclass(frozen=True, kw_only=True)
class Downloaded:
    """One file.

    Attributes:
        path: Where it is.
        before: Whether it was whole before.
        fault: The fault of the file that was there before; empty without one.
    """

    path: Path
    before: bool
    fault: str = ""


def download_demos(tasks: Sequence[Task], out: Path) -> list[Downloaded]:
    """Download the demo files of tasks; those that are there whole are not fetched again.

    A file is whole if it has the hub's size, where the hub can be asked, opens, and has as many
    demonstrations as it states. Another one is put aside under the ending ``.broken``. The same
    call continues an interrupted download.

    Args:
        tasks: Of LIBERO's own suites.
        out: Folder; a task goes to ``<out>/<suite>/<task>_demo.hdf5``.

    Raises:
        ConfigError: There are no demonstrations of a suite, a file there was made by this project,
            or what came is no demo file.
        PrerequisiteError: The hub cannot be reached.
    """
    for task in tasks:
        if task.suite not in ORIGINAL_SUITES:
            raise ConfigError(
                f"Nobody demonstrated {task.suite}. Allowed: {', '.join(ORIGINAL_SUITES)}. "
                "Fix: make demos with 'libero-bench collect'."
            )
    present = [task for task in tasks if (out / task.demo_file).exists()]
    sizes = _sizes(present) if present else {}
    downloaded = []
    for task in tasks:
        path = out / task.demo_file
        fault = _fault(path, sizes.get(task.demo_file)) if task in present else ""
        if task in present and not fault:
            downloaded.append(Downloaded(path=path, before=True))
            continue
        aside = path.with_suffix(".hdf5.broken")
        if fault:
            path.replace(aside)
        try:
            _fetch(task, out)
        except BaseException:
            if fault and not path.exists():
                aside.replace(path)
            raise
        if new_fault := _fault(path, None):
            path.replace(aside)
            raise ConfigError(
                f"What came from the hub for {task.demo_file} cannot be used: {new_fault}. It lies "
                "beside as .broken. Fix: try again; a proxy may answer in the hub's place."
            )
        downloaded.append(Downloaded(path=path, before=False, fault=fault))
    return downloaded


def _sizes(tasks: Sequence[Task]) -> dict[str, int]:
    """Ask the hub once for the sizes of files, bytes; empty where it cannot be asked."""
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

    names = [task.demo_file for task in tasks]
    try:
        infos = HfApi().get_paths_info(REPOSITORY, names, repo_type="dataset")
    except Exception:  # without network each layer below has its own way to fail
        return {}
    return {info.path: info.size for info in infos if isinstance(info, RepoFile)}


def _fault(path: Path, size: int | None) -> str:
    """Say what is wrong with a file; nothing if it is a whole one.

    Raises:
        ConfigError: It is this project's own, which nothing may take the place of.
    """
    try:
        with open_demo_file(path) as file:
            ours = bool(file.provenance())
            names, stated = file.demos(), file.attribute("data", "num_demos")
            if stated is not None and str(stated) != str(len(names)):
                return f"it has {len(names)} demonstrations of {stated}"
            for name in names:
                file.dataset(f"data/{name}/actions", (ACTION_DIM,))
    except ConfigError as error:
        return str(error).partition(" cannot be used: ")[2].partition(". Fix: ")[0]
    if ours:
        raise ConfigError(
            f"'{path}' is not LIBERO's own: its attribute provenance says that it was collected or "
            "made anew. Fix: give another --out, or move it away."
        )
    if size is not None and path.stat().st_size != size:
        return f"it has {path.stat().st_size:,} bytes of {size:,}"
    return ""


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
