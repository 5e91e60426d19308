"""Suites, tasks and protocols."""

import pytest

from tasks.errors import ConfigError
from tasks.protocols import PROTOCOLS, get_protocol
from tasks.suites import SUITES, bddl_instruction, find_task, suite_tasks


def test_there_are_130_tasks_with_instructions_and_init_states() -> None:
    tasks = [task for suite in SUITES for task in suite_tasks(suite)]
    assert len(tasks) == 130
    assert all(task.instruction and task.bddl_file.exists() for task in tasks)
    assert find_task("libero_goal", 0).init_states().shape[0] == 50


@pytest.mark.parametrize("suite", SUITES)
def test_instructions_are_those_of_liberos_own_parser(suite: str) -> None:
    from libero.libero.envs.bddl_utils import get_problem_info

    for task in suite_tasks(suite):
        words = get_problem_info(str(task.bddl_file))["language_instruction"]
        official = words if isinstance(words, str) else " ".join(words)
        assert task.instruction.lower() == official.lower()


def test_a_task_is_found_by_index_and_by_whole_name() -> None:
    shorter, longer = suite_tasks("libero_90")[:2]
    assert longer.name.startswith(shorter.name)
    assert find_task("libero_90", shorter.name).index == 0
    assert find_task("libero_90", longer.name).index == 1
    assert find_task("libero_90", "1") == longer


@pytest.mark.parametrize("task", [10, -1, "10", "no_such_task"])
def test_unknown_tasks_are_refused(task: int | str) -> None:
    with pytest.raises(ConfigError, match="Allowed"):
        find_task("libero_goal", task)


def test_unknown_suites_are_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'libero_spatial'"):
        suite_tasks("libero_spacial")


def test_a_bddl_file_without_instruction_is_refused(tmp_path) -> None:
    file = tmp_path / "x.bddl"
    file.write_text("(define (problem x))")
    with pytest.raises(ConfigError, match="language"):
        bddl_instruction(file)


def test_protocols_differ_and_their_hash_tells() -> None:
    hashes = {protocol.hash for protocol in PROTOCOLS.values()}
    assert len(hashes) == len(PROTOCOLS) == 3
    assert get_protocol("openvla").step_limit("libero_10") == 520
    assert get_protocol("lerobot").step_limit("libero_spatial") == 280
    assert get_protocol("openvla", resolution=128).hash not in hashes
    assert get_protocol("openvla", resolution=256) == PROTOCOLS["openvla"]
    with pytest.raises(ConfigError, match="Allowed: openvla, lerobot, libero"):
        get_protocol("openvlaa")
    with pytest.raises(ConfigError, match="16 to 2048"):
        get_protocol(resolution=4)
