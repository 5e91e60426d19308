"""How long a policy takes for a plan on this machine, and how late its plans are for that."""

import contextlib
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from harness.evaluation.environments import EnvironmentSpec, in_libero
from policies.delay import steps_of
from policies.interface import PlanRequest, Policy
from results.folder import RUN_FILE, read_info
from tasks.observation import FloatArray, Observation
from tasks.protocols import Protocol

_WARM_UPS = 2
_PLANS = 9

Clock = Callable[[], float]


class Latency(NamedTuple):
    """A measured latency: the median over some plans, and the steps a robot waits for it."""

    median_ms: float
    steps: int


def measure_latency(
    policy: Policy,
    *,
    resolution: int,
    instruction: str,
    exec_horizon: int,
    clock: Clock = time.perf_counter,
) -> Latency:
    """Measure a policy's latency, one plan at a time, as a robot asks for them.

    Each plan has the one before as its previous plan. The first two warm up.

    Args:
        policy: The policy.
        resolution: Height and width of the images, pixels.
        instruction: The task in words; one that the policy can encode.
        exec_horizon: Steps executed per plan.
        clock: Gives the time in seconds.
    """
    spec = policy.spec
    previous: FloatArray | None = None
    seconds: list[float] = []
    for number in range(_WARM_UPS + _PLANS):
        request = PlanRequest(
            window=[
                made_up_observation(spec.cameras, resolution, number + k)
                for k in range(spec.history)
            ],
            instruction=instruction,
            seed=number,
            step=number * exec_horizon,
            previous=previous,
            episode="latency",
            committed=0 if previous is None else 1,
        )
        start = clock()
        plan = policy.plan([request])[0]
        seconds.append(clock() - start)
        previous = np.asarray(plan)[exec_horizon:] if exec_horizon < spec.horizon else None
    median_ms = 1000 * statistics.median(seconds[_WARM_UPS:])
    return Latency(median_ms, steps_of(median_ms))


def recorded_latency(run: Path) -> Latency | None:
    """Return the latency that a run began with; None where it has none or is not begun."""
    if not (run / RUN_FILE).is_file():
        return None
    policy = read_info(run).policy
    median, steps = policy.get("delay_measured_ms"), policy.get("delay")
    if not isinstance(median, float | int) or not isinstance(steps, int):
        return None
    return Latency(float(median), steps)


def instruction_of(environments: EnvironmentSpec, task: int, protocol: Protocol) -> str:
    """Return what the policy is told in a task."""
    if in_libero(environments):
        return protocol.instruction_of(environments.tasks([task])[0])
    return environments.task_names()[task].replace("_", " ")


@contextlib.contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Set the number of torch's threads, if the policy uses torch."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def made_up_observation(cameras: tuple[str, ...], resolution: int, step: int) -> Observation:
    """Return an observation of random numbers, with images (resolution, resolution, 3)."""
    rng = np.random.default_rng(step)
    observation = Observation(
        joint_pos=rng.uniform(-1, 1, 7),
        ee_pos=rng.uniform((-0.3, -0.3, 0.9), (0.3, 0.3, 1.2)),
        ee_quat=np.array([1.0, 0.0, 0.0, 0.0]),
        gripper_qpos=np.array([0.02, -0.02]),
    )
    for camera in cameras:
        image = rng.integers(0, 256, (resolution, resolution, 3), dtype=np.uint8)
        observation[camera] = image  # type: ignore[literal-required]
    return observation
