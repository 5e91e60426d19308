"""Demonstrations that go through a LeRobot set give the windows, and the weights, of before."""

import hashlib
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from harness.demonstrations.export import ExportConfig, export_lerobot
from policies.rdt.actions.layout_file import get_layout
from tasks.errors import ConfigError
from tasks.rotations import quat_to_axisangle
from tasks.suites import find_task
from tests.tasks.demos.lerobot.robot import record
from tests.tasks.demos.lerobot.sets import HUGGINGFACE_VLA, IPEC, LEROBOT, Kind, write_set
from tests.training.demo_files import write_collected
from tests.training.tiny import save_tiny
from tests.training.windows import load, windows_of
from training.config import TrainingConfig
from training.data.images import LazyImages
from training.run_folder import RunFolder
from training.setup import set_up
from training.trainer import train

TASK = find_task("libero_goal", "open_the_middle_drawer_of_the_cabinet")
HORIZON, SIZE = 8, 48


def hashes(path: Path, layout: str, **settings: object) -> list[str]:
    """Hash state, actions, images and sentence of each window."""
    data = windows_of(path, layout=get_layout(layout), horizon=HORIZON, **settings)
    found = []
    for window in (data[index] for index in range(len(data))):
        digest = hashlib.sha256("|".join(data.instructions).encode())
        for key in ("state", "actions", "images", "token_ids", "token_mask"):
            digest.update(window[key].numpy().tobytes())
        found.append(digest.hexdigest())
    return found


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write_collected(tmp_path_factory.mktemp("ours") / TASK.demo_file, steps=30)
    with h5py.File(path, "r+") as file:
        for demo in file["data"].values():
            demo["intended_actions"] = np.clip(demo["actions"][...] * 0.9, -1, 1)
    return path


