"""More demonstrations than a file has: what is there is taken up, and the contents are the same."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from harness.demonstrations.attempts import (
    Attempt,
    attempt_file,
    attempt_seed,
    restore_attempts,
    write_attempt,
)
from harness.demonstrations.collection import Collected, TaskAttempts, collect, finished_before
from harness.demonstrations.config import CollectionConfig
from tasks.errors import ConfigError
from tasks.observation import Observation
from tasks.suites import find_task
from training.demos.writer import write_demo

TASK = find_task("libero_object", 0)
KEPT = (True, False, True, False, True)
REASONS = ("", "a grasp failed", "", "it slipped", "")


def config(out: Path, demos: int) -> CollectionConfig:
    return CollectionConfig(
        suite="libero_object", tasks=(0,), out=out, demos=demos, resolution=16, workers=1
    )


def attempt(config: CollectionConfig, parts: Path, index: int) -> Attempt:
    """Do as ``make_attempt`` does, without a simulator."""
    parts.mkdir(parents=True, exist_ok=True)
    rng, steps = np.random.default_rng(index), 4 + index
    seen = [
        Observation(
            agentview=rng.integers(0, 255, (16, 16, 3), dtype=np.uint8),
            wrist=rng.integers(0, 255, (16, 16, 3), dtype=np.uint8),
            joint_pos=rng.normal(size=7),
            ee_pos=rng.normal(size=3),
            ee_quat=np.array([0.0, 0.0, 0.0, 1.0]),
            gripper_qpos=rng.normal(size=2),
        )
        for _ in range(steps)
    ]
    if KEPT[index]:
        write_demo(
            attempt_file(parts, index),
            observations=seen,
            actions=rng.uniform(-1, 1, (steps, 7)),
            intended=rng.uniform(-1, 1, (steps, 7)),
            states=rng.normal(size=(steps, 9)),
            model_xml="<mujoco/>" * 20_000,
            orientation="rotate180",
            attributes={"scene_seed": attempt_seed(config, index), "phases": "[]"},
        )
    done = Attempt(index=index, kept=KEPT[index], steps=steps, reason=REASONS[index])
    write_attempt(parts, done)
    return done


def finish(config: CollectionConfig, tried: int, first: int = 0) -> Collected:
    """Join the first so many attempts, of which the first few are there."""
    job = TaskAttempts(config, TASK)
    for index in range(tried):
        if index < first:
            note = json.loads((job.parts / f"attempt_{index:05d}.json").read_text())
            job.attempts.append(Attempt(**note))
        else:
            job.attempts.append(attempt(config, job.parts, index))
    return job.close()


def contents(path: Path) -> dict[str, object]:
    """Read all of a file; HDF5 lays out what was copied twice in another way, to the same end."""
    found: dict[str, object] = {}

    def note(name: str, node: h5py.Group | h5py.Dataset) -> None:
        if isinstance(node, h5py.Dataset):
            found[name] = (node.dtype, node.shape, node[...].tobytes())
        for key, value in node.attrs.items():
            found[f"{name}@{key}"] = value.tobytes() if isinstance(value, np.ndarray) else value

    with h5py.File(path) as file:
        file.visititems(note)
    return found


def test_a_file_that_is_added_to_is_what_it_would_be_at_once(tmp_path: Path) -> None:
    whole = finish(config(tmp_path / "whole", 3), tried=5)
    finish(config(tmp_path / "grown", 2), tried=3)
    more = config(tmp_path / "grown", 3)
    assert finished_before(more, TASK) is None
    job = TaskAttempts(more, TASK)
    job.parts.mkdir(parents=True)
    restore_attempts(more, job.path, job.parts)
    second = attempt_file(job.parts, 2)
    before = second.stat().st_mtime_ns
    (job.parts / "attempt_00000.json").unlink()  # as where it was killed in between
    restore_attempts(more, job.path, job.parts)
    assert second.stat().st_mtime_ns == before
    grown = finish(more, tried=5, first=3)
    assert (grown.kept, grown.tried, grown.rejected) == (3, 5, whole.rejected)
    assert contents(grown.path) == contents(whole.path)
    assert not job.parts.exists()


def test_what_is_made_otherwise_is_not_added_to(tmp_path: Path) -> None:
    finish(config(tmp_path, 2), tried=3)
    for changes, words in [
        ({"demos": 1}, "demos: 2 there, 1 asked"),
        ({"demos": 3, "noise": 0.2}, "noise: 0.15 there, 0.2 asked"),
        ({"demos": 3, "seed": 1}, "seed: 0 there, 1 asked"),
    ]:
        with pytest.raises(ConfigError, match=words):
            finished_before(replace(config(tmp_path, 2), **changes), TASK)


def test_older_files_note_the_bddl_files_words_and_are_added_to_with_them(tmp_path: Path) -> None:
    collected = finish(config(tmp_path, 2), tried=3)
    with h5py.File(collected.path, "r+") as file:
        made = json.loads(file["data"].attrs["provenance"])
        assert made.pop("instructions") == "name"
        file["data"].attrs["provenance"] = json.dumps(made)
    with pytest.raises(ConfigError, match="instructions: 'bddl' there, 'name' asked"):
        finished_before(config(tmp_path, 3), TASK)
    same = replace(config(tmp_path, 2), instructions="bddl")
    found = finished_before(same, TASK)
    assert found is not None
    assert found.before
    more = replace(same, demos=3)
    assert finished_before(more, TASK) is None
    # What was begun is gone on with: attempts have no words.
    assert TaskAttempts(more, TASK).parts == TaskAttempts(config(tmp_path, 3), TASK).parts


@pytest.mark.parametrize(
    "change",
    [{"attempts": 4}, {"scene_seeds": [100_000]}, {"scene_seeds": [1, 2]}, {"rejected": {}}],
)
def test_a_file_that_does_not_add_up_is_left_alone(tmp_path: Path, change: dict[str, Any]) -> None:
    path = finish(config(tmp_path, 2), tried=3).path
    with h5py.File(path, "r+") as file:
        made = json.loads(file["data"].attrs["provenance"])
        file["data"].attrs["provenance"] = json.dumps(made | change)
    before = path.read_bytes()
    (tmp_path / "parts").mkdir()
    with pytest.raises(ConfigError, match="cannot be added to"):
        restore_attempts(config(tmp_path, 3), path, tmp_path / "parts")
    assert path.read_bytes() == before
    assert not list((tmp_path / "parts").iterdir())


@pytest.mark.sim
@pytest.mark.slow
def test_one_more_is_collected_and_the_first_is_not_again(
    collection_config: CollectionConfig, collected: Collected, tmp_path: Path
) -> None:
    one = replace(collection_config, out=tmp_path, demos=1, workers=1)
    alone = collect(one)[0]
    grown = collect(replace(one, demos=2))[0]
    assert (alone.kept, grown.kept, grown.before) == (1, 2, False)
    made = [each for each in grown.attempts if each.plan[0] > 0]
    assert [each.index for each in made] == list(range(alone.tried, grown.tried))
    assert contents(grown.path) == contents(collected.path)
