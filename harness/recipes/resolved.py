"""A recipe in its folder: the settings of all its stages, resolved."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from harness.demonstrations.config import CollectionConfig
from harness.engines import EngineOptions
from harness.evaluation.config import EvaluationConfig
from harness.evaluation.grid import about_left_out, problems_of, with_horizon
from harness.options import spoken_from_file
from harness.recipes.config import UNDECIDING, Recipe
from harness.recipes.entries import RecipeEntry, rows
from harness.recipes.foreseen import foreseen_spec
from harness.recipes.mistakes import entry_section, in_section
from harness.recipes.run_folders import with_run_folders
from policies.registry import PolicyConfig
from results.resumption import is_free
from tasks.errors import ConfigError, HarnessError, differing_settings, first_mistake
from tasks.files import write_json
from training.config import TrainingConfig
from training.run_folder import RunFolder, claim_folder, read_settings

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

RECIPE_FILE = "recipe.json"
"""In a recipe's folder: the recipe that it holds."""

_Config = TypeVar("_Config", bound="DataclassInstance")


class RecipeRun:
    """A recipe and the folder it runs in, with the settings of all stages resolved.

    Attributes:
        notes: What the user should know of the evaluations before they start.

    Args:
        recipe: The recipe.
        out: The folder.
        workers: Processes, instead of what the recipe says.
        engine: What collects and evaluates; what is at its default is as the recipe says.

    Raises:
        ConfigError: A setting is not allowed, or stages do not fit together.
    """

    def __init__(
        self,
        recipe: Recipe,
        out: Path,
        *,
        workers: int | None = None,
        engine: EngineOptions | None = None,
    ) -> None:
        self.recipe, self.out = recipe, out
        self.workers = workers
        self._engine = {} if engine is None else engine.chosen()
        if recipe.collect is not None and recipe.demos:
            raise ConfigError("A recipe has either [collect] or demos, not both. Fix: drop one.")
        if recipe.train is not None and recipe.collect is None and not recipe.demos:
            raise ConfigError('[train] needs demos. Fix: add [collect], or demos = ["folder"].')
        self.collection = self._collection()
        self.trainings = tuple(self._trainings())
        self.notes: tuple[str, ...] = ()
        self.evaluations = tuple(with_run_folders(list(self._evaluations())))

    @property
    def training(self) -> TrainingConfig | None:
        """The training, or the first of several that differ in their seed alone."""
        return self.trainings[0] if self.trainings else None

    @property
    def page(self) -> Path:
        """Folder of the static page."""
        return self.out / "page"

    def _collection(self) -> CollectionConfig | None:
        if self.recipe.collect is None:
            return None
        settings = {**self.recipe.collect.settings, **self._engine}
        if self.workers is not None:
            settings["workers"] = self.workers
        return _build(CollectionConfig, "collect", settings, out=self.out / "demos")

    def _trainings(self) -> Iterator[TrainingConfig]:
        if self.recipe.train is None:
            if self.recipe.seeds is not None:
                raise ConfigError("A recipe with seeds needs [train]. Fix: add it, or drop seeds.")
            return
        demos = self.recipe.demos or (self.out / "demos",)
        settings = dict(self.recipe.train.settings)
        if self.workers is not None and settings.get("eval_every"):
            settings["eval_workers"] = self.workers
        folder = self.out / "train"
        if self.recipe.seeds is None:
            yield _build(TrainingConfig, "train", settings, demos=demos, out=folder)
            return
        for seed in range(self.recipe.seeds):
            out = folder / seed_folder(seed)
            yield _build(TrainingConfig, "train", settings, demos=demos, out=out, seed=seed)

    def _evaluations(self) -> Iterator[tuple[EvaluationConfig, str]]:
        settings = {**self.recipe.evaluate.settings, **self._engine}
        if self.workers is not None:
            settings["workers"] = self.workers
        for entry in self.recipe.entries:
            folder = self.out / "eval" / entry.name.replace("/", "-")
            for checkpoint, part in self._checkpoints(entry, settings):
                policy = PolicyConfig(
                    name=entry.policy, checkpoint=checkpoint, options=entry.options
                )
                build = partial(
                    _build,
                    EvaluationConfig,
                    "evaluate",
                    settings,
                    label=entry.name,
                    out=folder / part,
                )
                points = [
                    (build(policy=row.policy, **row.settings), row.folder)
                    for row in rows(entry, policy)
                ]
                yield from self._worth_running(points)

    def _worth_running(
        self, points: Sequence[tuple[EvaluationConfig, str]]
    ) -> Iterator[tuple[EvaluationConfig, str]]:
        """Yield what a sweep would run of an entry's combinations; note how many that leaves out.

        What only a built policy knows is found out later, and mistakes about a checkpoint by
        ``check_recipe``, which says them in the order of the stages.
        """
        spec, configs = None, [config for config, _ in points]
        if any(config.joins_plans for config in configs):
            with suppress(HarnessError):
                spec = foreseen_spec(configs[0].policy, self.trainings)
        problems = [""] * len(points)
        if spec is not None:
            with in_section(entry_section(configs[0].label)):
                problems = problems_of([with_horizon(config, spec) for config in configs], spec)
        left_out = [problem for problem in problems if problem]
        if left_out:
            note = f"Entry '{configs[0].label}': {about_left_out(left_out, len(points))}"
            self.notes = tuple(dict.fromkeys((*self.notes, note)))  # one for all seeds
        yield from (point for point, why in zip(points, problems, strict=True) if not why)

    def _checkpoints(
        self, entry: RecipeEntry, settings: Mapping[str, Any]
    ) -> Iterator[tuple[str | None, str]]:
        """Yield the checkpoints that an entry evaluates, and the part of the folder of each."""
        if entry.policy != "rdt" or entry.checkpoint is not None:
            yield entry.checkpoint, ""
            return
        if not self.trainings:
            raise ConfigError(
                "Entry 'rdt' has no checkpoint and the recipe trains none. "
                'Fix: add [train], or checkpoint = "folder" to the entry.'
            )
        self._check_words(settings.get("instructions"))
        for training in self.trainings:
            chosen = "checkpoints/best" if training.eval_every else "checkpoint"
            part = "" if self.recipe.seeds is None else seed_folder(training.seed)
            yield str(training.out / chosen), part

    def _check_words(self, evaluated: str | None) -> None:
        """Refuse to ask the policy in other words than it is going to be trained on."""
        assert self.training is not None
        trained = self.training.instructions
        if not spoken_from_file(evaluated) and (evaluated or "name") != trained:
            raise ConfigError(
                f"[evaluate] has instructions {evaluated or 'name'}, and [train] has {trained}: "
                "the policy would be told other words than it was trained on. Fix: give both the "
                "same instructions, name or bddl."
            )

    def claim(self) -> None:
        """Make the folder this recipe's.

        Each stage has a folder of its own, which refuses other settings once something is finished
        there. What no stage sees is that a training rests on demonstrations collected otherwise.

        Raises:
            ConfigError: It holds something else, or a training on other demonstrations or with
                other settings.
        """
        note = self.out / RECIPE_FILE
        settings = TypeAdapter(Recipe).dump_python(self.recipe, mode="json")
        before = read_settings(note) if note.exists() else None
        if before is None:
            claim_folder(self.out, note, settings, "recipe's run")
        else:
            there, asked = _demonstrations(before), _demonstrations(settings)
            differing = differing_settings(there, {**dict.fromkeys(there), **asked})
            for config in self.trainings:
                training = RunFolder(config.out)
                if differing and not is_free(training.path):
                    raise ConfigError(
                        f"'{training.path}' holds a training on other demonstrations "
                        f"({differing}). Fix: give another --out, or remove '{training.path}'."
                    )
                training.check(config)
        write_json(note, settings)


def seed_folder(seed: int) -> str:
    """Return the folder of one of several trainings, and of its evaluations."""
    return f"seed-{seed}"


def _demonstrations(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides which demonstrations a recipe trains on."""
    settings = (recipe.get("collect") or {}).get("settings", {})
    collect = {f"collect.{name}": each for name, each in settings.items() if name not in UNDECIDING}
    return {"demos": recipe.get("demos") or []} | collect


def _build(
    config: type[_Config], section: str, settings: Mapping[str, Any], **fixed: Any
) -> _Config:
    clash = sorted(set(settings) & set(fixed))
    if clash:
        raise ConfigError(
            f"[{section}] of the recipe sets {', '.join(clash)}, which the recipe run decides. "
            "Fix: remove it."
        )
    try:
        return config(**settings, **fixed)
    except ValidationError as error:
        place, why = first_mistake(error)
        allowed = ", ".join(f.name for f in dataclasses.fields(config))
        raise ConfigError(
            f"[{section}] of the recipe: {place}: {why}. Allowed settings: {allowed}."
        ) from error
