"""LIBERO's simulation with pictures only when somebody wants them.

Non-obvious behaviours, all LIBERO's own and kept:

- What an observation shows is sampled inside a control step, not at its end: joint values are
  2 ms old, pictures and the end-effector pose 4 ms. Pictures rendered afterwards from a stored
  state are therefore *not* what the environment shows; render by executing the step.
- Fixtures (cabinets, stoves) stand where the last reset put them; an initial state does not move
  them. They are drawn from NumPy's global generator, which is seeded here for each reset and put
  back afterwards.
"""

import atexit
import hashlib
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tasks.errors import ConfigError, SimulatorError
from tasks.observation import CAMERAS, FloatArray, Image, Observation
from tasks.protocols import Protocol, SceneKey
from tasks.simulation.construction import build_libero, free_libero
from tasks.simulation.renderer import Renderer
from tasks.simulation.resetting import Resetter
from tasks.suites import Task

_JOINT_NOISE = 0.02


@dataclass(kw_only=True)
class Slice:
    """What came of executing some actions.

    Attributes:
        observations: One per executed step, oldest first; the pictures asked for are in them.
        success: Whether the task's goal held after the last executed step.
    """

    observations: list[Observation] = field(default_factory=list)
    success: bool = False

    @property
    def steps(self) -> int:
        """Control steps executed."""
        return len(self.observations)


