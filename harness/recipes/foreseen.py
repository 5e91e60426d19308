"""What is known of a recipe's policies before they are trained or built."""

from collections.abc import Sequence
from pathlib import Path

from policies.baselines import HORIZON as REPLAY_HORIZON
from policies.interface import PolicySpec
from policies.rdt.checkpoint.contract import Contract
from policies.rdt.checkpoint.hub import is_hub_name
from policies.rdt.checkpoint.location import find_official, is_own_checkpoint
from policies.rdt.checkpoint.storage import load_contract
from policies.rdt.model.presets import get_preset
from policies.registry import PolicyConfig
from training.config import TrainingConfig
from training.run_folder import RunFolder
from training.setup import check_start

_QUICKLY_BUILT = ("random", "noop", "expert")

_USUAL_EXEC_HORIZON = 16


def foreseen_spec(policy: PolicyConfig, trainings: Sequence[TrainingConfig]) -> PolicySpec | None:
    """Return what is known of a policy's plans.

    Args:
        policy: The policy.
        trainings: The recipe's, one of which may make its checkpoint.

    Returns:
        Its specification, as far as plans go; None if only the built policy knows it.

    Raises:
        HarnessError: There is no such checkpoint, or the training cannot start.
    """
    if policy.name in _QUICKLY_BUILT:
        return policy.build().spec
    if policy.name == "replay":
        return PolicySpec(name=policy.name, horizon=REPLAY_HORIZON, privileged=True)
    if policy.name != "rdt" or policy.checkpoint is None:
        return None
    training = training_of(policy, trainings)
    if training is not None:
        horizon = trained_horizon(training)
    elif contract := contract_of(policy):
        horizon = contract.horizon
    else:
        return None
    usual = min(horizon, _USUAL_EXEC_HORIZON)
    return PolicySpec(name=policy.name, horizon=horizon, exec_horizon=usual)


def training_of(policy: PolicyConfig, trainings: Sequence[TrainingConfig]) -> TrainingConfig | None:
    """Return the training that makes a policy's checkpoint; None if it comes from elsewhere."""
    if policy.checkpoint is None:
        return None
    folders = Path(policy.checkpoint).resolve().parents
    return next((each for each in trainings if each.out.resolve() in folders), None)


def trained_horizon(config: TrainingConfig) -> int:
    """Return how many steps a plan of the policy has that a training makes.

    Raises:
        HarnessError: The training cannot start.
    """
    folder = RunFolder(config.out)
    if folder.finished:
        return load_contract(folder.checkpoint).horizon
    return horizon_from(check_start(config), config)


def horizon_from(start: Contract | None, config: TrainingConfig) -> int:
    """Return how many steps a plan has after a training, by what ``check_start`` found."""
    return get_preset(config.preset).rdt.pred_horizon if start is None else start.horizon


def contract_of(policy: PolicyConfig) -> Contract | None:
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
