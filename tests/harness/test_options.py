"""Options as users type them, and the values that commands are given."""

from pathlib import Path
from typing import Any

import pytest

from harness.cli import main
from harness.demonstrations.config import CollectionConfig
from harness.evaluation.config import EvaluationConfig, SweepConfig
from harness.options import read_numbers, read_tasks
from tasks.errors import ConfigError

EVALUATE = ["eval", "--policy", "expert", "--suite", "libero_goal", "--out", "x"]


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Read the options of ``eval``; return what would be evaluated."""
    asked: list[tuple[Any, ...]] = []

    def sweep(*settings: Any) -> list[Path]:
        asked.append(settings)
        return []

    monkeypatch.setattr("harness.stages.sweep_with_bars", sweep)
    monkeypatch.setattr("harness.leaderboard.print_leaderboard", lambda *_, **__: None)

    def read(*words: str) -> tuple[Any, ...]:
        assert main([*EVALUATE, *words]) == 0
        return asked.pop()

    return read


def test_numbers() -> None:
    assert read_numbers("0,3", "--tasks") == (0, 3)
    assert read_numbers("2-4, 9", "--tasks") == (2, 3, 4, 9)
    for text in ("", "a", "1,1", "4-2", "-1"):
        with pytest.raises(ConfigError, match="--tasks"):
            read_numbers(text, "--tasks")


def test_an_evaluation_as_it_is_typed(evaluated: Any) -> None:
    config, grid = evaluated(
        *("--tasks", "0-2,4", "--init-states", "10-12", "--exec-horizon", "64,16,8"),
        *("--delay-ms", "0,60,100", "--chunking", "none,rtc:beta=2"),
        *("--fusion", "none,act:m=0.05", "--record", "all", "--device", "cpu", "--checkpoint", "c"),
    )
    assert config.tasks == (0, 1, 2, 4)
    assert config.init_states == (10, 11, 12)
    assert tuple(grid.exec_horizons) == (64, 16, 8)
    assert [str(fusion) for fusion in grid.fusions] == ["none", "act:m=0.05"]
    assert tuple(grid.delays) == (0, 2)
    assert [str(chunking) for chunking in grid.chunkings] == ["none", "rtc:beta=2"]
    assert config.record == "all"
    assert (config.policy.name, config.policy.checkpoint, config.policy.device) == (
        "expert",
        "c",
        "cpu",
    )


def test_what_is_not_typed_has_its_default(evaluated: Any) -> None:
    config, grid = evaluated()
    assert (config.tasks, config.init_states, config.record) == (None, None, 0)
    assert (len(grid.exec_horizons), [str(fusion) for fusion in grid.fusions]) == (0, ["none"])
    assert (grid.delays, grid.chunkings, grid.perturbs) == ((0,), (), ())
    assert config.policy.options == {}


@pytest.mark.parametrize(
    ("typed", "tasks"),
    [
        ("3", (3,)),
        ("all", None),
        ("turn_on_the_stove", (7,)),
        ("turn_on_the_stove,open_the_middle_drawer_of_the_cabinet", (7, 0)),
    ],
)
def test_tasks_are_indices_or_names(evaluated: Any, typed: str, tasks: Any) -> None:
    assert evaluated("--tasks", typed)[0].tasks == tasks


def test_options_of_policies_are_numbers_truths_and_words(evaluated: Any) -> None:
    words = {"noise": "0.15", "batch-size": "4", "compile": "True", "siglip": "a/b", "x": "-1e-3"}
    typed = [word for name, text in words.items() for word in (f"--option.{name}", text)]
    options = evaluated(*typed)[0].policy.options
    assert options == {
        "noise": 0.15,
        "batch_size": 4,
        "compile": True,
        "siglip": "a/b",
        "x": -0.001,
    }
    assert type(options["batch_size"]) is int


def test_settings_take_values_as_well_as_texts() -> None:
    common = {"policy": {"name": "noop"}, "suite": "libero_goal", "out": "x"}
    typed = EvaluationConfig(**common, tasks="0-2", init_states="4,6", record="3")
    assert typed == EvaluationConfig(**common, tasks=(0, 1, 2), init_states=[4, 6], record=3)
    assert SweepConfig(exec_horizon="16,8").exec_horizon == (16, 8)


def test_a_collection_of_several_suites_has_a_configuration_for_each() -> None:
    config = CollectionConfig(suite="libero_goal,libero_object", tasks="1-2")
    assert [(c.suite, c.tasks) for c in config.by_suite()] == [
        ("libero_goal", (1, 2)),
        ("libero_object", (1, 2)),
    ]
    (everything,) = CollectionConfig(suite="libero_goal").by_suite()
    assert everything.tasks == tuple(range(10))
    with pytest.raises(ConfigError, match="Unknown task"):
        CollectionConfig(suite="libero_goal,libero_object", tasks="turn_on_the_stove")


@pytest.mark.parametrize(
    ("given", "read"),
    [(3, (3,)), ((0, 3), (0, 3)), ("0-2", (0, 1, 2)), ("all", None), (True, True)],
)
def test_tasks_in_a_file_are_a_number_or_as_on_the_command_line(given: Any, read: Any) -> None:
    assert read_tasks(given, ["libero_object"]) == read
