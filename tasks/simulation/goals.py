"""How far a task's goal is reached: each of its predicates, and since when it has held.

LIBERO's goal is a conjunction of predicates such as ``On(bowl, plate)``. They are evaluated by
LIBERO's own code with two differences that change no result: contacts are looked up in arrays
instead of by the names of all touching geoms, and a stove's predicates leave no trace. (LIBERO's
``TurnOn`` and ``TurnOff`` write into the object whether its burner is to be shown; the control step
writes it again before it is shown, so pictures are the same either way.)
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True)
class GoalProgress:
    """How far the goal is reached at one control step.

    Attributes:
        step: The control step, as the monitor was told.
        holding: Whether each predicate holds now, by its name, such as
            ``On(akita_black_bowl_1, plate_1)``.
        first_held: The step at which each first held, None where it never did.
    """

    step: int
    holding: dict[str, bool]
    first_held: dict[str, int | None]

    @property
    def success(self) -> bool:
        """Whether all predicates hold, which is LIBERO's success."""
        return all(self.holding.values())

    @property
    def count(self) -> int:
        """How many predicates hold."""
        return sum(self.holding.values())


class GoalMonitor:
    """Watches the predicates of a task's goal; reads the simulation and changes nothing in it.

    Call ``reset`` when an episode starts and ``update`` once after each control step; take success
    from what it returns rather than evaluating the goal a second time.

    Args:
        env: LIBERO's robosuite environment, built (``Simulator.env``).

    Attributes:
        names: The predicates' names, in the order of the BDDL file.
    """

    def __init__(self, env: Any) -> None:
        from libero.libero.envs.predicates import get_predicate_fn

        reader = ContactReader(env)
        self._evaluate: dict[str, Callable[[], bool]] = {}
        for kind, *arguments in env.parsed_problem["goal_state"]:
            predicate = get_predicate_fn(kind)
            states = [_reading(env.object_states_dict[name], reader) for name in arguments]
            name = f"{type(predicate).__name__.removesuffix('PredicateFn')}({', '.join(arguments)})"
            self._evaluate[name] = _evaluation(predicate, states)
        self.names = tuple(self._evaluate)
        self._first_held: dict[str, int | None] = {}
        self.reset()

    def reset(self) -> None:
        """Forget since when predicates have held."""
        self._first_held = dict.fromkeys(self.names)

    def update(self, step: int) -> GoalProgress:
        """Evaluate each predicate once.

        Args:
            step: Number of the control step just executed, from 1; 0 for the state at the start.

        Returns:
            What holds now, and the steps at which it first did since ``reset``.
        """
        holding = {name: evaluate() for name, evaluate in self._evaluate.items()}
        for name, holds in holding.items():
            if holds and self._first_held[name] is None:
                self._first_held[name] = step
        return GoalProgress(step=step, holding=holding, first_held=dict(self._first_held))


def _evaluation(predicate: Callable[..., Any], states: list[Any]) -> Callable[[], bool]:
    """Return a function that evaluates a predicate and leaves its objects as they were."""
    properties = [
        state.env.get_object(state.object_name).object_properties
        for state in states
        if getattr(state, "has_turnon_affordance", False)
    ]

    def evaluate() -> bool:
        shown = [dict(each["vis_site_names"]) for each in properties]
        holds = bool(predicate(*states))
        for each, sites in zip(properties, shown, strict=True):
            each["vis_site_names"].update(sites)
        return holds

    return evaluate


def _reading(state: Any, reader: "ContactReader") -> Any:
    """Return a copy of LIBERO's object state that asks the reader instead of the environment."""
    own = copy.copy(state)
    own.env = reader
    return own


class ContactReader:
    """LIBERO's environment as its predicates see it, with a faster ``check_contact``."""

    def __init__(self, env: Any) -> None:
        self._env = env
        self._masks: dict[tuple[int, int], tuple[Any, Any, npt.NDArray[np.bool_]]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._env, name)

    def check_contact(self, first: Any, second: Any) -> bool:
        """Whether any collision geom of one model touches one of the other's.

        Args:
            first: A ``MujocoModel``.
            second: Another, or the same one.
        """
        pairs = self._env.sim.data._data.contact.geom  # (contacts, 2)
        a, b = self._mask(first)[pairs], self._mask(second)[pairs]
        return bool(((a[:, 0] & b[:, 1]) | (a[:, 1] & b[:, 0])).any())

    def _mask(self, body: Any) -> npt.NDArray[np.bool_]:
        """Return which of the simulation's geoms belong to a model's collision geoms, (ngeom,)."""
        model = self._env.sim.model
        key = (id(model), id(body))
        if key not in self._masks:
            wanted = set(body.contact_geoms)
            names = [model.geom_id2name(geom) for geom in range(model.ngeom)]
            mask = np.array([name in wanted for name in names], dtype=np.bool_)
            # Kept with what it belongs to, so that no other object can get the same id.
            self._masks[key] = (model, body, mask)
        return self._masks[key][2]


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
