"""Does LIBERO look and move here as it does elsewhere, and how fast?"""

import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np

from harness.doctor import goldens
from tasks.errors import Finding
from tasks.observation import CAMERAS, FloatArray
from tasks.simulation.layer_check import LAYER_CHECK
from tasks.simulation.simulator import Simulator
from tasks.suites import find_task

_IDENTITY_TASK = ("libero_goal", 0)
_OFFICIAL_CAMERAS = {"agentview": "agentview_image", "wrist": "robot0_eye_in_hand_image"}
_SAME_PHYSICS = 1e-4
REAL_TIME = 20.0
"""Control steps per second."""
_WARMING = 5  # pictures, in the first of which a driver nobody has tried is checked
_PICTURES = 5
_OTHER_VERSION = "other versions move otherwise: install the pinned ones, named above"


def check_images(suite: str, folder: Path) -> Finding:
    """Are the first images of a suite the golden ones?"""
    here, golden = goldens.begin(suite), goldens.golden_start(suite)
    differences = {
        camera: goldens.difference(image, golden.images[camera])
        for camera, image in here.images.items()
    }
    distance = _distance(here.state, golden.state)
    same_state = distance < _SAME_PHYSICS
    if same_state and all(each.identical for each in differences.values()):
        return Finding(status="ok", detail="identical to the golden pictures")
    numbers = ", ".join(f"{c} {d.mean:.2f} (at most {d.largest})" for c, d in differences.items())
    detail = f"mean difference of levels: {numbers}"
    if same_state and all(each.near for each in differences.values()):
        renderer = goldens.golden_facts()["renderer"]
        return Finding(
            status="warning",
            detail=f"{detail}; the golden pictures are from {renderer}",
            fix="compare only runs of the same GL renderer",
        )
    _write_images(folder, suite, here, golden)
    if same_state:
        fix = "jagged edges are a renderer's without antialiasing: choose another MUJOCO_GL"
    else:
        detail += f"; positions or velocities differ by up to {distance:.1e}"
        fix = _OTHER_VERSION
    return _difference(detail, f"look at the pictures in {folder}; {fix}")


def check_physics(_folder: Path) -> Finding:
    """Is the state after two seconds of motion that of the machine that made the goldens?"""
    distance = _distance(goldens.final_state(), np.asarray(goldens.golden_facts()["end"]))
    if distance == 0:
        return Finding(status="ok", detail=f"identical after {goldens.STEPS} control steps")
    detail = f"differs by up to {distance:.1e} after {goldens.STEPS} control steps"
    if distance < _SAME_PHYSICS:
        fix = "compare runs of this machine with one another; see the BLAS line"
        return Finding(status="warning", detail=detail, fix=fix)
    return _difference(detail, _OTHER_VERSION)


def _difference(detail: str, fix: str) -> Finding:
    """Return the finding of a clear difference; with another mujoco one is to be expected."""
    golden, here = goldens.golden_facts()["packages"]["mujoco"], version("mujoco")
    if here == golden:
        return Finding(status="failed", detail=detail, fix=fix)
    return Finding(
        status="warning", detail=f"{detail}; golden is mujoco {golden}, here is {here}", fix=fix
    )


def _distance(one: FloatArray, other: FloatArray) -> float:
    """Return the largest difference of two states, infinite if they are of different models."""
    return float(np.abs(one - other).max()) if one.shape == other.shape else np.inf


def _write_images(
    folder: Path, suite: str, here: goldens.SettledStart, golden: goldens.SettledStart
) -> None:
    for camera, image in here.images.items():
        difference = np.abs(image.astype(np.int16) - golden.images[camera]).astype(np.uint8)
        kinds = {"here": image, "golden": golden.images[camera], "difference": difference}
        for kind, content in kinds.items():
            goldens.write_image(folder / f"{suite}-{camera}-{kind}.png", content)


