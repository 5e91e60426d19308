"""What is left out of a picture shows in no pixel of it."""

import gc

import mujoco
import numpy as np
import pytest

from tasks.observation import CAMERAS
from tasks.simulation.culling import (
    GeomBoxes,
    OrientedBoxes,
    camera_view,
    in_shadow,
    in_view,
    mirror_view,
)
from tasks.simulation.renderer import Renderer, RenderPasses

SIZE = 64
KINDS = ("box", "sphere", "capsule", "cylinder", "ellipsoid", "mesh")
MESH = "0 0 0  .1 0 0  0 .15 0  0 0 .2  .1 .1 .05"


def scene(*, mirror: bool, table_alpha: float = 1.0, count: int = 40) -> mujoco.MjModel:
    """A table in a sky, two cameras, and things around them that can be placed anywhere."""
    things = "".join(
        f"""<body name="thing{i}" mocap="true"><geom type="{KINDS[i % len(KINDS)]}" group="1"
        {'mesh="wedge"' if i % len(KINDS) == 5 else 'size=".06 .09 .04"'}
        rgba="{i / count:.2f} .5 {1 - i / count:.2f} {0.4 if i % 7 == 0 else 1}"/></body>"""
        for i in range(count)
    )
    plate = """<body name="stove" pos=".1 .1 .05"><geom name="plate" type="box" size=".15 .2 .02"
        material="shiny" group="1"/></body>"""
    return mujoco.MjModel.from_xml_string(f"""<mujoco>
        <visual><global offwidth="{SIZE}" offheight="{SIZE}"/></visual>
        <statistic extent="3"/>
        <asset><texture type="skybox" builtin="gradient" rgb1=".3 .5 .7" rgb2="0 0 0" width="32"
            height="32"/><mesh name="wedge" vertex="{MESH}"/>
            <material name="shiny" reflectance=".5"/></asset>
        <worldbody><light pos="0 0 3" castshadow="false"/>
        <geom name="table" type="box" size=".5 .6 .03" rgba=".6 .4 .2 {table_alpha}" group="1"/>
        {plate if mirror else ""}
        <body name="eye" mocap="true" pos="0 0 1">
            <camera name="agentview" fovy="45"/>
            <camera name="robot0_eye_in_hand" fovy="75" pos=".1 0 0"/></body>
        {things}</worldbody></mujoco>""")


