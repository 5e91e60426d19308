"""Copies of a policy in processes of their own."""

from collections.abc import Callable
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from harness.evaluation import plan as evaluation_plan
from harness.evaluation.replicas import Answer, Replicas
from harness.evaluation.run import evaluate
from harness.evaluation.scheduler import EvaluationStatus
from policies.interface import PlanRequest
from policies.registry import PolicyConfig
from results.folder import load_run
from tasks.errors import ConfigError, PrerequisiteError, SimulatorError
from tests.harness.doubles import EchoSpec, RememberingConfig, RememberingPolicy
from tests.harness.evaluation.runs import make, outcome


@pytest.fixture(autouse=True)
def _no_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation_plan, "collect_provenance", lambda renderer: {})


def remembering(folder: Path, **changes: Any) -> RememberingConfig:
    return RememberingConfig(name="remembering", folder=str(folder), **changes)


def batches(folder: Path) -> dict[str, list[list[str]]]:
    """Return the episodes of each batch, by the process that planned for them."""
    return {
        path.name: [line.split() for line in path.read_text().splitlines()]
        for path in folder.glob("batches-*")
    }


@pytest.mark.slow
def test_two_replicas_share_the_episodes_and_change_no_record(tmp_path: Path) -> None:
    policy = remembering(tmp_path, seconds=0.02)
    own = RememberingPolicy(policy)
    alone = make(tmp_path / "one", policy=policy, workers=2)
    one = outcome(evaluate(alone, policy=own, environments=EchoSpec()))
    for path in tmp_path.glob("batches-*"):
        path.unlink()
    seen: list[EvaluationStatus] = []
    config = make(tmp_path / "two", policy=policy, workers=2, replicas=2)
    two = outcome(evaluate(config, environments=EchoSpec(), progress=seen.append))
    assert two == one
    for run in (tmp_path / "one", tmp_path / "two"):
        latency = load_run(run)[0].latency
        assert latency is not None and latency.longest_ms == pytest.approx(20, rel=0.02)
        assert latency.requests == sum(record.plans for record in one.values())
    planned = batches(tmp_path)
    assert len(planned) == 2
    first, second = ({name for batch in lines for name in batch} for lines in planned.values())
    assert not first & second  # an episode keeps to its replica
    assert len(first | second) == 12
    assert any("2 of 2 replicas" in str(status) for status in seen)


@pytest.mark.slow
def test_a_replica_that_dies_in_a_batch_costs_its_episodes_a_retry(tmp_path: Path) -> None:
    policy = remembering(tmp_path, deadly=("libero_object/0/2/7",))
    config = make(tmp_path / "run", policy=policy, workers=3, replicas=2)
    records = outcome(evaluate(config, environments=EchoSpec()))
    calm = make(tmp_path / "calm", policy=policy, workers=1)
    own = RememberingPolicy(remembering(tmp_path))
    expected = outcome(evaluate(calm, policy=own, environments=EchoSpec()))
    retried = {key for key, record in records.items() if record.attempt > 1}
    assert ("libero_object", 0, 2, 7) in retried
    assert len(retried) <= 3  # those that ran on it
    assert {key: r.outcome for key, r in records.items()} == {
        key: r.outcome for key, r in expected.items()
    }
    assert len((tmp_path / "run" / "episodes.jsonl").read_text().splitlines()) == 12


@pytest.mark.slow
def test_devices_are_recorded_and_only_where_they_are_used(tmp_path: Path) -> None:
    config = make(tmp_path / "run", tasks=(0,), episodes=2, devices="cpu,cpu", max_batch=1)
    evaluate(config, environments=EchoSpec())
    info = load_run(tmp_path / "run")[0]
    assert info.config["devices"] == ["cpu", "cpu"]
    assert info.config["max_batch"] == 1
    plain = make(tmp_path / "plain", tasks=(0,), episodes=2)
    evaluate(plain, environments=EchoSpec())
    plainly = load_run(tmp_path / "plain")[0]
    assert not {"engine", "address", "replicas", "devices", "max_batch"} & plainly.config.keys()
    resumed = make(tmp_path / "plain", tasks=(0,), episodes=2, replicas=2)
    evaluate(resumed, environments=EchoSpec(unbuildable=True))  # no setting that decides


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"devices": "gpu0"}, r"--devices 'gpu0' is not known\. Allowed: numbers of GPUs"),
        ({"devices": "0,1", "replicas": 1}, "--replicas 1 with 2 --devices"),
        ({"address": "auto"}, "--address was given with --engine local"),
        ({"engine": "ray", "devices": "0"}, "which gives each replica a GPU by itself"),
        ({"engine": "ray", "allow_unauthenticated": True}, "without --address"),
    ],
)
def test_options_that_contradict_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(Path("run"), **changes)


