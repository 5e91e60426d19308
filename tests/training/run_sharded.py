"""Trains as it is told and notes how many numbers this process kept.

python -m tests.training.run_sharded SETTINGS.json 0
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.training.run_killed import main
from training import trainer
from training.sharding import local_shard
from training.trained_weights import TrainedWeights


class Noting(TrainedWeights):
    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        parameters = list(self.raw.parameters())
        kept = sum(local_shard(each).numel() for each in parameters)
        averaged = sum(local_shard(each).numel() for each in self.average.tensors.values())
        note = {"kept": kept, "averaged": averaged, "all": sum(p.numel() for p in parameters)}
        out = Path(json.loads(Path(sys.argv[1]).read_text())["out"])
        out.with_suffix(f".rank{os.environ['RANK']}").write_text(json.dumps(note))


if __name__ == "__main__":
    trainer.TrainedWeights = Noting  # type: ignore[misc]
    main(Path(sys.argv[1]), int(sys.argv[2]))