@pytest.fixture(scope="module", params=["v3.0", "v2.1"])
def exported(
    request: pytest.FixtureRequest, collected: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("set") / "set"
    config = ExportConfig(version=request.param, codec="png", workers=1)
    export_lerobot([collected], out, config, lambda *_: None)
    return out


@pytest.mark.parametrize("layout", ["eef-goal", "joints", "eef-velocity"])
def test_windows_are_the_same_with_the_default_targets(
    exported: Path, collected: Path, layout: str
) -> None:
    assert hashes(exported, layout) == hashes(collected, layout)


def test_windows_are_the_same_without_intended_actions(collected: Path, tmp_path: Path) -> None:
    without = tmp_path / TASK.demo_file
    without.parent.mkdir()
    without.write_bytes(collected.read_bytes())
    with h5py.File(without, "r+") as file:
        for demo in file["data"].values():
            del demo["intended_actions"]
    config = ExportConfig(codec="png", workers=1)
    export_lerobot([without], tmp_path / "set", config, lambda *_: None)
    ours = hashes(collected, "eef-goal", targets="executed")
    assert hashes(tmp_path / "set", "eef-goal", targets="executed") == ours
    assert hashes(tmp_path / "set", "eef-goal") == ours  # nothing else is there
    assert hashes(collected, "eef-goal") != ours


@pytest.mark.parametrize("codec", ["h264", "av1"])
def test_videos_show_the_same_moments(codec: str, tmp_path: Path) -> None:
    path = as_hdf5(tmp_path / TASK.demo_file)
    config = ExportConfig(codec=codec, workers=1)  # type: ignore[arg-type]
    result = export_lerobot([path], tmp_path / "set", config, lambda *_: None)
    ours, theirs = windows_of(path), windows_of(tmp_path / "set")
    assert len(ours) == len(theirs)
    for index in range(0, len(ours), 7):
        one, other = ours[index], theirs[index]
        assert torch.equal(one["state"], other["state"])
        assert torch.equal(one["actions"], other["actions"])
        error = (one["images"].int() - other["images"].int()).abs().float()[:, 0].mean()
        assert error < 3
    assert result.error["agentview"] < 1
    assert 0 < result.error["wrist"] < 25


def as_hdf5(path: Path, episodes: int = 2, single: bool = True) -> Path:
    """Write the recorded episodes as OpenVLA's script does, in single precision."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = np.float32 if single else np.float64
    with h5py.File(path, "w") as file:
        for number in range(episodes):
            recorded = record(number, size=SIZE)
            group = file.create_group(f"data/demo_{number}")
            turned = quat_to_axisangle(recorded.quaternion, keep_sign=True)
            hand = np.concatenate([recorded.position, turned], axis=1)
            group["actions"] = recorded.actions.astype(kind)
            group["obs/ee_states"] = hand.astype(kind)
            group["obs/gripper_states"] = recorded.fingers.astype(kind)
            group["obs/joint_states"] = recorded.joints.astype(kind)
            group["obs/agentview_rgb"] = recorded.agentview
            group["obs/eye_in_hand_rgb"] = recorded.wrist
    return path


def public_copy(root: Path, kind: Kind) -> Path:
    episodes = [record(number, size=SIZE) for number in range(2)]
    return write_set(root, episodes, kind, tasks=(TASK.name_instruction,))


def trained(
    demos: Path, out: Path, checkpoint: Path, updates: int = 20, **settings: object
) -> dict[str, torch.Tensor]:
    config = TrainingConfig(
        demos=(demos,),
        out=out,
        updates=updates,
        batch_size=4,
        checkpoint=str(checkpoint),
        seed=3,
        **settings,
    )
    train(config)
    folder = RunFolder(out).checkpoint
    return load_file(folder / "model.safetensors") | load_file(folder / "encoders.safetensors")


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return as_hdf5(tmp_path_factory.mktemp("reference") / TASK.demo_file)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("start") / "start"
    return save_tiny(folder, render_size=SIZE, layout="hand-velocity")


@pytest.fixture(scope="module")
def reference_weights(
    reference: Path, start: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, torch.Tensor]:
    return trained(reference, tmp_path_factory.mktemp("ours") / "run", start)


@pytest.mark.parametrize(
    "kind", [HUGGINGFACE_VLA, replace(IPEC, codec="png")], ids=["HuggingFaceVLA", "IPEC"]
)
def test_a_lossless_public_copy_gives_the_same_windows_and_weights(
    kind: Kind,
    reference: Path,
    start: Path,
    reference_weights: dict[str, torch.Tensor],
    tmp_path: Path,
) -> None:
    copy = public_copy(tmp_path / "copy", kind)
    for layout in ("hand-goal", "hand-velocity", "hand-pose"):
        assert hashes(copy, layout) == hashes(reference, layout)
    theirs = trained(copy, tmp_path / "run", start)
    assert reference_weights.keys() == theirs.keys()
    assert all(torch.equal(reference_weights[name], theirs[name]) for name in theirs)


def test_layouts_with_joints_are_refused_where_there_are_none(tmp_path: Path) -> None:
    copy = public_copy(tmp_path / "copy", HUGGINGFACE_VLA)
    config = TrainingConfig(demos=(copy,), out=tmp_path / "run", updates=1)
    with pytest.raises(ConfigError, match=r"no joint positions.*Allowed: hand-goal, hand-pose, "):
        set_up(config, RunFolder(tmp_path / "run"))


def test_the_contract_keeps_what_was_found(tmp_path: Path) -> None:
    copy = public_copy(tmp_path / "copy", IPEC)
    config = TrainingConfig(
        demos=(copy,), out=tmp_path / "run", updates=1, layout="hand-velocity", pictures="lazy"
    )
    setup = set_up(config, RunFolder(tmp_path / "run"))
    (found,) = setup.contract.demos["found"].values()
    assert found["gripper"]["value"] == "1 open, 0 close"
    assert found["pictures"]["value"] == "rotated"
    assert found["fps_label"] == 20
    assert setup.contract.control_hz == 20
    assert any("gripper 1 open, 0 close" in note for note in setup.notes)


def test_images_of_videos_stay_in_their_files(tmp_path: Path) -> None:
    copy = public_copy(tmp_path / "copy", LEROBOT)
    assert all(isinstance(each.images, LazyImages) for each in load(copy).training)
    assert windows_of(copy, layout=get_layout("hand-velocity")).decodes


def test_decoding_ahead_changes_nothing(start: Path, tmp_path: Path) -> None:
    copy = public_copy(tmp_path / "copy", LEROBOT)
    ahead = trained(copy, tmp_path / "lazy", start, updates=3)
    memory = trained(copy, tmp_path / "memory", start, updates=3, pictures="memory")
    assert all(torch.equal(ahead[name], memory[name]) for name in memory)
