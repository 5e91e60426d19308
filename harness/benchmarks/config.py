"""The options of the benchmarks."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from pydantic import Field

from harness.capacity import MOST_THREADS, MOST_WORKERS
from harness.options import Names, Numbers
from tasks.errors import ConfigError, unknown_name
from tasks.perturbation import DIMENSIONS
from tasks.settings import MOST_NUMBERS, changed_options, settings
from tasks.suites import SUITES, Instructions, find_task

ORIGINAL_SUITES = ("libero_spatial", "libero_object", "libero_goal", "libero_10")


@settings
class EnvironmentSpeedConfig:
    """Settings of ``bench env``."""

    suites: Names = (*ORIGINAL_SUITES, "libero_90")
    """Names with commas between them."""

    task: int = Field(default=0, ge=0)
    """Index of the task, the same in each suite."""

    steps: int = Field(default=300, ge=1)
    """Control steps of the episode."""


@settings
class PlusConfig:
    """What ``bench plus`` compares."""

    upstream: Path
    """Folder of LIBERO-Plus's own code: a clone of sylvestf/LIBERO-plus, or an unpacked wheel."""

    dimensions: Names = DIMENSIONS
    """Names with commas between them; all that can run here by default."""

    tasks: int = Field(default=6, ge=1, le=MOST_NUMBERS)
    """Tasks of each dimension."""

    steps: int = Field(default=40, ge=1)
    """Control steps of each task, after settling."""

    python: Path | None = None
    """Interpreter that runs upstream's code; this one by default. It needs upstream's libraries,
    scikit-image for blurs and Wand with ImageMagick for motion blur."""

    plus_assets: Path | None = None
    """Folder with LIBERO-Plus's assets, or with its code."""

    def __post_init__(self) -> None:
        for name in self.dimensions:
            if name not in DIMENSIONS:
                raise unknown_name("dimension", name, DIMENSIONS)


@settings
class PictureConfig:
    """What ``bench pictures`` compares."""

    suites: Names = SUITES
    """Names with commas between them; all of them by default."""

    tasks: Numbers = (0, 7)
    """Tasks of each suite, such as 0,3 or 0-9."""

    sizes: Numbers = (128, 256, 360)
    """Heights and widths of the pictures in pixels, which take turns."""

    steps: int = Field(default=160, ge=1)
    """Control steps of each of a task's two episodes."""

    def __post_init__(self) -> None:
        if not self.sizes or not 16 <= min(self.sizes) <= max(self.sizes) <= 1024:
            sizes = ",".join(map(str, self.sizes))
            raise ConfigError(f"--sizes {sizes} is not allowed. Allowed: 16 to 1024.")

    def pairs(self) -> tuple[tuple[str, int], ...]:
        """Return suite and index of each task.

        Raises:
            ConfigError: A suite or task does not exist.
        """
        return _pairs(self.suites, self.tasks)


@settings
class EvaluationSpeedConfig:
    """Settings of ``bench eval``."""

    suites: Names = ORIGINAL_SUITES
    """Names with commas between them."""

    tasks: Numbers = (0,)
    """Tasks of each suite, such as 0,3 or 0-9."""

    episodes: int = Field(default=1, ge=1, le=MOST_NUMBERS)
    """Episodes per task, from initial states 0, 1, ..."""

    policies: Names = ("expert",)
    """expert, rdt, random or noop, with commas between them."""

    checkpoint: Path | None = None
    """Of policy rdt, which needs one."""

    resolution: int | None = None
    """Height and width of camera images in pixels; the protocol's by default."""

    exec_horizon: int = 16
    """Steps executed per plan of policies that plan ahead."""

    instructions: Instructions | None = None
    """What policies are told: name or bddl, as eval has it."""

    workers: Numbers = (1, 2)
    """Numbers of workers to try."""

    def __post_init__(self) -> None:
        if not self.workers or not 1 <= min(self.workers) <= max(self.workers) <= MOST_WORKERS:
            raise ConfigError(
                f"--workers {','.join(map(str, self.workers))} is not allowed. Allowed: 1 to "
                f"{MOST_WORKERS}."
            )
        if "rdt" in self.policies and self.checkpoint is None:
            raise ConfigError(
                "--policies rdt needs a checkpoint. Fix: add --checkpoint, such as "
                "runs/quickstart/train/checkpoint after 'libero-bench run quickstart'."
            )

    def pairs(self) -> tuple[tuple[str, int], ...]:
        """Return suite and index of each task.

        Raises:
            ConfigError: A suite or task does not exist.
        """
        return _pairs(self.suites, self.tasks)


