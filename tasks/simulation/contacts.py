"""Which things touch each other: objects, fixtures, the gripper, the rest of the scene."""

from typing import Any

import numpy as np

GRIPPER = "gripper"
SCENE = "scene"
"""What belongs to no object, fixture or robot: tables, floors and walls."""


class ContactMonitor:
    """Reads contacts; changes nothing in the simulation.

    Contacts of the gripper and of movable objects count, those among fixtures do not.

    Args:
        env: LIBERO's robosuite environment, built (``Simulator.env``).
    """

    def __init__(self, env: Any) -> None:
        self._data = env.sim.data._data
        model = env.sim.model._model
        owners = {body: name for name, body in env.obj_body_id.items()}
        names = [SCENE]
        for body in range(1, model.nbody):  # parents come before their children
            own = model.body(body).name
            if own.startswith("gripper0_"):
                names.append(GRIPPER)
            elif own.startswith(("robot0_", "mount0_")):
                names.append("arm")
            else:
                names.append(owners.get(body, names[model.body_parentid[body]]))
        self._names = sorted(set(names))
        index = {name: number for number, name in enumerate(self._names)}
        self._owner = np.array([index[names[body]] for body in model.geom_bodyid])
        watched = {GRIPPER, *env.objects_dict}
        self._watched = np.array([name in watched for name in self._names], dtype=np.bool_)

    def touching(self) -> frozenset[tuple[str, str]]:
        """Return the pairs that touch now, each in alphabetical order."""
        pairs = self._owner[self._data.contact.geom]  # (contacts, 2)
        kept = (pairs[:, 0] != pairs[:, 1]) & self._watched[pairs].any(axis=1)
        return frozenset(
            (self._names[a], self._names[b]) for a, b in np.unique(np.sort(pairs[kept]), axis=0)
        )
