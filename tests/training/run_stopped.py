"""Trains as told; the first process is sent Ctrl-C in the middle of an update.

python -m tests.training.run_stopped SETTINGS.json UPDATE
"""

import os
import signal
import sys
from pathlib import Path

from tests.training.run_killed import main
from training import update
from training.config import TrainingConfig


def stop_in(number: int) -> None:
    rate = update.learning_rate

    def stopping(config: TrainingConfig, done: int) -> float:
        if done == number - 1:
            os.kill(os.getpid(), signal.SIGINT)
        return rate(config, done)

    update.learning_rate = stopping


if __name__ == "__main__":
    # A shell that starts the tests in the background has its children ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if os.environ["RANK"] == "0":
        stop_in(int(sys.argv[2]))
    main(Path(sys.argv[1]), 0)
