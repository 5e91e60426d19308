"""LIBERO's simulation with pictures only when somebody wants them.

Non-obvious behaviours, all LIBERO's own and kept:

- What an observation shows is sampled inside a control step, not at its end: joint values are
  2 ms old, pictures and the end-effector pose 4 ms. Pictures of a state that was stored at the end
  of a step are therefore *not* what the environment shows; render by executing the step.
- Fixtures (cabinets, stoves) stand where the last reset put them; an initial state does not move
  them. They are drawn from NumPy's global generator, which is seeded here for each reset and put
  back afterwards.
- Until the first control step after a reset, the controller believes the arm to be where the reset
  put it, not where the initial state has it.
"""

import atexit
import weakref
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from tasks.actions import action_now
from tasks.errors import ConfigError, SimulatorError
from tasks.observation import CAMERAS, FloatArray, Observation
from tasks.protocols import IndexedStart, Protocol, SampledStart, SceneKey, Start
from tasks.rotations import wxyz_to_xyzw
from tasks.simulation.construction import build_libero, disable_unused, free_libero
from tasks.simulation.goals import GoalMonitor, GoalProgress
from tasks.simulation.perturbing import PerturbedScene
from tasks.simulation.render_context import BuildThread
from tasks.simulation.renderer import ImageRenderer, Renderer, Snapshot, renderers
from tasks.simulation.scenes import Scenes, body_poses_hash, place_fixtures
from tasks.simulation.stepping import Stepper
from tasks.suites import Task, check_states

_JOINT_NOISE = 0.02


@dataclass(kw_only=True)
class Slice:
    """What came of executing some actions.

    Attributes:
        observations: One per executed step, oldest first; the pictures asked for are in them.
        success: Whether the task's goal held after the last executed step.
        goals: How far the goal was reached then; None if nothing was executed.
    """

    observations: list[Observation] = field(default_factory=list)
    success: bool = False
    goals: GoalProgress | None = None

    @property
    def steps(self) -> int:
        """Control steps executed."""
        return len(self.observations)


