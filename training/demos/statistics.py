"""Statistics of a demo file."""

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tasks.demos.file import open_demos
from tasks.demos.folders import demo_instruction, noted_otherwise
from tasks.demos.motion import gripper_phases, noops
from tasks.demos.reader import read_demos
from tasks.demos.schema import IMAGE_DATASETS, Convention
from tasks.demos.timing import stated_convention, timing_evidence
from tasks.observation import ACTION_DIM, FloatArray


@dataclass(frozen=True, kw_only=True)
class DemoStatistics:
    """Statistics of one file; those of actions are (7,) over all steps, in LIBERO's [−1, 1].

    Attributes:
        megabytes: Size, 10⁶ bytes.
        instruction: The task in words.
        instruction_noted: Another sentence that the file notes, if any.
        demos: Number of demonstrations.
        steps: Control steps of each.
        gripper_switches: Mean number of changes of the gripper's command in a demonstration.
        noops: Share of the steps whose action changes nothing by OpenVLA's filter.
        images: (height, width) by camera.
        convention: Whether observations were recorded before or after the action of their index;
            None where that is not known.
        convention_stated: Whether the file states the convention; official files do not.
        convention_evidence: The numbers' evidence of the convention.
        intended: Whether the file has actions without the demonstrator's noise.
        phases: Number of phases by kind.
        phases_noted: Whether the file notes phases.
        provenance: How the file was made; empty for official ones.
    """

    path: str
    megabytes: float
    instruction: str
    instruction_noted: str | None
    demos: int
    steps: tuple[int, ...]
    action_min: tuple[float, ...]
    action_max: tuple[float, ...]
    action_mean: tuple[float, ...]
    action_std: tuple[float, ...]
    gripper_switches: float
    noops: float
    pictures: dict[str, tuple[int, int]]
    convention: Convention | None
    convention_stated: bool
    convention_evidence: str
    intended: bool
    phases: dict[str, int]
    phases_noted: bool
    provenance: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def demo_statistics(path: Path) -> DemoStatistics:
    """Compute a file's statistics; images are not read.

    Raises:
        ConfigError: The file cannot be used.
    """
    with open_demos(path) as file:
        stated, evidence = stated_convention(file), timing_evidence(file)
        names = file.demos()
        sizes = {
            camera: file.images(f"data/{names[0]}/obs/{key}").shape[1:3]
            for camera, key in IMAGE_DATASETS.items()
            if file.has(f"data/{names[0]}/obs/{key}")
        }
        provenance, size = file.provenance(), file.size()
        instruction = demo_instruction(file)
        noted = noted_otherwise(file, instruction)
    # Under before_action all rows count: none is dropped to pair actions with observations.
    demos = list(read_demos(path, convention="before_action", images=False))
    actions: FloatArray = np.concatenate([demo.actions for demo in demos])
    kinds = Counter(phase.kind for demo in demos for phase in demo.phases)
    return DemoStatistics(
        path=str(path),
        megabytes=round(size / 1e6, 1),
        instruction=instruction,
        instruction_noted=noted,
        demos=len(demos),
        steps=tuple(demo.steps for demo in demos),
        action_min=_row(actions.min(0)),
        action_max=_row(actions.max(0)),
        action_mean=_row(actions.mean(0)),
        action_std=_row(actions.std(0)),
        gripper_switches=float(np.mean([len(gripper_phases(d.actions[:, -1])) for d in demos])),
        noops=float(np.mean(np.concatenate([noops(demo.actions) for demo in demos]))),
        pictures={camera: (int(h), int(w)) for camera, (h, w) in sizes.items()},
        convention=stated or evidence.convention,
        convention_stated=stated is not None,
        convention_evidence=evidence.words,
        intended=any(_differ(demo) for demo in demos),
        phases=dict(sorted(kinds.items())),
        phases_noted=all(demo.phases_noted for demo in demos),
        provenance=provenance,
    )


def _differ(demo: Any) -> bool:
    return not np.array_equal(demo.intended, demo.actions)


def _row(values: FloatArray) -> tuple[float, ...]:
    assert len(values) == ACTION_DIM
    return tuple(round(float(value), 4) for value in values)
