"""LIBERO's random scenes, each computed from its key without running the resets before it.

LIBERO draws where fixtures and objects stand from NumPy's global generator. Somebody who seeds it
once and then resets for every episode gives episode k the draws that k resets have left over, so
those resets' draws are repeated here, and only those.

How many numbers a reset draws depends on how often the official environment has built its model:
each build, one when the environment is made and one at each reset, adds another copy of the
initializers of its joints, and each copy draws. Where objects find no place LIBERO resets again,
which is one more build.
"""

import hashlib
from typing import Any
from xml.etree import ElementTree

import mujoco
import numpy as np

from tasks.errors import SimulatorError, SpecMismatchError
from tasks.observation import FloatArray
from tasks.protocols import SceneKey
from tasks.simulation.construction import seeded


class ResetState:
    """A newly built simulation: the arm in its initial pose, fixtures where the model has them.

    The official environment compiles a model and builds a controller at every reset. Up to there
    nothing is random (LIBERO leaves robosuite's noise on the arm out), so it is done once and what
    it leaves is copied back: the positions, the constraint solver's starting point, which every
    ``mj_forward`` changes, the controller, and the parts of the model that an episode changes.

    Args:
        env: LIBERO's robosuite environment, built but not yet stepped.
    """

    def __init__(self, env: Any) -> None:
        from libero.libero.envs.bddl_base_domain import BDDLBaseDomain

        self._env = env
        self._model = env.sim.model._model
        self._data = env.sim.data._data
        self._fixtures = [
            (env.obj_body_id[name], *stated_pose(env.model.root, fixture.root_body))
            for name, fixture in env.fixtures_dict.items()
        ]
        self._place_fixtures()
        env.visualize(vis_settings=dict.fromkeys(env._visualizations, False))
        self._site_rgba = self._model.site_rgba.copy()
        env.sim.reset()
        env.sim.forward()
        env.sim.forward()  # the official environment's new render context runs it once more
        with seeded(0):
            robosuite: Any = super(BDDLBaseDomain, env)
            robosuite._reset_internal()  # LIBERO's own begins with this and then draws
        self._qpos = self._data.qpos.copy()
        self._warm_start = self._data.qacc_warmstart.copy()
        self._controllers = [_state(robot.controller) for robot in env.robots]

    def draw_arm(self) -> None:
        """Draw what robosuite draws for the arm's pose, of which LIBERO makes no use."""
        for robot in self._env.robots:
            np.random.randn(len(robot.init_qpos))

    def restore_positions(self) -> None:
        """Put back positions alone, which is all that the draws of a scene depend on."""
        self._place_fixtures()
        self._data.qpos[:] = self._qpos

    def restore(self) -> None:
        """Put everything back, the controller's fields into the object that is there."""
        env = self._env
        mujoco.mj_resetData(self._model, self._data)
        self.restore_positions()
        self._model.site_rgba[:] = self._site_rgba
        self._data.qacc_warmstart[:] = self._warm_start
        for robot, state in zip(env.robots, self._controllers, strict=True):
            vars(robot.controller).update(_copied(state))
            robot.gripper.current_action = np.zeros(robot.gripper.dof)
        env.cur_time = env.timestep = 0
        env.done = False

    def _place_fixtures(self) -> None:
        for body, position, quaternion in self._fixtures:
            self._model.body_pos[body], self._model.body_quat[body] = position, quaternion


def _state(controller: Any) -> dict[str, Any]:
    return _copied({key: value for key, value in vars(controller).items() if key != "sim"})


def _copied(state: dict[str, Any]) -> dict[str, Any]:
    """Copy the arrays; their order in memory stays, on which sums computed from them depend."""
    return {k: np.array(v) if isinstance(v, np.ndarray) else v for k, v in state.items()}


Pose = tuple[FloatArray, FloatArray]
"""Position (3,) in metres and orientation (4,) as (w, x, y, z)."""


def stated_pose(root: Any, body: str) -> Pose:
    """Return where a MJCF has a body.

    Args:
        root: The MJCF's root element.
        body: The body's name.

    Raises:
        SpecMismatchError: It has no such body, or its pose is no numbers.
    """
    element = root.find(f".//body[@name='{body}']")
    if element is None:
        raise SpecMismatchError(
            f"The MJCF has no body '{body}', so it is another task's. Fix: give this task's own."
        )
    return _numbers(element, "pos", "0 0 0"), _numbers(element, "quat", "1 0 0 0")


def _numbers(element: Any, name: str, default: str) -> FloatArray:
    text = element.get(name, default)
    try:
        numbers = np.array(text.split(), dtype=np.float64)
    except ValueError:
        numbers = np.zeros(0)
    if len(numbers) != len(default.split()) or not np.isfinite(numbers).all():
        raise SpecMismatchError(
            f"The MJCF has {name}='{text[:80]}' at the body '{element.get('name')}'. Allowed: "
            f"{len(default.split())} finite numbers. Fix: give a scene's MJCF that is whole."
        )
    return numbers


def place_fixtures(env: Any, model_xml: str) -> None:
    """Put all fixtures where the MJCF of a scene has them.

    What depends on positions is not computed anew.

    Args:
        env: LIBERO's robosuite environment.
        model_xml: The MJCF, as robosuite or MuJoCo write it.

    Raises:
        SpecMismatchError: It cannot be read, or a fixture is missing from it.
    """
    try:
        root = ElementTree.fromstring(model_xml)
    except ElementTree.ParseError as error:
        raise SpecMismatchError(f"The scene's MJCF cannot be read ({error}).") from error
    model = env.sim.model._model
    for name, fixture in env.fixtures_dict.items():
        body = env.obj_body_id[name]
        model.body_pos[body], model.body_quat[body] = stated_pose(root, fixture.root_body)


def body_poses_hash(model: mujoco.MjModel) -> str:
    """Return twelve hexadecimal digits that identify where a model has its bodies."""
    poses = np.concatenate([model.body_pos, model.body_quat], axis=1)
    return hashlib.sha256(np.ascontiguousarray(poses).tobytes()).hexdigest()[:12]


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
        self.generator: Any = None
        """NumPy's generator as the latest reset left it."""
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
            self.generator = np.random.get_state(legacy=False)
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
