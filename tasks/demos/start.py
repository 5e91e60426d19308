"""How the episode of a demonstration begins, so that its actions can be executed again.

Ours begin as an evaluation does, with LIBERO's seeded reset and settling. The attribute
``scene_seed`` notes the seed, from which everything hidden in the simulator follows. Official ones
begin in the middle of an episode: the state is ``states[0]``, and the fixtures, which no state
contains, stand where the MJCF in ``model_file`` has them. Regenerated ones begin there too and
settle; ours note the number of settling steps in the attribute ``start``, in others it follows from
the time in ``states``. LeRobot sets of others keep neither states nor seeds: there the episode
begins at an initial state of the evaluation, and the actions lead elsewhere than they did.
"""

import json
from typing import Any

import numpy as np

from tasks.demos.schema import SEED_ATTRIBUTE, START_ATTRIBUTE
from tasks.demos.source import DemoSource
from tasks.demos.timing import check_states
from tasks.observation import CONTROL_HZ
from tasks.protocols import IndexedStart, SampledStart, Start, StoredStart

_MAX_SETTLING = 200
_INIT_STATES = 50


def start_attributes(start: Start) -> dict[str, Any]:
    """Return what a demonstration notes of its start, beside ``states`` and ``model_file``."""
    if isinstance(start, SampledStart):
        return {SEED_ATTRIBUTE: start.seed}
    if isinstance(start, IndexedStart):
        return {START_ATTRIBUTE: json.dumps({"init_state": start.init_state, "seed": start.seed})}
    noted = {
        "state": [float(number) for number in start.state],
        "grip": start.grip,
        "settle_steps": start.settle_steps,
    }
    return {START_ATTRIBUTE: json.dumps(noted)}


def notes_start(file: DemoSource, name: str) -> bool:
    """Whether anything says how a demonstration begins; else ``read_start`` gives another start."""
    place = f"data/{name}"
    return file.keeps_states or any(
        file.attribute(place, attribute) is not None
        for attribute in (SEED_ATTRIBUTE, START_ATTRIBUTE)
    )


def read_start(file: DemoSource, name: str, *, stored: bool = False) -> Start:
    """Return how a demonstration of a file begins.

    Args:
        file: The open file.
        name: The demonstration, ``demo_0``.
        stored: Whether to take it up from its first state whatever the file notes.

    Raises:
        ConfigError: The file does not say, or says something impossible.
    """
    place = f"data/{name}"
    noted, seed = file.json(place, START_ATTRIBUTE), file.attribute(place, SEED_ATTRIBUTE)
    xml = file.attribute(place, "model_file")
    xml = xml if isinstance(xml, str) else ""
    try:
        if stored:
            return _stored_start(file, name, xml)
        if seed is not None:
            return SampledStart(seed=_count(seed))
        if noted is None and not file.keeps_states:
            return IndexedStart(init_state=file.demos().index(name) % _INIT_STATES, seed=0)
        if noted is None:
            return _stored_start(file, name, xml)
        if "init_state" in noted:
            return IndexedStart(init_state=_count(noted["init_state"]), seed=_count(noted["seed"]))
        state = np.asarray(noted["state"], dtype=np.float64)
        grip, settle_steps = float(noted["grip"]), _count(noted["settle_steps"])
        if state.ndim != 1 or not np.isfinite([*state, grip]).all() or settle_steps > _MAX_SETTLING:
            raise ValueError("its state is no row of finite numbers, or it settles for too long")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        words = " ".join(str(error).split())[:200]
        raise file.refuse(f"the start of {name} cannot be read ({words})") from error
    return StoredStart(state=state, model_xml=xml, grip=grip, settle_steps=settle_steps)


def _stored_start(file: DemoSource, name: str, xml: str) -> StoredStart:
    check_states(file, name)
    states = file.numbers(f"data/{name}/states", (None,))
    first = float(file.numbers(f"data/{name}/actions", (7,))[0, -1])
    elapsed = float(states[1, 0] - states[0, 0]) * CONTROL_HZ
    settled = round(elapsed) - 1 if 0.5 < elapsed < _MAX_SETTLING else 0
    return StoredStart(
        state=np.asarray(states[0], dtype=np.float64),
        model_xml=xml,
        grip=float(np.sign(first)),
        settle_steps=settled,
    )


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 32:
        raise ValueError(f"{str(value)[:50]!r} is no number from 0 to 2³²")
    return value
