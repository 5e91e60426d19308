"""Resetting a simulation to a scene as a new official environment would, without rebuilding it."""

from typing import Any

from tasks.protocols import SceneKey
from tasks.simulation.home import Home
from tasks.simulation.scenes import Scenes


class Resetter:
    """Puts fixtures, objects, robot and hidden state where the official reset puts them.

    Args:
        control: LIBERO's ``ControlEnv``, built with ``hard_reset=False`` and not yet stepped.
    """

    def __init__(self, control: Any) -> None:
        self._env = control.env
        self._home = Home(self._env)
        self._scenes = Scenes(self._env, self._home)

    def reset(self, scene: SceneKey) -> None:
        """Reset as an official environment with that history does.

        The controller is the same object as before, its fields as of a new one. Observables are
        left alone: nothing here reads them.

        Args:
            scene: Which of LIBERO's random scenes.

        Raises:
            SimulatorError: LIBERO found no valid placement.
        """
        self._scenes.place(scene)
        self._env.sim.forward()
