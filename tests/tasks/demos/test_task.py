"""Which task a demo file is of, and in which words."""

import json
from pathlib import Path

import h5py
import pytest

from harness.demonstrations.replay import demo_protocol
from tasks.demos.file import open_demo_file
from tasks.demos.folders import demo_instruction, demo_task, noted_otherwise
from tasks.demos.reader import read_demos
from tasks.errors import ConfigError
from tasks.suites import find_task
from tests.training.demo_files import write_file
from training.demos.check import check_demo_file
from training.demos.statistics import demo_statistics

DRAWER = "open_the_middle_drawer_of_the_cabinet"
OLD = "chiliocosm/bddl_files/libero_goal/open_the_middle_layer_of_the_drawer.bddl"


def told(
    path: Path, words: str | None = "Open the middle layer of the drawer", **also: str
) -> Path:
    """A file that notes this instruction, and these attributes."""
    write_file(path, demos=1)
    with h5py.File(path, "r+") as file:
        attributes = file["data"].attrs
        del attributes["problem_info"]
        if words is not None:
            attributes["problem_info"] = json.dumps({"language_instruction": words})
        for name, value in also.items():
            attributes[name] = value
    return path


@pytest.mark.parametrize("words", ["Open the middle layer of the drawer", None])
def test_an_official_file_is_known_by_its_name_not_by_what_it_notes(
    tmp_path: Path, words: str | None
) -> None:
    path = told(tmp_path / f"libero_goal/{DRAWER}_demo.hdf5", words, bddl_file_name=OLD)
    with open_demo_file(path) as file:
        assert demo_task(file) == find_task("libero_goal", 0)
    assert next(read_demos(path)).instruction == "open the middle drawer of the cabinet"
    bddl = next(read_demos(path, instructions="bddl"))
    assert bddl.instruction == "Open the middle layer of the drawer"


def test_what_a_file_notes_otherwise_is_said_once(tmp_path: Path) -> None:
    path = told(tmp_path / f"libero_goal/{DRAWER}_demo.hdf5", bddl_file_name=OLD)
    found = demo_statistics(path)
    assert found.instruction == "open the middle drawer of the cabinet"
    assert found.instruction_noted == "Open the middle layer of the drawer"
    (line,) = (line for line in check_demo_file(path) if "Open the middle layer" in line.detail)
    assert "“open the middle drawer of the cabinet”, not “Open the middle layer" in line.detail
    same = "Open the middle drawer of the cabinet."
    path = told(tmp_path / f"same/{DRAWER}_demo.hdf5", same)
    assert demo_statistics(path).instruction_noted is None


@pytest.mark.parametrize(
    ("place", "bddl", "task"),
    [
        # Where a suite of LIBERO-PRO and its base have the same names, folders and notes decide.
        (f"libero_goal_swap/{DRAWER}_demo.hdf5", None, ("libero_goal_swap", 0)),
        (f"libero_goal_lan/256/{DRAWER}_demo.hdf5", None, ("libero_goal_lan", 0)),
        (f"moved/{DRAWER}_demo.hdf5", f"libero_goal_task/{DRAWER}.bddl", ("libero_goal_task", 0)),
        ("moved/mine.hdf5", f"/data/libero_goal/{DRAWER}.bddl", ("libero_goal", 0)),
        (f"libero_goal_no_noops/{DRAWER}_demo.hdf5", None, ("libero_goal", 0)),
        # A name that was another task's: the file's own counts.
        (
            f"libero_goal/{DRAWER}_demo.hdf5",
            "libero_goal/put_the_bowl_on_the_stove.bddl",
            ("libero_goal", 0),
        ),
    ],
)
def test_the_task_is_found_by_names(
    tmp_path: Path, place: str, bddl: str | None, task: tuple[str, int]
) -> None:
    noted = {} if bddl is None else {"bddl_file_name": bddl}
    with open_demo_file(told(tmp_path / place, **noted)) as file:
        assert demo_task(file) == find_task(*task)
        assert demo_instruction(file) == find_task(*task).instruction
        assert demo_instruction(file, "bddl") == find_task(*task).bddl_instruction


def test_a_file_of_no_known_task_says_itself_what_it_shows(tmp_path: Path) -> None:
    path = told(tmp_path / "wipe_the_table_demo.hdf5", "wipe the table")
    for instructions in ("name", "bddl"):
        assert next(read_demos(path, instructions=instructions)).instruction == "wipe the table"
    with open_demo_file(path) as file:
        assert noted_otherwise(file, "wipe the table") is None
    with pytest.raises(ConfigError, match="language_instruction, and its name is no task's"):
        list(read_demos(told(tmp_path / "wipe_demo.hdf5", None)))


@pytest.mark.parametrize(
    ("made", "instructions"),
    [({}, "name"), ({"instructions": "bddl"}, "bddl"), ({"instructions": 7}, "name")],
)
def test_a_file_made_anew_keeps_the_words_it_was_made_with(
    tmp_path: Path, made: dict[str, object], instructions: str
) -> None:
    with open_demo_file(told(tmp_path / "a.hdf5", provenance=json.dumps(made))) as file:
        assert demo_protocol(file).instructions == instructions
