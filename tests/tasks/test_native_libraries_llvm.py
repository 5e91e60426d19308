"""No process dies of two LLVMs, whatever is imported first. ``triton`` is one of the ``dev`` extra.

Every order runs in a process of its own: a crash must not take the tests with it.
"""

import os
import platform
import subprocess
import sys
from importlib.util import find_spec

import pytest

RENDER = """
import mujoco
model = mujoco.MjModel.from_xml_string("<mujoco><worldbody><geom size='.2'/></worldbody></mujoco>")
renderer = mujoco.Renderer(model, 32, 32)
"""

ENVIRONMENT = """
import gymnasium
environment = gymnasium.make("tasks:libero/libero_object-v0", task=0, resolution=64)
environment.reset()
"""

OPTIMISER = """
import torch
network = torch.nn.Linear(2, 2)
optimiser = torch.optim.AdamW(network.parameters())
network(torch.ones(1, 2)).sum().backward()
optimiser.step()
"""

STEP = "environment.step(environment.action_space.sample())"
MEET = "import triton"  # what an optimiser does, without the seconds that torch takes
MET = "import sys; assert 'triton' in sys.modules"
SIMULATION = "import tasks.simulation"


def run(*parts: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(parts)],
        env=os.environ | {"MUJOCO_GL": "egl"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_triton_is_there_to_be_met_where_users_have_it() -> None:
    if sys.platform == "linux" and platform.machine() == "x86_64":
        assert find_spec("triton") is not None


@pytest.mark.sim
def test_a_users_environment_and_optimiser_live_in_one_process() -> None:
    run(ENVIRONMENT, OPTIMISER, STEP, "environment.reset()")


@pytest.mark.slow
@pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")
@pytest.mark.parametrize(
    "parts",
    [
        pytest.param((RENDER, SIMULATION, MET), id="foreign GL, simulation"),
        pytest.param((RENDER, "import policies.rdt", MET), id="foreign GL, RDT"),
        pytest.param((RENDER, "import training", MET), id="foreign GL, training"),
        pytest.param((MEET, RENDER, SIMULATION), id="triton, foreign GL"),
    ],
)
def test_triton_finds_its_own_llvm_whatever_comes_first(parts: tuple[str, ...]) -> None:
    run(*parts, "renderer.render()")


@pytest.mark.slow
def test_what_hands_out_work_imports_no_simulator() -> None:
    """In a recipe the process that has collected trains next; only workers render."""
    run(
        "import harness.recipes.run, harness.stages, harness.demonstrations.collection",
        "import harness.evaluation.run, training.demos.writer",
        "import sys; assert not {'mujoco', 'robosuite', 'OpenGL'} & set(sys.modules)",
    )
