"""Runs of earlier versions.

Protocols did not say whose words policies are told: the BDDL files'. In ``config`` the policy came
again.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.evaluation import plan as evaluation_plan
from harness.evaluation.config import EvaluationConfig
from harness.evaluation.run import evaluate
from policies.registry import PolicyConfig
from results.comparison.comparison import compare_runs
from results.folder import load_run, read_info
from results.leaderboard.rows import rows_from_runs
from tasks.errors import ResultsError
from tasks.protocols import get_protocol
from tests.harness.doubles import EchoSpec


@pytest.fixture(autouse=True, scope="module")
def _no_probe() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(evaluation_plan, "collect_provenance", lambda renderer: {})
        yield


def run(out: Path, **changes: str) -> Path:
    config = EvaluationConfig(
        policy=PolicyConfig(name="random"),
        suite="libero_object",
        out=out,
        tasks=(0,),
        episodes=2,
        workers=1,
        **changes,  # type: ignore[arg-type]
    )
    return evaluate(config, environments=EchoSpec())


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder as it was written before there was a choice."""
    folder = run(tmp_path_factory.mktemp("runs") / "older", instructions="bddl")
    plain = json.loads((folder / "run.json").read_text())
    assert plain["protocol"]["instructions"] == plain["config"]["instructions"] == "bddl"
    del plain["protocol"]["instructions"], plain["config"]["instructions"]
    options = {"name": "random", "checkpoint": None, "device": "auto", "options": {}}
    plain["config"]["policy"], plain["schema_version"] = options, 1
    (folder / "run.json").write_text(json.dumps(plain))
    return folder


@pytest.mark.slow
def test_they_are_read_as_todays_with_the_policy_once(older: Path) -> None:
    info = read_info(older)
    assert (info.schema_version, info.policy["name"]) == (2, "random")
    assert "policy" not in info.config


@pytest.mark.slow
def test_they_are_told_apart_from_todays_with_the_reason(older: Path, tmp_path: Path) -> None:
    today = run(tmp_path / "today")
    info = read_info(today)
    assert info.protocol["instructions"] == info.config["instructions"] == "name"
    words = r'instructions: A "bddl", B "name"'
    with pytest.raises(ResultsError, match=words):
        compare_runs([older, today])
    (found,) = compare_runs([older, today], force=True)
    assert (
        "Different protocols (A openvla, bddl instructions 36e472c1, B openvla 2608f346)"
        in (found.warnings[0])
    )
    rows = rows_from_runs(map(load_run, [today, today, older]))
    notes = {row.protocol: row.notes for row in rows}
    assert notes["openvla"] == ()
    told = "openvla, bddl instructions"
    assert notes[told] == (f"other protocol: {told} {get_protocol(instructions='bddl').hash[:8]}",)


@pytest.mark.slow
def test_they_are_taken_up_with_the_words_they_had(older: Path) -> None:
    before = (older / "run.json").read_bytes()
    with pytest.raises(ResultsError, match=r'protocol\.instructions: "bddl" here, "name" asked'):
        run(older)
    assert (older / "run.json").read_bytes() == before
    lines = (older / "episodes.jsonl").read_text().splitlines(keepends=True)
    (older / "episodes.jsonl").write_text(lines[0])
    run(older, instructions="bddl")
    assert len(load_run(older)[1]) == 2
    plain = json.loads((older / "run.json").read_text())
    assert plain["protocol"]["instructions"] == "bddl"
    assert plain["schema_version"] == 2
    assert "policy" not in plain["config"]
