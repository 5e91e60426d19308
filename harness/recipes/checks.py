"""Checks before the first stage of a recipe, so that no mistake stops it after hours of work."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.demonstrations.config import CollectionConfig
from harness.evaluation.config import EvaluationConfig
from harness.evaluation.grid import problems_of, with_horizon
from harness.evaluation.workload import resolve_workload
from harness.recipes.foreseen import contract_of, foreseen_spec, horizon_from, training_of
from harness.recipes.mistakes import entry_section, in_section
from harness.recipes.resolved import RecipeRun
from policies.rdt.actions.layout_file import get_layout
from policies.rdt.checkpoint.storage import load_contract
from tasks.demos.file import open_demos
from tasks.demos.folders import find_all_demo_files
from tasks.demos.schema import IMAGE_DATASETS
from tasks.errors import ConfigError
from tasks.observation import CONTROL_HZ
from tasks.protocols import get_protocol
from tasks.suites import find_task
from training.config import TrainingConfig
from training.data.demo_files import choose_demos
from training.launch import check_launch
from training.run_folder import RunFolder
from training.setup import check_start


def check_recipe(run: RecipeRun) -> None:
    """Refuse, before the first stage, what a later one would refuse.

    What only a built policy knows, of a server, another package or the hub, is found out later.

    Args:
        run: The recipe with its folder; nothing is written.

    Raises:
        HarnessError: A stage cannot be done as asked; the message names the section or entry.
    """
    if not run.evaluations:
        raise ConfigError("The recipe has no [[entries]], so nothing to evaluate. Fix: add one.")
    if run.collection is not None:
        with in_section("[collect]"):
            _check_collection(run.collection)
    trained_size = None
    for training in run.trainings:
        with in_section("[train]"):
            trained_size = _check_training(training, run.collection)
    for config in run.evaluations:
        with in_section(entry_section(config.label)):
            _check_evaluation(config, run.trainings, trained_size)


def _check_collection(config: CollectionConfig) -> None:
    get_protocol(config.protocol, resolution=config.resolution)
    if not config.tasks or len(set(config.tasks)) != len(config.tasks):
        raise ConfigError(f"tasks {list(config.tasks or ())}. Fix: one or more, each once.")
    for index in config.tasks:
        find_task(config.suite, index)


def _check_training(config: TrainingConfig, collection: CollectionConfig | None) -> int | None:
    """Check a training as far as that needs no network.

    Returns:
        Height and width of the images of the policy that it makes, pixels; None if any.
    """
    check_launch(config)
    folder = RunFolder(config.out)
    if folder.finished:
        return load_contract(folder.checkpoint).render_size
    start = check_start(config)
    size = _render_size(config, collection)
    if start is not None:
        start.check({"render_size": size})
    horizon = horizon_from(start, config)
    steps = config.eval_exec_horizon if config.eval_every else None
    if steps is not None and steps > horizon:
        raise ConfigError(f"eval_exec_horizon {steps}. Allowed: 1 to {horizon}.")
    return size


def _render_size(config: TrainingConfig, collection: CollectionConfig | None) -> int:
    """Return the size of the demonstrations' images, and check that there are enough of them."""
    if collection is not None:
        choose_demos(Path("each task"), collection.demos, config, held_out=False)
        return collection.resolution
    sizes = set()
    for path in find_all_demo_files(config.demos):
        with open_demos(path) as file:
            names = file.demos()
            choose_demos(path, len(names), config, held_out=False)
            for name in IMAGE_DATASETS.values():
                if file.has(place := f"data/{names[0]}/obs/{name}"):
                    sizes.add(file.images(place).shape[1])
    if len(sizes) != 1:
        raise ConfigError(
            f"The demos have pictures of {sorted(sizes)} pixels. Fix: train on files of one size."
        )
    return int(sizes.pop())


def _check_evaluation(
    config: EvaluationConfig, trainings: Sequence[TrainingConfig], trained_size: int | None
) -> None:
    resolve_workload(config)
    config.policy.check()
    if config.policy.name == "rdt":
        _check_pictures(config, trainings, trained_size)
    spec = foreseen_spec(config.policy, trainings)
    if spec is not None:
        problems_of([with_horizon(config, spec)], spec)
    elif config.exec_horizon is not None and config.exec_horizon < 1:
        raise ConfigError(f"exec_horizons has {config.exec_horizon}. Allowed: 1 or more.")


def _check_pictures(
    config: EvaluationConfig, trainings: Sequence[TrainingConfig], trained_size: int | None
) -> None:
    """Check that RDT sees pictures such as it was trained on, as far as that is known."""
    policy = config.policy
    if policy.checkpoint is None:
        return
    if policy.options.get("layout") is not None:
        get_layout(policy.options["layout"])
    if training_of(policy, trainings) is not None:
        _check_protocol(config, trained_size)
    elif contract := contract_of(policy):
        contract.check(_conditions(config))


def _check_protocol(config: EvaluationConfig, size: int | None) -> None:
    given = _conditions(config)
    if given["orientation"] != "rotate180":
        raise ConfigError(
            f"protocol '{config.protocol}' shows pictures {given['orientation']}, training turns "
            "them (rotate180). Fix: another protocol."
        )
    if given["render_size"] != size:
        raise ConfigError(
            f"resolution {given['render_size']}, and the policy is trained on pictures of {size} "
            f"pixels. Fix: resolution = {size} in [evaluate]."
        )


def _conditions(config: EvaluationConfig) -> dict[str, Any]:
    protocol = get_protocol(config.protocol, resolution=config.resolution)
    return {
        "render_size": protocol.resolution,
        "orientation": protocol.orientation,
        "control_hz": CONTROL_HZ,
    }
