"""Evaluating a policy: from what is asked to a run folder."""

import contextlib
import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from harness.capacity import default_workers
from harness.evaluation.config import EvaluationConfig
from harness.evaluation.dispatcher import Dispatcher
from harness.evaluation.environments import EnvironmentSpec, LiberoSpec, in_libero
from harness.evaluation.plan import (
    asked_protocol,
    episode_keys,
    planned_keys,
    recorded_keys,
    resolve,
)
from harness.evaluation.scheduler import EvaluationStatus, ProgressMeter, Report, Schedule, Watchdog
from harness.evaluation.worker import WorkerSetup
from harness.evaluation.workers import WorkerPool
from harness.processes import require_rendering
from harness.provenance import checkpoint_sha256, collect_provenance
from harness.wording import check_wording
from policies.executor import PlanExecutor
from policies.interface import Policy, PolicySpec, StartingPolicy
from policies.registry import AnyPolicy
from results.interruption import Interruption
from results.records import EpisodeKey, RunInfo
from results.store import RunStore
from tasks.observation import CONTROL_HZ
from tasks.protocols import Protocol, get_protocol

__all__ = ["EvaluationConfig", "EvaluationStatus", "evaluate"]

VOLATILE = (
    "config.workers",
    "config.hang_after",
    "config.give_up_after",
    "config.record",
    "config.hold_steps",
    "config.out",
    "config.label",
    "config.policy.checkpoint",  # its hash decides, not its place
    "policy.checkpoint",
    "config.policy.device",  # the kind of device it came to decides
    "config.instructions",  # the protocol's decide
)
"""Settings that may change when a run is resumed, as no outcome depends on them."""

PINNED = ("packages.mujoco", "packages.robosuite", "init_states")
"""Entries of the provenance that must stay when a run is resumed, as every outcome depends on them:
no two versions of mujoco compute the same motion."""


