"""Settings of a sequential comparison, and its arms as users write them."""

import shlex
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from cyclopts import App, CycloptsError, Parameter
from pydantic import Field, ValidationInfo, field_validator

from harness.capacity import MOST_THREADS, MOST_WORKERS
from harness.evaluation.config import AnyDelay, EvaluationConfig, SweepConfig, policy_flag
from harness.options import Label, Numbers, read_tasks
from harness.usage import misspelt_option, read_options, usage_error
from policies.delay import DelayMode, FirstPlan
from policies.registry import PolicyConfig, policy_names
from results.folder import RUN_FILE
from tasks.errors import ConfigError
from tasks.settings import MOST_NUMBERS, MOST_SEED, settings


@settings
class DecisionConfig:
    """What is compared on which episodes, and when to stop."""

    out: Path
    """Folder of the comparison; one that is there already goes on where it stopped."""

    suite: str | None = None
    """The suite; that of the runs if arms are runs."""

    tasks: tuple[Annotated[int, Field(ge=0)], ...] | None = None
    """Indices or names such as 0,3 or 0-4; the whole suite, or the tasks of the runs, by
    default."""

    episodes: int | None = Field(default=None, ge=1, le=MOST_NUMBERS)
    """Initial states 0, 1, ... of each task; the protocol's number, or those of the runs, by
    default."""

    init_states: Numbers | None = None
    """Initial states such as 0,5 or 10-19, instead of --episodes."""

    protocol: str | None = None
    """openvla, openpi, lerobot or libero; openvla, or that of the runs, by default."""

    resolution: int | None = None
    """Height and width of the images in pixels, if other than the protocol's."""

    seed: int | None = Field(default=None, ge=0, le=MOST_SEED)
    """Of the policies' noise; the protocol's, or that of the runs, by default."""

    max_episodes: int | None = Field(default=None, ge=1)
    """Episodes of each policy at most; all by default. The same command with a larger number goes
    on."""

    alpha: float = Field(default=0.05, gt=0.0, lt=1.0)
    """Probability of seeing any difference where there is none, over all pairs of policies."""

    margin: float | None = Field(default=None, gt=0.0, le=100.0)
    """Points of success that do not matter: stop, too, once the difference is within them."""

    order_seed: int = Field(default=0, ge=0, le=MOST_SEED)
    """Of the order in which tasks and initial states are gone through, which is always shuffled."""

    workers: int | None = Field(default=None, ge=1, le=MOST_WORKERS)
    """Simulations side by side. The verdict does not depend on it."""

    threads: int = Field(default=1, ge=1, le=MOST_THREADS)
    """Threads of a policy that computes on the CPU."""

    @field_validator("tasks", mode="before")
    @classmethod
    def _read_tasks(cls, value: Any, info: ValidationInfo) -> Any:
        suite = info.data.get("suite")
        if value is not None and suite is None:
            raise ConfigError("--tasks was given without --suite. Fix: give both.")
        return value if suite is None else read_tasks(value, [suite])


@settings
class ArmConfig:
    """A policy that is compared: the options of ``eval`` that may differ between arms."""

    policy: Annotated[PolicyConfig, Parameter(name="*", name_transform=policy_flag)]
    """How to build the policy."""

    delay_mode: DelayMode = "async"
    """See ``EvaluationConfig``."""

    first_plan: FirstPlan = "free"
    """See ``EvaluationConfig``."""

    label: Label | None = None
    """Name in tables; the policy's by default."""


class PolicyArm(NamedTuple):
    """A policy to evaluate: its options and one value for each axis of a sweep."""

    config: ArmConfig
    axes: SweepConfig

    def evaluation(self, out: Path, episodes: dict[str, Any]) -> EvaluationConfig:
        """Return the settings of its run, but for the method of joining chunks."""
        grid = self.axes.grid
        delay: AnyDelay = grid.delays[0]
        return EvaluationConfig(
            policy=self.config.policy,
            out=out,
            exec_horizon=next(iter(grid.exec_horizons), None),
            fusion=grid.fusions[0],
            delay=delay,
            delay_mode=self.config.delay_mode,
            first_plan=self.config.first_plan,
            label=self.config.label,
            **episodes,
        )


_ARM = App(config=read_options)
_FLAT = Parameter(name="*", negative_iterable=())


@_ARM.default
def _arm(
    config: Annotated[ArmConfig, _FLAT], axes: Annotated[SweepConfig, _FLAT] = SweepConfig()
) -> PolicyArm:
    return PolicyArm(config, axes)


def read_arm(text: str) -> Path | PolicyArm:
    """Read an arm: the folder of a run, or a policy with options of ``eval`` in quotes.

    Args:
        text: Such as ``runs/a`` or ``rdt --checkpoint runs/b --exec-horizon 16``.

    Raises:
        ConfigError: It is neither, or an axis has several values.
    """
    if (Path(text) / RUN_FILE).is_file():
        return Path(text)
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ConfigError(f"Arm '{text}': {error}.") from error
    if not words or (words[0] not in policy_names() and not words[0].startswith("-")):
        raise ConfigError(
            f"'{text}' is neither a run nor a policy. Allowed: the folder of a run, or a policy "
            "with its options in quotes, such as 'rdt --checkpoint runs/mine'. Policies: "
            f"{', '.join(policy_names())}."
        )
    words = words if words[0].startswith("-") else ["--policy", *words]
    try:
        arm = _ARM(words, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        cause = error.__cause__
        why = str(cause) if isinstance(cause, ConfigError) else None
        why = why or misspelt_option(error) or usage_error(error)
        raise ConfigError(f"Arm '{text}': {why}") from error
    if not isinstance(arm, PolicyArm):
        raise ConfigError(f"Arm '{text}' names no policy. Fix: begin it with a policy's name.")
    if arm.axes.grid.size > 1:
        raise ConfigError(f"Arm '{text}' is several. Fix: give an arm for each in its own quotes.")
    return arm