class Simulator:
    """One task's simulation.

    It renders in the thread that built it and owns its OpenGL context. It cannot be copied or
    pickled: it is memory of MuJoCo's and of a graphics driver's.

    Args:
        task: The task.
        protocol: The rules: settling, resolution, orientation, seeds, words.
        images: False builds it without a renderer; asking for pictures is then an error.

    Attributes:
        instruction: The task in words, as observations have it: the protocol's, unless it is set.
        settling_shift: How far an object slid while the latest episode's scene settled, metres.
        goals: How far the goal is reached at the latest control step of the episode; settling is
            step 0. None before the first reset.
        perturbed: What the task has changed here.

    Raises:
        PrerequisiteError: LIBERO or the GL library for off-screen rendering is missing.
    """

    def __init__(self, task: Task, protocol: Protocol, *, images: bool = True) -> None:
        self.task = task
        self.protocol = protocol
        self.instruction = protocol.instruction_of(task)
        self.images = images
        self.settling_shift = 0.0
        self.goals: GoalProgress | None = None
        self._elapsed = self._steps = 0
        self._thread = BuildThread()
        self._control = build_libero(task, protocol, images=images)
        self.perturbed = PerturbedScene(self.env, task, protocol.resolution)
        # Registered after robosuite's own exit handler, so run before it ends the GL display.
        self._finalizer = weakref.finalize(self, free_libero, self._control)
        atexit.register(self._finalizer)
        disable_unused(self.env.sim.model._model)
        self._scenes = Scenes(self.env)
        self._stepper = Stepper(self._control)
        self._monitor = GoalMonitor(self.env)
        noise = self.perturbed.noise
        self._renderer = ImageRenderer(self.env.sim, protocol, noise) if images else None

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
            scene_seed = self.protocol.seed if seed is None else seed
            self._scenes.reset(SceneKey(seed=scene_seed, reset=0, builds=2))
            state = (
                self._sampled_state(seed) if init_state is None else self._check_state(init_state)
            )
        else:
            state = self._init_state(int(init_state))
            self._scenes.reset(self.protocol.scene(int(init_state), seed))
        self._begin_episode(state)
        return self._settle(self.protocol.settle_steps, cameras)

    def begin(
        self, start: Start, *, seed: int | None = None, cameras: Sequence[str] = ()
    ) -> Observation:
        """Start an episode where none of the task's initial states is.

        Args:
            start: Where.
            seed: Of fixtures that a stored start does not say the poses of; the protocol's own by
                default.
            cameras: Cameras whose pictures the returned observation holds.

        Returns:
            The observation before the first action.

        Raises:
            ConfigError: The state is another task's.
            SpecMismatchError: The MJCF is another scene's.
            SimulatorError: LIBERO found no valid placement.
        """
        if isinstance(start, SampledStart):
            return self.reset(None, seed=start.seed, cameras=cameras)
        if isinstance(start, IndexedStart):
            return self.reset(start.init_state, seed=start.seed, cameras=cameras)
        state = self._check_state(start.state)
        scene_seed = self.protocol.seed if seed is None else seed
        self._scenes.reset(SceneKey(seed=scene_seed, reset=0, builds=2))
        if start.model_xml:
            place_fixtures(self.env, start.model_xml)
        self._control.set_state(state)
        self.env.sim.forward()
        robot = self.env.robots[0]
        robot.controller.update(force=True)
        robot.controller.reset_goal()
        robot.gripper.current_action = np.array([-1.0, 1.0]) * np.sign(start.grip)
        self._begin_episode(state)
        return self._settle(start.settle_steps, cameras)

    def step(self, action: FloatArray, *, cameras: Sequence[str] = ()) -> Observation:
        """Execute one control step (50 ms).

        Args:
            action: (7,) in [−1, 1].
            cameras: Cameras whose pictures the returned observation holds.
        """
        return self.execute(np.asarray(action)[None], cameras=cameras).observations[-1]

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
            actions: (n, 7) in [−1, 1]; or goals, (n, 10), each turned into an action when it is
                due, from where the hand is then.
            cameras: Cameras rendered at the last ``history`` steps.
            history: How many steps at the end have pictures.
            record: Cameras rendered at every step, for a video.

        Raises:
            ConfigError: Unknown cameras.
            SimulatorError: Pictures are asked of a simulator without a renderer.
        """
        recorded, wanted = self.check_cameras(record), self.check_cameras(cameras)
        result = Slice()
        latest: deque[Snapshot] = deque(maxlen=history if wanted else 0)
        for action in actions:
            hand = self._stepper.sample
            now = action_now(
                np.asarray(action, dtype=np.float64), hand.pos, wxyz_to_xyzw(hand.quat)
            )
            snapshot = self._advance(now)
            latest.append(snapshot)
            result.observations.append(self._observation(snapshot, recorded))
            self._elapsed += 1
            self.goals = result.goals = self._monitor.update(self._elapsed)
            if self.goals.success:
                result.success = True
                break
        for back, snapshot in enumerate(reversed(latest), start=1):
            self._render(result.observations[-back], snapshot, wanted)
        return result

    def observe(self, *, cameras: Sequence[str] = ()) -> Observation:
        """Show the state that ``set_state`` has set, before any control step.

        What LIBERO shows on arriving there by a control step is a few ms older.

        Args:
            cameras: Cameras whose pictures the returned observation holds.
        """
        wanted = self.check_cameras(cameras)
        glow = self.env.sim.model.site_rgba.copy()
        return self._observation(Snapshot(sample=self._stepper.now(), site_rgba=glow), wanted)

    def success(self) -> bool:
        """Whether the goal of the task holds now."""
        return self._monitor.update(self._elapsed).success

    def check_cameras(self, cameras: Sequence[str]) -> tuple[str, ...]:
        """Return cameras that can be rendered here and now.

        Raises:
            ConfigError: One is unknown.
            SimulatorError: There is no renderer, or this is not the thread that built it.
        """
        if set(cameras) - set(CAMERAS):
            unknown = sorted(set(cameras) - set(CAMERAS))
            raise ConfigError(f"Unknown cameras {unknown}. Allowed: {', '.join(CAMERAS)}.")
        if cameras and not self.images:
            raise SimulatorError("This simulator was built without a renderer (images=False).")
        if cameras:
            self._thread.check()
        return tuple(cameras)

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
        return body_poses_hash(self.env.sim.model._model)

    def model_xml(self) -> str:
        """Return the MJCF of the scene."""
        return str(self.env.sim.model.get_xml())

    def renderers(self, size: int) -> dict[str, Renderer]:
        """Return renderers that draw the same pixels in different ways, to compare them.

        Args:
            size: Height and width of the pictures in pixels.
        """
        return renderers(self.env.sim, size)

    def __getstate__(self) -> NoReturn:
        """Refuse to be copied or pickled."""
        raise SimulatorError(
            "A simulation cannot be copied or pickled. Fix: make another with the same arguments "
            "(gymnasium.make, or gymnasium.make_vec for many), reset it to the same init_state, "
            "and hand the state on with get_state() and set_state()."
        )

    def close(self) -> None:
        """Free the renderer and the simulation.

        Raises:
            SimulatorError: It renders, and this is not the thread that built it.
        """
        if self.images and self._finalizer.alive:
            self._thread.check()
        self._finalizer()
        atexit.unregister(self._finalizer)

    def _settle(self, steps: int, cameras: Sequence[str]) -> Observation:
        """Let objects come to rest; return what is seen then."""
        wanted = self.check_cameras(cameras)
        before = self._object_positions()
        for _ in range(steps):
            self._advance(np.asarray(self.protocol.settle_action))
        moved = self._object_positions() - before
        self.settling_shift = float(np.linalg.norm(moved[:, :2], axis=1).max(initial=0.0))
        self.goals = self._monitor.update(0)
        return self._observation(self._latest_snapshot(), wanted)

    def _sampled_state(self, seed: int | None) -> FloatArray:
        """Return the state LIBERO sampled at the latest reset, with noise on the arm's joints.

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
        check_states([self.task])
        states = self.task.init_states()
        if not 0 <= index < len(states):
            raise ConfigError(
                f"init_state {index} does not exist. "
                f"Allowed: 0 to {len(states) - 1} for {self.task.suite} task {self.task.index}."
            )
        return self.perturbed.init_state(index, self._check_state(states[index]))

    def _check_state(self, state: FloatArray) -> FloatArray:
        expected = 1 + int(self.env.sim.model.nq) + int(self.env.sim.model.nv)
        if np.shape(state) != (expected,):
            raise ConfigError(
                f"A state of shape {np.shape(state)} does not fit {self.task.name}. "
                f"Allowed: ({expected},), which is time, qpos, qvel."
            )
        return np.asarray(state, dtype=np.float64)

    def _begin_episode(self, state: FloatArray) -> None:
        """Set the initial state, as LIBERO's ``set_init_state`` does."""
        self._control.set_state(state)
        self.env.sim.forward()
        self.env._post_process()
        self._stepper.begin_episode()
        self._monitor.reset()
        self._elapsed = self._steps = 0
        self.perturbed.begin_episode(self._scenes.generator, state)

    def _advance(self, action: FloatArray) -> Snapshot:
        """Execute one control step and return what LIBERO's observations show of it."""
        # A burner glows from the end of the step that turns it on; pictures are taken before.
        glow = self.env.sim.model.site_rgba.copy()
        sample = self._stepper.step(action)
        self.env._post_process()
        self._steps += 1
        return Snapshot(sample=sample, site_rgba=glow, step=self._steps)

    def _latest_snapshot(self) -> Snapshot:
        """Return what observations show of the latest control step, or of the initial state."""
        glow = self.env.sim.model.site_rgba.copy()
        return Snapshot(sample=self._stepper.sample, site_rgba=glow, step=self._steps)

    def _observation(self, snapshot: Snapshot, cameras: Sequence[str]) -> Observation:
        sample, robot = snapshot.sample, self.env.robots[0]
        observation = Observation(
            joint_pos=sample.after[robot._ref_joint_pos_indexes],
            ee_pos=sample.pos.copy(),
            ee_quat=wxyz_to_xyzw(sample.quat),
            gripper_qpos=sample.after[robot._ref_gripper_joint_pos_indexes],
            instruction=self.instruction,
        )
        self._render(observation, snapshot, cameras)
        return observation

    def _render(self, observation: Observation, snapshot: Snapshot, cameras: Sequence[str]) -> None:
        """Add pictures to an observation, if they are not in it."""
        for name in cameras:
            if name not in observation and self._renderer is not None:
                observation[name] = self._renderer.render(name, snapshot)  # type: ignore[literal-required]
