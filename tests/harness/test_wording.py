"""Checkpoints are asked in words that they were trained on, or refused with the way out."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.cli import main
from harness.wording import check_wording, trained_sentences
from policies.rdt.checkpoint.location import CONTRACT
from tasks.errors import SpecMismatchError
from tasks.protocols import get_protocol
from tasks.suites import suite_tasks
from tests.training.tiny import save_tiny

NAME, BDDL = get_protocol(), get_protocol(instructions="bddl")
GOAL = suite_tasks("libero_goal")


def trained(*sentences: str, **also: Any) -> dict[str, Any]:
    return {"instructions": list(sentences), **also}


@pytest.mark.parametrize("suite", ["libero_spatial", "libero_object", "libero_goal", "libero_90"])
def test_the_other_words_for_the_same_task_are_refused(suite: str) -> None:
    tasks = suite_tasks(suite)
    by_name = trained(*(task.name_instruction for task in tasks))
    by_bddl = trained(*(task.bddl_instruction for task in tasks))
    for swapped in (suite, suite if suite == "libero_90" else f"{suite}_swap"):
        asked = suite_tasks(swapped)
        assert check_wording(by_name, asked, NAME) == ""
        assert check_wording(by_bddl, asked, BDDL) == ""
        with pytest.raises(SpecMismatchError, match="Fix: give --instructions bddl"):
            check_wording(by_bddl, asked, NAME)
        with pytest.raises(SpecMismatchError, match="Fix: give --instructions name"):
            check_wording(by_name, asked, BDDL)


def test_only_the_other_words_for_the_very_task_are_an_error() -> None:
    drawer, stove = GOAL[0], GOAL[1]
    note = check_wording(trained(drawer.name_instruction), GOAL[:3], NAME)
    assert "not trained on the instructions of 2 of 3 tasks, such as “put the bowl on" in note
    assert "1 of 1 tasks" in check_wording(trained("stack the cups"), [drawer], NAME)
    with pytest.raises(SpecMismatchError, match="“Open the middle layer of the drawer”, and"):
        check_wording(trained(stove.name_instruction, drawer.bddl_instruction), GOAL[:3], NAME)
    # Capitals and full stops make no other sentence, and whoever knows both is asked in either.
    assert check_wording(trained("Put the bowl on the stove."), [stove], NAME) == ""
    both = trained(drawer.name_instruction, drawer.bddl_instruction)
    assert check_wording(both, [drawer], NAME) == check_wording(both, [drawer], BDDL) == ""


@pytest.mark.parametrize("suite", ["libero_goal_lan", "libero_goal_task", "libero_10_lan"])
def test_suites_of_new_words_are_noted_whatever_the_policy_knows(suite: str) -> None:
    base = suite_tasks(suite.rpartition("_")[0])
    for sentences in ([t.name_instruction for t in base], [t.bddl_instruction for t in base]):
        for protocol in (NAME, BDDL):
            assert "not trained on" in check_wording(
                trained(*sentences), suite_tasks(suite), protocol
            )


def test_what_a_policy_knew_before_counts_and_an_unknown_past_is_noted() -> None:
    before = trained(GOAL[0].name_instruction, before=trained("a", before={"label": "?"}))
    assert trained_sentences(trained("b", before=before)) == {"a", "b", GOAL[0].name_instruction}
    assert check_wording(trained("b", before=before), GOAL[:1], NAME) == ""
    for unknown in ({}, {"label": "official"}, {"instructions": 3}, {"before": None}):
        note = check_wording(unknown, GOAL, BDDL)
        assert "does not say which instructions" in note
        assert "“Open the middle layer of the drawer”" in note


def test_eval_refuses_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = save_tiny(tmp_path / "tiny")
    contract = json.loads((place / CONTRACT).read_text())
    contract["demos"] = trained("Open the middle layer of the drawer")
    (place / CONTRACT).write_text(json.dumps(contract))
    words = ["eval", "--policy", "rdt", "--checkpoint", str(place), "--suite", "libero_goal"]
    words += ["--tasks", "0", "--resolution", "16", "--device", "cpu", "--out", str(tmp_path / "r")]
    assert main(words) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "Fix: give --instructions bddl." in said
    assert not (tmp_path / "r").exists()
