"""LIBERO's environment, built from cached models and with a leaner render context."""

import dataclasses

import mujoco
import numpy as np
import pytest

from tasks.errors import ConfigError
from tasks.protocols import get_protocol
from tasks.simulation.construction import build_libero, free_libero
from tasks.simulation.model_cache import ModelCache, entry_key
from tasks.suites import find_task

PROTOCOL = get_protocol(resolution=64)


class Stop(Exception):  # noqa: N818 - nothing went wrong
    """Ends a construction where its model would be compiled."""


@pytest.fixture
def keys(monkeypatch):
    """Return the cache key of a task's model without compiling it."""

    def stop(_cache: ModelCache, xml: str):
        raise Stop(entry_key(xml))

    monkeypatch.setattr(ModelCache, "model", stop)

    def key(task, seed: int = 7) -> str:
        with pytest.raises(Stop) as stopped:
            build_libero(task, dataclasses.replace(PROTOCOL, seed=seed), images=False)
        return stopped.value.args[0]

    return key


@pytest.mark.sim
def test_the_key_changes_with_what_the_bddl_file_says(keys, tmp_path) -> None:
    task = find_task("libero_object", 0)
    key = keys(task)
    assert len(key) == 32
    assert keys(task, seed=8) == key
    assert keys(find_task("libero_object", 1)) != key
    changed = tmp_path / task.bddl_file.name
    changed.write_text(task.bddl_file.read_text().replace("salad_dressing", "bbq_sauce"))
    assert keys(dataclasses.replace(task, bddl_file=changed)) != key
    changed.write_text(task.bddl_file.read_text() + "\n")
    assert keys(dataclasses.replace(task, bddl_file=changed)) == key


@pytest.mark.sim
def test_tasks_of_one_scene_share_a_model(keys) -> None:
    assert len({keys(find_task("libero_spatial", index)) for index in range(10)}) == 1


@pytest.mark.sim
def test_robosuite_is_left_as_it_was(keys) -> None:
    from robosuite.environments import base

    before = base.MjSim, base.MjRenderContextOffscreen
    keys(find_task("libero_object", 0))
    assert (base.MjSim, base.MjRenderContextOffscreen) == before


def test_a_bad_limit_is_refused_before_anything_is_built(monkeypatch) -> None:
    monkeypatch.setenv("LIBERO_BENCH_CACHE_GB", "lots")
    with pytest.raises(ConfigError, match="LIBERO_BENCH_CACHE_GB"):
        build_libero(find_task("libero_object", 0), PROTOCOL, images=True)


@pytest.mark.sim
def test_a_cached_environment_is_the_compiled_one(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("LIBERO_BENCH_CACHE", str(tmp_path))
    task = find_task("libero_10", 2)
    seen = []
    for _ in range(2):
        control = build_libero(task, PROTOCOL, images=False)
        model = control.env.sim.model._model
        content = np.empty(mujoco.mj_sizeModel(model), dtype=np.uint8)
        mujoco.mj_saveModel(model, None, content)
        state = np.concatenate([control.get_sim_state(), control.env.sim.data.qacc])
        seen.append((content, state, control.env.sim.model.get_xml()))
        free_libero(control)
    for first, second in zip(*seen, strict=True):
        assert np.array_equal(first, second)  # a message would hold the whole scene
    assert seen[0][2].count('<body name="moka_pot_1_main"') == 1
    (entry,) = tmp_path.iterdir()
    assert entry.stat().st_size == len(seen[0][0])


@pytest.mark.sim
def test_pictures_are_those_of_robosuites_own_context() -> None:
    from robosuite.utils.binding_utils import MjRenderContextOffscreen

    control = build_libero(find_task("libero_spatial", 0), PROTOCOL, images=True)
    sim = control.env.sim
    context = sim._render_context_offscreen
    try:
        bowls = [
            mujoco.mj_name2id(
                sim.model._model,
                mujoco.mjtObj.mjOBJ_TEXTURE,
                f"akita_black_bowl_{n}_tex-akita_black_bowl",
            )
            for n in (1, 2)
        ]
        first, second = context.con.texture[bowls]
        assert first == second
        assert context.con.shadowSize == 0
        assert sim.model._model.vis.quality.shadowsize > 0
        assert sim.model._model.tex_width[bowls].tolist() == [4096, 4096]
        sim.forward()  # as a new context does
        context.gl_ctx.make_current()  # robosuite draws into whichever context is
        ours = [
            sim.render(64, 64, camera_name=name) for name in ("agentview", "robot0_eye_in_hand")
        ]
        own = MjRenderContextOffscreen(sim, device_id=-1)
        own.vopt.geomgroup[:2] = context.vopt.geomgroup[:2]
        for picture, name in zip(ours, ("agentview", "robot0_eye_in_hand"), strict=True):
            np.testing.assert_array_equal(picture, sim.render(64, 64, camera_name=name))
            assert picture.std() > 10
    finally:
        free_libero(control)
