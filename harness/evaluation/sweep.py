"""One policy at several execution horizons and fusion rules, a run for each combination."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.evaluation.config import EvaluationConfig
from harness.evaluation.environments import EnvironmentSpec
from harness.evaluation.plan import resolve
from harness.evaluation.run import PreparedEvaluation, prepare
from policies.executor import PlanExecutor
from policies.fusion import Fusion
from policies.registry import AnyPolicy
from results.folder import RUN_FILE
from tasks.errors import ConfigError


def prepare_sweep(
    config: EvaluationConfig,
    exec_horizons: Sequence[int],
    fusions: Sequence[Fusion],
    *,
    policy: AnyPolicy | None = None,
    environments: EnvironmentSpec | None = None,
) -> list[PreparedEvaluation]:
    """Check every combination before the first one starts; the policy is built once, for all.

    Each is then a run like any other, for ``evaluator.execute``, and resumes by itself.

    Args:
        config: What is common to all. A single combination has its folder ``out`` as run folder;
            several have one each below it, such as ``h16-act``.
        exec_horizons: Steps executed per plan; none for the policy's own.
        fusions: How overlapping plans are fused.
        policy: The policy, if it is built already.
        environments: Where episodes take place; LIBERO by default.

    Returns:
        The evaluations, horizon by horizon.

    Raises:
        HarnessError: A setting of any combination is not allowed.
        ResultsError: A folder holds something else or another run.
    """
    several = max(len(exec_horizons), 1) * len(fusions) > 1
    if several:
        _check_folder(config.out)
    resolve(config, environments=environments)  # before a large policy is loaded
    built = policy or config.policy.build()
    horizons = tuple(exec_horizons) or (built.spec.exec_horizon,)
    executors = [
        PlanExecutor(built.spec.horizon, horizon, fusion)
        for horizon in horizons
        for fusion in fusions
    ]
    return [
        prepare(
            replace(
                config,
                exec_horizon=executor.exec_horizon,
                fusion=str(executor.fusion),
                out=config.out / f"h{executor.exec_horizon}-{executor.fusion.folder_name}"
                if several
                else config.out,
            ),
            policy=built,
            environments=environments,
        )
        for executor in executors
    ]


def _check_folder(out: Path) -> None:
    why = "is a file" if out.is_file() else "holds a run of its own"
    if out.is_file() or (out / RUN_FILE).exists():
        raise ConfigError(
            f"'{out}' {why}, and several runs are asked for, which need a folder each below it. "
            "Fix: give another --out, or one --exec-horizon and one --fusion."
        )
