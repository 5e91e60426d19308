"""Checks before the first stage of a recipe, so that no mistake stops it after hours of work."""

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.demonstrations.config import CollectionConfig
from harness.evaluation.config import EvaluationConfig
from harness.evaluation.grid import check_delay
from harness.evaluation.workload import resolve_workload
from harness.recipes.config import RecipeRun
from policies.baselines import HORIZON as REPLAY_HORIZON
from policies.executor import check_exec_horizon
from policies.interface import PolicySpec
from policies.rdt.actions.layout_file import get_layout
from policies.rdt.checkpoint.contract import Contract
from policies.rdt.checkpoint.hub import is_hub_name
from policies.rdt.checkpoint.location import find_official, is_own_checkpoint
from policies.rdt.checkpoint.storage import load_contract
from policies.rdt.model.presets import get_preset
from policies.registry import PolicyConfig
from tasks.demos.file import open_demos
from tasks.demos.folders import find_all_demo_files
from tasks.demos.schema import IMAGE_DATASETS
from tasks.errors import ConfigError, HarnessError, first_mistake
from tasks.observation import CONTROL_HZ
from tasks.protocols import get_protocol
from tasks.suites import find_task
from training.config import TrainingConfig
from training.data.demo_files import choose_demos
from training.launch import check_launch
from training.run_folder import RunFolder
from training.setup import check_start

_QUICKLY_BUILT = ("random", "noop", "expert")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Foreseen:
    """Facts about a policy before it is trained.

    Attributes:
        horizon: Steps in a plan.
        render_size: Height and width of its images, pixels; None if any.
        privileged: Whether it reads the simulator.
    """

    horizon: int
    render_size: int | None
    privileged: bool = False

    def spec(self, policy: PolicyConfig) -> PolicySpec:
        """Return what is known of the policy's inputs and outputs."""
        return PolicySpec(name=policy.name, horizon=self.horizon, privileged=self.privileged)


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
        with _named("[collect]"):
            _check_collection(run.collection)
    trained = None
    for training in run.trainings:
        with _named("[train]"):
            trained = _foresee(training, run.collection)
    for config in run.evaluations:
        with _named(f"[evaluate], entry '{config.label}'"):
            _check_evaluation(config, run.trainings, trained)


@contextmanager
def _named(place: str) -> Iterator[None]:
    """Say before an error which part of the recipe it is about."""
    try:
        yield
    except ValidationError as error:
        setting, why = first_mistake(error)
        raise ConfigError(f"{place} of the recipe: {setting}: {why}.") from error
    except HarnessError as error:
        raise type(error)(f"{place} of the recipe: {error}") from error


def _check_collection(config: CollectionConfig) -> None:
    get_protocol(config.protocol, resolution=config.resolution)
    if not config.tasks or len(set(config.tasks)) != len(config.tasks):
        raise ConfigError(f"tasks {list(config.tasks or ())}. Fix: one or more, each once.")
    for index in config.tasks:
        find_task(config.suite, index)


def _foresee(config: TrainingConfig, collection: CollectionConfig | None) -> Foreseen:
    """Check a training as far as that needs no network; say what it will give."""
    check_launch(config)
    folder = RunFolder(config.out)
    if folder.finished:
        made = load_contract(folder.checkpoint)
        return Foreseen(horizon=made.horizon, render_size=made.render_size)
    start = check_start(config)
    size = _render_size(config, collection)
    if start is not None:
        start.check({"render_size": size})
    horizon = get_preset(config.preset).rdt.pred_horizon if start is None else start.horizon
    steps = config.eval_exec_horizon if config.eval_every else None
    if steps is not None and steps > horizon:
        raise ConfigError(f"eval_exec_horizon {steps}. Allowed: 1 to {horizon}.")
    return Foreseen(horizon=horizon, render_size=size)


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
    config: EvaluationConfig, trainings: Sequence[TrainingConfig], trained: Foreseen | None
) -> None:
    resolve_workload(config)
    config.policy.check()
    foreseen = _of_policy(config, trainings, trained)
    if foreseen is not None:
        usual = min(foreseen.horizon, 16)
        horizon = usual if config.exec_horizon is None else config.exec_horizon
        check_exec_horizon(horizon, foreseen.horizon)
        check_delay(dataclasses.replace(config, exec_horizon=horizon), foreseen.spec(config.policy))
    elif config.exec_horizon is not None and config.exec_horizon < 1:
        raise ConfigError(f"exec_horizons has {config.exec_horizon}. Allowed: 1 or more.")


def _of_policy(
    config: EvaluationConfig, trainings: Sequence[TrainingConfig], trained: Foreseen | None
) -> Foreseen | None:
    """Check an entry's policy by what is known of it; return that, or None if nothing is."""
    policy = config.policy
    if policy.name in _QUICKLY_BUILT:
        spec = policy.build().spec
        return Foreseen(horizon=spec.horizon, render_size=None, privileged=spec.privileged)
    if policy.name == "replay":
        return Foreseen(horizon=REPLAY_HORIZON, render_size=None, privileged=True)
    if policy.name != "rdt" or policy.checkpoint is None:
        return None
    if policy.options.get("layout") is not None:
        get_layout(policy.options["layout"])
    checkpoint = Path(policy.checkpoint).resolve()
    if any(training.out.resolve() in checkpoint.parents for training in trainings):
        assert trained is not None
        _check_protocol(config, trained.render_size)
        return trained
    contract = _contract(policy)
    if contract is None:
        return None
    contract.check(_conditions(config))
    return Foreseen(horizon=contract.horizon, render_size=contract.render_size)


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


def _contract(policy: PolicyConfig) -> Contract | None:
    """Return the contract of a checkpoint of ours; None of one on the hub, or in another format.

    Raises:
        ConfigError: There is none.
    """
    assert policy.checkpoint is not None
    if is_hub_name(policy.checkpoint):
        return None
    if not is_own_checkpoint(policy.checkpoint):
        find_official(policy.checkpoint)
        return None
    return load_contract(policy.checkpoint)
