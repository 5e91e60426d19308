"""Pictures from kept layers are robosuite's own, pixel for pixel."""

import warnings
from collections.abc import Iterator

import mujoco
import numpy as np
import pytest

from harness.benchmarks.environment_speed import rough_actions
from tasks.protocols import get_protocol
from tasks.simulation import layer_check, renderer
from tasks.simulation.drawing import SceneDrawer
from tasks.simulation.layer_check import LayerCheck
from tasks.simulation.opengl_calls import LayerUnavailableError
from tasks.simulation.render_passes import PixelRectangle
from tasks.simulation.renderer import Renderer
from tasks.simulation.sample_layer import SampleLayer
from tasks.simulation.simulator import Simulator
from tasks.suites import find_task

SIZE = 64
TASKS = [("libero_goal", 7), ("libero_90", 33)]


@pytest.fixture(scope="module", params=TASKS, ids=lambda p: f"{p[0]}-{p[1]}")
def simulator(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    simulator = Simulator(find_task(*request.param), get_protocol(resolution=SIZE))
    simulator.reset(0)
    yield simulator
    simulator.close()


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> LayerCheck:
    """A driver not yet known, which nothing has been proven of."""
    fresh = LayerCheck()
    monkeypatch.setattr(renderer, "LAYER_CHECK", fresh)
    monkeypatch.setattr(layer_check, "_PROVEN", ())
    return fresh


@pytest.fixture(scope="module")
def other() -> Iterator[Simulator]:
    simulator = Simulator(find_task("libero_object", 1), get_protocol(resolution=SIZE))
    simulator.reset(0)
    yield simulator
    simulator.close()


class Pair:
    """One simulator's pictures with layers and as robosuite draws them."""

    def __init__(self, simulator: Simulator, size: int = SIZE) -> None:
        self.simulator, self.size = simulator, size
        self.ours = Renderer(simulator.env.sim, size)
        self.plain = Renderer(simulator.env.sim, size, cull=False)

    def compare(self, camera: str = "agentview") -> None:
        expected = self.plain.render(camera)
        np.testing.assert_array_equal(self.ours.render(camera), expected)


@pytest.mark.sim
def test_pixels_are_robosuites_through_episodes(simulator: Simulator) -> None:
    pair, bigger = Pair(simulator), Pair(simulator, 144)
    states = []
    for init_state in (0, 1):  # a soft reset: fixtures stand elsewhere
        simulator.reset(init_state)
        for step, action in enumerate(rough_actions(64, init_state)):
            simulator.step(action)
            if step % 16 >= 14:
                pair.compare()
                pair.compare("wrist")
                states.append(simulator.get_state())
        bigger.compare()
    for state in states[::6]:
        simulator.set_state(state)
        pair.compare()
        pair.compare()  # nothing moves, the arm is in the layer as well


@pytest.mark.sim
def test_things_in_any_place_and_touching(simulator: Simulator) -> None:
    """Surfaces that meet are shown as without layers: the one of the higher index."""
    pair, rng = Pair(simulator), np.random.default_rng(0)
    model, data = simulator.env.sim.model._model, simulator.env.sim.data._data
    free = model.jnt_qposadr[model.jnt_type == mujoco.mjtJoint.mjJNT_FREE]
    simulator.reset(0)
    for turn in range(9):
        if turn % 3 == 1:  # two things at one place, others where they were
            first, second = rng.choice(free, 2, replace=False)
            data.qpos[first : first + 3] = data.qpos[second : second + 3]
        elif turn % 3 == 2:
            data.qpos[rng.choice(free) :][:3] += rng.normal(0, 0.1, 3)
        mujoco.mj_forward(model, data)
        pair.compare()


@pytest.mark.sim
def test_a_camera_and_colours_that_change(simulator: Simulator) -> None:
    pair, model = Pair(simulator), simulator.env.sim.model._model
    camera, geom = model.camera("agentview").id, int(np.flatnonzero(model.geom_group == 1)[-1])
    colour, place = model.geom_rgba[geom].copy(), model.cam_pos[camera].copy()
    pair.compare()
    try:
        for turn in range(4):
            model.geom_rgba[geom] = (1, turn / 4, 0, 1)
            model.cam_pos[camera, 2] = place[2] + 0.01 * (turn // 2)
            mujoco.mj_forward(model, simulator.env.sim.data._data)
            pair.compare()
            pair.compare()
    finally:
        model.geom_rgba[geom], model.cam_pos[camera] = colour, place


@pytest.mark.sim
def test_two_simulators_take_turns_and_one_goes(simulator: Simulator, other: Simulator) -> None:
    third = Simulator(other.task, other.protocol)
    third.reset(0)
    pairs = Pair(simulator), Pair(third), Pair(other)
    for actions in np.array_split(rough_actions(24), 3):
        for pair in pairs:
            pair.simulator.execute(actions)
            pair.compare()
    third.close()
    for pair in (pairs[0], pairs[2], pairs[0]):
        pair.compare()


@pytest.mark.sim
def test_a_larger_framebuffer_gets_layers_of_its_own(other: Simulator) -> None:
    pair = Pair(other)
    pair.compare()
    Pair(other, 500).compare()  # MuJoCo makes its framebuffer anew
    pair.compare()
    other.step(np.zeros(7))
    pair.compare()


@pytest.mark.sim
def test_beside_a_rectangle_nothing_is_drawn(other: Simulator) -> None:
    drawer = SceneDrawer(other.env.sim, SIZE)
    data, camera = other.env.sim.data._data, drawer.model.camera("agentview").id
    other.env.sim._render_context_offscreen.gl_ctx.make_current()
    samples = SampleLayer(drawer.framebuffer(), SIZE)
    whole = PixelRectangle(0, 0, SIZE, SIZE)
    drawer.draw(data, camera, drawer.shown)
    expected = drawer.read(whole)
    try:
        for part in (PixelRectangle(10, 20, 41, 33), PixelRectangle(0, 0, 7, SIZE), whole):
            with samples.restricted(part) as first:
                drawer.draw(data, camera, drawer.shown, first=first)
            left, bottom, right, top = part
            np.testing.assert_array_equal(drawer.read(part), expected[bottom:top, left:right])
            drawn = drawer.read(whole).any(axis=2)
            drawn[max(bottom - 1, 0) : top, max(left - 1, 0) : right] = False  # llvmpipe's leak
            assert not drawn.any()
        drawer.draw(data, camera, drawer.shown)
        np.testing.assert_array_equal(drawer.read(whole), expected)
    finally:
        samples.free()


@pytest.mark.sim
def test_unknown_driver_is_tried(other: Simulator, check: LayerCheck) -> None:
    pair = Pair(other)
    for count in range(4):
        assert check.open, count
        pair.compare()
        other.step(np.zeros(7))
    assert not check.open
    assert min(check.seconds) > 0
    assert check.reason in ("", "drawing everything is faster")


@pytest.mark.sim
@pytest.mark.parametrize("fault", ["copies nothing", "refuses"])
def test_driver_that_fails_gets_plain_pictures_and_one_warning(
    other: Simulator, check: LayerCheck, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    def refuse(self: SampleLayer, pixels: PixelRectangle) -> None:
        raise LayerUnavailableError("OpenGL error 1286")

    monkeypatch.setattr(SampleLayer, "keep", refuse if fault == "refuses" else lambda *_: None)
    pair = Pair(other)
    with pytest.warns(UserWarning, match="cannot keep parts of pictures"):
        pair.compare()
    assert check.reason in ("pictures differ", "OpenGL error 1286")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pair.compare()
