"""Cells of a study: each arm and seed as an ordinary recipe."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from harness.recipes.config import UNDECIDING, Recipe, RecipeStage
from harness.recipes.entries import RecipeEntry
from harness.recipes.resolved import seed_folder
from harness.studies.config import STAGES, Study, StudyArm, arm_folder, arm_named, horizons_of
from results.studies.records import ArmRecord, ClaimRecord, SideRecord, StudyRecord
from tasks.errors import ConfigError

DROPPED = None
"""Among changes: the setting is left at its default. TOML has no such value."""

_FIXED = {"train": ("seed", "demos", "out"), "collect": ("out",), "evaluate": ("out", "policy")}
"""Settings that the study decides."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One training with its evaluations.

    Attributes:
        arm: Name of the arm.
        seed: Seed of the training.
        recipe: What it runs, on demonstrations that are there.
        folder: Its folder, relative to the study's.
        collection: Settings of the collection that it trains on; None with existing demos.
    """

    arm: str
    seed: int
    recipe: Recipe
    folder: Path
    collection: dict[str, Any] | None

    @property
    def foreseen(self) -> Recipe:
        """The recipe before its demonstrations are there: it would collect them."""
        if self.collection is None:
            return self.recipe
        return replace(self.recipe, demos=(), collect=RecipeStage(settings=self.collection))

    @property
    def name(self) -> str:
        """Name on the command line, such as ``base/0``."""
        return f"{self.arm}/{self.seed}"


def changes_of(study: Study, arm: StudyArm) -> dict[str, dict[str, Any]]:
    """Return everything in which an arm differs from the base, by stage.

    Raises:
        ConfigError: Arms change one another in a circle, or a setting is the study's to decide.
    """
    chain, current = [arm], arm
    while current.changes is not None:
        current = arm_named(study, current.changes)
        if current in chain:
            raise ConfigError(f"Arm '{arm.name}' changes itself, by way of '{current.name}'.")
        chain.append(current)
    merged: dict[str, dict[str, Any]] = {stage: {} for stage in STAGES}
    for each in reversed(chain):
        for stage in STAGES:
            merged[stage] |= getattr(each, stage)
        for name in each.drops:
            _drop(study, each, name, merged)
    for stage, fixed in _FIXED.items():
        base = getattr(study, stage)
        given = merged[stage].keys() | (base.settings.keys() if base else set())
        if clash := sorted(given & set(fixed)):
            raise ConfigError(
                f"[{stage}] sets {clash[0]}, which the study decides. Fix: remove it."
            )
    return merged


def _drop(study: Study, arm: StudyArm, name: str, merged: dict[str, dict[str, Any]]) -> None:
    stage, _, setting = name.partition(".")
    base = getattr(study, stage).settings if stage in STAGES and getattr(study, stage) else {}
    if setting not in {*base, *merged.get(stage, {})}:
        raise ConfigError(
            f"Arm '{arm.name}' drops '{name}', which is not set. Allowed: a stage and a setting, "
            "such as train.eval_every."
        )
    merged[stage].pop(setting, None)
    if setting in base:
        merged[stage][setting] = DROPPED


def cells_of(study: Study, out: Path) -> list[Cell]:
    """Return the cells, seed by seed, so that whatever is finished first compares all arms.

    Args:
        study: The study.
        out: Its folder.

    Raises:
        ConfigError: Two arms do not differ, or an arm changes what it may not.
    """
    plans = [(arm, arm.seeds or study.seeds, changes_of(study, arm)) for arm in study.arms]
    most = max(seeds for _, seeds, _ in plans)
    cells = [
        _cell(study, arm, seed, changes, out)
        for seed in range(most)
        for arm, seeds, changes in plans
        if seed < seeds
    ]
    _check_differences([cell for cell in cells if cell.seed == 0])
    return cells


def _check_differences(cells: Sequence[Cell]) -> None:
    """Refuse arms that differ in no setting: from the same seeds they are the same trainings."""
    arms: list[tuple[object, str]] = []
    for cell in cells:
        recipe = cell.recipe
        horizons = [entry.exec_horizons for entry in recipe.entries]
        settings = cell.collection, recipe.train, recipe.evaluate, horizons
        if same := [name for other, name in arms if other == settings]:
            raise ConfigError(
                f"Arms '{same[0]}' and '{cell.arm}' have the same settings, so their trainings "
                "would be the same. Fix: remove one; seeds say how far equal trainings differ."
            )
        arms.append((settings, cell.arm))


def _cell(
    study: Study, arm: StudyArm, seed: int, changes: Mapping[str, dict[str, Any]], out: Path
) -> Cell:
    collection = _changed(study.collect, changes["collect"]) if study.collect else None
    demos = study.demos if collection is None else (out / collection_folder(collection),)
    entry = RecipeEntry(
        policy="rdt",
        label=arm.name,
        exec_horizons=horizons_of(study, arm),
        options=study.options,
    )
    recipe = Recipe(
        title=f"{study.title}: {arm.name}, seed {seed}",
        description=arm.note,
        demos=demos,
        train=RecipeStage(settings=_changed(study.train, changes["train"]) | {"seed": seed}),
        evaluate=RecipeStage(settings=_changed(study.evaluate, changes["evaluate"])),
        entries=(entry,),
    )
    folder = arm_folder(arm.name) / seed_folder(seed)
    return Cell(arm=arm.name, seed=seed, recipe=recipe, folder=folder, collection=collection)


def _changed(base: RecipeStage, changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = base.settings | dict(changes)
    return {name: value for name, value in merged.items() if value is not DROPPED}


def collection_folder(settings: Mapping[str, Any]) -> Path:
    """Return the folder of a collection in a study's, the same for the same settings."""
    decides = {name: value for name, value in settings.items() if name not in UNDECIDING}
    digest = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()
    return Path("demos") / digest[:8]


def record_of(study: Study, cells: Sequence[Cell]) -> StudyRecord:
    """Return what ``study.json`` says: arms with their cells' folders, and claims."""
    return StudyRecord(
        title=study.title,
        description=study.description,
        arms=tuple(
            ArmRecord(
                name=arm.name,
                note=arm.note,
                changes=changes_of(study, arm),
                exec_horizons=horizons_of(study, arm),
                folders=tuple(str(cell.folder) for cell in cells if cell.arm == arm.name),
            )
            for arm in study.arms
        ),
        claims=tuple(
            ClaimRecord(
                name=claim.name,
                says=claim.says,
                scaled=claim.scaled,
                a=SideRecord(**asdict(claim.a)),
                b=SideRecord(**asdict(claim.b)),
                smallest=claim.smallest or study.smallest_effect,
            )
            for claim in study.claims
        ),
        settings={
            stage: settings.settings
            for stage in STAGES
            if (settings := getattr(study, stage)) is not None
        },
    )
