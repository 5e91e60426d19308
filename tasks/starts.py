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


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredStart:
    """A start whose state is known, but not how it came about. Nothing settles.

    Attributes:
        state: (D,) the simulator's state: time, qpos, qvel.
        model_xml: MJCF of its scene, from which the fixtures' poses are taken, as no state has
            them; without it they stand where the seed puts them.
    """

    state: FloatArray
    model_xml: str = ""


Start = SampledStart | StoredStart