class Simulator:
    """One task's simulation.

    Args:
        task: The task.
        protocol: The rules: settling, resolution, orientation, seeds.
        images: False builds it without a renderer; asking for pictures is then an error.

    Attributes:
        settling_shift: How far an object slid while the latest episode's scene settled, metres.

    Raises:
        PrerequisiteError: LIBERO or the GL library for off-screen rendering is missing.
    """

    def __init__(self, task: Task, protocol: Protocol, *, images: bool = True) -> None:
        self.task = task
        self.protocol = protocol
        self.images = images
        self.settling_shift = 0.0
        self._wanted: frozenset[str] = frozenset()
        self._control = build_libero(task, protocol, images=images)
        # Registered after robosuite's own exit handler, so run before it ends the GL display.
        self._finalizer = weakref.finalize(self, free_libero, self._control)
        atexit.register(self._finalizer)
        self._resetter = Resetter(self._control)
        if images:
            self._renderer = Renderer(self.env.sim, protocol.resolution)
            self._tap_cameras()

    @property
    def env(self) -> Any:
        """LIBERO's robosuite environment, for those who read its privileged state."""
        return self._control.env

    def reset(
        self,
        init_state: int | FloatArray | None,
        *,
        seed: int | None = None,
        cameras: Sequence[str] = (),
    ) -> Observation:
        """Start an episode: place the fixtures, set the initial state, let objects settle.

        Args:
            init_state: Index of one of the task's initial states, or a state (D,) as
                ``get_state`` gives it, the fixtures then being those of ``seed`` itself; or None
                for one that LIBERO samples with ``seed``, which is none of the evaluation's.
            seed: The evaluation's seed; the protocol's own by default.
            cameras: Cameras whose pictures the returned observation holds.

        Returns:
            The observation after settling.

        Raises:
            ConfigError: There is no such initial state.
            SimulatorError: LIBERO found no valid placement.
        """
        if init_state is None or isinstance(init_state, np.ndarray):
            own = self.protocol.seed if seed is None else seed
            self._resetter.reset(SceneKey(seed=own, reset=0, builds=2))
            state = (
                self._sampled_state(seed) if init_state is None else self._check_state(init_state)
            )
        else:
            state = self._init_state(int(init_state))
            self._resetter.reset(self.protocol.scene(int(init_state), seed))
        settles = self.protocol.settle_steps > 0
        self._wanted = frozenset() if settles else self._check_cameras(cameras)
        raw = self._control.set_init_state(state)
        observation = self._observation(raw)
        before = self._object_positions()
        settle = np.asarray(self.protocol.settle_action)
        for step in range(self.protocol.settle_steps):
            last = step == self.protocol.settle_steps - 1
            observation = self.step(settle, cameras=cameras if last else ())
        moved = self._object_positions() - before
        self.settling_shift = float(np.linalg.norm(moved[:, :2], axis=1).max(initial=0.0))
        return observation

    def step(self, action: FloatArray, *, cameras: Sequence[str] = ()) -> Observation:
        """Execute one control step (50 ms).

        Args:
            action: (7,) in [−1, 1].
            cameras: Cameras whose pictures the returned observation holds.
        """
        self._wanted = self._check_cameras(cameras)
        raw, _, _, _ = self.env.step(np.asarray(action, dtype=np.float64))
        return self._observation(raw)

    def execute(
        self,
        actions: FloatArray,
        *,
        cameras: Sequence[str] = (),
        history: int = 1,
        record: Sequence[str] = (),
    ) -> Slice:
        """Execute actions one after another and stop early at success.

        Args:
            actions: (n, 7) in [−1, 1].
            cameras: Cameras rendered at the last ``history`` steps.
            history: How many steps at the end have pictures.
            record: Cameras rendered at every step, for a video.

        Returns:
            The executed slice. After an early success its last steps may lack pictures.
        """
        result = Slice()
        for index, action in enumerate(actions):
            near_end = index >= len(actions) - history
            wanted = tuple(record) + (tuple(cameras) if near_end else ())
            result.observations.append(self.step(action, cameras=wanted))
            if self.success():
                result.success = True
                break
        return result

    def success(self) -> bool:
        """Whether the goal of the task holds now."""
        return bool(self.env._check_success())

    def get_state(self) -> FloatArray:
        """Return the simulator's state in LIBERO's layout: time, qpos, qvel; (D,) float64."""
        return np.array(self._control.get_sim_state(), dtype=np.float64)

    def set_state(self, state: FloatArray) -> None:
        """Set the simulator's state, as ``get_state`` returned it.

        Raises:
            ConfigError: The state has another length than this task's.
        """
        self._control.set_state(self._check_state(state))
        self.env.sim.forward()

    def scene_hash(self) -> str:
        """Twelve hexadecimal digits that identify the poses of all bodies fixed to the world."""
        model = self.env.sim.model._model
        poses = np.concatenate([model.body_pos, model.body_quat], axis=1)
        return hashlib.sha256(np.ascontiguousarray(poses).tobytes()).hexdigest()[:12]

    def model_xml(self) -> str:
        """Return the MJCF of the scene."""
        return str(self.env.sim.model.get_xml())

    def close(self) -> None:
        """Free the renderer and the simulation."""
        self._finalizer()
        atexit.unregister(self._finalizer)

    def _sampled_state(self, seed: int | None) -> FloatArray:
        """Return the state LIBERO sampled at the latest reset, the arm a little off its home.

        LIBERO's initial states were made with robosuite's default noise, which its evaluation
        environment leaves out: N(0, 0.02 rad) on each arm joint.
        """
        state = self.get_state()
        rng = np.random.default_rng(self.protocol.seed if seed is None else seed)
        joints = 1 + np.asarray(self.env.robots[0]._ref_joint_pos_indexes)
        state[joints] += rng.normal(0.0, _JOINT_NOISE, len(joints))
        return state

    def _object_positions(self) -> FloatArray:
        """Return the positions of all movable objects, (n, 3) metres."""
        bodies = list(self.env.obj_body_id.values())
        return np.array(self.env.sim.data.body_xpos[bodies], dtype=np.float64)

    def _init_state(self, index: int) -> FloatArray:
        states = self.task.init_states()
        if not 0 <= index < len(states):
            raise ConfigError(
                f"init_state {index} does not exist. "
                f"Allowed: 0 to {len(states) - 1} for {self.task.suite} task {self.task.index}."
            )
        return self._check_state(states[index])

    def _check_state(self, state: FloatArray) -> FloatArray:
        expected = 1 + int(self.env.sim.model.nq) + int(self.env.sim.model.nv)
        if np.shape(state) != (expected,):
            raise ConfigError(
                f"A state of shape {np.shape(state)} does not fit {self.task.name}. "
                f"Allowed: ({expected},), which is time, qpos, qvel."
            )
        return np.asarray(state, dtype=np.float64)

    def _check_cameras(self, cameras: Sequence[str]) -> frozenset[str]:
        wanted = frozenset(cameras)
        if wanted - set(CAMERAS):
            raise ConfigError(f"Unknown cameras {sorted(wanted)}. Allowed: {', '.join(CAMERAS)}.")
        if wanted and not self.images:
            raise SimulatorError("This simulator was built without a renderer (images=False).")
        return wanted

    def _tap_cameras(self) -> None:
        """Add our cameras as observables: sampled when LIBERO's are, rendered only if wanted."""
        from robosuite.utils.observables import Observable, sensor

        blank = np.zeros((1, 1, 3), dtype=np.uint8)
        for name in CAMERAS:

            @sensor(modality="image")  # type: ignore[untyped-decorator]
            def picture(_cache: dict[str, Any], name: str = name) -> Image:
                if name not in self._wanted:
                    return blank
                return self._renderer.render(name)

            self.env.add_observable(
                Observable(name=name, sensor=picture, sampling_rate=self.env.control_freq)
            )

    def _observation(self, raw: dict[str, Any]) -> Observation:
        observation = Observation(
            joint_pos=np.array(raw["robot0_joint_pos"], dtype=np.float64),
            ee_pos=np.array(raw["robot0_eef_pos"], dtype=np.float64),
            ee_quat=np.array(raw["robot0_eef_quat"], dtype=np.float64),
            gripper_qpos=np.array(raw["robot0_gripper_qpos"], dtype=np.float64),
            instruction=self.task.instruction,
        )
        for name in self._wanted:
            observation[name] = self._orient(raw[name])  # type: ignore[literal-required]
        return observation

    def _orient(self, image: Image) -> Image:
        turned = image[::-1, ::-1] if self.protocol.orientation == "rotate180" else image
        return np.ascontiguousarray(turned)
