"""LIBERO tasks as Gymnasium environments."""

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from tasks.actions import check_actions
from tasks.errors import ConfigError, SimulatorError, unknown_name
from tasks.instruction_space import InstructionSpace
from tasks.observation import ACTION_DIM, CAMERAS, CONTROL_HZ, FloatArray, Image, Observation
from tasks.protocols import Protocol, get_protocol
from tasks.simulation.simulator import Simulator, Slice
from tasks.suites import find_task

_RENDER_MODES = ("rgb_array",)
_VECTORS = {"joint_pos": 7, "ee_pos": 3, "ee_quat": 4, "gripper_qpos": 2}


class LiberoEnv(gymnasium.Env[dict[str, Any], FloatArray]):
    """One LIBERO task under one evaluation protocol.

    Observations are dictionaries as ``tasks.observation.Observation`` describes them; actions are
    (7,) in [−1, 1]. ``terminated`` means success, ``truncated`` the protocol's step limit; the
    reward is 1 at success and 0 otherwise. The simulation is built at the first ``reset``.

    Args:
        suite: The suite's name.
        task: The task's index or name.
        protocol: A protocol's name, or a ``Protocol``.
        resolution: Pixels of the images, if other than the protocol's.
        render_mode: ``"rgb_array"`` or None.
        images: False leaves the pictures out of observations and needs no renderer.

    Raises:
        ConfigError: Unknown suite, task, protocol or render mode.
    """

    metadata = {"render_modes": list(_RENDER_MODES), "render_fps": int(CONTROL_HZ)}  # noqa: RUF012

    def __init__(
        self,
        suite: str,
        task: int | str = 0,
        protocol: str | Protocol = "openvla",
        *,
        resolution: int | None = None,
        render_mode: str | None = None,
        images: bool = True,
    ) -> None:
        if render_mode is not None and render_mode not in _RENDER_MODES:
            raise unknown_name("render_mode", render_mode, _RENDER_MODES)
        self.render_mode = render_mode
        self.task = find_task(suite, task)
        self.protocol = get_protocol(protocol, resolution=resolution)
        self.max_steps = self.protocol.step_limit(suite)
        self.images = images
        self.elapsed = 0
        self._simulator: Simulator | None = None
        self._latest: Observation | None = None
        self._succeeded = False
        self.action_space = spaces.Box(-1.0, 1.0, (ACTION_DIM,), np.float64)
        self.observation_space = _observation_space(self.protocol.resolution, images=images)

    @property
    def simulator(self) -> Simulator:
        """The simulation, built on first use."""
        if self._simulator is None:
            self._simulator = Simulator(self.task, self.protocol, images=self.images)
        return self._simulator

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start an episode.

        Args:
            seed: The evaluation's seed, from which the fixtures' poses are drawn together with
                the initial state's index; the protocol's own by default.
            options: ``init_state``: index of the initial state; without it one is drawn at
                random. ``cameras``: cameras to render, all by default.

        Raises:
            ConfigError: An unknown option or initial state.
        """
        super().reset(seed=seed)
        options = dict(options or {})
        cameras = options.pop("cameras", CAMERAS if self.images else ())
        init_state = options.pop("init_state", None)
        if options:
            raise unknown_name("reset option", next(iter(options)), ("init_state", "cameras"))
        if init_state is None:
            init_state = int(self.np_random.integers(len(self.task.init_states())))
        observation = self.simulator.reset(init_state, seed=seed, cameras=cameras)
        self.elapsed, self._succeeded, self._latest = 0, False, observation
        info = {
            "init_state": int(init_state),
            "scene_hash": self.simulator.scene_hash(),
            "success": False,
            "steps": 0,
        }
        return dict(observation), info

    def step(self, action: FloatArray) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Execute one control step and show both pictures.

        Raises:
            ConfigError: The action is not (7,) finite numbers in [−1, 1].
        """
        result = self.execute(np.asarray(action)[None], history=1)
        observation = dict(result.observations[-1])
        truncated = self.elapsed >= self.max_steps and not result.success
        info = {"success": result.success, "steps": self.elapsed}
        return observation, float(result.success), result.success, truncated, info

    def execute(
        self,
        actions: FloatArray,
        *,
        history: int = 1,
        cameras: Sequence[str] | None = None,
        record: Sequence[str] = (),
    ) -> Slice:
        """Execute a slice of a plan; stop early at success or at the step limit.

        Args:
            actions: (n, 7) in [−1, 1].
            history: Steps at the end of the slice whose pictures are rendered.
            cameras: Cameras rendered there, all by default.
            record: Cameras rendered at every step.

        Returns:
            The executed steps' observations and whether the goal holds.

        Raises:
            ConfigError: The actions are not (n, 7) finite numbers in [−1, 1].
            SimulatorError: No episode is under way.
        """
        if self._latest is None:
            raise SimulatorError("No episode is under way. Call reset() first.")
        if cameras is None:
            cameras = CAMERAS if self.images else ()
        allowed = check_actions(actions)[: max(self.max_steps - self.elapsed, 1)]
        if not len(allowed):
            raise ConfigError("No action given. Allowed: (n, 7) with n at least 1.")
        result = self.simulator.execute(allowed, cameras=cameras, history=history, record=record)
        self.elapsed += result.steps
        self._succeeded = result.success
        self._latest = result.observations[-1]
        return result

    def get_state(self) -> FloatArray:
        """Return the simulator's flattened state in LIBERO's layout: time, qpos, qvel."""
        return self.simulator.get_state()

    def set_state(self, state: FloatArray) -> None:
        """Set the simulator's flattened state, as ``get_state`` returned it."""
        self.simulator.set_state(state)

    def render(self) -> Image | None:
        """Return the latest pictures side by side, (H, 2·W, 3) uint8, upright."""
        if self.render_mode is None:
            return None
        latest = self._latest or {}
        if any(camera not in latest for camera in CAMERAS):
            raise SimulatorError("Nothing was rendered at the latest step; call reset or step.")
        return np.concatenate([latest[camera] for camera in CAMERAS], axis=1)  # type: ignore[literal-required]

    def close(self) -> None:
        """Free the simulation."""
        if self._simulator is not None:
            self._simulator.close()
            self._simulator = None


def _observation_space(resolution: int, *, images: bool) -> spaces.Dict:
    shape = (resolution, resolution, 3)
    pictures = CAMERAS if images else ()
    boxes: dict[str, spaces.Space[Any]] = {
        camera: spaces.Box(0, 255, shape, np.uint8) for camera in pictures
    }
    for name, size in _VECTORS.items():
        boxes[name] = spaces.Box(-np.inf, np.inf, (size,), np.float64)
    boxes["instruction"] = InstructionSpace()
    return spaces.Dict(boxes)
