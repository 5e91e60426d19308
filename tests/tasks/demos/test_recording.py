"""Demonstrations as their files hold them: states, conventions and what else nobody trains on."""

import json
from pathlib import Path, PurePosixPath

import h5py
import numpy as np
import pytest

from tasks.demos.reader import read_recording
from tasks.errors import ConfigError
from tests.training.demo_files import write_file


def test_states_belong_to_the_actions_after_them(tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.hdf5", steps=12)
    with h5py.File(path, "r+") as file:
        states, actions = file["data/demo_1/states"][...], file["data/demo_1/actions"][...]
        turned = np.random.default_rng(0).normal(size=(12, 3))
        file["data/demo_1/obs/ee_ori"] = turned
    official = read_recording(path, 1)
    assert (official.timing.convention, official.timing.source) == ("after_action", "stated")
    np.testing.assert_array_equal(official.demo.actions, actions[1:])
    np.testing.assert_array_equal(official.states, states[1:])
    np.testing.assert_array_equal(official.axis_angle, turned[:-1])
    given = read_recording(path, 1, convention="before_action")
    np.testing.assert_array_equal(given.states, states)
    np.testing.assert_array_equal(given.axis_angle, turned)
    assert (given.name, given.model_xml, given.bddl, given.control_hz) == ("demo_1",) + (None,) * 3


def test_what_a_file_says_of_its_scene(tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.hdf5", convention="before_action")
    with h5py.File(path, "r+") as file:
        file["data"].attrs["bddl_file_name"] = "somewhere/libero_goal/open_it.bddl"
        file["data"].attrs["env_args"] = json.dumps({"env_kwargs": {"control_freq": 20}})
        file["data/demo_0"].attrs["model_file"] = "<mujoco/>"
    said = read_recording(path)
    assert (said.timing.convention, said.timing.source) == ("before_action", "stated")
    assert said.bddl == PurePosixPath("somewhere/libero_goal/open_it.bddl")
    assert (said.control_hz, said.model_xml, said.axis_angle) == (20.0, "<mujoco/>", None)


def _no_states(file: h5py.File) -> None:
    del file["data/demo_0/states"]


def _few_states(file: h5py.File) -> None:
    states = file["data/demo_0/states"][...]
    del file["data/demo_0/states"]
    file["data/demo_0/states"] = states[:5]


def _nan(file: h5py.File) -> None:
    file["data/demo_0/states"][3, 2] = np.nan


@pytest.mark.parametrize(
    ("damage", "words"),
    [(_no_states, "states is missing"), (_few_states, r"states has 5 rows"), (_nan, "NaN")],
)
def test_what_cannot_be_rehearsed_is_refused(tmp_path: Path, damage, words: str) -> None:
    path = write_file(tmp_path / "a.hdf5")
    with h5py.File(path, "r+") as file:
        damage(file)
    with pytest.raises(ConfigError, match=words):
        read_recording(path)
    with pytest.raises(ConfigError, match=r"no demonstration 2\. Allowed: 0 to 1"):
        read_recording(path, 2)
