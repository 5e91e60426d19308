"""Suites, tasks and protocols."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tasks.bddl import bddl_instruction, bddl_problem
from tasks.errors import ConfigError, PrerequisiteError
from tasks.pro_suites import PERTURBATIONS, PRO_SUITES, SHIFTED_SUITES
from tasks.protocols import PROTOCOLS, get_protocol
from tasks.suites import (
    ORIGINAL_SUITES,
    SUITES,
    base_suite,
    clear_caches,
    find_task,
    same_words,
    suite_tasks,
)

CHANGED = {s: base for s, base in PRO_SUITES.items() if s.endswith(tuple(PERTURBATIONS))}
"""Of LIBERO-PRO the suites that change all four of LIBERO's in one respect."""


def test_there_are_130_tasks_with_instructions_and_init_states() -> None:
    tasks = [task for suite in ORIGINAL_SUITES for task in suite_tasks(suite)]
    assert len(tasks) == 130
    assert all(task.instruction and task.bddl_file.exists() for task in tasks)
    assert find_task("libero_goal", 0).init_states().shape[0] == 50


@pytest.mark.parametrize("suite", SUITES)
def test_instructions_and_problems_are_those_of_liberos_own_parser(suite: str) -> None:
    from libero.libero.envs.bddl_utils import get_problem_info

    for task in suite_tasks(suite):
        problem = get_problem_info(str(task.bddl_file))
        assert problem["problem_name"] == bddl_problem(task.bddl_file)
        assert problem["domain_name"] == "robosuite"
        words = problem["language_instruction"]
        official = words if isinstance(words, str) else " ".join(words)
        assert task.bddl_instruction.lower() == official.lower()


@pytest.mark.parametrize("suite", SUITES)
def test_a_policy_is_told_liberos_own_sentence(suite: str) -> None:
    """Suites about other words or other tasks say their BDDL files'; there LIBERO's are of old."""
    from libero.libero.benchmark import get_benchmark

    # LIBERO lists no suites of shifted targets; their tasks are those of the base.
    benchmark = get_benchmark(base_suite(suite) if suite in SHIFTED_SUITES else suite)()
    for task in suite_tasks(suite):
        from_name = re.sub(r"^[A-Z_]+SCENE\d+_", "", task.name).replace("_", " ")
        assert from_name == benchmark.get_task(task.index).language == task.name_instruction
        others = suite.endswith(("_lan", "_task"))
        assert task.instruction == (task.bddl_instruction if others else from_name)
        assert task.instruction_by("bddl") == task.bddl_instruction
        for protocol in PROTOCOLS.values():
            assert protocol.instruction_of(task) == task.instruction
            bddl = get_protocol(protocol, instructions="bddl")
            assert bddl.instruction_of(task) == task.bddl_instruction


def test_the_two_sentences_differ_in_34_of_130_tasks() -> None:
    tasks = [task for suite in ORIGINAL_SUITES for task in suite_tasks(suite)]
    pairs = [(task.instruction, task.bddl_instruction) for task in tasks]
    assert sum(one != other for one, other in pairs) == 34
    assert sum(not same_words(one, other) for one, other in pairs) == 29
    assert find_task("libero_goal", 0).instruction == "open the middle drawer of the cabinet"


def test_every_pro_suite_has_the_tasks_of_its_base_with_init_states_of_their_size() -> None:
    assert len(CHANGED) == 16
    for suite, base in CHANGED.items():
        tasks, originals = suite_tasks(suite), suite_tasks(base)
        assert [task.name for task in tasks] == [task.name for task in originals]
        for task, original in zip(tasks, originals, strict=True):
            assert task.bddl_file.parent.name == suite
            assert (
                task.init_states().shape
                == original.init_states().shape
                == (
                    50,
                    original.init_states().shape[1],
                )
            )
            assert np.isfinite(task.init_states()).all()


