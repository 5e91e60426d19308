import subprocess
import sys
from collections.abc import Callable

import pytest
from pydantic import ValidationError

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


def test_a_run_needs_names_and_hashes(make_info: Callable[..., RunInfo]) -> None:
    with pytest.raises(ValidationError, match="protocol lacks hash"):
        make_info(protocol={"name": "openvla"})


def test_expected_episodes_are_shared_by_tasks(make_info: Callable[..., RunInfo]) -> None:
    info = make_info(tasks={"a": (0, 1, 2), "b": (0,)}, expected_episodes=40)
    assert (info.suites, info.expected_of("a"), info.expected_of("b")) == (("a", "b"), 30, 10)
