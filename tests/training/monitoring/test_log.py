"""Numbers arrive in TensorBoard and wandb, once each, and neither costs a training."""

import json
import warnings
from pathlib import Path

import pytest

from tasks.errors import ConfigError, PrerequisiteError
from tests.training.demo_files import write_file
from tests.training.runs import run_apart
from tests.training.tiny import save_tiny
from training.config import TrainingConfig
from training.monitoring import log as trackers
from training.monitoring.log import open_tracker
from training.monitoring.report import read_log
from training.trainer import train


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, object]:
    return {
        "demos": [str(write_file(tmp_path / "demos" / "a.hdf5", demos=3))],
        "checkpoint": str(save_tiny(tmp_path / "tiny")),
        "out": str(tmp_path / "run"),
        "updates": 9,
        "batch_size": 2,
        "log_every": 1,
        "save_every": 3,
        "sample_period": 4,
        "sample_windows": 2,
        "held_out": 1,
        "threads": 1,
    }


@pytest.mark.slow
def test_a_killed_run_leaves_one_point_for_each_update(settings: dict[str, object]) -> None:
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    settings |= {"track": "tensorboard"}
    assert run_apart(settings, last=5) == -9
    run = Path(str(settings["out"]))
    train(TrainingConfig(**settings))
    events = reading.EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    logged = [entry for entry in read_log(run) if "sampled" not in entry]
    for tag in ("loss", "lr", "gradient_norm"):
        points = events.Scalars(tag)
        assert [point.step for point in points] == list(range(1, 10))
        expected = [entry[tag] for entry in logged]
        assert [point.value for point in points] == pytest.approx(expected, rel=1e-6)
    assert [point.step for point in events.Scalars("sampled/overall")] == [4, 8]


def test_files_begun_at_once_are_read_in_their_order(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    seconds = []
    for done in range(3):
        open_tracker("tensorboard", tmp_path, {}, done=done).close()
        names = sorted(path.name for path in (tmp_path / "tensorboard").iterdir())
        seconds.append(names[-1].split(".")[3])
        assert len(names) == done + 1
    assert seconds == sorted(set(seconds))


def test_wandb_without_a_network(
    settings: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # what is said where it fails
        train(TrainingConfig(**(settings | {"track": "wandb"})))
    run = Path(str(settings["out"]))
    identity = (run / "wandb.id").read_text()
    (written,) = run.glob(f"wandb/offline-run-*-{identity}/run-{identity}.wandb")
    values = _history(written)
    logged = [entry for entry in read_log(run) if "sampled" not in entry]
    assert values == pytest.approx({entry["update"]: entry["loss"] for entry in logged})


def _history(path: Path) -> dict[int, float]:
    """Read the losses by update from wandb's own file."""
    from wandb.proto.wandb_internal_pb2 import Record

    found = {}
    for data in _logged(path.read_bytes()):
        record = Record()
        record.ParseFromString(data)
        row = {(i.key or ".".join(i.nested_key)): i.value_json for i in record.history.item}
        if "loss" in row:
            found[int(row["_step"])] = float(json.loads(row["loss"]))
    return found


def _logged(content: bytes) -> list[bytes]:
    """Take a log of LevelDB's kind apart: blocks of 32 KiB; checksum, length, kind, data."""
    records, place, part = [], 7, b""
    while place + 7 <= len(content):
        if 32768 - place % 32768 < 7:  # what is too short for a header is padding
            place += 32768 - place % 32768
            continue
        size, kind = int.from_bytes(content[place + 4 : place + 6], "little"), content[place + 6]
        part += content[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # whole, or the last part
            records.append(part)
            part = b""
    return records


class Broken:
    def __init__(self, folder: Path, done: int) -> None:
        self.calls = 0

    def log(self, values: dict[str, float], update: int) -> None:
        self.calls += 1
        if update == 2:
            raise OSError("no space left")
        assert self.calls == 1, "asked again"

    def close(self) -> None:
        raise AssertionError("asked again")


@pytest.mark.slow
def test_a_tracker_that_fails_does_not_cost_the_training(
    settings: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trackers, "_TensorBoard", Broken)
    with pytest.warns(UserWarning, match="Broken failed .no space left.*train.jsonl") as said:
        written = train(TrainingConfig(**(settings | {"track": "tensorboard"})))
    assert len([each for each in said if "Broken" in str(each.message)]) == 1
    assert (written / "model.safetensors").exists()


def test_a_tracker_that_does_not_start_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(folder: Path, done: int) -> None:
        raise PermissionError("not yours")

    monkeypatch.setattr(trackers, "_TensorBoard", fail)
    with pytest.raises(ConfigError, match=r"does not start \(not yours\).*drop --track"):
        open_tracker("tensorboard", tmp_path, {})


def test_a_tracker_that_is_not_installed_names_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "wandb", None)
    with pytest.raises(PrerequisiteError, match=r"libero-bench\[wandb\]"):
        open_tracker("wandb", tmp_path, {})
    assert open_tracker("none", tmp_path, {}) is None
