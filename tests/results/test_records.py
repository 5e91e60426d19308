import subprocess
import sys
from collections.abc import Callable

import pytest
from pydantic import ValidationError

from results.folder import EPISODE
from results.records import EpisodeRecord, RunInfo


def test_importing_the_package_is_light() -> None:
    heavy = "import results, sys; print({'scipy', 'jinja2', 'rich', 'pydantic'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    "changes",
    [
        {"outcome": "crash"},
        {"first_success_step": None},
        {"outcome": "error", "error": None},
        {"video": "/etc/passwd"},
        {"video": "../other/videos/a.mp4"},
        {"wall_s": float("nan")},
        {"colour": "red"},
    ],
)
def test_an_episode_that_contradicts_itself_is_refused(
    make_episode: Callable[..., EpisodeRecord], changes: dict[str, object]
) -> None:
    with pytest.raises(ValidationError):
        make_episode(**changes)


def test_a_record_from_before_goals_were_kept_still_reads(
    make_episode: Callable[..., EpisodeRecord],
) -> None:
    line = (
        '{"suite":"libero_90","task":1,"task_name":"close_the_drawer","init_state":0,"seed":7,'
        '"outcome":"success","steps":120,"first_success_step":120,"plans":15,"wall_s":1.5,'
        '"video":null,"error":null,"scene_hash":null,"attempt":1}'
    )
    record = EPISODE.validate_json(line)
    assert record == make_episode()
    assert record.goals_first_held is record.held_steps is record.success_held is None
    goals = {"Open(door)": 3, "In(a, b)": None}
    held = make_episode(goals_first_held=goals, held_steps=20, success_held=True)
    assert EPISODE.validate_json(EPISODE.dump_json(held)) == held


def test_a_run_needs_names_and_hashes(make_info: Callable[..., RunInfo]) -> None:
    with pytest.raises(ValidationError, match="protocol lacks hash"):
        make_info(protocol={"name": "openvla"})


def test_expected_episodes_are_shared_by_tasks(make_info: Callable[..., RunInfo]) -> None:
    info = make_info(tasks={"a": (0, 1, 2), "b": (0,)}, expected_episodes=40)
    assert (info.suites, info.expected_of("a"), info.expected_of("b")) == (("a", "b"), 30, 10)


def test_only_perturbed_tasks_have_fields_about_it(
    make_episode: Callable[..., EpisodeRecord],
) -> None:
    """Lines of others are what they were, byte by byte."""
    plain = EPISODE.dump_json(make_episode())
    assert b"attempt" in plain and b"base_task" not in plain and b"distance" not in plain
    changed = make_episode(base_task="open_it", dimension="camera", perturbation="camera:h=30")
    line = EPISODE.dump_json(changed)
    assert EPISODE.validate_json(line) == changed
    assert b'"dimension":"camera"' in line and b"instruction" not in line
