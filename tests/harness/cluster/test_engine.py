"""Evaluations on a Ray cluster of two nodes on loopback, some of whose parts die."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import pytest

pytest.importorskip("ray")

import ray
from ray.cluster_utils import Cluster

from harness.cluster import connection, pool
from harness.cluster.connection import fresh_token, is_open
from harness.cluster.nodes import alive_nodes
from harness.demonstrations.collection import Collected, collect
from harness.demonstrations.config import CollectionConfig
from harness.evaluation import plan as evaluation_plan
from harness.evaluation.run import evaluate
from harness.evaluation.scheduler import EvaluationStatus
from policies.registry import PolicyConfig
from results.folder import load_run
from results.records import EpisodeKey, EpisodeRecord
from tasks.errors import ConfigError, PrerequisiteError, SimulatorError
from tests.harness.conftest import ROOT
from tests.harness.doubles import EchoSpec, RememberingConfig, RememberingPolicy, Trouble
from tests.harness.evaluation.runs import make, outcome

pytestmark = pytest.mark.slow

Records = dict[EpisodeKey, EpisodeRecord]

NODE = {"num_cpus": 2, "object_store_memory": 100 * 2**20}

PATIENT = {"health_check_timeout_ms": 10_000, "health_check_failure_threshold": 6}
"""A node is not dead because other tests have the processor for a minute."""


def start_cluster() -> Cluster:
    """Start two nodes; Ray gives each half a minute, which a busy machine may exceed."""
    for tries_left in (2, 1, 0):
        made = Cluster()
        try:
            made.add_node(**NODE, include_dashboard=False, _system_config=PATIENT)
            made.add_node(**NODE)
        except Exception:
            made.shutdown()
            if not tries_left:
                raise
        else:
            return made
    raise AssertionError


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two nodes, with a token that this process has."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (ROOT, before)))
    try:
        with fresh_token():
            made = start_cluster()
            try:
                yield made
            finally:
                made.shutdown()
    finally:
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before


@pytest.fixture(autouse=True)
def _no_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation_plan, "collect_provenance", lambda renderer: {})


def on(cluster: Cluster, out: Path, **changes: Any) -> Any:
    return make(out, engine="ray", address=cluster.address, **changes)


def remembering(folder: Path, **changes: Any) -> RememberingConfig:
    return RememberingConfig(name="remembering", folder=str(folder), **changes)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Records:
    """What one process of the local engine records."""
    folder = tmp_path_factory.mktemp("alone")
    policy = remembering(folder)
    config = make(folder / "run", policy=policy, workers=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation_plan, "collect_provenance", lambda renderer: {})
        run = evaluate(config, policy=RememberingPolicy(policy), environments=EchoSpec())
    return outcome(run)


def each_once(run: Path, expected: Records) -> None:
    """Check that every planned episode is on record once, with the outcome it must have."""
    lines = (run / "episodes.jsonl").read_text().splitlines()
    assert len(lines) == len(expected)
    records = {key: dataclasses.replace(r, attempt=1) for key, r in outcome(run).items()}
    assert records == expected
    assert load_run(run)[0].status == "complete"


@pytest.mark.sim
def test_the_expert_and_rdt_have_the_records_of_the_local_engine(
    cluster: Cluster, tmp_path: Path, small_checkpoint: Path
) -> None:
    expert = {"policy": PolicyConfig(name="expert"), "tasks": (0,), "episodes": 4, "workers": 2}
    rdt = {
        "policy": PolicyConfig(name="rdt", checkpoint=str(small_checkpoint), device="cpu"),
        "tasks": (0,),
        "episodes": 2,
        "exec_horizon": 32,
        "resolution": 128,
        "workers": 2,
    }
    for name, changes in (("expert", expert), ("rdt", rdt)):
        local = evaluate(make(tmp_path / f"{name}-local", **changes))
        remote = evaluate(on(cluster, tmp_path / f"{name}-ray", **changes))
        assert outcome(remote) == outcome(local)
        assert len(outcome(remote)) == changes["episodes"]


def test_replicas_share_the_episodes_and_one_that_dies_costs_a_retry(
    cluster: Cluster, tmp_path: Path, alone: Records
) -> None:
    seen: list[EvaluationStatus] = []
    policy = remembering(tmp_path, seconds=0.02, deadly=("libero_object/0/2/7",))
    config = on(cluster, tmp_path / "run", policy=policy, workers=2, replicas=2)
    run = evaluate(config, environments=EchoSpec(), progress=seen.append)
    each_once(run, alone)
    assert outcome(run)["libero_object", 0, 2, 7].attempt == 2
    latency = load_run(run)[0].latency
    assert latency is not None and latency.longest_ms == pytest.approx(20, rel=0.02)
    assert latency.requests >= sum(record.plans for record in alone.values())
    assert any("2 nodes, 2 simulations, 2 replicas" in str(status) for status in seen)
    assert "config.engine" not in str(load_run(run)[0].resumed)


class Squatter:
    """Takes a CPU."""


SQUATTERS = {"namespace": "squatters", "num_cpus": 1}


def take_cpus(cluster: Cluster) -> list[str]:
    """Take all four; return the names by which ``free_cpu`` gives them back."""
    names = [f"squatter-{number}" for number in range(4)]
    with connection.joined_cluster(cluster.address, allow_unauthenticated=False):
        for name in names:
            options = {"name": name, "lifetime": "detached", **SQUATTERS}
            actor = ray.remote(Squatter).options(**options).remote()
            ray.get(actor.__ray_ready__.remote())
    return names


def free_cpu(name: str) -> None:
    ray.kill(ray.get_actor(name, namespace=SQUATTERS["namespace"]))


def test_a_node_that_dies_costs_its_episodes_a_retry(
    cluster: Cluster, tmp_path: Path, alone: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The replica is on it, and simulations have all other CPUs: one gives its place to another."""
    monkeypatch.setattr(pool, "_LOOK_S", 1.0)
    names = take_cpus(cluster)
    doomed = [cluster.add_node(**NODE)]
    seen: list[str] = []

    def interfere(status: EvaluationStatus) -> None:
        seen.append(status.engine)
        while "1 replica" in status.engine and names:
            free_cpu(names.pop())
        while "3 nodes, 5 simulations" in status.engine and doomed:
            cluster.remove_node(doomed.pop(), allow_graceful=False)

    policy = remembering(tmp_path, seconds=0.2)
    some = {"workers": 5, "replicas": 1, "hang_after": 60.0}
    config = on(cluster, tmp_path / "run", policy=policy, **some)
    run = evaluate(config, environments=EchoSpec(), progress=interfere)
    each_once(run, alone)
    assert any("2 nodes, 3 simulations, 1 replica" in each for each in seen), set(seen)


