"""Pictures are robosuite's own, pixel for pixel, whatever is left out while drawing."""

from collections.abc import Iterator
from typing import Any

import mujoco
import numpy as np
import pytest

from tasks.observation import CAMERAS
from tasks.protocols import get_protocol
from tasks.simulation.renderer import Renderer
from tasks.simulation.simulator import Simulator
from tasks.suites import find_task

MUJOCO_NAMES = {"agentview": "agentview", "wrist": "robot0_eye_in_hand"}
STOVE = ("libero_spatial", 0)
FLOOR = ("libero_object", 0)
KITCHEN = ("libero_90", 33)  # microwave; its counters are meshes of 70,000 triangles
LONG = ("libero_10", 3)  # kitchen with a cabinet of drawers


@pytest.fixture(params=[STOVE, FLOOR, KITCHEN, LONG], ids=lambda p: f"{p[0]}-{p[1]}")
def simulator(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    simulator = Simulator(find_task(*request.param), get_protocol(resolution=64))
    simulator.reset(0)
    yield simulator
    simulator.close()


def move(model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator, far: float) -> None:
    """Put the arm elsewhere, and things beside, on their heads, in the air or before the hand."""
    for joint in range(model.njnt):
        start = model.jnt_qposadr[joint]
        if model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_FREE:
            data.qpos[start : start + 3] += rng.normal(0, 0.4 * far, 3)
            data.qpos[start + 3 : start + 7] = rng.normal(size=4)
        elif model.joint(joint).name.startswith("robot0"):
            data.qpos[start] += rng.normal(0, far)
        elif model.jnt_limited[joint]:  # doors, drawers and fingers
            data.qpos[start] = rng.uniform(*model.jnt_range[joint])
    mujoco.mj_normalizeQuat(model, data.qpos)


def bring_to_hand(model: mujoco.MjModel, data: mujoco.MjData) -> None:
    """Put the first free thing half a hand's breadth before the wrist's camera."""
    free = int(np.flatnonzero(model.jnt_type == mujoco.mjtJoint.mjJNT_FREE)[0])
    camera = model.camera(MUJOCO_NAMES["wrist"]).id
    ahead = -data.cam_xmat[camera].reshape(3, 3)[:, 2]
    start = model.jnt_qposadr[free]
    data.qpos[start : start + 3] = data.cam_xpos[camera] + 0.05 * ahead


def robosuites_own(sim: Any, camera: str, size: int) -> np.ndarray:
    sim._render_context_offscreen.gl_ctx.make_current()
    return np.asarray(sim.render(camera_name=MUJOCO_NAMES[camera], width=size, height=size))


@pytest.mark.sim
def test_pixels_are_robosuites(simulator: Simulator) -> None:
    sim = simulator.env.sim
    model, data = sim.model._model, sim.data._data
    rng = np.random.default_rng(0)
    scratch = mujoco.MjData(model)
    renderers = {size: Renderer(sim, size) for size in (64, 256, 37)}
    groups, fixtures, home = model.geom_group.copy(), model.body_pos.copy(), data.qpos.copy()
    hidden = dict.fromkeys(CAMERAS, 0)
    for index, far in enumerate((0.0, 0.02, 0.1, 0.3, 0.6, 1.0, 0.3, 0.1)):
        data.qpos[:] = home
        if far:
            move(model, data, rng, far)
        if index >= 6:  # fixtures stand elsewhere after a reset
            model.body_pos[:] = fixtures + rng.normal(0, 0.1, fixtures.shape) * is_fixture(model)
        mujoco.mj_forward(model, data)
        if index % 3 == 2:
            bring_to_hand(model, data)
            mujoco.mj_forward(model, data)
        scratch.qpos[:] = data.qpos
        for stage in (mujoco.mj_kinematics, mujoco.mj_comPos, mujoco.mj_camlight):
            stage(model, scratch)
        size = list(renderers)[index % 3]
        for camera in CAMERAS:
            expected = robosuites_own(sim, camera, size)
            np.testing.assert_array_equal(renderers[size].render(camera), expected)
            np.testing.assert_array_equal(renderers[size].render(camera, scratch), expected)
            np.testing.assert_array_equal(robosuites_own(sim, camera, size), expected)
            plan = renderers[size].passes.plan(data, model.camera(MUJOCO_NAMES[camera]).id)
            hidden[camera] += len(plan[0].hidden)
    np.testing.assert_array_equal(model.geom_group, groups)
    assert hidden["wrist"] > 8 * 30


def is_fixture(model: mujoco.MjModel) -> np.ndarray:
    """Tell which bodies are cabinets, stoves and microwaves standing in the world, (nbody, 1)."""
    names = ("stove", "cabinet", "microwave")
    chosen = [
        model.body_parentid[body] == 0 and any(name in model.body(body).name for name in names)
        for body in range(model.nbody)
    ]
    return np.array(chosen, dtype=float)[:, None]


@pytest.mark.sim
def test_the_stove_reflects_only_where_it_is_seen() -> None:
    simulator = Simulator(find_task(*STOVE), get_protocol(resolution=64))
    try:
        simulator.reset(0)
        sim = simulator.env.sim
        model, data = sim.model._model, sim.data._data
        renderer = Renderer(sim, 64)
        camera = model.camera("agentview").id
        assert renderer.passes.plan(data, camera)[-1].reflection
        (stove,) = np.flatnonzero(
            [model.body(b).name == "flat_stove_1_main" for b in range(model.nbody)]
        )
        seen = renderer.render("agentview")
        model.body_pos[stove] += [3.0, 0, 0]  # behind the camera
        mujoco.mj_forward(model, data)
        assert not any(part.reflection for part in renderer.passes.plan(data, camera))
        away = renderer.render("agentview")
        np.testing.assert_array_equal(away, robosuites_own(sim, "agentview", 64))
        assert not np.array_equal(away, seen)
    finally:
        simulator.close()