@pytest.mark.parametrize("suite", CHANGED)
def test_pro_instructions_are_not_those_of_the_file_names(suite: str) -> None:
    """LIBERO's task.language says what the original task was."""
    from libero.libero.benchmark import get_benchmark

    benchmark = get_benchmark(suite)()
    other_words = suite.endswith(("_lan", "_task"))
    for task, original in zip(suite_tasks(suite), suite_tasks(base_suite(suite)), strict=True):
        assert (task.instruction != original.instruction) == other_words
        if other_words:
            assert task.instruction.lower() != benchmark.get_task(task.index).language.lower()


def test_known_pro_instructions() -> None:
    said = {
        ("libero_goal_task", 0): "open the bottom drawer of the cabinet",
        ("libero_object_task", 0): "Pick the cream cheese and place it in the basket",
        ("libero_object_lan", 0): "grab alphabet soup and put it into basket",
        ("libero_goal_swap", 5): "push the plate to the front of the stove",
    }
    assert {key: find_task(*key).instruction for key in said} == said


def test_a_pro_suite_has_the_step_limit_of_its_base() -> None:
    for protocol in PROTOCOLS.values():
        for suite, base in PRO_SUITES.items():
            assert protocol.step_limit(suite) == protocol.step_limit(base)
    with pytest.raises(ConfigError, match="suite of protocol"):
        PROTOCOLS["openvla"].step_limit("libero_goal_env")


def test_a_libero_without_a_suite_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import libero.libero.benchmark as benchmark

    without = {k: v for k, v in benchmark.BENCHMARK_MAPPING.items() if k != "libero_10_lan"}
    monkeypatch.setattr(benchmark, "BENCHMARK_MAPPING", without)
    clear_caches()
    with pytest.raises(PrerequisiteError, match=r"no suite libero_10_lan.*pip install libero-pro"):
        suite_tasks("libero_10_lan")
    assert len(suite_tasks("libero_10_task")) == 10


ASKING = """
import os
if not os.path.exists("asked"):
    answer = input("Do you want to specify a custom path? (Y/N): ").lower()
    print("The answer is stored")
    open("asked", "w").write(answer)
"""


def test_a_libero_that_asks_at_its_first_import_is_answered(tmp_path: Path) -> None:
    """The original distribution does; standard input here is a pipe on which nothing comes."""
    package = tmp_path / "libero" / "libero" / "benchmark"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").write_text(ASKING)
    (package / "__init__.py").touch()
    (tmp_path / "libero" / "__init__.py").touch()
    code = "from tasks.libero_package import import_libero; import_libero(); "
    code += "import libero.libero as it; "
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", code + "print(it.__file__, input is __builtins__.input)"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{root}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        assert process.wait(timeout=60) == 0
        assert process.stdout.read().split() == [str(package.parent / "__init__.py"), "True"]
        assert (tmp_path / "asked").read_text() == "n"
    finally:
        process.kill()


@pytest.mark.slow
def test_the_simulation_is_imported_without_a_word() -> None:
    """Robosuite would ask for an optional file, in every process and in the middle of a bar."""
    code = "import harness.demonstrations.episode, robosuite"
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert "macro" not in done.stdout + done.stderr


def test_pickled_init_states_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The original distribution keeps its initial states in that form."""
    import torch

    task = find_task("libero_goal", 0)
    states = np.arange(12.0).reshape(3, 4)
    folder = tmp_path / "init" / "libero_goal"
    folder.mkdir(parents=True)
    torch.save(states, folder / f"{task.name}.pruned_init")
    (tmp_path / "config.yaml").write_text(f"init_states: {tmp_path / 'init'}\n")
    monkeypatch.setenv("LIBERO_CONFIG_PATH", str(tmp_path))
    clear_caches()
    try:
        np.testing.assert_array_equal(task.init_states(), states)
    finally:
        clear_caches()


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
    assert len(hashes) == len(PROTOCOLS)
    assert get_protocol("openvla").step_limit("libero_10") == 520
    assert get_protocol("lerobot").step_limit("libero_spatial") == 280
    assert get_protocol("openvla", resolution=128).hash not in hashes
    assert get_protocol("openvla", resolution=256) == PROTOCOLS["openvla"]
    with pytest.raises(ConfigError, match="Did you mean 'openvla'"):
        get_protocol("openvlaa")
    with pytest.raises(ConfigError, match="16 to 2048"):
        get_protocol(resolution=4)
