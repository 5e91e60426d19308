"""The options of the benchmarks of whole systems: servers, workers and replicas."""

import math
from pathlib import Path

from pydantic import Field

from harness.benchmarks.wall_time import EpisodeRate, Prediction, Rates, predict
from harness.capacity import MOST_THREADS
from harness.options import Names, Numbers
from tasks.errors import ConfigError
from tasks.settings import MOST_NUMBERS, settings


@settings
class ConnectionSpeedConfig:
    """Settings of ``bench connections``."""

    demos: Path
    """A demo file, or a folder of them, whose observations the clients send."""

    checkpoint: str | None = None
    """The RDT to serve; rdt-small with random weights by default."""

    connections: Numbers = (1, 8)
    """Numbers of connections to try; the first is what the others are compared with."""

    seconds: float = Field(default=5.0, gt=0)
    """Seconds of each turn."""

    repeats: int = Field(default=3, ge=1)
    """Turns of each number of connections; the median counts."""

    batch_ms: float = Field(default=200.0, gt=0)
    """Milliseconds that a batch of the double takes, whatever its size."""

    max_batch: int = Field(default=8, ge=1, le=256)
    """Plans in one forward pass, as serve has it."""

    max_wait_ms: float = Field(default=10.0, ge=0, le=1000)
    """Milliseconds that a request waits for others once the policy is free, as serve has it."""

    threads: int = Field(default=1, ge=1, le=MOST_THREADS)
    """Threads of the policy, as serve has it."""

    def __post_init__(self) -> None:
        most = 256
        if not self.connections or not 1 <= min(self.connections) <= max(self.connections) <= most:
            given = ",".join(map(str, self.connections))
            raise ConfigError(f"--connections {given} is not allowed. Allowed: 1 to {most}.")

    @property
    def servers(self) -> tuple[tuple[str, float | None], ...]:
        """The servers in words, with the milliseconds of a batch where that is fixed."""
        rdt = "rdt-small, random weights" if self.checkpoint is None else self.checkpoint
        return (
            (f"double: {self.batch_ms:g} ms per batch, whatever its size", self.batch_ms),
            (rdt, None),
        )


@settings
class WallTimeConfig:
    """Settings of ``bench wall-time``."""

    checkpoint: str | None = None
    """The RDT whose episodes are played."""

    suite: str | None = None
    """Suite of the episodes that are played here."""

    tasks: Numbers = (0,)
    """Its tasks, such as 0,3 or 0-9."""

    resolution: int | None = None
    """Height and width of camera images in pixels; the protocol's by default."""

    exec_horizon: int | None = None
    """Steps executed per plan; the policy's own by default."""

    device: str = "auto"
    """Where the policy computes: auto, cpu or cuda."""

    measured: int = Field(default=6, ge=1, le=MOST_NUMBERS)
    """Episodes to play with one worker, as many of each task."""

    batch_ms: Names = ()
    """Milliseconds of batches that were measured elsewhere, such as on a GPU: 1:61,8:282 for one
    plan and for eight. By default those of this machine's policy."""

    plans: int | None = Field(default=None, ge=1, le=MOST_NUMBERS)
    """With --simulation-s and --batch-ms, nothing is played: plans of an episode."""

    simulation_s: float | None = Field(default=None, gt=0)
    """Seconds that an episode was measured to take beside planning."""

    episodes: int = Field(default=2000, ge=1, le=MOST_NUMBERS)
    """Episodes whose wall time is wanted."""

    workers: Numbers = (1, 2, 4, 8, 16, 32, 64)
    """Numbers of workers, in all."""

    replicas: Numbers = (1, 2, 4, 8)
    """Numbers of replicas of the policy."""

    max_batch: int = Field(default=8, ge=1, le=256)
    """Plans that a replica is asked for at once, at most."""

    cores: int = Field(default=0, ge=0)
    """Cores that workers and policy share; 0 if every worker has a core and every replica a
    device."""

    check: int = Field(default=0, ge=0, le=MOST_NUMBERS)
    """Episodes to play with the first number of workers, to compare with what was predicted for
    them; 0 for none."""

    def __post_init__(self) -> None:
        for option, numbers in (("--workers", self.workers), ("--replicas", self.replicas)):
            if not numbers or not 1 <= min(numbers) <= max(numbers) <= MOST_NUMBERS:
                raise ConfigError(
                    f"{option} {','.join(map(str, numbers))} is not allowed. Allowed: 1 to "
                    f"{MOST_NUMBERS}."
                )
        given = self.plans is not None, self.simulation_s is not None
        batches = self.batches
        if any(given) and not (all(given) and batches):
            raise ConfigError(
                "--plans, --simulation-s and --batch-ms are rates measured elsewhere. Fix: give "
                "all three, or leave out --plans and --simulation-s to play episodes here."
            )
        if (not any(given) or self.check) and (self.checkpoint is None or self.suite is None):
            raise ConfigError(
                "Episodes are to be played. Fix: give --checkpoint and --suite, or rates measured "
                "elsewhere with --plans, --simulation-s and --batch-ms and no --check."
            )

    @property
    def rates(self) -> Rates | None:
        """The rates that were measured elsewhere; None if episodes are to be played."""
        if self.plans is None or self.simulation_s is None or self.batches is None:
            return None
        episode = EpisodeRate(plans=self.plans, simulation_s=self.simulation_s)
        return Rates(start_s=0.0, episodes=(episode,), batch_s=self.batches)

    @property
    def batches(self) -> dict[int, float] | None:
        """Seconds of the batches that were measured elsewhere, by size; None without any.

        Raises:
            ConfigError: One cannot be read.
        """
        batches: dict[int, float] = {}
        for text in self.batch_ms:
            size, separator, milliseconds = text.partition(":")
            try:
                batches[int(size)] = float(milliseconds) / 1e3
            except ValueError:
                separator = ""
            if not separator or int(size) < 1 or not 0 < batches[int(size)] < math.inf:
                raise ConfigError(
                    f"--batch-ms '{text}' cannot be read. Allowed: a number of plans and the "
                    "milliseconds that they take, such as 8:282."
                )
        return batches or None

    def predict(self, rates: Rates, episodes: int, workers: int, replicas: int) -> Prediction:
        """Predict the wall time of episodes with these limits."""
        return predict(
            rates,
            episodes=episodes,
            workers=workers,
            replicas=replicas,
            max_batch=self.max_batch,
            cores=self.cores,
        )

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sizes of batches to time: 1, 2, 4 and so on, up to the largest."""
        sizes = [1]
        while sizes[-1] < self.max_batch:
            sizes.append(min(2 * sizes[-1], self.max_batch))
        return tuple(sizes)
