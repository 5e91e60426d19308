"""Resetting a simulation to a scene as a new official environment would, without rebuilding it."""

from typing import Any

import numpy as np

from tasks.errors import SimulatorError
from tasks.protocols import SceneKey
from tasks.simulation.construction import seeded

_ATTEMPTS = 100


class Resetter:
    """Puts fixtures, objects, robot and hidden state where the official reset puts them.

    Args:
        control: LIBERO's ``ControlEnv``, built with ``hard_reset=False`` and not yet stepped.
    """

    def __init__(self, control: Any) -> None:
        self._env = control.env
        self._initializers = list(self._env.object_property_initializers)
        model = self._env.sim.model._model
        self._body_poses = (model.body_pos.copy(), model.body_quat.copy())

    def reset(self, scene: SceneKey) -> None:
        """Reset as a newly seeded official environment does.

        Args:
            scene: Which of LIBERO's random scenes.

        Raises:
            SimulatorError: LIBERO found no valid placement.
        """
        # The official environment appends a copy of its initializers whenever it rebuilds the
        # model, once when built and once at the first reset, and each copy draws numbers.
        self._env.object_property_initializers = self._initializers * 2
        for robot in self._env.robots:
            robot.gripper.current_action = np.zeros(robot.gripper.dof)
        from robosuite.utils.errors import RandomizationError

        with seeded(scene.seed):
            for _ in range(_ATTEMPTS):
                try:
                    self._reset_once()
                    return
                except RandomizationError:
                    continue
        raise SimulatorError(
            f"LIBERO found no placement of the objects in {_ATTEMPTS} attempts "
            f"with scene seed {scene.seed}. Try another seed."
        )

    def _reset_once(self) -> None:
        """Do what robosuite's reset does to a newly compiled model.

        Order matters to the last bit: ``forward`` leaves its forces behind as the solver's next
        starting point, so it runs with the fixtures where the compiled model has them.
        """
        env = self._env
        model = env.sim.model._model
        model.body_pos[:], model.body_quat[:] = self._body_poses
        env.sim.reset()
        env.sim.forward()
        env.sim.forward()  # the official environment's new render context runs it once more
        env._reset_internal()
        env.sim.forward()
        env._obs_cache = {}
        env.visualize(vis_settings=dict.fromkeys(env._visualizations, False))
        env._get_observations(force_update=True)