def test_a_replica_without_room_ends_the_run_only_when_no_node_can_be_expected(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long an episode may hang."""
    monkeypatch.setattr(pool, "_LOOK_S", 0.5)
    monkeypatch.setattr(pool, "_PLACE_S", 1.0)
    names = take_cpus(cluster)
    config = on(cluster, tmp_path / "run", policy=remembering(tmp_path), hang_after=120.0)
    try:
        with pytest.raises(SimulatorError, match=r"replica of the policy for \d\d? s.*Fix"):
            evaluate(config, environments=EchoSpec())
    finally:
        with connection.joined_cluster(cluster.address, allow_unauthenticated=False):
            for name in names:
                free_cpu(name)


DRIVER = """
import sys
from pathlib import Path
from harness.evaluation import plan as evaluation_plan
from harness.evaluation.run import evaluate
from tests.harness.cluster.test_engine import make, remembering
from tests.harness.doubles import EchoSpec

if __name__ == "__main__":
    evaluation_plan.collect_provenance = lambda renderer: {}
    out, address = Path(sys.argv[1]), sys.argv[2]
    policy = remembering(out.parent, seconds=0.1)
    config = make(out, engine="ray", address=address, policy=policy, workers=2)
    evaluate(config, environments=EchoSpec())
"""


def test_a_driver_that_is_killed_is_resumed(
    cluster: Cluster, tmp_path: Path, alone: Records
) -> None:
    run, script = tmp_path / "run", tmp_path / "driver.py"
    script.write_text(DRIVER)
    driver = subprocess.Popen([sys.executable, script, run, cluster.address])
    lines: list[str] = []
    deadline = time.monotonic() + 120
    while len(lines) < 4:
        assert driver.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
        path = run / "episodes.jsonl"
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    config = on(cluster, run, policy=remembering(tmp_path, seconds=0.1), workers=2)
    evaluate(config, environments=EchoSpec())
    assert (run / "episodes.jsonl").read_text().startswith("".join(lines))
    each_once(run, alone)


def test_a_simulation_that_hangs_is_replaced_and_videos_come_to_the_driver(
    cluster: Cluster, tmp_path: Path
) -> None:
    places = EchoSpec(folder=str(tmp_path), troubles={(0, 1): Trouble(kind="hang")})
    some = {"tasks": (0,), "episodes": 3, "record": 1, "workers": 2}
    config = on(cluster, tmp_path / "run", hang_after=6.0, **some)
    run = evaluate(config, environments=places)
    records = outcome(run)
    assert {record.outcome for record in records.values()} <= {"success", "failure"}
    assert records["libero_object", 0, 1, 7].attempt == 2
    video = "libero_object-t0-i0-s7.mp4"
    assert [path.name for path in (run / "videos").iterdir()] == [video]
    assert records["libero_object", 0, 0, 7].video == f"videos/{video}"


def test_what_cannot_run_is_said_in_one_line(cluster: Cluster, tmp_path: Path) -> None:
    policy = remembering(tmp_path, building="refuses")
    own = RememberingPolicy(policy)
    with pytest.raises(PrerequisiteError, match="There is no such device"):
        config = on(cluster, tmp_path / "b", workers=1, policy=policy)
        evaluate(config, policy=own, environments=EchoSpec())


def test_a_cluster_needs_the_token(cluster: Cluster, tmp_path: Path) -> None:
    assert not is_open(cluster.address)
    with fresh_token(), pytest.raises(ConfigError, match="another token than this process"):
        evaluate(on(cluster, tmp_path / "run"), environments=EchoSpec())
    assert not (tmp_path / "run").exists()


def test_a_cluster_without_a_token_is_refused_unless_allowed(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "is_open", lambda address: True)  # none such is started here
    with pytest.raises(ConfigError, match=r"has no token.*--allow-unauthenticated"):
        evaluate(on(cluster, tmp_path / "run"), environments=EchoSpec())
    with connection.joined_cluster(cluster.address, allow_unauthenticated=True):
        assert len(alive_nodes()) >= 2


@pytest.mark.parametrize(
    "address", ["nowhere", "ray://127.0.0.1:1", "127.0.0.1:1", "127.0.0.1:head", "127.0.0.1:99999"]
)
def test_an_address_without_a_cluster_is_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(ConfigError, match=f"--address {address}.*Fix"):
        config = make(tmp_path / "run", engine="ray", address=address)
        evaluate(config, environments=EchoSpec())
    assert not (tmp_path / "run").exists()


@pytest.mark.sim
def test_demonstrations_are_those_of_one_machine(
    cluster: Cluster, tmp_path: Path, collected: Collected, collection_config: CollectionConfig
) -> None:
    config = dataclasses.replace(
        collection_config, out=tmp_path / "demos", engine="ray", address=cluster.address
    )
    (made,) = collect(config)
    assert made.problem == ""
    assert (made.kept, made.tried) == (collected.kept, collected.tried)
    with h5py.File(made.path) as here, h5py.File(collected.path) as there:
        assert list(here["data"]) == list(there["data"])
        for name, demo in here["data"].items():
            for part in ("actions", "states", "obs/agentview_rgb"):
                assert (demo[part][:] == there["data"][name][part][:]).all()
