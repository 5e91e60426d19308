"""Checkpoints on the disk: whole or not there, the newest and the best kept."""

from pathlib import Path

import pytest

from tasks.errors import ConfigError
from tasks.files import draft_of
from training.checkpoint_manager import CheckpointManager


def write(text: str):
    def fill(folder: Path) -> None:
        (folder / "weights").write_text(text)

    return fill


@pytest.fixture
def checkpoints(tmp_path: Path) -> CheckpointManager:
    made = CheckpointManager(tmp_path / "checkpoints")
    for update in (10, 20, 30, 40):
        made.save(update, write(str(update)))
    return made


def test_the_newest_and_the_best_stay(checkpoints: CheckpointManager) -> None:
    checkpoints.mark_best(10)
    checkpoints.prune(0)
    assert checkpoints.updates == [10, 20, 30, 40]
    checkpoints.prune(2)
    assert checkpoints.updates == [10, 30, 40]
    assert checkpoints.best == 10
    assert (checkpoints.folder / "best" / "weights").read_text() == "10"
    checkpoints.mark_best(40)
    checkpoints.prune(1)
    assert checkpoints.updates == [40]


def test_a_full_disk_damages_nothing(checkpoints: CheckpointManager) -> None:
    def fill(folder: Path) -> None:
        write("half")(folder)
        raise OSError(28, "No space left on device")

    for update in (40, 50):
        with pytest.raises(ConfigError, match="No space left"):
            checkpoints.save(update, fill)
    assert checkpoints.updates == [10, 20, 30, 40]
    assert (checkpoints.path(40) / "weights").read_text() == "40"
    assert not list(checkpoints.folder.glob(".*"))


@pytest.mark.parametrize("update", [50, 60])
def test_a_kill_while_writing_leaves_the_last_one(
    checkpoints: CheckpointManager, update: int
) -> None:
    torn = draft_of(checkpoints.path(50))
    torn.mkdir()
    write("half")(torn)
    assert checkpoints.updates == [10, 20, 30, 40]
    checkpoints.save(update, write("whole"))
    assert (checkpoints.path(update) / "weights").read_text() == "whole"
    assert not torn.exists()


def test_rolling_back_forgets_what_came_later(checkpoints: CheckpointManager) -> None:
    checkpoints.mark_best(40)
    with pytest.raises(ConfigError, match="There: 10, 20, 30, 40"):
        checkpoints.remove_after(25)
    checkpoints.remove_after(20)
    assert checkpoints.updates == [10, 20]
    assert checkpoints.best is None
    assert not (checkpoints.folder / "best").is_symlink()
