"""``demos export``: what it writes, resumes, refuses and leaves out."""

import json
from pathlib import Path

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest

from harness.cli import main
from harness.demonstrations.export import ExportConfig, export_lerobot
from tasks.demos.file import open_demos
from tasks.demos.folders import demo_task, find_demo_files
from tasks.demos.reader import read_demos
from tasks.errors import ConfigError
from tests.tasks.demos.lerobot.robot import record
from tests.tasks.demos.lerobot.sets import IPEC, write_set
from tests.training.demo_files import write_collected


def silent(*_: object) -> None:
    """Report nothing."""


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ours") / "libero_goal/turn_on_the_stove_demo.hdf5"
    write_collected(path, steps=30)
    with h5py.File(path, "r+") as file:
        for number, demo in enumerate(file["data"].values()):
            demo.attrs["scene_seed"] = 100 + number
            demo.attrs["phases"] = json.dumps([{"step": 4, "kind": "goal", "what": "stove"}])
    return path


def test_the_command_writes_a_set_and_names_what_uploads_it(
    collected: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "set"
    words = ["demos", "export", str(collected), "--format", "lerobot", "--codec", "png"]
    words += ["--version", "v3.0", "--name", "me/libero", "--workers", "1", "--out", str(out)]
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["episodes"], told["frames"], told["left_out"]) == (2, 60, [])
    assert told["commands"] == [
        f"hf upload me/libero {out} --repo-type dataset",
        "hf repo tag create me/libero v3.0 --repo-type dataset",
    ]
    card = (out / "README.md").read_text()
    assert "license: cc-by-4.0" in card and "turn on the stove" in card
    assert "libero-bench demos export turn_on_the_stove_demo.hdf5 --format lerobot" in card
    assert main(words) == 2
    assert "is there" in capsys.readouterr().err
    assert not out.with_name("set.parts").exists()


def test_notes_keep_how_episodes_start_and_their_phases(collected: Path, tmp_path: Path) -> None:
    export_lerobot([collected], tmp_path / "set", ExportConfig(codec="png", workers=1), silent)
    ours = list(read_demos(collected))
    theirs = list(read_demos(find_demo_files(tmp_path / "set")[0]))
    assert [demo.phases for demo in theirs] == [demo.phases for demo in ours]
    notes = json.loads((tmp_path / "set/meta/libero-bench.json").read_text())
    assert [notes["episodes"][key]["scene_seed"] for key in ("0", "1")] == [100, 101]
    assert notes["episodes"]["1"]["bddl_file_name"] == "libero_goal/turn_on_the_stove.bddl"
    assert notes["tasks"]["0"]["provenance"] == {"expert": "scripted"}


@pytest.mark.parametrize("version", ["v3.0", "v2.1"])
def test_the_plain_columns_are_those_of_lerobots_own_set(
    version: str, collected: Path, tmp_path: Path
) -> None:
    config = ExportConfig(version=version, codec="png", exact=False, workers=1)  # type: ignore[arg-type]
    export_lerobot([collected], tmp_path / "set", config, silent)
    info = json.loads((tmp_path / "set/meta/info.json").read_text())
    assert (info["codebase_version"], info["fps"], info["total_frames"]) == (version, 20, 60)
    shapes = {key: feature["shape"] for key, feature in info["features"].items()}
    assert shapes["observation.state"] == [8] and shapes["action"] == [7]
    assert shapes["observation.images.image"] == shapes["observation.images.image2"] == [16, 16, 3]
    assert not any(key.startswith("libero.") for key in shapes)
    (path, *_) = sorted((tmp_path / "set/data").rglob("*.parquet"))
    table = pq.read_table(path)
    assert set(table.column_names) == set(shapes)
    demo = next(read_demos(collected))
    np.testing.assert_array_equal(
        np.array(table["action"].to_pylist()[:30], dtype=np.float32),
        demo.actions.astype(np.float32),
    )
    times = table["timestamp"].to_numpy()[:30]
    np.testing.assert_array_equal(times, (np.arange(30) / 20).astype(np.float32))


