"""How the episode of a demonstration begins, so that its actions can be executed again.

Ours begin as an evaluation does: LIBERO's reset with a seed, and settling; the seed is noted, and
everything hidden in the simulator follows from it. Official files begin in the middle of somebody's
episode: the state is ``states[0]``, and the fixtures, which no state contains, stand where the
MJCF in ``model_file`` has them. Regenerated ones begin there, too, with some steps of settling that
the time in ``states`` betrays.
"""

import json
from typing import Any

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from tasks.observation import CONTROL_HZ, FloatArray
from training.demo_file import DemoFile
from training.demo_format import START_ATTRIBUTE

_MAX_SETTLING = 200


@dataclass(frozen=True, kw_only=True, config=ConfigDict(arbitrary_types_allowed=True))
class DemoStart:
    """Where an episode begins.

    Attributes:
        seed: Of LIBERO's reset; None for an episode taken up in its middle.
        init_state: Index of one of the task's initial states; None for one that LIBERO samples
            with the seed. Only with ``seed``.
        state: (D,) the state that an episode taken up begins with.
        model_xml: MJCF with the poses of the fixtures; None leaves them where a reset puts them.
        grip: What the gripper was last told, −1 (open) to 1. Only for an episode taken up.
        settle_steps: Control steps before the first action, in an episode taken up.
    """

    seed: int | None = None
    init_state: int | None = None
    state: FloatArray | None = None
    model_xml: str | None = None
    grip: float = -1.0
    settle_steps: int = Field(default=0, ge=0, le=_MAX_SETTLING)

    def to_json(self) -> str:
        """Write what ``model_file`` and ``states`` of a demo file do not say already."""
        if self.seed is not None:
            noted: dict[str, Any] = {"seed": self.seed, "init_state": self.init_state}
        else:
            state = None if self.state is None else [float(x) for x in self.state]
            noted = {"state": state, "grip": self.grip, "settle_steps": self.settle_steps}
        return json.dumps(noted)


def read_start(file: DemoFile, name: str) -> DemoStart:
    """Return how a demonstration of a file begins.

    Args:
        file: The open file.
        name: The demonstration, ``demo_0``.

    Raises:
        ConfigError: The file does not say, or says something impossible.
    """
    group = file.group(f"data/{name}")
    noted = file.json(group, START_ATTRIBUTE)
    if noted is None and (seed := file.attribute(group, "scene_seed")) is not None:
        noted = {"seed": seed}  # files of earlier versions of the collector
    xml = file.attribute(group, "model_file")
    try:
        if noted is not None and noted.get("seed") is not None:
            return DemoStart(seed=noted["seed"], init_state=noted.get("init_state"))
        if noted is None:
            return _read_taken_up(file, name, xml if isinstance(xml, str) else None)
        state = np.asarray(noted["state"], dtype=np.float64)
        if state.ndim != 1 or not np.isfinite(state).all():
            raise ValueError("its state is no row of finite numbers")
        return DemoStart(
            state=state,
            model_xml=xml if isinstance(xml, str) else None,
            grip=noted["grip"],
            settle_steps=noted["settle_steps"],
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        words = " ".join(str(error).split())[:200]
        raise file.refuse(f"the start of {name} cannot be read ({words})") from error


def _read_taken_up(file: DemoFile, name: str, xml: str | None) -> DemoStart:
    states = file.numbers(f"data/{name}/states", (None,))
    first = float(file.numbers(f"data/{name}/actions", (7,))[0, -1])
    elapsed = float(states[1, 0] - states[0, 0]) * CONTROL_HZ
    settled = round(elapsed) - 1 if 0.5 < elapsed < _MAX_SETTLING else 0
    return DemoStart(
        state=np.asarray(states[0], dtype=np.float64),
        model_xml=xml,
        grip=float(np.sign(first)),
        settle_steps=settled,
    )
