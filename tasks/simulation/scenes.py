"""LIBERO's random scenes, each computed from its key without running the resets before it.

LIBERO draws where fixtures and objects stand from NumPy's global generator. Somebody who seeds it
once and then resets for every episode gives episode k the draws that k resets have left over, so
those resets' draws are repeated here, and only those.

How many numbers a reset draws depends on how often the official environment has built its model:
each build, one when the environment is made and one at each reset, adds another copy of the
initializers of its joints, and each copy draws. Where objects find no place LIBERO resets again,
which is one more build.
"""

from typing import Any

import mujoco
import numpy as np

from tasks.errors import SimulatorError
from tasks.protocols import SceneKey
from tasks.simulation.construction import seeded
from tasks.simulation.reset_state import ResetState

_ATTEMPTS = 100

Placements = dict[str, tuple[Any, Any, Any]]
"""By object: position (3,) m, orientation (4,) as (w, x, y, z), and LIBERO's object."""


class Scenes:
    """Resets to LIBERO's scenes: fixtures, objects, robot and hidden state.

    Args:
        env: LIBERO's robosuite environment, built with ``hard_reset=False`` and not yet stepped.
    """

    def __init__(self, env: Any) -> None:
        self._env = env
        self._reset_state = ResetState(env)
        self._initializers = list(env.object_property_initializers)
        # For one way of seeding: by reset, the generator before it and the builds it starts with.
        self._seeding: tuple[int, int] | None = None
        self._starts: list[tuple[Any, int]] = []

    def reset(self, key: SceneKey) -> None:
        """Reset as an official environment with that history does.

        The controller is the same object as before, its fields as of a new one. Observables are
        left alone: nothing here reads them.

        Args:
            key: Which of LIBERO's random scenes.

        Raises:
            SimulatorError: LIBERO found no valid placement.
        """
        with seeded(key.seed):
            builds = self._skip(key)
            placements, _ = self._draw(key, builds, place=True)
        model, data = self._env.sim.model._model, self._env.sim.data
        for position, quaternion, thing in placements.values():
            if thing.name in self._env.fixtures_dict:
                body = self._env.obj_body_id[thing.name]
                model.body_pos[body], model.body_quat[body] = position, quaternion
            else:
                data.set_joint_qpos(thing.joints[-1], np.concatenate([position, quaternion]))
        self._env.sim.forward()

    def _skip(self, key: SceneKey) -> int:
        """Advance the newly seeded generator to a reset; return the model's builds by then."""
        seeding = key.seed, key.builds - key.reset
        if seeding != self._seeding:
            self._seeding = seeding
            self._starts = [(np.random.get_state(), seeding[1])]
        while len(self._starts) <= key.reset:
            state, builds = self._starts[-1]
            np.random.set_state(state)
            _, builds = self._draw(key, builds, place=False)
            self._starts.append((np.random.get_state(), builds + 1))
        state, builds = self._starts[key.reset]
        np.random.set_state(state)
        return builds

    def _draw(self, key: SceneKey, builds: int, *, place: bool) -> tuple[Placements, int]:
        """Draw a reset's numbers; return the placements and the builds it took in the end."""
        from robosuite.utils.errors import RandomizationError

        for attempt in range(_ATTEMPTS):
            try:
                return self._draw_once(builds + attempt, place=place), builds + attempt
            except RandomizationError:
                continue
        raise SimulatorError(
            f"LIBERO found no placement of the objects in {_ATTEMPTS} attempts "
            f"with scene seed {key.seed}. Try another seed."
        )

    def _draw_once(self, builds: int, *, place: bool) -> Placements:
        """Draw what one attempt of a reset draws, in its order.

        Objects in or on fixtures are placed relative to them: to where the model was compiled with
        them, their doors and drawers as drawn.
        """
        env = self._env
        model, data = env.sim.model._model, env.sim.data._data
        if place:
            self._reset_state.restore()
        else:
            self._reset_state.restore_positions()
        self._reset_state.draw_arm()
        for initializer in self._initializers * builds:
            joint = initializer.sample()
            env.object_states_dict[initializer.name].set_joint(joint)
        if place:
            mujoco.mj_step1(model, data)
        else:
            mujoco.mj_kinematics(model, data)
        placements = env.placement_initializer.sample()
        placements = env.conditional_placement_initializer.sample(env.sim, placements)
        drawn: Placements = env.conditional_placement_on_objects_initializer.sample(placements)
        return drawn
