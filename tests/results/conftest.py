from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from results.records import EpisodeRecord, RunInfo
from results.store import RunStore


def info(name: str = "rdt h8", **changes: Any) -> RunInfo:
    fields: dict[str, Any] = {
        "name": name,
        "policy": {"name": "rdt-small", "exec_horizon": 8, "fusion": "none"},
        "protocol": {"name": "openvla", "hash": "aaaa1111bbbb"},
        "tasks": {"libero_90": (1,)},
        "episodes_per_task": 10,
        "expected_episodes": 10,
        "config": {"workers": 4, "seed": 7},
        "provenance": {"git": "abc", "gl": "llvmpipe"},
    }
    return RunInfo(**{**fields, **changes})


def episode(init_state: int = 0, outcome: str = "success", **changes: Any) -> EpisodeRecord:
    fields: dict[str, Any] = {
        "suite": "libero_90",
        "task": 1,
        "task_name": "close_the_drawer",
        "init_state": init_state,
        "seed": 7,
        "outcome": outcome,
        "steps": 120 if outcome == "success" else 400,
        "first_success_step": 120 if outcome == "success" else None,
        "plans": 15,
        "wall_s": 1.5,
        "error": "SimulatorError: it broke" if outcome == "error" else None,
    }
    return EpisodeRecord(**{**fields, **changes})


@pytest.fixture
def make_info() -> Callable[..., RunInfo]:
    return info


@pytest.fixture
def make_episode() -> Callable[..., EpisodeRecord]:
    return episode


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """Write a run from a string of outcomes: s, f and e."""

    def make(
        folder: str, outcomes: str, *, videos: int = 0, task_name: str = "close", **changes: Any
    ) -> Path:
        words = {"s": "success", "f": "failure", "e": "error"}
        with RunStore.open(tmp_path / folder, info(**{"name": folder, **changes})) as store:
            for number, letter in enumerate(outcomes):
                video = f"videos/e {number}#1.mp4" if number < videos else None
                if video:
                    store.videos.mkdir(exist_ok=True)
                    (store.folder / video).write_bytes(b"not really a film")
                store.append(episode(number, words[letter], video=video, task_name=task_name))
            store.finish()
        return tmp_path / folder

    return make
