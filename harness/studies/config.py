"""Studies: arms that differ in named settings, trained from several seeds, and claims about them.

A study is one TOML file. Its ``[collect]``, ``[train]`` and ``[evaluate]`` are the base; each arm
says what it changes. An arm and a seed make a cell, which is an ordinary recipe.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, TypeAdapter, model_validator

from harness.engines import EngineOptions
from harness.options import Label, Names, Numbers
from harness.recipes.config import RecipeStage
from harness.recipes.mistakes import naming_mistakes
from harness.recipes.paths import placed
from tasks.errors import ConfigError, unknown_name
from tasks.settings import settings

SHIPPED = Path(__file__).parent
"""Folder of the studies that the project ships."""

STAGES = ("collect", "train", "evaluate")
"""Sections that the base sets and arms change."""


@settings
class StudyArm:
    """Named changes of the base."""

    name: Label
    """How tables call it; also the name of its folder, with ``-`` for ``/``."""
    note: str = ""
    """What it stands for, in a sentence."""
    changes: str | None = None
    """The arm whose settings it changes; the base's by default."""
    seeds: int | None = Field(default=None, ge=1, le=100)
    """Trainings, each from its own seed; the study's number by default."""
    exec_horizons: Numbers = ()
    """Execution horizons to evaluate; the study's by default."""
    collect: dict[str, Any] = field(default_factory=dict)
    """Settings of ``collect`` that differ."""
    train: dict[str, Any] = field(default_factory=dict)
    """Settings of ``train`` that differ."""
    evaluate: dict[str, Any] = field(default_factory=dict)
    """Settings of ``eval`` that differ."""
    drops: tuple[str, ...] = ()
    """Settings to leave at their defaults, such as ``train.eval_every``."""


@settings
class ClaimSide:
    """One of the two rates that a claim compares."""

    arm: str
    """The arm."""
    exec_horizon: int = Field(ge=1)
    """Control steps executed per plan."""


@settings
class StudyClaim:
    """A belief that a study tests: B's success rate exceeds A's by the smallest effect or more.

    Sides of the same arm are paired within each checkpoint; sides of different arms are compared
    over seeds.
    """

    name: Label
    """A few words, those of no other claim."""
    says: str
    """The belief, in a sentence."""
    scaled: str = ""
    """How the belief is carried over to what the study trains."""
    a: ClaimSide
    """What the belief says is worse."""
    b: ClaimSide
    """What the belief says is better."""
    smallest: Annotated[float | None, Field(gt=0, le=1)] = None
    """Smallest effect that matters, 0 to 1; the study's by default."""


@settings
class Study:
    """What ``libero-bench study`` does."""

    title: str
    """Heading of the page."""
    description: str = ""
    """A sentence or two below it."""
    seeds: int = Field(default=3, ge=1, le=100)
    """Trainings per arm, from seeds 0, 1, 2 and so on."""
    exec_horizons: Annotated[Numbers, Field(min_length=1)]
    """Execution horizons at which every checkpoint is evaluated."""
    smallest_effect: float = Field(default=0.1, gt=0, le=1)
    """Smallest difference of success rates that matters, 0 to 1."""
    assumed_spread: float = Field(default=0.08, ge=0, le=0.5)
    """Standard deviation of success rates between seeds that ``--plan`` assumes."""
    update_s: float | None = Field(default=None, gt=0)
    """Seconds of an update in one cell, for ``--plan``; beside ``window_s`` those that no window of
    the batch adds."""
    window_s: float = Field(default=0.0, ge=0)
    """Seconds that each window of a batch adds to an update, for ``--plan``."""
    episode_s: float | None = Field(default=None, gt=0)
    """Seconds of an episode in one cell, for ``--plan``."""
    demos: tuple[Path, ...] = ()
    """Existing demo files or folders, instead of ``collect``."""
    collect: RecipeStage | None = None
    """Demonstrations to collect, once for all arms that change nothing in it."""
    train: RecipeStage
    """The base's training."""
    evaluate: RecipeStage
    """The base's evaluations."""
    options: dict[str, Any] = field(default_factory=dict)
    """The policy's own settings in evaluations."""
    arms: tuple[StudyArm, ...] = Field(min_length=1)
    """The arms; the first is the base that others are compared with."""
    claims: tuple[StudyClaim, ...] = ()
    """What is tested."""


def study_file(name: Path) -> Path:
    """Return the TOML file of a study.

    Args:
        name: The file, or the name of a shipped study.

    Raises:
        ConfigError: There is no shipped study of that name.
    """
    if name.suffix == ".toml":
        return name
    path = SHIPPED / f"{name}.toml"
    if not path.is_file():
        shipped = [p.stem for p in sorted(SHIPPED.glob("*.toml"))]
        raise unknown_name("study", name, [*shipped, "a TOML file"])
    return path


