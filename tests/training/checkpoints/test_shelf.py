"""Checkpoints on the disk: whole or not there, the newest and the best kept."""

from pathlib import Path

import pytest

from tasks.errors import ConfigError
from training.checkpoint_manager import Shelf


def write(text: str):
    def fill(folder: Path) -> None:
        folder.mkdir()
        (folder / "weights").write_text(text)

    return fill


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    made = Shelf(tmp_path / "checkpoints")
    for update in (10, 20, 30, 40):
        made.put(update, write(str(update)))
    return made


def test_the_newest_and_the_best_stay(shelf: Shelf) -> None:
    shelf.point_best(10)
    shelf.prune(0)
    assert shelf.updates == [10, 20, 30, 40]
    shelf.prune(2)
    assert shelf.updates == [10, 30, 40]
    assert shelf.best == 10
    assert (shelf.folder / "best" / "weights").read_text() == "10"
    shelf.point_best(40)
    shelf.prune(1)
    assert shelf.updates == [40]


def test_a_full_disk_damages_nothing(shelf: Shelf) -> None:
    def fill(folder: Path) -> None:
        write("half")(folder)
        raise OSError(28, "No space left on device")

    for update in (40, 50):
        with pytest.raises(ConfigError, match="No space left"):
            shelf.put(update, fill)
    assert shelf.updates == [10, 20, 30, 40]
    assert (shelf.place(40) / "weights").read_text() == "40"
    assert not (shelf.folder / ".writing").exists()


def test_a_kill_while_writing_leaves_the_last_one(shelf: Shelf) -> None:
    class Killed(BaseException):
        pass

    def fill(folder: Path) -> None:
        write("half")(folder)
        raise Killed

    with pytest.raises(Killed):
        shelf.put(50, fill)
    assert shelf.updates == [10, 20, 30, 40]
    shelf.put(50, write("50"))
    assert (shelf.place(50) / "weights").read_text() == "50"


def test_rolling_back_forgets_what_came_later(shelf: Shelf) -> None:
    shelf.point_best(40)
    with pytest.raises(ConfigError, match="There: 10, 20, 30, 40"):
        shelf.forget_after(25)
    shelf.forget_after(20)
    assert shelf.updates == [10, 20]
    assert shelf.best is None
    assert not (shelf.folder / "best").is_symlink()
