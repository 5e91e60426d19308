"""Trains several runs as told, one after the other, and notes how many numbers this process kept.

python -m tests.training.run_sharded SETTINGS.json 0, where SETTINGS.json lists the settings.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from training import trainer
from training.config import TrainingConfig
from training.sharding import local_shard
from training.trained_weights import TrainedWeights


class Noting(TrainedWeights):
    def __init__(self, network: Any, trained: Any, config: TrainingConfig, *rest: Any) -> None:
        super().__init__(network, trained, config, *rest)
        parameters = list(self.raw.parameters())
        kept = sum(local_shard(weight).numel() for weight in parameters)
        averaged = sum(local_shard(average).numel() for average in self.average.tensors.values())
        note = {"kept": kept, "averaged": averaged, "all": sum(p.numel() for p in parameters)}
        config.out.with_suffix(f".rank{os.environ['RANK']}").write_text(json.dumps(note))


if __name__ == "__main__":
    trainer.TrainedWeights = Noting  # type: ignore[misc]
    for settings in json.loads(Path(sys.argv[1]).read_text()):
        trainer.train(TypeAdapter(TrainingConfig).validate_python(settings))
