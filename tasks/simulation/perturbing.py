"""Applying a task's perturbation to its simulation."""

import hashlib
from typing import Any

import numpy as np

from tasks.camera_pose import moved_camera
from tasks.errors import SimulatorError
from tasks.observation import FloatArray
from tasks.perturbation import CameraMove, LayoutShift, LightChange, Perturbation
from tasks.robot_start import robot_qpos
from tasks.simulation.noise import NoiseSource
from tasks.suites import Task

_CAMERA = "agentview"


class PerturbedScene:
    """What a task has changed of one simulation.

    Made between the building of the simulation and its first reset, it moves the camera, changes
    the light and tells the robot where it starts. Kept models stay as they are: only the
    simulation's own is changed.

    Args:
        env: LIBERO's robosuite environment, before its first reset.
        task: The task.
        size: Height and width of the pictures in pixels.

    Attributes:
        noise: Corrupts the pictures of an episode; None where they stay as they are.
        generator: State of NumPy's generator as the latest reset left it; None before the first.

    Raises:
        ConfigError: The noise is not defined for pictures of that size.
    """

    def __init__(self, env: Any, task: Task, size: int) -> None:
        self._env, self._task = env, task
        changed = task.perturbation or Perturbation()
        self._layout = changed.layout
        self.generator: Any = None
        self.noise = None if changed.noise is None else NoiseSource(changed.noise, size)
        if changed.camera is not None:
            _move_camera(env, changed.camera)
        if changed.light is not None:
            _change_light(env.sim.model._model, changed.light)
        if changed.robot is not None:
            env.robots[0].init_qpos = robot_qpos(changed.robot)

    def init_state(self, index: int, state: FloatArray) -> FloatArray:
        """Return an initial state as the perturbation has it.

        Args:
            index: Its index.
            state: (D,) as the task has it.
        """
        if self._layout is None:
            return state
        return shifted_objects(
            self._env, state, self._layout, f"{self._task.suite}/{self._task.name}/{index}"
        )

    def begin_episode(self, generator: Any, state: FloatArray) -> None:
        """Begin the noise of an episode.

        Args:
            generator: State of NumPy's generator after the reset.
            state: The initial state, (D,).
        """
        self.generator = generator
        if self.noise is not None:
            digest = hashlib.sha256(state.tobytes()).hexdigest()
            self.noise.begin(generator, f"{self._task.suite}/{self._task.name}/{digest}")


def _move_camera(env: Any, move: CameraMove) -> None:
    model = env.sim.model._model
    index = env.sim.model.camera_name2id(_CAMERA)
    position, quaternion = _stated_camera(env.model.root)
    model.cam_pos[index], model.cam_quat[index] = moved_camera(position, quaternion, move)


def _stated_camera(root: Any) -> tuple[FloatArray, FloatArray]:
    """Return the camera's pose as the MJCF has it, the quaternion not of exact unit length."""
    element = root.find(f".//camera[@name='{_CAMERA}']")
    if element is None:
        raise SimulatorError(f"The scene has no camera '{_CAMERA}'.")
    pos, quat = (np.array(element.get(name).split(), dtype=np.float64) for name in ("pos", "quat"))
    return pos, quat


def _change_light(model: Any, change: LightChange) -> None:
    lamps = {name: getattr(model, f"light_{name}") for name in ("diffuse", "ambient", "specular")}
    for name, values in lamps.items():
        factor = getattr(change, name)
        values[:] = values * factor
        of_headlight = getattr(model.vis.headlight, name)
        of_headlight[:] = of_headlight * factor


def shifted_objects(env: Any, state: FloatArray, shift: LayoutShift, key: str) -> FloatArray:
    """Return an initial state whose movable objects stand elsewhere on their ground.

    Args:
        env: LIBERO's robosuite environment.
        state: (D,) time, qpos, qvel.
        shift: How far at most, and the seed; directions and distances are drawn for each object
            such that all places within reach are as likely.
        key: Identifies the initial state, so that another one has other shifts.
    """
    moved = np.array(state, dtype=np.float64)
    for name, thing in sorted(env.objects_dict.items()):
        address = env.sim.model.get_joint_qpos_addr(thing.joints[-1])[0]
        text = f"{key}/{shift.seed}/{name}".encode()
        random = np.random.default_rng(np.frombuffer(hashlib.sha256(text).digest(), np.uint32))
        distance, angle = shift.shift * np.sqrt(random.random()), 2 * np.pi * random.random()
        moved[1 + address] += distance * np.cos(angle)
        moved[2 + address] += distance * np.sin(angle)
    return moved
