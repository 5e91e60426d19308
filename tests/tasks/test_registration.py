"""Gymnasium knows the environments, whichever is imported first."""

import subprocess
import sys

import pytest

ASK = "from gymnasium.envs.registration import registry; print('libero/libero_goal-v0' in registry)"


@pytest.mark.parametrize(
    "imports",
    [
        "import gymnasium, tasks",
        "import tasks, gymnasium",
        "import tasks; from gymnasium import spaces",
        "import tasks, importlib.util; importlib.util.find_spec('gymnasium'); import gymnasium",
    ],
)
def test_the_environments_are_registered(imports: str) -> None:
    command = [sys.executable, "-c", f"{imports}\n{ASK}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_gymnasium_keeps_its_own_loader() -> None:
    """Resources of a package are read through its loader."""
    code = "import tasks, gymnasium; print(type(gymnasium.__spec__.loader).__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "SourceFileLoader"
