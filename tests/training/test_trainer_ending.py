"""Runs that are ended by signals, begun twice, or begun wrongly: nothing is lost or in the way."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import ConfigError, ResultsError
from tests.training.demo_files import write_file
from tests.training.runs import run_apart
from tests.training.tiny import save_tiny
from training.config import TrainingConfig
from training.progress import TrainingStatus
from training.run_folder import RunFolder
from training.trainer import train


@pytest.fixture
def base(tmp_path: Path) -> dict[str, Any]:
    """Return settings of a run of 8 updates that saves nothing before the end."""
    write_file(tmp_path / "demos" / "a.hdf5")
    return {
        "demos": [str(tmp_path / "demos")],
        "checkpoint": str(save_tiny(tmp_path / "tiny")),
        "out": str(tmp_path / "run"),
        "updates": 8,
        "batch_size": 2,
        "save_every": 50,
        "log_every": 1,
        "threads": 1,
    }


def logged(out: Path) -> list[int]:
    lines = (out / "train.jsonl").read_text().splitlines()
    return [json.loads(line)["update"] for line in lines]


@pytest.mark.slow
@pytest.mark.usefixtures("signals_arrive")
def test_a_signal_ends_a_run_after_the_update_in_hand_with_all_of_it_saved(
    base: dict[str, Any],
) -> None:
    out = Path(base["out"])
    endings = {1: signal.SIGINT, 3: signal.SIGTERM, 5: signal.SIGHUP}

    def send(status: TrainingStatus) -> None:
        if status.update in endings:
            os.kill(os.getpid(), endings.pop(status.update))

    for number, saved in ((signal.SIGINT, [2]), (signal.SIGTERM, [2, 4]), (signal.SIGHUP, None)):
        before = signal.getsignal(number)
        with pytest.raises((KeyboardInterrupt, SystemExit)) as caught:
            train(TrainingConfig(**base), send)
        if number != signal.SIGINT:
            assert caught.value.code == 128 + number
        assert signal.getsignal(number) == before
        assert RunFolder(out).checkpoints.updates == (saved or [2, 4, 6])
        assert logged(out) == list(range(1, RunFolder(out).checkpoints.updates[-1] + 1))
    train(TrainingConfig(**base), send)
    assert logged(out) == list(range(1, 9))
    whole = out.with_name("whole")
    train(TrainingConfig(**base | {"out": str(whole)}))
    for name in ("model.safetensors", "encoders.safetensors"):
        straight = (whole / "checkpoint" / name).read_bytes()
        assert (out / "checkpoint" / name).read_bytes() == straight


@pytest.mark.slow
def test_a_second_run_into_a_folder_is_refused(base: dict[str, Any]) -> None:
    refused: list[str] = []

    def train_again(status: TrainingStatus) -> None:
        if status.update == 1:
            for other in ({}, {"updates": 9}):
                with pytest.raises(ResultsError) as caught:
                    train(TrainingConfig(**base | other))
                refused.append(str(caught.value))

    train(TrainingConfig(**base | {"updates": 2}), train_again)
    assert [f"being written by process {os.getpid()}" in words for words in refused] == [True] * 2
    assert logged(Path(base["out"])) == [1, 2]


@pytest.mark.slow
def test_a_kill_while_saving_leaves_each_update_once_in_the_log(base: dict[str, Any]) -> None:
    base |= {"save_every": 2, "updates": 5, "held_out": 1, "sample_period": 2, "sample_windows": 2}
    out = Path(base["out"])
    assert run_apart(base, 1, program="tests.training.run_killed_saving") == -signal.SIGKILL
    assert logged(out) == [1, 2, 2]  # the third is an error of sampled plans
    with (out / "train.jsonl").open("a") as log:
        log.write('{"update": 3, "lo')  # torn
    seen: list[int] = []
    train(TrainingConfig(**base), lambda status: seen.append(status.update))
    assert seen == [1, 2, 3, 4, 5]
    assert logged(out) == [1, 2, 2, 3, 4, 4, 5]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"layout": "eef-gaol"}, "eef-gaol"),
        ({"checkpoint": "nowhere"}, "nowhere"),
        ({"demos": ["nowhere"]}, "nowhere"),
        ({"checkpoint": None, "preset": "rdt-smal"}, "rdt-smal"),
        ({"held_out": 5}, "held out"),
    ],
)
def test_a_wrong_start_leaves_the_folder_to_the_right_one(
    base: dict[str, Any], wrong: dict[str, Any], words: str
) -> None:
    base |= {"updates": 2}
    with pytest.raises(ConfigError, match=words):
        train(TrainingConfig(**base | wrong))
    train(TrainingConfig(**base))
    assert logged(Path(base["out"])) == [1, 2]
    with pytest.raises(ConfigError, match="with other settings"):
        train(TrainingConfig(**base | {"updates": 3}))


def test_a_folder_with_something_in_it_is_refused(base: dict[str, Any], tmp_path: Path) -> None:
    out = Path(base["out"])
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds something that is no training run"):
        train(TrainingConfig(**base))
    assert [path.name for path in out.iterdir()] == ["notes.txt"]
