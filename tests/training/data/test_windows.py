"""Cutting training samples from demonstrations."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from policies.rdt.encoders.images import BACKGROUND, resize_frames
from tasks.demos.reader import read_demos
from tasks.errors import ConfigError
from tasks.suites import Instructions
from tests.training.demo_files import write_file
from tests.training.windows import LAYOUT, load, windows_of
from training.data.windows import mask_conditions
from training.data_settings import DataSettings
from training.setup_notes import instruction_notes

ARM = slice(39, 45)


def test_a_sample_is_what_was_seen_and_what_was_done_next(tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.hdf5", convention="before_action")
    demo = list(read_demos(path))[1]
    data = windows_of(path)
    assert len(data) == 24
    sample = data[12 + 3]
    frames = resize_frames(demo.images["wrist"][2:4], 16)
    assert torch.equal(sample["images"][:, 1], frames)
    np.testing.assert_allclose(
        LAYOUT.decode_actions(sample["actions"].numpy()), demo.actions[3:11], atol=1e-6
    )


@pytest.mark.parametrize(
    ("instructions", "words", "noted"),
    [
        ("name", "open the middle drawer of the cabinet", "open the drawer"),
        ("bddl", "Open the middle layer of the drawer", "open the drawer"),
    ],
)
def test_the_task_is_learnt_in_the_words_asked_for_and_others_are_said_once(
    tmp_path: Path, instructions: Instructions, words: str, noted: str
) -> None:
    for place in ("a", "b"):
        write_file(tmp_path / place / "libero_goal/open_the_middle_drawer_of_the_cabinet_demo.hdf5")
    write_file(tmp_path / "others" / "open_the_drawer_demo.hdf5")
    data = windows_of(tmp_path, instructions=instructions)
    assert data.instructions == sorted([words, noted])
    (note,) = instruction_notes(load(tmp_path, instructions=instructions).files)
    assert note.startswith("2 of 3 files note another instruction")
    assert note.endswith(f"“{words}”, not “{noted}”.")
    others = load(tmp_path / "others", instructions=instructions)
    assert instruction_notes(others.files) == []


def test_the_first_frame_repeats_and_the_tail_stands_still(tmp_path: Path) -> None:
    data = windows_of(write_file(tmp_path / "a.hdf5", convention="before_action"))
    first, last = data[0]["images"], data[11]["actions"]
    assert torch.equal(first[0], first[1])
    decoded = LAYOUT.decode_actions(last.numpy())
    assert (decoded[1:, :6] == 0).all()
    assert (decoded[:, 6] == 1.0).all()


@pytest.mark.parametrize("convention", ["before_action", "after_action"])
def test_pictures_are_the_same_kept_or_read(tmp_path: Path, convention: str) -> None:
    path = write_file(tmp_path / "a.hdf5", convention=convention, size=24)
    kept, lazy = windows_of(path, pictures="memory"), windows_of(path, pictures="lazy")
    assert len(kept) == len(lazy)
    for index in range(len(kept)):
        assert torch.equal(kept[index]["images"], lazy[index]["images"])
    loader = torch.utils.data.DataLoader(lazy, batch_size=4, num_workers=2)
    together = torch.cat([batch["images"] for batch in loader])
    assert torch.equal(together, torch.stack([kept[i]["images"] for i in range(len(kept))]))


@pytest.mark.parametrize("pictures", ["memory", "lazy"])
@pytest.mark.parametrize("camera", ["agentview", "wrist"])
def test_the_place_of_a_missing_camera_has_the_background(
    tmp_path: Path, pictures: str, camera: str
) -> None:
    path = write_file(tmp_path / "a.hdf5", size=24)
    whole, blind = windows_of(path), windows_of(path, pictures=pictures, missing=(camera,))
    hidden = ("agentview", "wrist").index(camera)
    for index in (0, 7):
        seen, expected = blind[index]["images"], whole[index]["images"]
        assert (seen[:, hidden] == BACKGROUND).all()
        assert torch.equal(seen[:, 1 - hidden], expected[:, 1 - hidden])


@pytest.mark.parametrize("pictures", ["memory", "lazy"])
def test_demonstrations_need_only_the_cameras_that_are_shown(tmp_path: Path, pictures: str) -> None:
    path = write_file(tmp_path / "a.hdf5", cameras=("agentview_rgb",))
    assert windows_of(path, pictures=pictures, missing=("wrist",))[3]["images"].shape[1] == 2
    with pytest.raises(ConfigError, match=r"no pictures of the camera wrist.*--cameras agentview"):
        windows_of(path, pictures=pictures)
    with pytest.raises(ConfigError, match=r"eye_in_hand_rgb is missing"):
        windows_of(path, pictures=pictures, missing=("agentview",))


@pytest.mark.parametrize("pictures", ["memory", "lazy"])
def test_pictures_that_show_nothing_are_not_trained_on(tmp_path: Path, pictures: str) -> None:
    path = write_file(tmp_path / "a.hdf5")
    with h5py.File(path, "r+") as file:
        file["data/demo_1/obs/eye_in_hand_rgb"][...] = 0
    with pytest.raises(ConfigError, match=r"demo_1/obs/eye_in_hand_rgb shows nothing.*black"):
        windows_of(path, pictures=pictures)
    assert len(windows_of(path, pictures=pictures, missing=("wrist",)))


def test_the_tail_as_asked(tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.hdf5", convention="before_action")
    demo = next(read_demos(path))
    repeated = windows_of(path, tail="official")[9]["actions"]
    assert torch.equal(repeated[3:], repeated[2:3].expand(5, -1))
    np.testing.assert_allclose(
        LAYOUT.decode_actions(repeated[2].numpy()), demo.actions[-1], atol=1e-6
    )
    assert windows_of(path, tail="masked")[9]["valid"].tolist() == [True] * 3 + [False] * 5
    assert "valid" not in windows_of(path)[9]


def test_what_was_executed_is_learnt_or_what_was_intended(tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.hdf5", convention="before_action")
    for targets in ("executed", "intended"):  # a file that does not have both
        sample = windows_of(path, targets=targets)[0]["actions"]
        assert torch.equal(sample, windows_of(path)[0]["actions"])
    with h5py.File(path, "r+") as file:
        for demo in file["data"].values():
            demo["intended_actions"] = np.full(demo["actions"].shape, 0.25)
    assert torch.equal(windows_of(path)[0]["actions"], sample)
    intended = windows_of(path, targets="intended")
    learnt = LAYOUT.decode_actions(intended[0]["actions"].numpy())
    np.testing.assert_allclose(learnt[:, :6], 0.25, atol=1e-6)
    np.testing.assert_allclose(intended.action_std[ARM], 0.0, atol=1e-6)


@pytest.mark.slow
def test_more_demonstrations_contain_fewer_and_none_that_is_held_out(tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.hdf5", demos=5)

    def seen(**settings) -> list[tuple[float, ...]]:
        data = windows_of(path, **settings)
        starts = [i for i, (_, step) in enumerate(data.index) if step == 0]
        return [tuple(data[i]["state"].tolist()) for i in starts]

    every = seen()
    assert [len(seen(demos_per_task=n)) for n in (1, 3, 5)] == [1, 3, 5]
    assert seen(demos_per_task=3) == every[:3]
    assert seen(held_out=2) == every[:3]
    rest = windows_of(path, of_held_out=True, held_out=2)
    assert rest.demos == 2
    assert tuple(rest[0]["state"].tolist()) == every[3]
    with pytest.raises(ConfigError, match="has 5 demonstrations; 3 held out and 4"):
        windows_of(path, demos_per_task=4, held_out=3)


def test_deviations_do_not_count_what_is_next_to_zero(tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.hdf5", demos=1, convention="before_action")
    data = windows_of(path)
    states = torch.stack([data[i]["state"] for i in range(len(data))])
    slot = LAYOUT.state_slots[0]
    expected = states[:, slot].std(correction=0)
    assert data[0]["state_std"][slot].item() == pytest.approx(expected.item(), rel=1e-5)
    assert data[0]["state_std"][127] == 0


def test_the_official_way_hides_what_was_before_the_first_usable_step(tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.hdf5", demos=2, steps=12, convention="before_action")
    with h5py.File(path, "r+") as file:
        joints = np.zeros((12, 7))
        joints[5:] = 0.02  # more than 0.01 rad: step 5 moves first, so step 4 may be drawn
        file["data/demo_0/obs/joint_states"][...] = joints
        file["data/demo_1/obs/joint_states"][...] = 0.0
    data, plain = windows_of(path, sampling="official"), windows_of(path)
    assert [data[step]["shown"].tolist() for step in (4, 5, 11)] == [
        [False, True],
        [True, True],
        [True, True],
    ]
    assert data[12]["shown"].tolist() == [False, True]  # what is before the beginning
    assert "shown" not in plain[4]
    assert "shown" not in windows_of(path, of_held_out=True, sampling="official", held_out=1)[4]
    for step in (4, 12):
        batch = {name: value[None].clone() for name, value in data[step].items()}
        batch["images"] += 1  # as augmentation may
        mask_conditions(batch, DataSettings(), ("agentview", "wrist"), data.mean_state, None)
        assert (batch["images"][0, 0] == BACKGROUND).all()
        assert torch.equal(batch["images"][0, 1], plain[step]["images"][1] + 1)
