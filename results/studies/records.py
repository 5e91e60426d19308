"""What a study says of itself, as it lies on disk beside its runs."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from results.records import JsonDict
from tasks.errors import ResultsError, first_mistake
from tasks.files import write_text

STUDY_FILE = "study.json"

SCHEMA_VERSION = 1
"""Version of ``study.json``; a reader refuses a newer one."""

_FORBID = ConfigDict(extra="forbid")


@dataclass(frozen=True, kw_only=True, config=_FORBID)
class ArmRecord:
    """One arm.

    Attributes:
        name: Its name.
        note: What it stands for.
        changes: Settings that differ from the base, by stage.
        exec_horizons: Execution horizons at which it is evaluated.
        folders: Folder of each seed's cell, relative to the study's.
    """

    name: str
    note: str
    changes: JsonDict
    exec_horizons: tuple[int, ...]
    folders: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, config=_FORBID)
class SideRecord:
    """One of the rates that a claim compares: an arm at an execution horizon."""

    arm: str
    exec_horizon: int

    def __str__(self) -> str:
        return f"{self.arm} h{self.exec_horizon}"


@dataclass(frozen=True, kw_only=True, config=_FORBID)
class ClaimRecord:
    """One claim: B's rate exceeds A's by ``smallest`` or more."""

    name: str
    says: str
    scaled: str
    a: SideRecord
    b: SideRecord
    smallest: Annotated[float, Field(gt=0, le=1)]


@dataclass(frozen=True, kw_only=True, config=_FORBID)
class StudyRecord:
    """A study as it was asked for.

    Attributes:
        title: Heading of the page.
        description: A sentence or two below it.
        arms: The arms; the first is the base.
        claims: What is tested.
        settings: The base's settings, by stage.
    """

    schema_version: int = SCHEMA_VERSION
    title: str
    description: str
    arms: tuple[ArmRecord, ...]
    claims: tuple[ClaimRecord, ...]
    settings: JsonDict


_STUDY = TypeAdapter(StudyRecord)


def write_study(folder: Path, study: StudyRecord) -> None:
    """Write ``study.json`` into a study's folder, atomically."""
    write_text(folder / STUDY_FILE, _STUDY.dump_json(study, indent=2).decode() + "\n")


def read_study(folder: Path) -> StudyRecord:
    """Read ``study.json`` of a study's folder.

    Raises:
        ResultsError: There is none, it is damaged, or a newer version wrote it.
    """
    path = folder / STUDY_FILE
    if not path.is_file():
        raise ResultsError(
            f"'{folder}' is no study's folder: it has no {STUDY_FILE}. Fix: give the folder that "
            "'libero-bench study' began, runs/STUDY or its --out."
        )
    try:
        study: StudyRecord = _STUDY.validate_json(path.read_bytes())
    except ValidationError as error:
        where, why = first_mistake(error)
        raise ResultsError(f"'{path}' is damaged ({where}: {why}): run the study again.") from error
    if study.schema_version > SCHEMA_VERSION:
        raise ResultsError(
            f"'{path}' has schema {study.schema_version}, this version reads up to "
            f"{SCHEMA_VERSION}: update libero-bench."
        )
    return study


def plain_changes(changes: dict[str, dict[str, Any]]) -> str:
    """Return changes on one line, such as ``train.batch_size = 64``.

    A value of None stands for a setting that is left at its default.
    """
    return ", ".join(
        f"{stage}.{name} at its default" if value is None else f"{stage}.{name} = {value}"
        for stage, settings in changes.items()
        for name, value in settings.items()
    )
