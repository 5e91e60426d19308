"""What of a user's variables decides about rendering, and that nothing else does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tasks import egl_devices, opengl
from tasks.egl_devices import CudaDevices
from tasks.errors import ConfigError

ROOT = Path(__file__).parents[2]
VARIABLES = ("MUJOCO_GL", "PYOPENGL_PLATFORM", "MUJOCO_EGL_DEVICE_ID", "CUDA_VISIBLE_DEVICES")
FIRST, SECOND = (
    "GPU-8f1c0d3a-0000-0000-0000-000000000001",
    "GPU-8f1cffff-0000-0000-0000-000000000002",
)
TWO_GPUS = CudaDevices(ordinals=[1, 0, None], uuids=[FIRST, SECOND])
"""EGL's order is the other way round than CUDA's, and Mesa's device comes last."""

_PROBE = f"""
import json, os, sys
from tasks.rendering import render_once
renderer = render_once()
print(json.dumps([bool(renderer), {{n: os.environ[n] for n in {VARIABLES} if n in os.environ}}]))
sys.stdout.flush()
os._exit(0)
"""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Let none of the variables be set, and nothing be prepared yet."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(opengl, "prepared_backend", None)
    return monkeypatch


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({}, "egl"),
        ({"MUJOCO_GL": ""}, "egl"),
        ({"MUJOCO_GL": " EGL "}, "egl"),
        ({"MUJOCO_GL": "on"}, "egl"),
        ({"MUJOCO_GL": "OSMesa"}, "osmesa"),
        ({"PYOPENGL_PLATFORM": "osmesa"}, "osmesa"),
        ({"PYOPENGL_PLATFORM": "EGL", "MUJOCO_GL": "egl"}, "egl"),
        ({"MUJOCO_GL": "0"}, "disabled"),
        ({"MUJOCO_GL": "off", "PYOPENGL_PLATFORM": "glx"}, "disabled"),
    ],
)
def test_the_backend_is_what_the_variables_ask_for(asked, given: dict[str, str], name: str) -> None:
    for variable, value in given.items():
        asked.setenv(variable, value)
    assert opengl.backend() == name


@pytest.mark.parametrize(
    ("given", "culprit"),
    [
        ({"MUJOCO_GL": "foo"}, "MUJOCO_GL"),
        ({"MUJOCO_GL": "glfw"}, "MUJOCO_GL"),
        ({"MUJOCO_GL": "wgl", "PYOPENGL_PLATFORM": "egl"}, "MUJOCO_GL"),
        ({"PYOPENGL_PLATFORM": "glx"}, "PYOPENGL_PLATFORM"),
        ({"PYOPENGL_PLATFORM": "osmesa", "MUJOCO_GL": "egl"}, "PYOPENGL_PLATFORM"),
        ({"MUJOCO_EGL_DEVICE_ID": "abc"}, "MUJOCO_EGL_DEVICE_ID"),
        ({"MUJOCO_EGL_DEVICE_ID": "3", "CUDA_VISIBLE_DEVICES": "3"}, "MUJOCO_EGL_DEVICE_ID"),
        ({"MUJOCO_EGL_DEVICE_ID": "-1"}, "MUJOCO_EGL_DEVICE_ID"),
        ({"MUJOCO_EGL_DEVICE_ID": "0,1"}, "MUJOCO_EGL_DEVICE_ID"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(asked, given: dict[str, str], culprit: str) -> None:
    for variable, value in given.items():
        asked.setenv(variable, value)
    asked.setattr(egl_devices, "device_extensions", lambda: ["", "", ""])
    with pytest.raises(ConfigError, match=f"{culprit}={given[culprit]} is set") as refused:
        opengl.prepare()
    assert f"Fix: unset {culprit}" in str(refused.value)
    assert not [name for name in VARIABLES if name in str(refused.value) and name not in given]


def test_a_failure_is_blamed_on_the_variable_that_caused_it(asked) -> None:
    assert "MUJOCO_GL" not in opengl.asked_backend()
    assert "with EGL does not work here (no driver)" in str(opengl.unavailable("no driver."))
    asked.setenv("PYOPENGL_PLATFORM", "osmesa")
    words = str(opengl.unavailable(OSError("no\nlibrary")))
    assert "PYOPENGL_PLATFORM=osmesa does not work here (no library). Fix: unset PYOPENGL" in words
    assert "MUJOCO_GL" not in words
    asked.setenv("MUJOCO_GL", "foo")
    assert str(opengl.unavailable("mujoco refused")).startswith("MUJOCO_GL=foo is set")


@pytest.mark.parametrize(
    ("shown", "device"),
    [
        ("0", 1),
        ("1", 0),
        ("1,0", 0),
        (" 0 , 1", 1),
        (FIRST, 1),
        (f"{SECOND},{FIRST}", 0),
        ("GPU-8f1cf", 0),
        ("GPU-8f1c", 2),  # of both, which CUDA takes for neither
        ("GPU-1234", 2),
        ("MIG-8f1cffff-0000-0000-0000-000000000003", 2),
        ("", 2),
        ("-1", 2),
        ("-1,0", 2),
        ("7", 2),
        ("²", 2),
    ],
)
def test_the_first_visible_gpu_renders_or_else_the_software(shown: str, device: int) -> None:
    assert TWO_GPUS.visible(shown) == device


def test_a_hidden_gpu_is_taken_where_nothing_else_renders() -> None:
    assert CudaDevices(ordinals=[0, 1], uuids=[FIRST, SECOND]).visible("-1") is None


def test_cuda_is_asked_only_where_egl_knows_it_and_a_variable_hides_gpus(asked) -> None:
    def device(extensions: list[str]) -> int | None:
        asked.setattr(egl_devices, "device_extensions", lambda: extensions)
        return opengl.egl_device()

    gpus = [
        "EGL_NV_device_cuda EGL_EXT_device_drm",
        "EGL_NV_device_cuda",
        "EGL_MESA_device_software",
    ]
    asked.setattr(egl_devices, "cuda_devices", lambda: pytest.fail("nobody needs to know"))
    assert device(gpus) is None
    asked.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert device(["EGL_MESA_device_software"]) is None
    asked.setattr(egl_devices, "cuda_devices", lambda: TWO_GPUS)
    assert device(gpus) == 0
    asked.setenv("MUJOCO_EGL_DEVICE_ID", "2")
    assert device(gpus) == 2


def test_every_device_of_egl_is_asked_for_its_number_with_cuda() -> None:
    found = egl_devices.cuda_devices()
    assert found is not None
    assert len(found.ordinals) == len(egl_devices.device_extensions()) > 0


@pytest.mark.sim
@pytest.mark.parametrize(
    "given",
    [
        {"CUDA_VISIBLE_DEVICES": "1", "MUJOCO_EGL_DEVICE_ID": "0"},
        {"CUDA_VISIBLE_DEVICES": "GPU-1234", "MUJOCO_GL": "EGL", "MUJOCO_EGL_DEVICE_ID": ""},
    ],
)
def test_pictures_are_rendered_and_variables_left_whatever_cuda_is_shown(
    given: dict[str, str],
) -> None:
    clean = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    done = subprocess.run(
        [sys.executable, "-c", _PROBE],
        env=clean | given,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert json.loads(done.stdout) == [True, given]
