import os
from multiprocessing import Pipe
from typing import Any

from harness.evaluation.workers import Worker, innermost_frame, limit_reading


def test_a_message_that_does_not_go_on_is_no_message() -> None:
    """As from a worker that is stopped while it sends: reading must not wait for ever."""
    ours, theirs = Pipe()
    limit_reading(ours, 0.2)
    process: Any = None
    worker = Worker(0, process, ours)
    theirs.send("whole")
    assert worker.receive() == "whole"
    os.write(theirs.fileno(), b"\x00\x00\x10\x00half")
    assert worker.receive() is None


def test_the_innermost_frame_is_read_from_a_log(tmp_path) -> None:
    log = tmp_path / "log"
    log.write_text('File "/old/file.py", line 1 in earlier\n')
    offset = log.stat().st_size
    assert innermost_frame(log, offset) == ""
    with log.open("a") as file:
        file.write('Current thread (most recent call first):\n  File "/a/b.py", line 12 in step\n')
        file.write('  File "/a/c.py", line 7 in run\n')
    assert innermost_frame(log, offset) == "in step (b.py, line 12)"
    assert innermost_frame(tmp_path / "none", 0) == ""
