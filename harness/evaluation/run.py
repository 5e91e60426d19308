"""Carrying out an evaluation plan in a run folder."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from harness.evaluation.autotuning import tune
from harness.evaluation.config import PINNED, EvaluationConfig
from harness.evaluation.dispatcher import Dispatcher
from harness.evaluation.engine import Engine, PoolRequest, open_engine
from harness.evaluation.environments import EnvironmentSpec, in_libero
from harness.evaluation.latency import torch_threads
from harness.evaluation.messages import RunEpisode
from harness.evaluation.plan import EvaluationPlan, plan_evaluation
from harness.evaluation.scheduler import (
    EvaluationStatus,
    ProgressCallback,
    ProgressMeter,
    Schedule,
    Watchdog,
)
from harness.evaluation.worker import WorkerSetup
from harness.processes import require_rendering
from policies.interface import Policy
from results.records import EpisodeKey, Status
from results.signals import Interruption
from results.store import RunStore

_log = logging.getLogger(__name__)

__all__ = ["EvaluationConfig", "EvaluationStatus", "evaluate"]


def evaluate(
    config: EvaluationConfig,
    *,
    policy: Policy | None = None,
    environments: EnvironmentSpec | None = None,
    progress: ProgressCallback | None = None,
) -> Path:
    """Evaluate a policy, or go on with a run that was interrupted.

    Episodes that are on record are not run again, those that broke are.

    Args:
        config: The settings.
        policy: The policy, if it is built already; ``config.policy`` then only describes it.
        environments: Builds the environments; LIBERO's by default.
        progress: Called now and then with the status.

    Returns:
        The run folder.

    Raises:
        HarnessError: A setting is not allowed, the policy does not fit the protocol, or something
            that must be installed is missing, or the first episodes all broke in the same way.
        ResultsError: The folder holds something else or another run, or the disk takes no more.
        KeyboardInterrupt: Ctrl-C; what was finished is kept and the run marked ``interrupted``.
        SystemExit: A polite kill (SIGTERM, SIGHUP), likewise.
    """
    with open_engine(config) as engine:
        plan = plan_evaluation(config, policy=policy, environments=environments, engine=engine)
        return execute(plan, engine=engine, progress=progress)


def execute(
    plan: EvaluationPlan,
    *,
    engine: Engine | None = None,
    progress: ProgressCallback | None = None,
    status: Status = "complete",
    say: Callable[[str], None] = _log.info,
) -> Path:
    """Run the episodes that are not on record, and record the status; see ``evaluate``.

    Args:
        plan: The plan.
        engine: The engine that it was planned with; by default the one that its settings name.
        progress: Called now and then with the status.
        status: Recorded at the end.
        say: Prints a line, such as what was measured for ``--workers auto``.
    """
    if engine is None:
        with open_engine(plan.config) as opened:
            return execute(plan, engine=opened, progress=progress, status=status, say=say)
    out = plan.config.out
    with (
        RunStore.open(
            out,
            plan.info,
            volatile=plan.volatile,
            pinned=PINNED,
        ) as store,
        Interruption() as interruption,
    ):
        finished = store.finished()
        remaining = [key for key in plan.workload.episodes if key not in finished]
        if remaining:
            with torch_threads(plan.config.threads):
                _run(plan, engine, store, remaining, progress, interruption, say)
        store.finish(status)
    return out


def _run(
    plan: EvaluationPlan,
    engine: Engine,
    store: RunStore,
    remaining: list[EpisodeKey],
    progress: ProgressCallback | None,
    interruption: Interruption,
    say: Callable[[str], None],
) -> None:
    config, workload, policy = plan.config, plan.workload, plan.policy
    privileged = policy.spec.privileged
    setup = WorkerSetup(
        environments=workload.environments,
        policy=config.policy if privileged else None,
        spec=policy.spec,
        new_executor=plan.new_executor,
        images=bool(policy.spec.cameras) or not workload.recorded.isdisjoint(remaining),
        upright=workload.protocol.orientation == "rotate180",
        folder=store.folder.resolve(),
    )
    if engine.renders_here and setup.images and in_libero(workload.environments):
        require_rendering()
    request = PoolRequest(
        setup=setup,
        workers=None if config.workers == "auto" else config.workers,
        episodes=len(remaining),
        policy=config.policy,
        threads=config.threads,
        max_batch=None if config.max_batch == "auto" else config.max_batch,
        hang_after_s=config.hang_after,
    )
    if "auto" in (config.workers, config.max_batch):
        request = _tuned(plan, engine, store, request, interruption, say)
    _remove_unfinished(store.videos)
    try:
        with engine.open_pool(request) as pool:
            Dispatcher(
                pool,
                Schedule(remaining, workload.environments.scene),
                store,
                policy=None if privileged or engine.replicas else policy,
                task_names=workload.task_names,
                facts=workload.environments.facts,
                recorded=workload.recorded,
                progress=ProgressMeter(progress, len(workload.episodes), store.records()),
                watchdog=Watchdog(config.hang_after),
                interruption=interruption,
                give_up_after=config.give_up_after,
                max_batch=request.max_batch,
            ).run()
    finally:
        _remove_unfinished(store.videos)


def _tuned(
    plan: EvaluationPlan,
    engine: Engine,
    store: RunStore,
    request: PoolRequest,
    interruption: Interruption,
    say: Callable[[str], None],
) -> PoolRequest:
    """Settle what is ``auto`` by measuring; print and record it."""
    workload = plan.workload
    key = workload.episodes[0]
    name = workload.task_names[key.task]
    job = RunEpisode(key=key, task_name=name, attempt=1, record=False)
    with interruption.allowed():
        tuning = tune(plan, engine, request, job)
    if tuning is None:
        say("Nothing was measured for --workers auto: as many run as fit.")
        return request
    say(str(tuning))
    store.amend({"autotuning": tuning.as_dict()})
    return replace(request, workers=tuning.workers, max_batch=tuning.max_batch)


def _remove_unfinished(videos: Path) -> None:
    """Remove videos that killed workers left half-written."""
    for part in videos.glob(".*.part.mp4"):
        part.unlink(missing_ok=True)
