"""The expert's table: judged strictly, resumed, summarised."""

import json
from dataclasses import replace

import pytest

from harness.benchmarks.expert_table import (
    ExpertEpisode,
    ExpertTableConfig,
    as_markdown,
    measure_expert,
    table_rows,
)
from tasks.errors import ConfigError


def episode(task: int, state: int, success: bool, steps: int = 100) -> ExpertEpisode:
    return ExpertEpisode(
        suite="libero_goal",
        task=task,
        name=f"task_{task}",
        init_state=state,
        success=success,
        steps=steps,
        reason="" if success else "no success within 300 steps",
    )


def test_rows_count_successes_and_average_their_steps_alone() -> None:
    rows = table_rows([episode(3, 0, True, 80), episode(3, 1, False, 300), episode(4, 0, False)])
    assert [(r.task, r.solved, r.episodes, r.mean_steps) for r in rows] == [
        (3, 1, 2, 80.0),
        (4, 0, 1, None),
    ]
    assert rows[0].failures == ("no success within 300 steps",)


def test_the_markdown_names_its_command_and_sums_up_suites() -> None:
    config = ExpertTableConfig(suites=("libero_goal",), tasks=(3, 4), episodes=1)
    text = as_markdown(table_rows([episode(3, 0, True, 80), episode(4, 0, False)]), config)
    command = "bench expert --suites libero_goal --tasks 3,4 --episodes 1 --noise 0.15"
    assert f"    libero-bench {command}\n" in text
    assert "| libero_goal | 2 | 1/2 | 50.0 % | 1 |" in text
    assert "| libero_goal | 4 | task_4 | 0/1 | – |" in text


@pytest.mark.sim
def test_a_measurement_resumes_and_refuses_other_settings(tmp_path) -> None:
    out = tmp_path / "table.jsonl"
    config = ExpertTableConfig(
        suites=("libero_object",), tasks=(0,), episodes=1, workers=1, out=out
    )
    (first,) = measure_expert(config)
    assert first.success and first.steps < 200
    changed = json.loads(out.read_text()) | {"steps": 7}
    out.write_text(json.dumps(changed) + "\n" + '{"cut o')
    played = []
    (again,) = measure_expert(config, played.append)
    assert again.steps == 7 and not played
    with pytest.raises(ConfigError, match="noise"):
        measure_expert(replace(config, noise=0.3))
