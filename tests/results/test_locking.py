"""Who writes a folder alone, and for how long."""

import fcntl
import os
from pathlib import Path

import pytest

from results.locking import LOCK_FILE, WriterLock, sole_writer
from tasks.errors import ConfigError, ResultsError


def test_unfinished_work_has_one_writer(tmp_path: Path) -> None:
    folder = tmp_path / "out" / ".parts"
    with sole_writer(folder):
        with (
            pytest.raises(ResultsError, match="out' is being written by process"),
            sole_writer(folder, folder.parent),
        ):
            pass
        (folder / "part").write_text("kept")
    assert (folder / "part").exists()
    (folder / "part").unlink()
    with sole_writer(folder), (folder / LOCK_FILE).open() as lock, pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert not folder.exists()


def test_work_that_is_refused_leaves_a_folder_as_it_was(tmp_path: Path) -> None:
    def refused(*made: str) -> set[str]:
        with pytest.raises(ConfigError), sole_writer(tmp_path):
            for name in made:
                (tmp_path / name).touch()
            raise ConfigError("no")
        return {path.name for path in tmp_path.iterdir()}

    (tmp_path / "foreign").touch()
    assert refused() == {"foreign"}
    assert refused("begun") == {"foreign", "begun", LOCK_FILE}
    assert refused() == {"foreign", "begun", LOCK_FILE}  # the work's lock from before


def test_a_forked_process_does_not_hold_the_lock(tmp_path: Path) -> None:
    lock = WriterLock.take(tmp_path / ".lock")
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(theirs)
        os.read(ours, 1)  # until the parent closes its end
        os._exit(0)
    lock.release()
    WriterLock.take(tmp_path / ".lock").release()
    os.close(theirs)
    os.waitpid(child, 0)