def place(model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
    """Put the eye somewhere above or beside the table, looking at it, and things anywhere."""
    data.mocap_pos[:] = rng.uniform(-1, 1, data.mocap_pos.shape) * [1.0, 1.0, 0.8]
    data.mocap_quat[:] = rng.normal(size=data.mocap_quat.shape)
    eye = rng.uniform([-1, -1, 0.1], [1, 1, 1])
    back = eye - rng.uniform(-0.3, 0.3, 3)
    back /= np.linalg.norm(back)
    right = np.cross([0, 0, 1], back)
    right /= np.linalg.norm(right)
    turn = np.stack([right, np.cross(back, right), back], axis=1)
    data.mocap_pos[0] = eye
    mujoco.mju_mat2Quat(data.mocap_quat[0], turn.ravel())
    mujoco.mj_forward(model, data)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.sim
@pytest.mark.parametrize(("mirror", "alpha"), [(False, 1.0), (True, 1.0), (True, 0.5)])
def test_culled_geoms_contribute_no_pixel(
    mirror: bool, alpha: float, rng: np.random.Generator
) -> None:
    from robosuite.utils.binding_utils import MjRenderContextOffscreen, MjSim

    sim = MjSim(scene(mirror=mirror, table_alpha=alpha))
    MjRenderContextOffscreen(sim, device_id=-1)
    renderer = Renderer(sim, SIZE)
    plain = Renderer(sim, SIZE, cull=False)
    model, data = sim.model._model, sim.data._data
    empty = 0
    for _ in range(60):
        place(model, data, rng)
        for camera in CAMERAS:
            expected = plain.render(camera)
            empty += expected.std() < 1
            np.testing.assert_array_equal(renderer.render(camera), expected)
    assert empty < 30
    assert (model.geom_group == 1).all()


@pytest.mark.sim
def test_a_forgotten_context_takes_nothing_from_the_current_one(rng: np.random.Generator) -> None:
    from robosuite.utils.binding_utils import MjRenderContextOffscreen, MjSim

    def made() -> tuple[MjSim, Renderer]:
        sim = MjSim(scene(mirror=True))
        MjRenderContextOffscreen(sim, device_id=-1)
        place(sim.model._model, sim.data._data, rng)
        return sim, Renderer(sim, SIZE)

    (sim, kept), (other, forgotten) = made(), made()
    expected = kept.render("agentview")
    forgotten.render("agentview")
    sim._render_context_offscreen.gl_ctx.make_current()
    del forgotten, other
    gc.collect()
    # Drawn by robosuite, which makes no context current.
    drawn = sim.render(camera_name="agentview", width=SIZE, height=SIZE)
    np.testing.assert_array_equal(drawn, expected)


@pytest.mark.slow
def test_every_kind_of_pass_is_planned_and_much_is_left_out(rng: np.random.Generator) -> None:
    model = scene(mirror=True)
    data = mujoco.MjData(model)
    passes = RenderPasses(model, np.array([0, 1, 0, 0, 0, 0]), SIZE)
    kinds, hidden = set(), []
    for _ in range(60):
        place(model, data, rng)
        plan = passes.plan(data, 0)
        kinds.add(tuple(part.reflection for part in plan))
        hidden.append(len(plan[0].hidden))
        drawn = set(range(model.ngeom)) - {int(g) for g in plan[-1].hidden}
        assert {model.geom("table").id, model.geom("plate").id} <= drawn
    assert (False,) in kinds
    assert (True,) in kinds or (False, True) in kinds
    assert np.mean(hidden) > 15


@pytest.mark.parametrize("what", ["two mirrors", "a light with shadows"])
def test_what_is_not_foreseen_is_left_to_mujoco(what: str) -> None:
    model = scene(mirror=True)
    if what == "two mirrors":
        model.geom_matid[model.geom("table").id] = model.geom_matid[model.geom("plate").id]
    else:
        model.light_castshadow[0] = 1
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    (only,) = RenderPasses(model, np.array([0, 1, 0, 0, 0, 0]), SIZE).plan(data, 0)
    assert only.reflection
    assert only.hidden.size == 0


def test_parts_contain_every_vertex_of_a_mesh(rng: np.random.Generator) -> None:
    points = " ".join(f"{x:.4f}" for x in rng.normal(size=3000))
    model = mujoco.MjModel.from_xml_string(
        f"""<mujoco><asset><mesh name="cloud" vertex="{points}"/></asset><worldbody>
        <body euler="10 20 30" pos="1 2 3"><geom type="mesh" mesh="cloud" euler="0 50 0"/></body>
        </worldbody></mujoco>"""
    )
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    boxes = GeomBoxes(model, np.array([0])).boxes(data)
    used = model.mesh_vert[np.unique(model.mesh_face)]
    world = used @ data.geom_xmat[0].reshape(3, 3).T + data.geom_xpos[0]
    half = np.linalg.norm(boxes.axes, axis=2)
    local = np.einsum("vni,nki->vnk", world[:, None] - boxes.centres, boxes.axes / half[..., None])
    assert (np.abs(local) <= half + 1e-6).all(axis=2).any(axis=1).all()


def cubes(*centres: tuple[float, float, float], half: float = 0.05) -> OrientedBoxes:
    return OrientedBoxes(
        centres=np.array(centres, dtype=float), axes=np.tile(np.eye(3) * half, (len(centres), 1, 1))
    )


@pytest.fixture
def looking_down() -> tuple[mujoco.MjModel, mujoco.MjData]:
    """A camera of 45° one metre above the table's middle, whose top is at 0.03."""
    model = scene(mirror=False, count=1)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return model, data


def test_field_of_view(looking_down: tuple[mujoco.MjModel, mujoco.MjData]) -> None:
    view = camera_view(*looking_down, 0)
    edge = 0.5 * np.tan(np.deg2rad(22.5))
    boxes = cubes(
        (0, 0, 0.5), (edge + 0.1, 0, 0.5), (0, edge + 0.04, 0.5), (0, 0, 1.2), (0, -edge - 0.1, 0.5)
    )
    np.testing.assert_array_equal(in_view(view, boxes), [True, False, True, False, False])
    broken = cubes((np.nan, 0, 0))
    assert in_view(view, broken).all()


def test_shadow_of_a_table(looking_down: tuple[mujoco.MjModel, mujoco.MjData]) -> None:
    view = camera_view(*looking_down, 1)  # 75°: it looks past the table where |x| > 0.5
    table = OrientedBoxes(centres=np.zeros((1, 3)), axes=np.diag([0.5, 0.6, 0.03])[None])
    below, through, beside, above = (0, 0, -0.2), (0, 0, 0), (0.6, 0, -0.1), (0.2, 0.1, 0.3)
    boxes = cubes(below, through, beside, above)
    hidden = in_shadow(view, boxes, table, clearance=0.01)
    np.testing.assert_array_equal(hidden, [True, False, False, False])
    narrow = camera_view(*looking_down, 0)  # 45°: it sees nothing but the table
    hidden = in_shadow(narrow, boxes, table, clearance=0.01)
    np.testing.assert_array_equal(hidden, [True, False, True, False])
    assert not in_shadow(view, boxes, table, clearance=1.0).any()
    broken = cubes((np.nan, 0, -0.2))
    assert not in_shadow(view, broken, table, clearance=0.01).any()


def test_a_mirror_shows_what_is_above_it_and_opposite() -> None:
    eye = np.array([1.0, 0, 1])
    face = OrientedBoxes(centres=np.zeros((1, 3)), axes=np.diag([0.1, 0.1, 0.02])[None])
    opposite, same_side, below = (-1, 0, 1), (1, 0, 1), (-1, 0, -1)
    shown = in_view(mirror_view(eye, face), cubes(opposite, same_side, below))
    np.testing.assert_array_equal(shown, [True, False, False])
