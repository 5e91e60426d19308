"""Training with large encoders that stay as they are: nothing of them is trained or saved."""

from pathlib import Path

import pytest
import torch

from policies.rdt.checkpoint.storage import load_checkpoint
from policies.rdt.encoders.base import EncoderSources
from tasks.errors import ConfigError
from tests.policies.rdt.encoders.frozen_files import write_siglip, write_t5
from tests.training.demo_files import write_file
from tests.training.tiny import save_tiny, save_tiny_frozen
from training.config import TrainingConfig
from training.trainer import train


@pytest.mark.slow
def test_frozen_encoders_feed_rdt_and_stay_out_of_the_checkpoint(tmp_path: Path) -> None:
    sources = EncoderSources(
        siglip=str(write_siglip(tmp_path / "siglip")), t5=str(write_t5(tmp_path / "t5"))
    )
    network = save_tiny_frozen(tmp_path / "start", sources)
    config = TrainingConfig(
        demos=(write_file(tmp_path / "a.hdf5", size=16),),
        checkpoint=tmp_path / "start",
        out=tmp_path / "run",
        updates=3,
        batch_size=2,
        warmup=0,
        threads=1,
        siglip=sources.siglip,
        t5=sources.t5,
        mask_language=0.3,
    )
    written = train(config)
    trained, _ = load_checkpoint(written, sources=sources)
    before, after = network.state_dict(), trained.state_dict()
    assert before.keys() == after.keys()
    assert not any(name.startswith(("image_encoder", "text_encoder")) for name in after)
    moved = "rdt.model.final_layer.ffn_final.fc2.weight"
    assert not torch.equal(before[moved], after[moved])


def test_sources_that_would_be_ignored_are_refused(tmp_path: Path) -> None:
    config = TrainingConfig(
        demos=(write_file(tmp_path / "a.hdf5", size=16),),
        checkpoint=save_tiny(tmp_path / "tiny"),
        out=tmp_path / "run",
        t5="somewhere",
    )
    with pytest.raises(ConfigError, match="small ones of its own"):
        train(config)
