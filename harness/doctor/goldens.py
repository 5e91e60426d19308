"""Golden images and states, made once on a known machine.

``python -m harness.doctor.goldens`` makes them anew, to be done only after an intended change of
the simulations; ``goldens.json`` notes how they were made.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as PILImage

from harness.processes import worker_variables
from harness.provenance import gl_renderer, package_versions
from tasks.native_libraries import environment_variables
from tasks.observation import CAMERAS, FloatArray, Image
from tasks.protocols import Protocol, get_protocol
from tasks.simulation.simulator import Simulator
from tasks.suites import ORIGINAL_SUITES, find_task

FOLDER = Path(__file__).parent / "goldens"
STEPS = 40
_SIZE = 96
_PHYSICS_SUITE = "libero_goal"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How far two images are apart.

    Attributes:
        largest: Largest difference of a channel, 0 to 255.
        mean: Mean difference, 0 to 255.
    """

    largest: int
    mean: float

    @property
    def identical(self) -> bool:
        """Whether no pixel differs."""
        return self.largest == 0

    @property
    def near(self) -> bool:
        """Whether another renderer may explain it: edges differ, surfaces hardly."""
        return self.mean <= NEAR


NEAR = 1.5
"""Largest mean difference that counts as near, in levels of 255.

Images of another initial state are 3.5 to 22 apart, those without antialiasing 1.6 to 3.4.
"""


def golden_protocol() -> Protocol:
    """Return the rules under which goldens are made."""
    return replace(get_protocol("openvla"), name="golden", resolution=_SIZE)


@dataclass(frozen=True, kw_only=True)
class SettledStart:
    """The beginning of an episode.

    Attributes:
        state: The settled state, (D,).
        images: Camera to the first image, (96, 96, 3).
    """

    state: FloatArray
    images: dict[str, Image]


def begin(suite: str, init_state: int = 0) -> SettledStart:
    """Begin an episode of task 0 of a suite."""
    simulator = Simulator(find_task(suite, 0), golden_protocol())
    try:
        observation = simulator.reset(init_state, cameras=CAMERAS)
        images = {camera: np.asarray(observation[camera]) for camera in CAMERAS}  # type: ignore[literal-required]
        return SettledStart(state=simulator.get_state(), images=images)
    finally:
        simulator.close()


def final_state() -> FloatArray:
    """Return the state after ``golden_actions`` without images, (D,)."""
    simulator = Simulator(find_task(_PHYSICS_SUITE, 0), golden_protocol(), images=False)
    try:
        simulator.reset(0)
        for action in golden_actions():
            simulator.step(action)
        return simulator.get_state()
    finally:
        simulator.close()


def golden_actions() -> FloatArray:
    """Return actions that bring the hand down among the objects, (40, 7)."""
    down = [0.25, -0.125, -0.75, 0.0, 0.125, -0.25, -1.0]
    across = [-0.5, 0.625, -0.25, 0.25, -0.125, 0.0, 1.0]
    return np.repeat([down, across], STEPS // 2, axis=0)


def difference(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> Difference:
    """Compare two images of one size.

    Args:
        one: (H, W, 3) uint8.
        other: The same.
    """
    gaps = np.abs(one.astype(np.int16) - other.astype(np.int16))
    return Difference(largest=int(gaps.max()), mean=float(gaps.mean()))


def golden_start(suite: str) -> SettledStart:
    """Return the golden start of task 0 of a suite."""
    images = {}
    for camera in CAMERAS:
        with PILImage.open(FOLDER / f"{suite}-{camera}.png") as image:
            images[camera] = np.asarray(image.convert("RGB"))
    return SettledStart(state=np.asarray(golden_facts()["starts"][suite]), images=images)


def golden_facts() -> dict[str, Any]:
    """Return ``goldens.json``: how they were made, the ``starts`` by suite and the ``end``."""
    facts: dict[str, Any] = json.loads((FOLDER / "goldens.json").read_text(encoding="utf-8"))
    return facts


def write_image(path: Path, image: Image) -> None:
    """Write an image as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    PILImage.fromarray(image).save(path, optimize=True)


def main() -> None:
    """Make all goldens anew."""
    starts = {suite: begin(suite) for suite in ORIGINAL_SUITES}
    for suite, start in starts.items():
        for camera, image in start.images.items():
            write_image(FOLDER / f"{suite}-{camera}.png", image)
    facts = {
        "renderer": gl_renderer(),
        "packages": package_versions(),
        "protocol": golden_protocol().hash,
        "starts": {suite: start.state.tolist() for suite, start in starts.items()},
        "end": final_state().tolist(),
    }
    (FOLDER / "goldens.json").write_text(json.dumps(facts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    with environment_variables(worker_variables(1)):
        main()
