import json
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from results.exports import export_run, write_export
from results.statistics.intervals import wilson_interval
from tasks.errors import ResultsError
from tests.results.suite_runs import write_suite_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_suite_run(tmp_path / "run", {0: "ssf", 3: "sff"}, films=1)


def test_lerobots_shape(run: Path) -> None:
    info = json.loads(export_run(run, "lerobot"))
    first, second = info["per_task"]
    assert (first["task_group"], first["task_id"], second["task_id"]) == ("libero_object", 0, 3)
    assert first["metrics"] == {
        "sum_rewards": [1.0, 1.0, 0.0],
        "max_rewards": [1.0, 1.0, 0.0],
        "successes": [True, True, False],
        "video_paths": [str(run / "videos/libero_object-t0-i0-s7.mp4")],
        "predicted_video_paths": [],
    }
    group = info["per_group"]["libero_object"]
    overall = dict(info["overall"])
    assert len(overall["video_paths"]) == 2
    assert (overall.pop("eval_s"), overall.pop("eval_ep_s")) == (9.0, 1.5)
    assert overall == group
    # The keys that eval_policy_all of LeRobot 0.6 writes (read at commit 01f50c3d).
    assert set(info) - {"libero-bench"} == {"per_task", "per_group", "overall"}
    assert set(group) == {
        *("avg_sum_reward", "avg_max_reward", "pc_success", "n_episodes"),
        *("video_paths", "predicted_video_paths"),
    }
    assert (group["pc_success"], group["avg_sum_reward"], group["n_episodes"]) == (50.0, 0.5, 6)
    own = info["libero-bench"]
    assert own["protocol"]["hash"] == "aaaa1111bbbb"
    assert own["suites"]["libero_object"]["interval_95"] == list(wilson_interval(3, 6))


def test_a_model_card_takes_the_metadata(run: Path) -> None:
    card = ModelCard(f"---\n{export_run(run, 'model-index')}---\n# My policy\n")
    (result,) = card.data.eval_results
    assert (result.task_type, result.dataset_type) == ("robotics", "libero_object")
    assert (result.metric_type, result.metric_value) == ("success_rate", 50.0)
    low, high = wilson_interval(3, 6)
    assert f"95 % Wilson {100 * low:.1f}–{100 * high:.1f}; 3/6" in result.metric_name
    assert "protocol openvla aaaa1111" in result.metric_name
    assert result.dataset_config == "openvla aaaa1111bbbb"
    assert result.dataset_args == {"tasks": [0, 3], "episodes_per_task": 3, "seed": 7}
    assert result.metric_args["exec_horizon"] == 8
    assert card.data.model_name == "run"


def test_errors_are_no_failures_and_need_a_word(tmp_path: Path) -> None:
    run = write_suite_run(tmp_path / "run", {0: "sse.", 1: "fsss"})
    for format in ("lerobot", "model-index"):
        with pytest.raises(ResultsError, match=r"6 of 8 episodes count, 1 broke.*--incomplete"):
            export_run(run, format)
    info = json.loads(export_run(run, "lerobot", incomplete=True))
    assert [task["metrics"]["successes"] for task in info["per_task"]] == [
        [True, True],
        [False, True, True, True],
    ]
    assert info["libero-bench"]["suites"]["libero_object"]["errors"] == 1
    assert "5/6, incomplete of 8" in " ".join(
        export_run(run, "model-index", incomplete=True).split()
    )


def test_a_run_without_an_episode_is_refused(tmp_path: Path) -> None:
    run = write_suite_run(tmp_path / "run", {0: "ee"})
    with pytest.raises(ResultsError, match="no episode that counts"):
        export_run(run, "lerobot", incomplete=True)
    with pytest.raises(ResultsError, match="Allowed: lerobot, model-index"):
        export_run(run, "csv")  # type: ignore[arg-type]


@pytest.mark.parametrize("format", ["lerobot", "model-index"])
def test_an_export_replaces_exports_only(tmp_path: Path, run: Path, format: str) -> None:
    text = export_run(run, format)  # type: ignore[arg-type]
    path = tmp_path / "new" / "export"
    write_export(path, text)
    write_export(path, text)
    assert path.read_text() == text
    for foreign in ("# My card, judged with libero-bench\n", '{"libero": 1}', '["libero-bench"]'):
        path.write_text(foreign)
        with pytest.raises(ResultsError, match=r"not written by this command.*--overwrite"):
            write_export(path, text)
        assert path.read_text() == foreign
    write_export(path, text, overwrite=True)
    assert path.read_text() == text
    assert [each.name for each in path.parent.iterdir()] == ["export"]
    with pytest.raises(ResultsError, match="is a folder"):
        write_export(tmp_path, text)
