"""Evaluation protocols, each with a name and a hash, and the starts of episodes.

A protocol is the one place for step limits, settling, seeds, resolution, orientation and words.
Results under different hashes are not comparable. An episode starts from one of its task's initial
states, or from a ``Start``, such as a demonstration's.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from pydantic import Field

from tasks.errors import ConfigError, unknown_name
from tasks.observation import FloatArray
from tasks.settings import settings
from tasks.suites import Instructions, Task, base_suite, is_plus

Orientation = Literal["rotate180", "raw"]
Seeding = Literal["task", "episode"]

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
        builds: How often the official environment has built its model by then, had every reset
            found a placement at once: each build adds a copy of its initializers, and each copy
            draws numbers.
    """

    seed: int
    reset: int = 0
    builds: int = 2


@settings
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
    seeding: Seeding = "episode"
    """When LIBERO's random generator is seeded: ``task``, once for a task, so that episode k has
    the scene of the k-th reset since; ``episode``, before each reset with the seed + k."""
    scene_seed: int | None = Field(default=None, ge=0)
    """Seed of the scenes where it is a constant; None where it is the evaluation's seed."""
    builds: int = Field(default=1, ge=1)
    """How often the environment has built its model when it is seeded: once when it is made, and
    once for each reset before the seeding."""
    resolution: int = Field(default=256, ge=16, le=2048)
    """Height and width of the camera images in pixels."""
    orientation: Orientation = "rotate180"
    """How images are handed on: ``rotate180`` turns the renderer's upside-down image by 180°
    (as OpenVLA, LeRobot and openpi do), ``raw`` leaves it as rendered (as LIBERO does)."""
    instructions: Instructions = "name"
    """Which sentence the policy is told, as ``tasks.suites.Task.instruction_by`` has it."""
    starts: str | None = None
    """What episodes start from where that is not the task's initial states, such as ``demos``."""
    paraphrases: str | None = None
    """The digest of the file whose sentences the policy is told instead, if there is one."""

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits that identify the rules; the name does not enter."""
        rules = self.as_dict()
        del rules["name"]
        if self.instructions == "bddl":
            del rules["instructions"]  # the rule of old, under which hashes had no word of it
        canonical = json.dumps(rules, sort_keys=True).encode()
        return hashlib.sha256(canonical).hexdigest()[:12]

    def as_dict(self) -> dict[str, object]:
        """Return the rules as plain data."""
        rules = dataclasses.asdict(self)
        rules["max_steps"] = dict(self.max_steps)
        rules["settle_action"] = list(self.settle_action)
        for name in ("starts", "paraphrases"):
            if rules[name] is None:
                del rules[name]
        return rules

    def starting_from(self, starts: str) -> "Protocol":
        """Return the same rules for episodes that start elsewhere: another protocol.

        Args:
            starts: From what, such as ``demos``.
        """
        return dataclasses.replace(self, name=f"{self.name}, starts of {starts}", starts=starts)

    def paraphrased(self, name: str, digest: str) -> "Protocol":
        """Return the same rules with the sentences of a file: another protocol.

        Args:
            name: The file's name, for tables.
            digest: The file's digest.
        """
        return dataclasses.replace(
            self, name=f"{self.name}, instructions of {name}", paraphrases=digest
        )

    def instruction_of(self, task: Task) -> str:
        """Return what the policy is told to do in a task."""
        return task.instruction_by(self.instructions)

    def step_limit(self, suite: str) -> int:
        """Return the control steps an episode of a suite may last.

        A suite of LIBERO-PRO or LIBERO-Plus has the limit of the suite it derives from.

        Raises:
            ConfigError: The protocol has no limit for that suite.
        """
        limit = self.max_steps.get(suite, self.max_steps.get(base_suite(suite)))
        if limit is None:
            raise unknown_name(f"suite of protocol {self.name}", suite, self.max_steps)
        return limit

    def episodes_of(self, suite: str) -> int:
        """Return the usual episodes per task of a suite; a task of LIBERO-Plus has one."""
        return 1 if is_plus(suite) else self.episodes

    def scene(self, init_state: int, seed: int | None = None) -> SceneKey:
        """Return the scene in which an episode takes place.

        It is the one that the peer's own script gives its episode ``init_state`` of a task, run in
        order from the first.

        Args:
            init_state: Index of the initial state.
            seed: The evaluation's seed; the protocol's own by default. It has no influence where
                the peer's option has none.
        """
        own = self.seed if seed is None else seed
        if self.scene_seed is not None:
            own = self.scene_seed
        if self.seeding == "episode":
            return SceneKey(seed=own + init_state, builds=self.builds + 1)
        return SceneKey(seed=own, reset=init_state, builds=self.builds + 1 + init_state)


# docs/protocols.md names the version of each peer's script.
#
# openvla/openvla, experiments/robot/libero/run_libero_eval.py, and moojink/openvla-oft's script of
# that name: get_libero_env in libero_utils.py beside it makes a task's environment and seeds it
# with 0, whatever the script's seed option; then each episode is reset, set_init_state, 10 steps of
# waiting. allenai/vla-evaluation-harness (src/vla_eval/benchmarks/libero/benchmark.py) does the
# same where its env_seed is 0.
_OPENVLA = Protocol(name="openvla", max_steps=_SHORT_LIMITS, seeding="task", scene_seed=0)

# Physical-Intelligence/openpi, examples/libero/main.py: as openvla, but the environment of each
# task is seeded with the script's seed option. vla-evaluation-harness does so by default.
_OPENPI = Protocol(name="openpi", max_steps=_SHORT_LIMITS, seeding="task")

# huggingface/lerobot, src/lerobot/envs/libero.py: the environment is reset once when it is made
# (_ensure_env), later each reset follows a seeding; src/lerobot/scripts/lerobot_eval.py seeds
# episode k of each task with seed + k. The builds are those of a first batch, that is, of
# eval.batch_size >= eval.n_episodes. In a later batch they depend on the policy: success resets an
# environment once more (and skips an initial state). That matters only to tasks with initializers.
_LEROBOT = Protocol(
    name="lerobot",
    max_steps={**_SHORT_LIMITS, "libero_spatial": 280},
    seed=1000,
    resolution=360,
    seeding="episode",
    builds=2,
)

# Lifelong-Robot-Learning/LIBERO, libero/lifelong/metric.py and evaluate.py, configs/config.yaml and
# configs/eval/default.yaml: 20 processes, one episode each. Which scenes it had cannot be known:
# metric.py never seeds the environments and evaluate.py only after their reset, so their draws come
# from the state of the parent when they fork (the same in all 20) or, since main.py asks for spawn,
# from the operating system. Here process k is seeded before its reset with what SubprocVectorEnv
# makes of the seed for it, which is the seed + k.
_LIBERO = Protocol(
    name="libero",
    max_steps=dict.fromkeys(_SHORT_LIMITS, 600),
    settle_steps=5,
    settle_action=(0.0,) * 7,
    episodes=20,
    seed=10000,
    resolution=128,
    orientation="raw",
    seeding="episode",
)

PROTOCOLS: dict[str, Protocol] = {p.name: p for p in (_OPENVLA, _OPENPI, _LEROBOT, _LIBERO)}
"""The known protocols; ``openvla`` is the default."""


def get_protocol(
    protocol: str | Protocol = "openvla",
    *,
    resolution: int | None = None,
    instructions: Instructions | None = None,
) -> Protocol:
    """Return a protocol by name, or one that was built by hand.

    Args:
        protocol: A key of ``PROTOCOLS``, or a ``Protocol``.
        resolution: Pixels of the camera images, if other than the protocol's.
        instructions: Which sentences the policy is told, if others than the protocol's.

    Raises:
        ConfigError: There is no such protocol, no such kind of instructions, or the resolution is
            out of range.
    """
    if isinstance(protocol, str):
        if protocol not in PROTOCOLS:
            raise unknown_name("protocol", protocol, PROTOCOLS)
        protocol = PROTOCOLS[protocol]
    if instructions is not None:
        if instructions not in get_args(Instructions):
            raise unknown_name("instructions", instructions, get_args(Instructions))
        protocol = dataclasses.replace(protocol, instructions=instructions)
    if resolution is None or resolution == protocol.resolution:
        return protocol
    if not 16 <= resolution <= 2048:
        raise ConfigError(f"resolution {resolution} is out of range. Allowed: 16 to 2048 pixels.")
    return dataclasses.replace(
        protocol, name=f"{protocol.name}@{resolution}px", resolution=resolution
    )


@dataclass(frozen=True, kw_only=True)
class SampledStart:
    """A start that LIBERO samples: objects, fixtures and arm, after which objects settle.

    It comes back bit for bit, what no state contains included: the controller's memory and where
    the constraint solver starts.

    Attributes:
        seed: What it is sampled with.
    """

    seed: int


@dataclass(frozen=True, kw_only=True)
class IndexedStart:
    """One of the task's initial states after all, as an evaluation with that seed has it.

    Attributes:
        init_state: Its index.
        seed: The evaluation's seed.
    """

    init_state: int
    seed: int


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredStart:
    """A start whose state is known, but not how it came about: the middle of an episode.

    The controller is told where the arm is, and the gripper what it was commanded; where the
    constraint solver starts stays unknown, which costs the last digits.

    Attributes:
        state: (D,) the simulator's state: time, qpos, qvel.
        model_xml: MJCF of its scene, from which the fixtures' poses are taken, as no state has
            them; without it they stand where the seed puts them.
        grip: What the gripper was commanded so far, −1 (open) to 1.
        settle_steps: Control steps executed before anything is shown, the protocol's settling
            action repeated.
    """

    state: FloatArray
    model_xml: str = ""
    grip: float = -1.0
    settle_steps: int = 0


Start = SampledStart | IndexedStart | StoredStart
