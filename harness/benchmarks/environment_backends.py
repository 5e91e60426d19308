"""The two environments that ``bench env`` compares, with the same methods.

Each has one task at 256 pixels and does not settle, so that resets alone are timed.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from tasks.observation import CAMERAS, FloatArray
from tasks.opengl import prepare
from tasks.protocols import get_protocol
from tasks.suites import find_task

WAYS = ("robosuite", "culled", "ours")
"""How images are drawn: everything; what can be seen; of that what is not kept."""

_OFFICIAL_CAMERAS = ["agentview", "robot0_eye_in_hand"]


class Ours:
    """This project's simulator: images of the last two steps of each call only.

    Args:
        suite: The suite.
        task: Index of the task.
        images: Whether it has a renderer.
    """

    def __init__(self, suite: str, task: int, *, images: bool) -> None:
        from tasks.simulation.simulator import Simulator

        self._make = Simulator
        self._task = find_task(suite, task)
        self._protocol = dataclasses.replace(get_protocol(), settle_steps=0)
        self._images = images
        self._cameras: Sequence[str] = CAMERAS if images else ()
        self._simulator: Any = None
        self._renderers: dict[str, Any] = {}

    def prepare(self) -> None:
        """Do nothing; by the time of this call everything is imported."""

    def build(self) -> None:
        """Make the environment, as far as the first observation."""
        self._simulator = self._make(self._task, self._protocol, images=self._images)
        self._simulator.reset(0, cameras=self._cameras)

    def reset(self) -> None:
        """Start the first episode over."""
        self._simulator.reset(0)

    def act(self, actions: FloatArray) -> None:
        """Execute a slice of a plan."""
        self._simulator.execute(actions, cameras=self._cameras, history=2)

    def state(self) -> FloatArray:
        """Return time, qpos and qvel."""
        state: FloatArray = self._simulator.get_state()
        return state

    def move(self, actions: FloatArray) -> None:
        """Execute actions without an image."""
        self._simulator.execute(actions)

    def picture(self, camera: str, way: str) -> None:
        """Render one image of the present state, in one of ``WAYS``."""
        if not self._renderers:
            self._renderers = self._simulator.renderers(self._protocol.resolution)
        self._renderers[way].render(camera)


class Official:
    """LIBERO's ``OffScreenRenderEnv`` as evaluators use it: two images at every step.

    Args:
        suite: The suite.
        task: Index of the task.
        images: Whether its observations have images.
    """

    def __init__(self, suite: str, task: int, *, images: bool) -> None:
        prepare()
        from libero.libero.envs.env_wrapper import OffScreenRenderEnv

        self._make = OffScreenRenderEnv
        self._task = find_task(suite, task)
        self._protocol = get_protocol()
        self._images = images
        self._env: Any = None

    def prepare(self) -> None:
        """Do nothing; by the time of this call everything is imported."""

    def build(self) -> None:
        """Make the environment, as far as the first observation."""
        size = self._protocol.resolution
        self._env = self._make(
            bddl_file_name=str(self._task.bddl_file),
            camera_names=_OFFICIAL_CAMERAS,
            camera_heights=size,
            camera_widths=size,
            use_camera_obs=self._images,
            ignore_done=True,
        )
        self._env.seed(self._protocol.scene(0).seed)
        self.reset()

    def reset(self) -> None:
        """Reset, which draws another scene, and set the first initial state."""
        self._env.reset()
        self._env.set_init_state(self._task.init_states()[0])

    def act(self, actions: FloatArray) -> None:
        """Execute actions one by one, as evaluators do."""
        for action in actions:
            _, _, done, _ = self._env.step(action)
            if done:
                return

    def state(self) -> FloatArray:
        """Return time, qpos and qvel."""
        return np.asarray(self._env.get_sim_state())