def evaluate(
    config: EvaluationConfig,
    *,
    policy: Policy | None = None,
    environments: EnvironmentSpec | None = None,
    progress: Report | None = None,
) -> Path:
    """Evaluate a policy, or go on with a run that was interrupted.

    Episodes that are on record are not run again, those that broke are.

    Args:
        config: What is asked.
        policy: The policy, if it is built already; ``config.policy`` then only describes it.
        environments: Where episodes take place; LIBERO by default.
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
    return execute(prepare(config, policy=policy, environments=environments), progress=progress)


@dataclass(frozen=True, kw_only=True)
class PreparedEvaluation:
    """An evaluation of which everything was checked that can be before it starts.

    Attributes:
        config: What is asked, every default filled in.
        policy: The policy, built.
        places: Where episodes take place.
        info: What the run folder will say.
        note: What the user should know before it starts; empty if nothing.
    """

    config: EvaluationConfig
    policy: AnyPolicy
    places: EnvironmentSpec
    info: RunInfo
    note: str = ""


def prepare(
    config: EvaluationConfig,
    *,
    policy: AnyPolicy | None = None,
    environments: EnvironmentSpec | None = None,
) -> PreparedEvaluation:
    """Check and fill in all settings and build the policy; nothing is written.

    Args:
        config: What is asked.
        policy: See ``evaluate``.
        environments: See ``evaluate``.

    Raises:
        HarnessError: See ``evaluate``.
        ResultsError: The folder holds something else or another run.
    """
    protocol = asked_protocol(config)
    places = environments or LiberoSpec(
        suite=config.suite, protocol=protocol, hold_steps=config.hold_steps
    )
    config = resolve(config, environments=places)
    built: AnyPolicy = policy or config.policy.build()
    check_fit(built, protocol)
    note = ""
    trained_on = getattr(getattr(built, "contract", None), "demos", None)
    if trained_on is not None and in_libero(places):
        note = check_wording(trained_on, places.tasks(config.tasks or ()), protocol)
    spec = built.spec
    exec_horizon = spec.exec_horizon if config.exec_horizon is None else config.exec_horizon
    executor = PlanExecutor(spec.horizon, exec_horizon, config.fusion)  # refuses what is wrong
    config = replace(
        config,
        exec_horizon=exec_horizon,
        fusion=str(executor.fusion),
        workers=config.workers or default_workers(),  # the policy has taken its memory by now
    )
    info = _describe(config, protocol, built, places)
    RunStore.check(config.out, info, volatile=_volatile(built), pinned=PINNED)
    return PreparedEvaluation(config=config, policy=built, places=places, info=info, note=note)


def execute(prepared: PreparedEvaluation, *, progress: Report | None = None) -> Path:
    """Run the episodes that are not on record; see ``evaluate``."""
    config = prepared.config
    volatile = _volatile(prepared.policy)
    with (
        RunStore.open(config.out, prepared.info, volatile=volatile, pinned=PINNED) as store,
        Interruption() as interruption,
    ):
        finished = store.finished()
        todo = [key for key in episode_keys(config) if key not in finished]
        if todo:
            with _threads(config.threads):
                _run(prepared, store, todo, progress, interruption)
        store.finish()
    return config.out


def check_fit(policy: AnyPolicy, protocol: Protocol) -> None:
    """Refuse a policy that was made for other conditions than the protocol's.

    A policy states its conditions by a method ``check_protocol(protocol)``, or by a ``contract``
    with a method ``check``.

    Raises:
        SpecMismatchError: It does not fit.
    """
    check = getattr(policy, "check_protocol", None)
    contract = getattr(policy, "contract", None)
    if check is not None:
        check(protocol)
    elif contract is not None:
        contract.check(
            {
                "render_size": protocol.resolution,
                "orientation": protocol.orientation,
                "control_hz": CONTROL_HZ,
            }
        )


def _run(
    prepared: PreparedEvaluation,
    store: RunStore,
    todo: list[EpisodeKey],
    progress: Report | None,
    interruption: Interruption,
) -> None:
    config, policy, places = prepared.config, prepared.policy, prepared.places
    assert config.exec_horizon is not None
    assert config.workers is not None
    privileged = policy.spec.privileged
    recorded = recorded_keys(config)
    setup = WorkerSetup(
        environments=places,
        policy=config.policy if privileged else None,
        spec=policy.spec,
        exec_horizon=config.exec_horizon,
        fusion=config.fusion,
        images=bool(policy.spec.cameras) or bool(recorded & set(todo)),
        upright=get_protocol(config.protocol).orientation == "rotate180",
        folder=store.folder.resolve(),
    )
    if setup.images and in_libero(places):
        require_rendering()
    _remove_unfinished(store.videos)
    try:
        workers = min(config.workers, len(todo))
        with WorkerPool(workers, setup, receive_timeout_s=config.hang_after) as pool:
            Dispatcher(
                pool,
                Schedule(todo),
                store,
                policy=None if privileged else policy,
                task_names=places.task_names(),
                recorded=recorded,
                meter=ProgressMeter(progress, len(episode_keys(config)), store.records()),
                watchdog=Watchdog(config.hang_after),
                interruption=interruption,
                give_up_after=config.give_up_after,
            ).run()
    finally:
        _remove_unfinished(store.videos)


def _describe(
    config: EvaluationConfig,
    protocol: Protocol,
    policy: AnyPolicy,
    places: EnvironmentSpec,
) -> RunInfo:
    spec: PolicySpec = policy.spec
    described: dict[str, Any] = {
        "name": config.policy.name,
        "checkpoint": config.policy.checkpoint,
        "exec_horizon": config.exec_horizon,
        "fusion": config.fusion,
        "horizon": spec.horizon,
        "history": spec.history,
        "cameras": spec.cameras,
        "options": config.policy.options,
    }
    if isinstance(policy, StartingPolicy):
        tasks, states = config.tasks or (), config.init_states or ()
        described["starts_sha256"] = policy.check_episodes(config.suite, tasks, states)
        protocol = protocol.starting_from(policy.starts)
    elif places.starts is not None:
        protocol = protocol.starting_from(places.starts)
    if device := getattr(policy, "device", None):
        described["device"] = str(device).split(":")[0]
    provenance = collect_provenance(renderer=bool(spec.cameras or config.record))
    provenance |= getattr(policy, "provenance", {})
    provenance["init_states"] = places.fingerprints(config.tasks or ())
    if config.policy.checkpoint is not None:
        # A name on a hub stands for files that the policy knows the place of.
        place = getattr(policy, "files", None) or config.policy.checkpoint
        files = checkpoint_sha256(place)
        for number, other in enumerate(getattr(policy, "more_files", ())):
            more = checkpoint_sha256(other)
            files |= {f"more-{number}/{name}": digest for name, digest in more.items()}
        described["checkpoint_sha256"] = hashlib.sha256(repr(files).encode()).hexdigest()
        provenance["checkpoint_files"] = files
    return RunInfo(
        name=config.label or config.policy.name,
        policy=described,
        protocol={**protocol.as_dict(), "hash": protocol.hash},
        tasks={config.suite: config.tasks or ()},
        episodes_per_task=len(config.init_states or ()),
        expected_episodes=len(planned_keys(config)),  # a shard alone is an incomplete run
        demos=_demos(policy),
        config=TypeAdapter(EvaluationConfig).dump_python(config, mode="json"),
        provenance=provenance,
    )


def _demos(policy: AnyPolicy) -> str | None:
    """Say on one line what a policy was trained on, if it knows."""
    known = getattr(getattr(policy, "contract", None), "demos", None)
    if not known:
        return None
    return str(known.get("label") or ", ".join(sorted(known)))


def _volatile(policy: AnyPolicy) -> tuple[str, ...]:
    """Return the settings that may change when a run is resumed, the policy's own included."""
    own = getattr(policy, "resumable_options", ())
    places = ("policy.options", "config.policy.options")
    return VOLATILE + tuple(f"{place}.{option}" for option in own for place in places)


def _remove_unfinished(videos: Path) -> None:
    """Remove what killed workers left half-written."""
    for part in videos.glob(".*.part.mp4"):
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    """Give torch so many threads, if the policy uses torch."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
