"""Settings of collecting and regenerating demonstrations."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from pydantic import Field, ValidationInfo, field_validator

from harness.capacity import MOST_WORKERS
from harness.engines import ENGINE_OPTIONS, EngineOptions
from harness.options import all_tasks, read_tasks, split_names
from tasks.perturbation import parse_perturbation
from tasks.protocols import Protocol, get_protocol
from tasks.settings import MOST_SEED, settings
from tasks.suites import Instructions


@settings
class CollectionConfig(EngineOptions):
    """Settings of ``collect``."""

    suite: str = "libero_90"
    """libero_spatial, libero_object, libero_goal, libero_10, libero_90, or one of LIBERO-PRO: the
    first four with _lan, _object, _swap, _task, _with_mug, _with_yellow_book or _with_milk (some of
    them), and libero_object_temp_x0.1 to x0.5 and y0.1 to y0.5. Several with commas
    between them."""

    tasks: tuple[int, ...] | None = None
    """Indices or names such as 0,3 or 0-4, in each suite; all by default."""

    out: Path = Path("demos")
    """Folder; a task goes to OUT/SUITE/TASK_demo.hdf5."""

    demos: int = Field(default=12, ge=1, le=10_000)
    """Demonstrations per task."""

    noise: float = Field(default=0.15, ge=0, le=1)
    """Standard deviation of the action noise, 0 to 1; about 0.15 teaches recovery."""

    speed: float = Field(default=1.0, gt=0, le=1)
    """The expert's largest action, up to 1; 0.7 is near a human's pace."""

    protocol: Annotated[str, Parameter(parse=False)] = "openvla"
    """Settling and orientation."""

    resolution: int = Field(default=128, ge=16, le=2048)
    """Height and width of the images, pixels; LIBERO's own demos have 128."""

    instructions: Instructions = "name"
    """Which sentence the files note: name, the one in the task's file name, or bddl, the BDDL
    file's; see eval."""

    start_states: Literal["sampled", "evaluation"] = "sampled"
    """sampled: at none of the initial states of evaluations; evaluation: at those, one after
    another. The files say which."""

    perturb: str | None = None
    """What is changed of every scene or picture, such as camera:h=30,v=15 or noise:fog=5; see eval.
    The files say so, and so does a policy that is trained on them."""

    seed: int = Field(default=0, ge=0, le=MOST_SEED)
    """Of start states and noise."""

    workers: int = Field(default=2, ge=1, le=MOST_WORKERS)
    """Processes; the demonstrations do not depend on their number."""

    @field_validator("perturb")
    @classmethod
    def _read_perturbation(cls, value: str | None) -> str | None:
        return None if value is None or parse_perturbation(value) is None else value

    @field_validator("tasks", mode="before")
    @classmethod
    def _read_tasks(cls, value: Any, info: ValidationInfo) -> Any:
        return read_tasks(value, split_names(info.data.get("suite", "")))

    def by_suite(self) -> "list[CollectionConfig]":
        """Return a configuration for each suite, with all of its tasks where none are named.

        Raises:
            ConfigError: Unknown suite.
        """
        return [
            replace(self, suite=suite, tasks=all_tasks(suite) if self.tasks is None else self.tasks)
            for suite in split_names(self.suite)
        ]

    def rules(self) -> Protocol:
        """Return the protocol under which demonstrations are made.

        Raises:
            ConfigError: There is none of that name.
        """
        return get_protocol(
            self.protocol, resolution=self.resolution, instructions=self.instructions
        )

    def recipe(self) -> dict[str, Any]:
        """Return the settings that determine the demonstrations, as plain data."""
        plain = asdict(self)
        for name in ("out", "workers", "tasks", *ENGINE_OPTIONS):
            del plain[name]
        if self.perturb is None:
            del plain["perturb"]  # as in files from before there was a choice
        return plain | {"expert": "scripted"}

    def conditions(self) -> dict[str, Any]:
        """Return the recipe with what is perturbed, None for nothing."""
        return self.recipe() | {"perturb": self.perturb}


@settings
class RegenerationConfig:
    """Settings of ``demos regenerate``."""

    resolution: int = Field(default=256, ge=16, le=2048)
    """Height and width of the images, pixels."""

    noops: Literal["openvla", "resting", "keep"] = "openvla"
    """openvla: leave out actions that do nothing; resting: only those at which the fingers rest,
    too, so not the waiting for a grip; keep: leave out none."""

    settle_steps: int = Field(default=10, ge=0, le=200)
    """Steps of waiting before official demonstrations, as evaluations wait; ours have their own."""

    workers: int = Field(default=2, ge=1, le=MOST_WORKERS)
    """Processes; the files do not depend on their number."""

    def recipe(self) -> dict[str, Any]:
        """Return the settings that determine the result, as plain data."""
        return {name: value for name, value in asdict(self).items() if name != "workers"}
