"""Starts of episodes that are none of a task's initial states, such as those of demonstrations."""

from dataclasses import dataclass

from tasks.observation import FloatArray


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