def check_identity(_folder: Path) -> Finding:
    """Do states and images equal those of LIBERO's own environment, step by step?"""
    task, protocol = find_task(*_IDENTITY_TASK), goldens.golden_protocol()
    actions = goldens.golden_actions()
    simulator = Simulator(task, protocol)
    try:
        seen = [simulator.reset(0, cameras=CAMERAS)]
        states = [simulator.get_state()]
        for action in actions:
            seen.append(simulator.step(action, cameras=CAMERAS))
            states.append(simulator.get_state())
    finally:
        simulator.close()
    from libero.libero.envs.env_wrapper import OffScreenRenderEnv

    size = protocol.resolution
    official = OffScreenRenderEnv(
        bddl_file_name=str(task.bddl_file), camera_heights=size, camera_widths=size
    )
    try:
        official.seed(protocol.scene(0).seed)
        official.reset()
        official.set_init_state(task.init_states()[0])
        for action in [np.asarray(protocol.settle_action)] * protocol.settle_steps:
            theirs, *_ = official.step(action)
        for step in range(len(states)):
            if step:
                theirs, *_ = official.step(actions[step - 1])
            same = np.array_equal(states[step], official.get_sim_state())
            for camera, name in _OFFICIAL_CAMERAS.items():
                ours = seen[step][camera]  # type: ignore[literal-required]
                same = same and np.array_equal(ours, theirs[name][::-1, ::-1])
            if not same:
                return Finding(
                    status="failed",
                    detail=f"{task.suite} task {task.index} differs from control step {step} on",
                    fix=_OTHER_VERSION,
                )
    finally:
        official.close()
    detail = f"{len(actions)} control steps: states and pictures are the official environment's"
    return Finding(status="ok", detail=detail)


def check_speed(_folder: Path) -> Finding:
    """How many control steps a second does one simulation make, without and with images?"""
    simulator = Simulator(find_task(*_IDENTITY_TASK), goldens.golden_protocol())
    try:
        simulator.reset(0, cameras=CAMERAS)
        actions = goldens.golden_actions()
        simulator.execute(actions[:2], record=CAMERAS)  # what is compiled or loaded at first use
        blind = _rate(lambda: simulator.execute(actions), len(actions))
        few = actions[:10]
        seeing = _rate(lambda: simulator.execute(few, record=CAMERAS), len(few))
        pictures = _picture_times(simulator, actions[10:])
    finally:
        simulator.close()
    detail = f"{blind:.0f} control steps/s without pictures, {seeing:.1f} with two at every step"
    detail += f"; {pictures}"
    if blind < REAL_TIME:
        fix = "fewer --workers than cores; see whether something else uses them"
        return Finding(status="warning", detail=f"{detail}: slower than real time", fix=fix)
    if LAYER_CHECK.fault:
        fix = "another version of the OpenGL driver, or MUJOCO_GL=osmesa, may be faster"
        return Finding(status="warning", detail=detail, fix=fix)
    return Finding(status="ok", detail=detail)


def _picture_times(simulator: Simulator, actions: FloatArray) -> str:
    """Say what a picture of the fixed camera takes with kept layers and without, in words."""
    ways = simulator.renderers(simulator.protocol.resolution)
    spent = {"culled": 0.0, "ours": 0.0}
    count = 0
    for turn, action in enumerate(actions[: _PICTURES + _WARMING]):
        simulator.step(action)
        for way in spent:
            start = time.perf_counter()
            ways[way].render("agentview")
            spent[way] += time.perf_counter() - start if turn >= _WARMING else 0.0
        count += turn >= _WARMING
    anew, kept = (f"{1e3 * spent[way] / max(count, 1):.0f}" for way in ("culled", "ours"))
    if not LAYER_CHECK.use:
        return f"a picture of agentview takes {anew} ms; no layers are kept: {LAYER_CHECK.reason}"
    return f"a picture of agentview takes {kept} ms with kept layers, {anew} without"


def _rate(work: Callable[[], object], steps: int) -> float:
    start = time.perf_counter()
    work()
    return steps / (time.perf_counter() - start)