def test_numbers_of_replicas_and_batches_have_bounds() -> None:
    for changes in ({"replicas": 0}, {"replicas": 100_000}, {"max_batch": 0}, {"engine": "dask"}):
        with pytest.raises(ValidationError):
            make(Path("run"), **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"policy": PolicyConfig(name="expert"), "replicas": 2}, "runs beside each simulation"),
        (
            {"policy": PolicyConfig(name="random", device="cpu"), "devices": "cpu"},
            "Both --device cpu and --devices cpu",
        ),
    ],
)
def test_replicas_that_cannot_be_are_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        evaluate(make(tmp_path / "run", **changes), environments=EchoSpec())
    assert not (tmp_path / "run").exists()


def ask_until(replicas: Replicas, enough: Callable[[list[Answer]], bool]) -> list[Answer]:
    answers: list[Answer] = []
    while not enough(answers):
        ready = wait(replicas.connections, 60)
        assert ready, "no replica said anything for a minute"
        answers += replicas.receive(ready)
    return answers


def request(worker: int, step: int) -> PlanRequest:
    seen: Any = {"ee_pos": [0, 0, 0]}
    return PlanRequest(
        window=[seen], instruction="", seed=worker, step=step, episode=f"episode-{worker}"
    )


@pytest.mark.slow
@pytest.mark.parametrize(("max_batch", "sizes"), [(None, [3]), (2, [2, 1])])
def test_what_waits_for_a_replica_is_one_batch_within_the_limit(
    tmp_path: Path, max_batch: int | None, sizes: list[int]
) -> None:
    policies = [remembering(tmp_path)]
    with Replicas(policies, threads=1, max_batch=max_batch, receive_timeout_s=60) as replicas:
        for worker in range(3):
            replicas.ask(worker, request(worker, 0))  # it is still being loaded
        answers = ask_until(replicas, lambda answers: len(answers) == 3)
    assert {answer.worker for answer in answers} == {0, 1, 2}
    (lines,) = batches(tmp_path).values()
    assert [len(batch) for batch in lines] == sizes


@pytest.mark.slow
def test_an_episode_that_executes_a_plan_when_its_replica_dies_breaks_at_the_next(
    tmp_path: Path,
) -> None:
    policies = [remembering(tmp_path, deadly=("episode-0",))]
    with Replicas(policies, threads=1, max_batch=1, receive_timeout_s=60) as replicas:
        assert replicas.ask(0, request(0, 0)) is None
        assert replicas.ask(1, request(1, 0)) is None
        first = ask_until(replicas, lambda answers: len(answers) == 2)
        assert all(answer.reply.plan is not None for answer in first)
        replicas.ask(0, request(0, 8))
        (broken,) = ask_until(replicas, bool)
        assert broken.worker == 0
        assert broken.reply.error == "Replica 0 of the policy was killed by signal 9"
        later = replicas.ask(1, request(1, 8))
        assert later is not None and "replica of the policy died" in later.reply.error
        assert replicas.ask(1, request(1, 0)) is None  # its next try has a new replica
        (again,) = ask_until(replicas, bool)
        assert again.reply.plan is not None


@pytest.mark.slow
def test_replicas_that_cannot_load_or_die_again_and_again_end_the_run(tmp_path: Path) -> None:
    def start(building: str) -> Replicas:
        policies = [remembering(tmp_path, building=building)]
        return Replicas(policies, threads=1, max_batch=None, receive_timeout_s=60)

    message = "There is no such device"
    with pytest.raises(PrerequisiteError, match=message), start("refuses") as replicas:
        ask_until(replicas, bool)
    message = "3 died without a plan in between"
    with pytest.raises(SimulatorError, match=message), start("dies") as replicas:
        ask_until(replicas, bool)