def test_statistics_are_exact(collected: Path, tmp_path: Path) -> None:
    export_lerobot([collected], tmp_path / "set", ExportConfig(codec="png", workers=1), silent)
    statistics = json.loads((tmp_path / "set/meta/stats.json").read_text())
    actions = np.concatenate([demo.actions for demo in read_demos(collected)]).astype(np.float32)
    found = statistics["action"]
    np.testing.assert_allclose(found["mean"], actions.mean(0, dtype=np.float64))
    np.testing.assert_allclose(found["std"], actions.std(0, dtype=np.float64))
    np.testing.assert_allclose(found["q10"], np.quantile(actions.astype(np.float64), 0.1, axis=0))
    images = np.concatenate([demo.images["agentview"] for demo in read_demos(collected)]) / 255
    shown = statistics["observation.images.image"]
    np.testing.assert_allclose(np.ravel(shown["mean"]), images.mean((0, 1, 2)))
    np.testing.assert_allclose(np.ravel(shown["std"]), images.std((0, 1, 2)))
    assert np.shape(shown["max"]) == (3, 1, 1)


def test_a_killed_export_goes_on(
    collected: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = ExportConfig(codec="png", workers=1)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.demonstrations.export.write_dataset", killed)
    with pytest.raises(KeyboardInterrupt):
        export_lerobot([collected], tmp_path / "set", config, silent)
    monkeypatch.undo()
    seen: list[int] = []
    export_lerobot([collected], tmp_path / "set", config, lambda done, *_: seen.append(done))
    assert seen == [2]  # both were there


def test_broken_episodes_are_left_out_and_named_in_the_card(tmp_path: Path) -> None:
    root = write_set(tmp_path / "given", [record(seed) for seed in range(4)], IPEC)
    video = root / "videos/chunk-000/observation.images.wrist_image/episode_000002.mp4"
    content = bytearray(video.read_bytes())
    content[len(content) // 3 : -len(content) // 3] = bytes(len(content) // 3)
    video.write_bytes(content)
    config = ExportConfig(codec="png", workers=1)
    exported = export_lerobot(find_demo_files(root), tmp_path / "set", config, silent)
    assert exported.episodes == 3
    (left_out,) = exported.left_out
    assert left_out.startswith("task_0 demo_1: ")
    assert left_out in (tmp_path / "set/README.md").read_text()
    assert len(list(read_demos(tmp_path / "set/task_0"))) == 1


def test_images_of_two_sizes_are_no_set(collected: Path, tmp_path: Path) -> None:
    other = tmp_path / "libero_goal/turn_on_the_stove_demo.hdf5"
    write_collected(other, size=24)
    with pytest.raises(ConfigError, match="export them apart"):
        export_lerobot([collected, other], tmp_path / "set", ExportConfig(workers=1), silent)
    assert not (tmp_path / "set.parts").exists()


def test_tasks_of_one_sentence_stay_apart(tmp_path: Path) -> None:
    name = "close_the_top_drawer_of_the_cabinet"
    scenes = [f"KITCHEN_SCENE{number}_{name}" for number in (10, 5)]
    for scene in scenes:
        path = write_collected(tmp_path / f"libero_90/{scene}_demo.hdf5", steps=30, demos=1)
        with h5py.File(path, "r+") as file:
            file["data"].attrs["bddl_file_name"] = f"libero_90/{scene}.bddl"
    files = [tmp_path / f"libero_90/{scene}_demo.hdf5" for scene in scenes]
    export_lerobot(files, tmp_path / "set", ExportConfig(codec="png", workers=1), silent)
    found = find_demo_files(tmp_path / "set")
    assert [path.name for path in found] == ["task_0", "task_1"]
    for path, scene, source in zip(found, scenes, files, strict=True):
        with open_demos(path) as task:
            assert (demo_task(task).suite, demo_task(task).name) == ("libero_90", scene)
        ours, theirs = next(read_demos(source)), next(read_demos(path))
        np.testing.assert_array_equal(theirs.images["wrist"], ours.images["wrist"])
        assert theirs.instruction == ours.instruction
