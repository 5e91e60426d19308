"""Runs that are killed, rolled back or spread over processes, against one that is not."""

import json
from pathlib import Path

import pytest
import torch

from tasks.errors import ConfigError
from tests.training.demo_files import write_file
from tests.training.runs import flat, run_apart, same, state
from tests.training.tiny import save_tiny
from training.checkpoint_manager import STATE
from training.config import TrainingConfig
from training.data.windows import DemoWindows
from training.progress import TrainingStatus
from training.run_folder import RunFolder
from training.trainer import train

pytestmark = pytest.mark.slow


@pytest.fixture
def base(tmp_path: Path) -> dict[str, object]:
    """Return settings of a run of 20 updates."""
    write_file(tmp_path / "demos" / "a.hdf5")
    return {
        "demos": [str(tmp_path / "demos")],
        "checkpoint": str(save_tiny(tmp_path / "tiny")),
        "updates": 20,
        "batch_size": 2,
        "save_every": 5,
        "keep": 0,
        "log_every": 1,
        "warmup": 3,
        "threads": 1,
        "image_shift": 2,
        "condition_mask": 0.2,
        "normalise": "quantile",
    }


def run(settings: dict[str, object], progress=None) -> Path:
    return train(TrainingConfig(**settings), progress)


def test_a_killed_run_ends_in_the_same_bits(
    base: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    read = DemoWindows.__getitem__
    monkeypatch.setattr(
        DemoWindows, "__getitem__", lambda self, index: seen.append(index) or read(self, index)
    )
    run(base | {"out": tmp_path / "whole"})
    straight, seen[:] = list(seen), []
    broken = base | {"out": str(tmp_path / "broken")}
    assert run_apart(broken, last=12) == -9
    assert RunFolder(tmp_path / "broken").checkpoints.updates == [5, 10]
    updates: list[int] = []
    run(broken, lambda status: updates.append(status.update))
    assert updates == list(range(11, 21))
    lines = (tmp_path / "broken" / "train.jsonl").read_text().splitlines()
    assert [json.loads(line)["update"] for line in lines] == list(range(1, 21))
    assert seen == straight[20:]
    for update in (5, 10, 15):
        assert same(state(tmp_path / "whole", update), state(tmp_path / "broken", update))
    for name in ("model.safetensors", "encoders.safetensors"):
        whole, mended = (tmp_path / each / "checkpoint" / name for each in ("whole", "broken"))
        assert whole.read_bytes() == mended.read_bytes()


def test_two_processes_do_as_one_and_stop_together(base: dict[str, object], tmp_path: Path) -> None:
    base |= {"effective_batch_size": 8, "updates": 6, "save_every": 3, "ema": 0.9}
    run(base | {"out": tmp_path / "one"})
    # With --cpu accelerate would start one process, whatever it is told.
    launch = ("accelerate.commands.launch", "--multi_gpu", "--num_processes", "2")
    launch += ("--main_process_port", "0", "-m")
    two = base | {"out": str(tmp_path / "two"), "save_every": 6}
    with pytest.raises(AssertionError):  # the launcher ends as what it started, with an error
        run_apart(two, 3, launch, "tests.training.run_stopped")
    assert RunFolder(tmp_path / "two").checkpoints.updates == [3]
    assert (tmp_path / "two.processes").read_text() == "2"
    one, two = (flat(state(tmp_path / name, 3)) for name in ("one", "two"))
    assert one.keys() == two.keys()
    for name, value in one.items():
        if isinstance(value, torch.Tensor):
            torch.testing.assert_close(value, two[name], rtol=1e-4, atol=1e-5, msg=name)
        else:  # the learning rate of that update among them
            assert value == two[name], name


def test_another_number_of_windows_per_update_does_not_go_on(
    base: dict[str, object], tmp_path: Path
) -> None:
    def stop(status: TrainingStatus) -> None:
        if status.update == 6:
            raise KeyboardInterrupt

    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run(base | {"out": out}, stop)
    assert RunFolder(out).checkpoints.updates == [5, 6]
    changed = base | {"out": out, "batch_size": 4, "from_update": 5}
    with pytest.raises(ConfigError, match="--effective-batch-size 2"):
        run(changed)


def test_rolling_back_with_a_lower_learning_rate(base: dict[str, object], tmp_path: Path) -> None:
    out = tmp_path / "run"
    run(base | {"out": out})
    assert (out / "checkpoint").exists()
    updates: list[int] = []
    with pytest.raises(ConfigError, match="has no such checkpoint"):
        run(base | {"out": out, "from_update": 7})
    again = base | {"out": out, "from_update": 10, "learning_rate": 1e-5}
    run(again, lambda status: updates.append(status.update))
    assert updates == list(range(11, 21))
    events = [json.loads(line) for line in (out / "train.jsonl").read_text().splitlines()]
    assert {"event": "rollback", "update": 10} in events
    assert json.loads((out / "train.json").read_text())["learning_rate"] == 1e-5


def test_a_damaged_state_names_what_to_remove(base: dict[str, object], tmp_path: Path) -> None:
    def stop(status: TrainingStatus) -> None:
        if status.update == 6:
            raise KeyboardInterrupt

    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run(base | {"out": out}, stop)
    newest = RunFolder(out).checkpoints.path(6)
    (newest / STATE).write_bytes((newest / STATE).read_bytes()[:2000])
    with pytest.raises(ConfigError, match=f"remove the folder '{newest}'"):
        run(base | {"out": out})
