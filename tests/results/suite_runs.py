"""Runs over several tasks, written from strings of outcomes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from results.store import RunStore
from tests.results.conftest import episode, info

WORDS = {"s": "success", "f": "failure", "e": "error"}


def write_suite_run(
    folder: Path,
    outcomes: Mapping[int, str],
    *,
    suite: str = "libero_object",
    films: int = 0,
    seed: int = 7,
    first: int = 0,
    **changes: Any,
) -> Path:
    """Write a finished run.

    Args:
        folder: The run folder.
        outcomes: For each task the outcomes of its initial states, in order, from s, f and e; a
            dot is an episode that is missing.
        suite: Name of the suite.
        films: Episodes of each task that have a video.
        seed: Seed of every episode.
        first: The first initial state.
        changes: Other fields of the run.
    """
    episodes = max(map(len, outcomes.values()))
    fields = {
        "name": folder.name,
        "tasks": {suite: tuple(outcomes)},
        "episodes_per_task": episodes,
        "expected_episodes": episodes * len(outcomes),
    }
    with RunStore.open(folder, info(**{**fields, **changes})) as store:
        for task, letters in outcomes.items():
            for state, letter in enumerate(letters, start=first):
                if letter == ".":
                    continue
                video = None
                if state - first < films:
                    video = f"videos/{suite}-t{task}-i{state}-s{seed}.mp4"
                    store.videos.mkdir(exist_ok=True)
                    (folder / video).write_bytes(f"film of {folder.name} {task} {state}".encode())
                store.append(
                    episode(
                        state,
                        WORDS[letter],
                        suite=suite,
                        task=task,
                        task_name=f"task_{task}",
                        seed=seed,
                        video=video,
                    )
                )
        store.finish()
    return folder
