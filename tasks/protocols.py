"""Evaluation protocols: the rules under which an episode is run, each with a name and a hash.

One place for step limits, settling, seeds, resolution and orientation. Results under different
hashes are not comparable.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Literal, NamedTuple

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from tasks.errors import ConfigError, unknown_name

Orientation = Literal["rotate180", "raw"]

_SHORT_LIMITS = {
    "libero_spatial": 220,
    "libero_object": 280,
    "libero_goal": 300,
    "libero_10": 520,
    "libero_90": 400,
}


class SceneKey(NamedTuple):
    """Which of LIBERO's random scenes: where fixtures stand that no initial state contains.

    Attributes:
        seed: What NumPy's global generator was seeded with.
        reset: How many resets lie between the seeding and the reset that makes this scene.
        builds: How often the official environment has built its model by then: each build adds a
            copy of its initializers, and each copy draws numbers.
    """

    seed: int
    reset: int
    builds: int


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Protocol:
    """The rules of an evaluation."""

    name: str
    """What tables call it."""
    max_steps: Mapping[str, int]
    """Control steps the policy has, by suite; settling not counted."""
    settle_steps: int = Field(default=10, ge=0)
    """Control steps before the policy acts, in which objects come to rest."""
    settle_action: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0)
    """The action repeated while settling, 7 numbers in [−1, 1]."""
    episodes: int = Field(default=50, ge=1)
    """Episodes per task, one per initial state, unless the user asks for fewer."""
    seed: int = 7
    """Seed of an evaluation, unless the user gives another."""
    resolution: int = Field(default=256, ge=16, le=2048)
    """Height and width of the camera images in pixels."""
    orientation: Orientation = "rotate180"
    """How images are handed on: ``rotate180`` turns the renderer's upside-down picture by 180°
    (as OpenVLA, LeRobot and openpi do), ``raw`` leaves it as rendered (as LIBERO does)."""

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits that identify the rules; the name does not enter."""
        rules = {k: v for k, v in self.as_dict().items() if k != "name"}
        canonical = json.dumps(rules, sort_keys=True).encode()
        return hashlib.sha256(canonical).hexdigest()[:12]

    def as_dict(self) -> dict[str, object]:
        """Return the rules as plain data."""
        rules = dataclasses.asdict(self)
        rules["max_steps"] = dict(self.max_steps)
        rules["settle_action"] = list(self.settle_action)
        return rules

    def step_limit(self, suite: str) -> int:
        """Return the control steps an episode of a suite may last.

        Raises:
            ConfigError: The protocol has no limit for that suite.
        """
        if suite not in self.max_steps:
            raise unknown_name(f"suite of protocol {self.name}", suite, self.max_steps)
        return self.max_steps[suite]

    def scene(self, init_state: int, seed: int | None = None) -> SceneKey:
        """Return the scene in which an episode takes place.

        Args:
            init_state: Index of the initial state.
            seed: The evaluation's seed; the protocol's own by default.
        """
        own = self.seed if seed is None else seed
        return SceneKey(seed=own + init_state, reset=0, builds=2)


PROTOCOLS: dict[str, Protocol] = {
    "openvla": Protocol(name="openvla", max_steps=_SHORT_LIMITS),
    "lerobot": Protocol(
        name="lerobot",
        max_steps={**_SHORT_LIMITS, "libero_spatial": 280},
        seed=1000,
        resolution=360,
    ),
    "libero": Protocol(
        name="libero",
        max_steps=dict.fromkeys(_SHORT_LIMITS, 600),
        settle_steps=5,
        settle_action=(0.0,) * 7,
        episodes=20,
        seed=10000,
        resolution=128,
        orientation="raw",
    ),
}
"""The known protocols; ``openvla`` is the default."""


def get_protocol(
    protocol: str | Protocol = "openvla", *, resolution: int | None = None
) -> Protocol:
    """Return a protocol by name, or one that was built by hand.

    Args:
        protocol: A key of ``PROTOCOLS``, or a ``Protocol``.
        resolution: Pixels of the camera images, if other than the protocol's.

    Raises:
        ConfigError: There is no such protocol, or the resolution is out of range.
    """
    if isinstance(protocol, str):
        if protocol not in PROTOCOLS:
            raise unknown_name("protocol", protocol, PROTOCOLS)
        protocol = PROTOCOLS[protocol]
    if resolution is None or resolution == protocol.resolution:
        return protocol
    if not 16 <= resolution <= 2048:
        raise ConfigError(f"resolution {resolution} is out of range. Allowed: 16 to 2048 pixels.")
    return dataclasses.replace(
        protocol, name=f"{protocol.name}@{resolution}px", resolution=resolution
    )
