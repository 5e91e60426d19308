"""Training and planning with fewer cameras than the network has places for."""

import json
from pathlib import Path

import numpy as np
import pytest

from harness.cli import main
from policies.interface import PlanRequest
from policies.rdt.checkpoint.storage import load_checkpoint
from policies.rdt.encoders.images import BACKGROUND
from tasks.errors import ConfigError
from tests.policies.rdt.test_policy import load_policy
from tests.training.demo_files import write_file
from tests.training.tiny import save_tiny
from training.config import TrainingConfig
from training.progress import TrainingStart
from training.trainer import train


@pytest.fixture
def base(tmp_path: Path) -> dict[str, object]:
    path = write_file(tmp_path / "demos" / "a.hdf5", demos=3, cameras=("agentview_rgb",))
    return {
        "demos": (path,),
        "checkpoint": save_tiny(tmp_path / "tiny"),
        "updates": 3,
        "batch_size": 2,
        "warmup": 0,
        "threads": 1,
        "augment": "official",
        "image_shift": 2,
        "held_out": 1,
        "sample_period": 2,
        "sample_windows": 2,
    }


def request(seed: int = 0) -> PlanRequest:
    rng = np.random.default_rng(seed)
    seen = {
        "agentview": rng.integers(0, 255, (16, 16, 3), dtype=np.uint8),
        "joint_pos": rng.normal(size=7),
        "ee_pos": rng.normal(size=3),
        "ee_quat": np.array([1.0, 0.0, 0.0, 0.0]),
        "gripper_qpos": np.array([0.02, -0.02]),
    }
    return PlanRequest(window=[seen, seen], instruction="open the drawer", seed=seed)


@pytest.mark.slow
def test_one_camera_from_demonstrations_to_plans(
    base: dict[str, object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from policies.rdt.encoders.small import ConvImageEncoder

    shown = []
    encode = ConvImageEncoder.forward
    monkeypatch.setattr(
        ConvImageEncoder,
        "forward",
        lambda self, images: shown.append(images.cpu().numpy()) or encode(self, images),
    )
    starts: list[TrainingStart] = []
    run = TrainingConfig(**base, out=tmp_path / "run", cameras=("agentview",))
    written = train(run, on_start=starts.append)
    assert "place of wrist has the background" in starts[0].notes[0]
    policy = load_policy(written)
    assert policy.spec.cameras == ("agentview",)
    assert policy.plan([request()])[0].shape == (8, 7)
    # Whatever augmentation does, training, its watching and planning show the same background.
    assert len(shown) >= 5
    assert all((images[:, :, 1] == BACKGROUND).all() for images in shown)
    assert all(images[:, :, 0].std() > 0 for images in shown)
    assert main(["inspect", str(written), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["camera_slots"] == ["agentview", None]
    assert main(["audit", str(tmp_path / "run"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["facts"]["trained"]["cameras"] == ["agentview"]


@pytest.mark.slow
def test_fine_tuning_keeps_the_cameras_unless_others_are_asked_for(
    base: dict[str, object], tmp_path: Path
) -> None:
    blind = TrainingConfig(**base, out=tmp_path / "blind", cameras=("agentview",))
    start = train(blind)
    tuned = train(TrainingConfig(**(base | {"checkpoint": start}), out=tmp_path / "tuned"))
    assert load_checkpoint(tuned)[1].missing_cameras == ("wrist",)
    both = write_file(tmp_path / "both" / "b.hdf5", demos=2)
    again = base | {"checkpoint": start, "demos": (both,), "cameras": ("wrist", "agentview")}
    seeing = train(TrainingConfig(**again, out=tmp_path / "seeing"))
    assert load_checkpoint(seeing)[1].missing_cameras == ()


def test_demonstrations_without_a_camera_name_the_fix(
    base: dict[str, object], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"camera wrist .*Fix: --cameras agentview"):
        train(TrainingConfig(**base, out=tmp_path / "run"))