def load_study(path: Path) -> Study:
    """Read a study.

    Args:
        path: Its TOML file.

    Raises:
        ConfigError: There is none, or it says something that is not allowed.
    """
    try:
        with naming_mistakes("study", path):
            raw = tomllib.loads(path.read_text(encoding="utf-8"))
            study = TypeAdapter(Study).validate_python(_read(raw, path.parent))
    except OSError as error:
        raise ConfigError(
            f"The study '{path}' cannot be read ({error.strerror}). Allowed: a TOML file."
        ) from error
    _check(study)
    return study


def _read(raw: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Make paths whole, and stages of ``[collect]``, ``[train]`` and ``[evaluate]``."""
    study = placed(raw, folder)
    for name in STAGES:
        if isinstance(study.get(name), dict):
            study[name] = {"settings": study[name]}
    if isinstance(study.get("arms"), list):
        study["arms"] = [
            placed(arm, folder) if isinstance(arm, dict) else arm for arm in study["arms"]
        ]
    return study


def _check(study: Study) -> None:
    _check_names(study)
    if (study.collect is None) == (not study.demos):
        raise ConfigError('A study has either [collect] or demos = ["folder"]. Fix: give one.')
    for arm in study.arms:
        if arm.changes is not None:
            arm_named(study, arm.changes)
        if arm.collect and study.collect is None:
            raise ConfigError(
                f"Arm '{arm.name}' changes [collect], which the study has not. Fix: add "
                "[collect], or remove the change."
            )
    for claim in study.claims:
        for side in (claim.a, claim.b):
            horizons = horizons_of(study, arm_named(study, side.arm))
            if side.exec_horizon not in horizons:
                raise ConfigError(
                    f"Claim '{claim.name}': arm '{side.arm}' is not evaluated at exec_horizon "
                    f"{side.exec_horizon}. Allowed: {', '.join(map(str, horizons))}."
                )
        if claim.a == claim.b:
            raise ConfigError(
                f"Claim '{claim.name}' compares '{claim.a.arm}' with itself at exec_horizon "
                f"{claim.a.exec_horizon}. Fix: give a and b different arms or horizons."
            )


def _check_names(study: Study) -> None:
    """Refuse names that would have two arms share a folder, or two claims a row."""
    arms: dict[str, str] = {}
    for arm in study.arms:
        # Some file systems take upper and lower case for the same.
        folder = arm_folder(arm.name).name.casefold()
        if (other := arms.get(folder)) is not None:
            both = f"called '{other}'" if other == arm.name else f"'{other}' and '{arm.name}'"
            raise ConfigError(
                f"Two arms are {both}, and would share a folder. Fix: give each its own name."
            )
        arms[folder] = arm.name
    claims = [claim.name for claim in study.claims]
    if repeated := [name for name in claims if claims.count(name) > 1]:
        raise ConfigError(f"Two claims are called '{repeated[0]}'. Fix: give each its own name.")


def arm_folder(name: str) -> Path:
    """Return the folder of an arm's cells in the study's."""
    return Path("cells") / name.replace("/", "-")


def arm_named(study: Study, name: str) -> StudyArm:
    """Return the arm of a name.

    Raises:
        ConfigError: There is none.
    """
    for arm in study.arms:
        if arm.name == name:
            return arm
    raise unknown_name("arm", name, [arm.name for arm in study.arms])


def horizons_of(study: Study, arm: StudyArm) -> tuple[int, ...]:
    """Return the execution horizons at which an arm is evaluated."""
    return arm.exec_horizons or study.exec_horizons


@settings
class StudyOptions(EngineOptions):
    """What of a study is run, and how."""

    out: Path | None = None
    """Folder of the study; runs/STUDY by default."""
    jobs: int = Field(default=1, ge=1)
    """Cells side by side."""
    arms: Names = ()
    """Only these arms, names with commas between them."""
    seeds: int | None = Field(default=None, ge=1)
    """Only the first so many seeds of each arm: a pilot."""

    @model_validator(mode="after")
    def _check_jobs(self) -> Self:
        if self.jobs > 1 and self.engine == "ray" and self.address is None:
            raise ConfigError(
                f"--jobs {self.jobs} with --engine ray would start as many clusters on this "
                "machine. Fix: start one with 'ray start --head' and give --address auto, or leave "
                "--jobs out."
            )
        return self