def _pairs(suites: tuple[str, ...], tasks: tuple[int, ...]) -> tuple[tuple[str, int], ...]:
    return tuple((find_task(suite, index).suite, index) for suite in suites for index in tasks)


@settings
class PolicyOptions:
    """How RDT plans in ``bench policy``."""

    device: str = "cpu"
    """Where to compute, as torch names it."""

    solver_steps: int | None = Field(default=None, ge=1, le=999)
    """Denoising steps; the preset's number by default."""

    exec_horizon: int = Field(default=16, ge=1)
    """Control steps between plans. From 2 on, all frames of a plan are new; with 1, the previous
    frame is the current one of the plan before, which ours does not encode again."""

    encoder: bool = True
    """Encode images; otherwise both sides are given their tokens."""

    compile: bool = False
    """Compile our denoising step with torch.compile."""

    cuda_graphs: bool = False
    """Replay our denoising step as one CUDA graph."""

    repeats: int = Field(default=7, ge=1)
    """Plans that are timed on each side; the median counts."""


@settings
class PolicyCase(PolicyOptions):
    """One case of ``bench policy``."""

    preset: str = "rdt-small"
    """Shape of RDT."""

    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of all weights."""

    batch: int = Field(default=1, ge=1, le=MOST_NUMBERS)
    """Episodes planned for at once."""


@settings
class PolicySpeedConfig(PolicyOptions):
    """Settings of ``bench policy``, which measures each preset with each number of episodes."""

    preset: Names = ("rdt-small",)
    """rdt-small, rdt-170m, rdt-1b, with commas between them. The large ones get an image encoder
    of the shape of SigLIP so400m, and 32 language tokens."""

    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of all weights; auto is bfloat16 on CUDA and float32 elsewhere."""

    batch: Numbers = (1, 8, 32)
    """Numbers of episodes, with commas between them."""

    device: str = "auto"
    """auto, cpu or cuda."""

    threads: int = Field(default=0, ge=0, le=MOST_THREADS)
    """CPU threads; 0 leaves it to torch, within what a container gives the time of."""

    def cases(self, device: str, dtype: Literal["float32", "bfloat16"]) -> list[PolicyCase]:
        """Return the cases.

        Args:
            device: Where to compute, no longer ``auto``.
            dtype: Likewise.
        """
        return [
            PolicyCase(
                preset=preset,
                dtype=dtype,
                batch=batch,
                device=device,
                encoder=self.encoder,
                solver_steps=self.solver_steps,
                exec_horizon=self.exec_horizon,
                compile=self.compile,
                cuda_graphs=self.cuda_graphs,
                repeats=self.repeats,
            )
            for preset in self.preset
            for batch in self.batch
        ]


@settings
class TrainingSpeedConfig:
    """Settings of ``bench train``."""

    demos: Path | None = None
    """A demo file, or a folder of them: rdt-small is trained on them by both sides."""

    preset: str | None = None
    """Instead of --demos: rdt-1b, rdt-170m or rdt-small with random weights, whose training steps
    on made-up windows are timed alone."""

    updates: int = Field(default=20, ge=1)
    """Updates per turn."""

    batch_size: int = Field(default=32, ge=1)
    """Windows per update."""

    repeats: int = Field(default=2, ge=1)
    """Turns of each side; one with --preset."""

    precision: Literal["no", "bf16", "fp16"] = "no"
    """--preset: mixed precision, as train has it."""

    gradient_checkpointing: Annotated[bool, Parameter(negative=())] = False
    """--preset: compute activations twice, which saves memory."""

    compile: Annotated[bool, Parameter(negative=())] = False
    """--preset: compile RDT with torch.compile."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """--preset: where to compute; CUDA where there is one."""

    def check(self) -> None:
        """Refuse what does not go together.

        Raises:
            ConfigError: Not one of demonstrations and preset, or options of the other.
        """
        if (self.demos is None) == (self.preset is None):
            given = "both were" if self.demos else "neither was"
            raise ConfigError(
                f"bench train needs --demos or --preset, and {given} given. Fix: --demos FOLDER "
                "compares with a loop over demonstrations; --preset rdt-1b times training steps "
                "without any."
            )
        names = ("precision", "gradient_checkpointing", "compile", "device")
        changed = changed_options(self, names)
        if changed and self.preset is None:
            raise ConfigError(f"{changed} without --preset: it would be ignored. Fix: drop it.")


@settings
class DemoReadingConfig:
    """Settings of ``bench reading``."""

    demos: Path
    """A demo file, or a folder of them, which are exported as LeRobot sets."""

    updates: int = Field(default=40, ge=1)
    """Updates per turn."""

    batch_size: int = Field(default=32, ge=1)
    """Windows per update."""

    repeats: int = Field(default=2, ge=1)
    """Turns of each source."""
