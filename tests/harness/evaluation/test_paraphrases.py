"""Evaluations in other words."""

import json
from pathlib import Path

import pytest

from harness.cli import main
from harness.evaluation import environments, workload
from harness.evaluation.config import EvaluationConfig
from harness.evaluation.paraphrases import ParaphraseSpec
from harness.evaluation.run import evaluate
from harness.evaluation.workload import resolve_workload
from policies.registry import PolicyConfig
from results.folder import load_run
from tasks.errors import ConfigError
from tasks.protocols import get_protocol

ROWS = """high,mid,low,new_instruction,original_instruction,keyword_similarity,structural_similarity
act,lexical,addition,gently turn on the stove,turn on the stove,1.0,0.9
obj,lexical,same,put the dish on the plate,put the bowl on the plate,0.6,1.0
act,lexical,addition,softly turn on the stove,turn on the stove,1.0,0.8
"""


@pytest.fixture
def words(tmp_path: Path) -> Path:
    path = tmp_path / "words.csv"
    path.write_text(ROWS)
    return path


def config(words: Path, **changes: object) -> EvaluationConfig:
    return EvaluationConfig(
        policy=PolicyConfig(name="random"),
        suite="libero_goal",
        out=words.parent / "run",
        instructions=str(words),
        **changes,  # type: ignore[arg-type]
    )


def test_each_row_is_an_episode_from_the_first_initial_state(words: Path) -> None:
    resolved, work = resolve_workload(config(words))
    assert [key[:3] for key in work.planned] == [
        ("libero_goal+words", 0, 0),
        ("libero_goal+words", 2, 0),
        ("libero_goal+words", 1, 0),
    ]
    assert (resolved.tasks, resolved.instructions) == ((7, 8), str(words))
    spec = work.environments
    assert isinstance(spec, ParaphraseSpec)
    assert [spec.scene(row) for row in range(3)] == [7, 8, 7]
    assert spec.facts(1) == {
        "base_task": "put_the_bowl_on_the_plate",
        "dimension": "obj",
        "perturbation": "paraphrase:obj/lexical/same",
        "instruction": "put the dish on the plate",
        "distance": pytest.approx(0.2),
    }
    assert sorted(spec.fingerprints(work.tasks)) == ["7", "8"]


def test_workers_get_the_folder_of_assets(words: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Path | None] = []
    monkeypatch.setattr(workload, "use_plus_assets", given.append)
    monkeypatch.setattr(environments, "use_plus_assets", given.append)
    spec = resolve_workload(config(words, plus_assets=words.parent))[1].environments
    spec.build(0, images=False)
    assert given == [words.parent, words.parent]


def test_the_words_are_rules(words: Path) -> None:
    """Other sentences are another protocol, however the file is called."""
    hashes = {get_protocol().hash}
    for text in (ROWS, ROWS.replace("softly", "slowly")):
        words.write_text(text)
        hashes.add(resolve_workload(config(words))[1].protocol.hash)
    moved = words.with_name("other.csv")
    moved.write_text(text)
    hashes.add(resolve_workload(config(moved))[1].protocol.hash)
    assert len(hashes) == 3


def test_some_tasks_and_more_episodes(words: Path) -> None:
    _, workload = resolve_workload(config(words, tasks=(8,), episodes=3))
    assert [key[1:3] for key in workload.planned] == [(1, 0), (1, 1), (1, 2)]
    with pytest.raises(ConfigError, match=r"no sentence for task 0, 3 .*Allowed: 7, 8"):
        resolve_workload(config(words, tasks=(0, 3, 8)))
    with pytest.raises(ConfigError, match="at most 50 episodes"):
        resolve_workload(config(words, episodes=51))


def test_a_fixed_part_of_the_sentences(words: Path) -> None:
    """One of each task and class, the same every time, and part of the larger part."""
    words.write_text(
        ROWS + "".join(f"act,x,y,light it {n},turn on the stove,1,1\n" for n in range(9))
    )
    parts = [
        {key.task for key in resolve_workload(config(words, per_base=n))[1].planned}
        for n in (1, 1, 4, 99)
    ]
    assert parts[0] == parts[1] < parts[2] < parts[3] == set(range(12))
    assert [len(part) for part in parts] == [2, 2, 5, 12]
    for part in ({"offline_only": True}, {"base_tasks": (0,)}):
        with pytest.raises(ConfigError, match="was given with a file"):
            resolve_workload(config(words, **part))


def test_another_word_is_refused_before_anything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["eval", "--policy", "random", "--suite", "libero_goal", "--out", str(tmp_path / "o")]
    assert main([*command, "--instructions", "nmae"]) == 2
    assert "Allowed: name, bddl" in capsys.readouterr().err
    assert main([*command, "--base-tasks", "0-2"]) == 2
    assert "Allowed: with suites of LIBERO-Plus" in capsys.readouterr().err
    assert main([*command, "--instructions", "missing.csv"]) == 2
    assert "'missing.csv' cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_a_replay_hears_no_words(words: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["eval", "--policy", "replay", "--option.demos", str(words.parent), "--suite"]
    command += ["libero_goal", "--out", str(words.parent / "o"), "--instructions", str(words)]
    assert main(command) == 2
    assert "hears no words" in capsys.readouterr().err


@pytest.mark.sim
@pytest.mark.slow
def test_rows_of_a_task_share_its_simulation(words: Path) -> None:
    folder = evaluate(config(words, tasks=(7,), workers=1))
    info, records = load_run(folder)
    assert info.tasks == {"libero_goal+words": (0, 2)}
    assert [r.instruction for r in records] == [
        "gently turn on the stove",
        "softly turn on the stove",
    ]
    assert len({record.scene_hash for record in records}) == 1
    assert {record.base_task for record in records} == {"turn_on_the_stove"}
    assert [record.distance for record in records] == pytest.approx([0.05, 0.1])
    assert "instructions of words.csv" in info.protocol_name
    lines = (folder / "episodes.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["dimension"] == "act"
