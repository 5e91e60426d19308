"""Trains as told, evaluated by a double; killed after some update without a word, as machines fail.

python -m tests.training.run_killed SETTINGS.json UPDATE, 0 for never.
"""

import json
import os
import signal
import sys
from pathlib import Path

from pydantic import TypeAdapter

from tests.training.evaluators import ScriptedEvaluator
from training.config import TrainingConfig
from training.progress import TrainingStart, TrainingStatus
from training.trainer import train


def main(settings: Path, last: int) -> None:
    def progress(status: TrainingStatus) -> None:
        if status.update == last:
            os.kill(os.getpid(), signal.SIGKILL)

    def report(start: TrainingStart) -> None:
        settings.with_suffix(".processes").write_text(str(start.processes))

    config = TypeAdapter(TrainingConfig).validate_python(json.loads(settings.read_text()))
    evaluator = ScriptedEvaluator() if config.eval_every else None
    train(config, progress, report, evaluator)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
