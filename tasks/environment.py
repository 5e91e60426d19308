"""LIBERO tasks as Gymnasium environments."""

from collections.abc import Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from gymnasium import spaces

from tasks.actions import check_actions, read_numbers
from tasks.errors import ConfigError, SimulatorError, unknown_name
from tasks.instruction_space import InstructionSpace
from tasks.observation import (
    ACTION_DIM,
    CAMERAS,
    CONTROL_HZ,
    FloatArray,
    Image,
    Observation,
    is_blank,
)
from tasks.opengl import blank, unavailable
from tasks.perturbation import NoiseStream
from tasks.protocols import Protocol, get_protocol
from tasks.suites import Instructions, check_states, find_task, perturbed

if TYPE_CHECKING:
    from tasks.simulation.simulator import Simulator, Slice

_RENDER_MODES = ("rgb_array",)
_VECTORS = {"joint_pos": 7, "ee_pos": 3, "ee_quat": 4, "gripper_qpos": 2}


class LiberoEnv(gymnasium.Env[dict[str, Any], FloatArray]):
    """One LIBERO task under one evaluation protocol.

    Observations are dictionaries as ``tasks.observation.Observation`` describes them; actions are
    (7,) in [−1, 1]. ``terminated`` means success, ``truncated`` the protocol's step limit; the
    reward is 1 at success and 0 otherwise. The simulation is built at the first ``reset``, and from
    then on the environment renders in that thread alone and cannot be copied or pickled: make one
    in each thread or process, and hand states on with ``get_state`` and ``set_state``.

    The info of ``reset`` and ``step`` holds:

    - ``steps``, ``success``, and ``scene_hash``, which identifies where fixtures stand;
    - ``goals``: whether each predicate of the goal holds, by names such as ``On(bowl_1, plate_1)``;
    - ``first_held``: the step at which a predicate first held, 0 for the start; those that never
      did are left out, since vector environments cannot batch numbers with None;
    - ``perturbation``, ``perturbation_hash``, ``dimension`` and ``base_task``, from ``reset`` of a
      perturbed task: what is changed, which dimension that is, and the task without it;
    - ``init_state``: its index, from ``reset``, unless a state or a start was given;
    - ``held_steps`` and ``success_held``, at success with ``hold_steps``: for how many of these
      steps the goal went on holding without a break, and whether it held at the last.

    Args:
        suite: The suite's name.
        task: The task's index or name.
        protocol: A protocol's name, or a ``Protocol``.
        resolution: Pixels of the images, if other than the protocol's.
        instructions: Which sentence is the instruction, if other than the protocol's: ``"name"``,
            ``"bddl"`` or ``"upstream"``; see ``tasks.suites.Task.instruction_by``.
        perturb: What is changed of the scene or of its pictures, such as ``"camera:h=30"``; see
            ``tasks.perturbation``. LIBERO-Plus's tasks have theirs.
        noise_stream: Where the noise of pictures is drawn from: ``"upstream"`` or ``"keyed"``.
        render_mode: ``"rgb_array"`` or None.
        images: False leaves the images out of observations and needs no renderer.
        hold_steps: Control steps for which the arm is held still after success, the gripper as it
            was commanded, to see whether success lasts. They count for nothing else: neither as
            steps of the episode nor for its outcome, and the observation is the one at success.

    Raises:
        ConfigError: Unknown suite, task, protocol, instructions, perturbation or render mode, or
            negative ``hold_steps``.
    """

    metadata = {"render_modes": list(_RENDER_MODES), "render_fps": int(CONTROL_HZ)}  # noqa: RUF012

    def __init__(
        self,
        suite: str,
        task: int | str = 0,
        protocol: str | Protocol = "openvla",
        *,
        resolution: int | None = None,
        instructions: Instructions | None = None,
        perturb: str = "",
        noise_stream: NoiseStream | None = None,
        render_mode: str | None = None,
        images: bool = True,
        hold_steps: int = 0,
    ) -> None:
        if render_mode is not None and render_mode not in _RENDER_MODES:
            raise unknown_name("render_mode", render_mode, _RENDER_MODES)
        self.render_mode = render_mode
        self.task = perturbed(find_task(suite, task), perturb, noise_stream)
        self.protocol = get_protocol(protocol, resolution=resolution, instructions=instructions)
        self.max_steps = self.protocol.step_limit(suite)
        if hold_steps < 0:
            raise ConfigError(f"hold_steps {hold_steps} given. Allowed: 0 or more control steps.")
        self.images = images
        self.hold_steps = hold_steps
        self.elapsed = 0
        self._simulator: Simulator | None = None
        self._latest: Observation | None = None
        self._info: dict[str, Any] = {}
        self.action_space = spaces.Box(-1.0, 1.0, (ACTION_DIM,), np.float64)
        self.observation_space = _observation_space(self.protocol.resolution, images=images)

    @property
    def simulator(self) -> "Simulator":
        """The simulation, built on first use.

        Raises:
            PrerequisiteError: LIBERO or the GL library for rendering is missing.
        """
        if self._simulator is None:
            try:
                from tasks.simulation.simulator import Simulator
            except (ImportError, AttributeError, OSError) as error:  # MuJoCo looks for OpenGL
                raise unavailable(error) from error
            self._simulator = Simulator(self.task, self.protocol, images=self.images)
        return self._simulator

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start an episode.

        Args:
            seed: The evaluation's seed, the protocol's own by default. The protocol says whether
                the fixtures' poses depend on it, beside the initial state's index.
            options: ``init_state``: index of the initial state, or a state (D,) as ``get_state``
                gives it, the fixtures then being those of the seed itself; without it an index is
                drawn at random. ``start``: a ``tasks.protocols.Start`` instead. ``cameras``: the
                cameras to render, all by default. ``instruction``: the task in other words, for
                this episode; the protocol's by default.

        Raises:
            ConfigError: An unknown option or initial state, or both an initial state and a start.
            SpecMismatchError: The start is another scene's.
            PrerequisiteError: What was rendered shows nothing.
            SimulatorError: Images are asked for in another thread than at the first reset.
        """
        super().reset(seed=seed)
        options = dict(options or {})
        cameras = options.pop("cameras", CAMERAS if self.images else ())
        init_state, start = options.pop("init_state", None), options.pop("start", None)
        instruction = options.pop("instruction", None)
        if options:
            allowed = ("init_state", "start", "cameras", "instruction")
            raise unknown_name("reset option", next(iter(options)), allowed)
        if start is not None and init_state is not None:
            raise ConfigError("Both init_state and start were given. Fix: give one of them.")
        if init_state is None:
            if start is None:
                check_states([self.task])
            init_state = int(self.np_random.integers(max(1, len(self.task.init_states()))))
        init_state = _check_init_state(init_state)
        self.simulator.check_cameras(cameras)
        self._latest = None  # until the new episode is under way, there is none
        usual = self.protocol.instruction_of(self.task)
        self.simulator.instruction = usual if instruction is None else str(instruction)
        if start is None:
            first = self.simulator.reset(init_state, seed=seed, cameras=cameras)
        else:
            first = self.simulator.begin(start, seed=seed, cameras=cameras)
        for camera in cameras:
            if is_blank(first[camera]):  # type: ignore[literal-required]
                raise blank(camera)
        self._latest = first
        self.elapsed = 0
        self._info = {"scene_hash": self.simulator.scene_hash(), "success": False}
        indexed = start is None and not isinstance(init_state, np.ndarray)
        given = {"init_state": init_state} if indexed else {}
        return dict(self._latest), {**given, **self._perturbation(), **self.info()}

    def step(self, action: FloatArray) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Execute one control step and show both images.

        Raises:
            ConfigError: The action is not (7,) finite numbers in [−1, 1].
            SimulatorError: No episode is under way, or it is over.
        """
        result = self.execute([action], history=1)  # type: ignore[arg-type]
        observation = dict(result.observations[-1])
        truncated = self.elapsed >= self.max_steps and not result.success
        return observation, float(result.success), result.success, truncated, self.info()

    def execute(
        self,
        actions: FloatArray,
        *,
        history: int = 1,
        cameras: Sequence[str] | None = None,
        record: Sequence[str] = (),
    ) -> "Slice":
        """Execute a slice of a plan; stop early at success or at the step limit.

        Args:
            actions: (n, 7) in [−1, 1]; or goals of the hand, (n, 10), see
                ``tasks.observation.GOAL_DIM``, approached step by step from where the hand is.
            history: Steps at the end of the slice whose images are rendered.
            cameras: Cameras rendered there, all by default.
            record: Cameras rendered at every step.

        Returns:
            The executed steps' observations and whether the goal holds.

        Raises:
            ConfigError: The actions are not (n, 7) finite numbers in [−1, 1], n at least 1, or
                the history is negative.
            SimulatorError: No episode is under way, or it is over.
        """
        self._check_under_way()
        if self._info["success"] or self.elapsed >= self.max_steps:
            how = "by success" if self._info["success"] else "at the step limit"
            raise SimulatorError(f"The episode ended {how} at step {self.elapsed}; call reset().")
        if history < 0:
            raise ConfigError(f"history {history} given. Allowed: 0 or more steps.")
        if cameras is None:
            cameras = CAMERAS if self.images else ()
        allowed = _check_plan(actions)[: self.max_steps - self.elapsed]
        result = self.simulator.execute(allowed, cameras=cameras, history=history, record=record)
        self.elapsed += result.steps
        self._latest = result.observations[-1]
        self._info["success"] = result.success
        if result.success and self.hold_steps:
            # Of the goal as it was at success, not as holding leaves it.
            self._info |= self.info() | self._hold(float(allowed[result.steps - 1, -1]))
        return result

    def info(self) -> dict[str, Any]:
        """Return what Gymnasium's info says of the latest step, or of the start.

        Raises:
            SimulatorError: No episode is under way.
        """
        self._check_under_way()
        goals = self.simulator.goals
        assert goals is not None, "the simulation was reset"
        reached = {name: step for name, step in goals.first_held.items() if step is not None}
        now = {"steps": self.elapsed, "goals": dict(goals.holding), "first_held": reached}
        return now | self._info

    def get_state(self) -> FloatArray:
        """Return the simulator's flattened state in LIBERO's layout: time, qpos, qvel.

        Raises:
            SimulatorError: No episode is under way.
        """
        self._check_under_way()
        return self.simulator.get_state()

    def set_state(self, state: FloatArray) -> None:
        """Set the simulator's flattened state, as ``get_state`` returned it in this episode.

        Fixtures stay where they are, and steps go on counting. After success the episode goes on
        from there. Observations, info and images follow at the next step.

        Raises:
            ConfigError: The state is another task's (of another length), or not finite.
            SimulatorError: No episode is under way.
        """
        self._check_under_way()
        self.simulator.set_state(_check_state(state))
        self._info = {"scene_hash": self._info["scene_hash"], "success": False}

    def render(self) -> Image | None:
        """Return the latest images side by side, (H, 2·W, 3) uint8, upright."""
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
        self._latest = None

    def __getstate__(self) -> dict[str, Any]:
        """Refuse to be copied or pickled once there is a simulation.

        Raises:
            SimulatorError: There is one.
        """
        if self._simulator is not None:
            self._simulator.__getstate__()
        return self.__dict__

    def _perturbation(self) -> dict[str, Any]:
        """Return what the info of ``reset`` says of the task's perturbation, if it has one."""
        changed = self.task.perturbation
        if changed is None:
            return {}
        return {
            "perturbation": changed.text,
            "perturbation_hash": changed.hash,
            "dimension": changed.dimension,
            "base_task": self.task.base_task,
        }

    def _check_under_way(self) -> None:
        if self._latest is None:
            raise SimulatorError("No episode is under way. Call reset() first.")

    def _hold(self, grip: float) -> dict[str, Any]:
        """Hold the arm still after success; return in how many steps the goal went on holding."""
        still = np.zeros(ACTION_DIM)
        still[-1] = grip
        held = []
        for _ in range(self.hold_steps):
            self.simulator.step(still)
            held.append(self.simulator.success())
        unbroken = held.index(False) if False in held else len(held)
        return {"held_steps": unbroken, "success_held": held[-1]}


def _check_plan(actions: FloatArray) -> FloatArray:
    """Return actions as (n, 7), n at least 1."""
    try:
        array = read_numbers(actions)
    except ValueError as error:
        raise ConfigError(
            f"Actions must be numbers ({error}). Allowed: (n, {ACTION_DIM}) in [−1, 1]."
        ) from error
    if not array.size:
        raise ConfigError(f"No action given. Allowed: (n, {ACTION_DIM}) with n at least 1.")
    return check_actions(array)


def _check_init_state(given: Any) -> int | FloatArray:
    """Return an initial state as an index, or as an array of finite numbers."""
    if np.ndim(given) > 0:
        return _check_state(given)
    if isinstance(given, bool) or not isinstance(given, Integral):
        raise ConfigError(
            f"init_state {given!r} given. Allowed: an index from 0, or a state (D,) of numbers."
        )
    return int(given)


def _check_state(given: Any) -> FloatArray:
    try:
        state = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"A state must be numbers ({error}); get_state() gives one.") from error
    if not np.isfinite(state).all():
        raise ConfigError("The state holds NaN or infinity. Allowed: finite numbers.")
    return state


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
