"""The grid of a sweep: execution horizons, fusions, delays and methods of joining chunks."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import NamedTuple

from harness.evaluation.config import EvaluationConfig, Grid, run_name
from policies.chunking import OVERLAPPING, Chunking
from policies.executor import check_exec_horizon
from policies.fusion import UNFUSED
from policies.interface import PolicySpec
from policies.registry import PolicyConfig, policy_parameters
from tasks.errors import ConfigError


class Combination(NamedTuple):
    """One point of a grid; its run's configuration and why it cannot be run, if it cannot."""

    config: EvaluationConfig
    chunking: Chunking | None
    problem: str = ""


def combine(config: EvaluationConfig, grid: Grid, spec: PolicySpec) -> list[Combination]:
    """Give a configuration to each combination of a grid that can be run.

    Combinations that contradict themselves are left out where each of their values is used in
    another one: a delay that is longer than an execution horizon, a chunk that is to be joined
    where plans do not overlap for long enough, and fused plans whose chunks are joined too. So are
    those that give another one's episodes, as plans executed whole leave nothing to fuse or join.

    Args:
        config: What all runs have in common; ``out`` is the sweep's folder.
        grid: The axes.
        spec: The policy's.

    Returns:
        The combinations, first by horizon, then fusion, delay and chunking. Of those that cannot
        be run, ``problem`` says why.

    Raises:
        ConfigError: A value cannot be used in any combination.
    """
    horizons = grid.exec_horizons or (spec.exec_horizon,)
    several = grid.size > 1
    points = []
    for exec_horizon, fusion, delay, chunking in product(
        horizons, grid.fusions, grid.delays, grid.chunkings or (None,)
    ):
        one = replace(
            config,
            exec_horizon=exec_horizon,
            fusion=fusion,
            delay=delay,
            policy=with_chunking(config.policy, chunking),
        )
        if several:
            perturb = config.perturb if len(set(grid.perturbs)) > 1 else None
            name = run_name(exec_horizon, fusion, delay, chunking, perturb)
            one = replace(one, out=config.out / name)
        points.append((one, chunking))
    problems = problems_of([one for one, _ in points], spec)
    return [Combination(*point, problem) for point, problem in zip(points, problems, strict=True)]


def problems_of(points: Sequence[EvaluationConfig], spec: PolicySpec) -> list[str]:
    """Say of each point of a sweep why it cannot be run, or need not be.

    Args:
        points: What is to be evaluated, of one policy. They differ in their horizon, fusion, delay
            and method of joining chunks, and each value of one comes with all values of the others.
        spec: The policy's.

    Returns:
        A sentence for each; an empty one if it is run.

    Raises:
        ConfigError: A value cannot be used in any combination.
    """
    for config in points:
        assert config.exec_horizon is not None
        check_exec_horizon(config.exec_horizon, spec.horizon)
    fusions = {config.fusion for config in points}
    methods = {_method(config) for config in points}
    unjoined = any(_guidance(config) == "none" for config in points)

    def problem(config: EvaluationConfig) -> str:
        try:
            check_delay(config, spec)
        except ConfigError as error:
            return str(error)
        guidance, fused = _guidance(config), config.fusion != UNFUSED
        if fused and guidance != "none" and len(fusions) > 1 and len(methods) > 1:
            return f"Fusion {config.fusion} with joined chunks was not asked for by itself."
        if config.exec_horizon == spec.horizon:  # no plan overlaps the one before
            if fused and UNFUSED in fusions:
                return _idle(f"fusion {config.fusion}", "none to fuse", config)
            if guidance in OVERLAPPING and unjoined:
                return _idle(f"chunking {guidance}", "none to join", config)
        return ""

    problems = [problem(config) for config in points]
    _check_values_used(points, problems)
    return problems


def about_left_out(problems: Sequence[str], total: int) -> str:
    """Say how many combinations are left out, and why one of them is.

    Args:
        problems: Why each of them is.
        total: How many combinations there are.
    """
    return f"{len(problems)} of {total} combinations are left out, such as: {problems[0]}"


def with_chunking(policy: PolicyConfig, chunking: Chunking | None) -> PolicyConfig:
    """Return a policy's configuration with the options of a method of joining chunks.

    Raises:
        ConfigError: The policy has no such options, or they were given already.
    """
    if chunking is None:
        return policy
    if "guidance" not in policy_parameters(policy.name):
        raise ConfigError(
            f"--chunking {chunking} was given, but policy '{policy.name}' cannot join chunks. "
            "Allowed: policies with an option 'guidance', such as rdt. Fix: leave it out."
        )
    if "guidance" in policy.options:
        raise ConfigError(
            f"Both --chunking {chunking} and --option.guidance {policy.options['guidance']} were "
            "given. Fix: give one of them."
        )
    return replace(policy, options={**policy.options, **chunking.options})


def with_horizon(config: EvaluationConfig, spec: PolicySpec) -> EvaluationConfig:
    """Return a configuration with an execution horizon: the policy's own if it has none."""
    if config.exec_horizon is not None:
        return config
    return replace(config, exec_horizon=spec.exec_horizon)


def check_delay(config: EvaluationConfig, spec: PolicySpec) -> None:
    """Refuse a delay that a policy cannot have.

    Args:
        config: With an execution horizon; a delay that is not measured yet passes.
        spec: The policy's.

    Raises:
        ConfigError: The policy reads the simulator, its plans are too short, or chunks are to be
            joined that do not overlap for as long as a plan is late.
    """
    assert config.exec_horizon is not None
    if config.delay and spec.privileged:
        raise ConfigError(
            f"--delay {config.delay} was given to policy '{config.policy.name}', which reads the "
            "simulator and is never late. Fix: leave --delay out."
        )
    if config.delay == "measured":
        return
    config.late.check(config.exec_horizon, spec.horizon)
    guidance = _guidance(config)
    left = spec.horizon - config.exec_horizon
    if guidance != "none" and config.delay_mode == "async" and config.delay > left:
        raise ConfigError(
            f"Chunking '{guidance}' needs rows of the plan before until the next one arrives: with "
            f"plans of {spec.horizon} steps and exec_horizon {config.exec_horizon} there are "
            f"{left}, and the delay is {config.delay}. Fix: a smaller --exec-horizon or --delay."
        )


def _idle(method: str, why: str, config: EvaluationConfig) -> str:
    return (
        f"exec_horizon {config.exec_horizon} executes plans whole, which leaves {method} {why}: "
        "its episodes are those of none. Fix: a smaller --exec-horizon."
    )


def _check_values_used(points: Sequence[EvaluationConfig], problems: Sequence[str]) -> None:
    """Refuse a sweep in which a value of an axis is in no combination that can be run."""
    used = [_values(point) for point, problem in zip(points, problems, strict=True) if not problem]
    for point, problem in zip(points, problems, strict=True):
        for axis, value in enumerate(_values(point)):
            if problem and value not in {values[axis] for values in used}:
                raise ConfigError(problem)


def _values(config: EvaluationConfig) -> tuple[object, ...]:
    return config.exec_horizon, config.fusion, config.delay, _method(config)


def _guidance(config: EvaluationConfig) -> str:
    return str(config.policy.options.get("guidance", "none"))


def _method(config: EvaluationConfig) -> str:
    """Return the method of joining chunks with its options, which are the policy's."""
    return str(sorted(config.policy.options.items()))
