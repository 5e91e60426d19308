"""The OpenGL that images are rendered with: which backend, and on which device.

MuJoCo and robosuite read environment variables while they are imported and when the first context
is made, each in its own way: to robosuite ``CUDA_VISIBLE_DEVICES`` is an index of EGL's devices,
which ends in an assertion on most machines without a GPU and on some with several. ``prepare``
reads the variables once, imports both on the device that is meant, and leaves the variables as they
were, for torch and for processes that are started later.
"""

import os
from ctypes.util import find_library
from typing import Any

from tasks import egl_devices
from tasks.errors import ConfigError, HarnessError, PrerequisiteError
from tasks.libero_package import quiet_robosuite
from tasks.native_libraries import environment_variables, load_triton
from tasks.versions import check_versions

BACKENDS = ("egl", "osmesa")
DISABLED = "disabled"
PACKAGES = {
    "egl": ("libegl1", "libgl1", "libgl1-mesa-dri", "libglx-mesa0", "libegl-mesa0"),
    "osmesa": ("libosmesa6", "libgl1"),
}
"""Debian packages that each backend needs on a machine without a GPU driver."""

_DISABLED = ("disable", DISABLED, "off", "false", "0")
_DEFAULT = ("", "enable", "enabled", "on", "true", "1")
_WINDOWS = ("glfw", "glx")

prepared_backend: str | None = None
"""What ``prepare`` has chosen; None before."""


def backend() -> str:
    """Return what renders: ``egl``, ``osmesa``, or ``disabled`` where nothing may.

    It is ``MUJOCO_GL``, or else what ``PYOPENGL_PLATFORM`` asks for, or else EGL; after ``prepare``
    it is what that has chosen.

    Raises:
        ConfigError: One of the two variables has a value that is not allowed, or they contradict
            each other.
    """
    if prepared_backend is not None:
        return prepared_backend
    asked, platform = os.environ.get("MUJOCO_GL", ""), os.environ.get("PYOPENGL_PLATFORM", "")
    name, platform_name = asked.strip().lower(), platform.strip().lower()
    if name in _DISABLED:
        return DISABLED
    if name in _DEFAULT:
        name = platform_name if platform_name in BACKENDS else "egl"
    if name not in BACKENDS:
        windows = ", which draws into windows" if name in _WINDOWS else ""
        raise ConfigError(
            f"MUJOCO_GL={asked} is set{windows}. Pictures are rendered off screen. "
            f"Allowed: {', '.join(BACKENDS)}. Fix: unset MUJOCO_GL, which means egl."
        )
    if platform_name not in ("", name):
        beside = f" beside MUJOCO_GL={asked}" if asked.strip() else ""
        raise ConfigError(
            f"PYOPENGL_PLATFORM={platform} is set{beside}; pictures are rendered with {name}. "
            "Fix: unset PYOPENGL_PLATFORM."
        )
    return name


def prepare() -> None:
    """Import MuJoCo and robosuite so that they render with the backend and on the device meant.

    To be called before anything imports one of them; a second call does nothing.

    ``MUJOCO_EGL_DEVICE_ID`` names one of EGL's devices by its index. Without it,
    ``CUDA_VISIBLE_DEVICES`` means the first GPU that it shows, or the software renderer where it
    hides all; without that, and where there is no GPU, the first device that works is taken.

    Raises:
        ConfigError: A variable has a value that is not allowed.
        PrerequisiteError: A library is missing, or mujoco or robosuite is, or one that does not
            run LIBERO is installed.
    """
    global prepared_backend
    if prepared_backend is not None:
        return
    check_versions()
    name = backend()
    load_triton()  # before EGL, which may load Mesa when it is asked for its devices
    device = egl_device() if name == "egl" else None
    quiet_robosuite()
    platform = name if name in BACKENDS else os.environ.get("PYOPENGL_PLATFORM")
    mujoco_sees: dict[str, str | None] = {
        "MUJOCO_GL": name,
        "PYOPENGL_PLATFORM": platform,
        "MUJOCO_EGL_DEVICE_ID": None if device is None else str(device),
    }
    # robosuite puts EGL where it sees neither of two names; under this one it loads no library.
    robosuite_sees = mujoco_sees | {"MUJOCO_EGL_DEVICE_ID": None}
    if name == DISABLED:
        robosuite_sees["MUJOCO_GL"] = "glx"
    try:
        with environment_variables(mujoco_sees):
            import mujoco  # noqa: F401

            display = _egl_display() if name == "egl" else None
        with environment_variables(robosuite_sees):
            import robosuite.utils.binding_utils  # noqa: F401
    except (ImportError, AttributeError, OSError, RuntimeError) as error:
        missing = name == "osmesa" and find_library("OSMesa") is None
        raise unavailable("there is no libOSMesa" if missing else error) from error
    if name == "egl":
        from robosuite.renderers.context import egl_context

        if egl_context.EGL_DISPLAY is None:  # robosuite would look for a device of its own
            egl_context.EGL_DISPLAY = display
    prepared_backend = name


def forbidden() -> ConfigError:
    """Return the error for images that ``MUJOCO_GL`` forbids."""
    return ConfigError(
        f"Pictures are asked for, which MUJOCO_GL={os.environ.get('MUJOCO_GL')} forbids. "
        "Fix: unset MUJOCO_GL, which means egl."
    )


def advice() -> str:
    """Say how to get what the backend needs, or which other one there is."""
    name = backend()
    packages = " ".join(PACKAGES.get(name, PACKAGES["egl"]))
    install = f"install its library (Debian, Ubuntu: apt-get install {packages}"
    if name == "egl":
        return f"Fix: {install}; with an NVIDIA GPU: its driver's libEGL), or set MUJOCO_GL=osmesa"
    asking = [each for each in ("MUJOCO_GL", "PYOPENGL_PLATFORM") if os.environ.get(each)]
    return f"Fix: unset {' and '.join(asking) or 'MUJOCO_GL'}, which means egl, or {install})"


def unavailable(error: object) -> HarnessError:
    """Return the error for a renderer that could not be made, or MuJoCo not be imported.

    Args:
        error: What was raised instead, or what is wrong in words.

    Returns:
        What a variable has to do with it, or else what to install.
    """
    try:
        backend()
    except ConfigError as mistake:
        return mistake
    words = " ".join(str(error).split()).rstrip(".")
    return PrerequisiteError(
        f"Off-screen rendering with {asked_backend()} does not work here ({words}). {advice()}."
    )


def blank(camera: str) -> PrerequisiteError:
    """Return the error for a renderer that works and shows nothing, as some broken drivers do."""
    return PrerequisiteError(
        f"The first picture of the camera {camera} has one colour only: rendering with "
        f"{asked_backend()} shows nothing. {advice()}; 'libero-bench doctor' shows pictures."
    )


def asked_backend() -> str:
    """Return the backend with the variable that asks for it, if one does."""
    name = backend()
    for variable in ("MUJOCO_GL", "PYOPENGL_PLATFORM"):
        if asked := os.environ.get(variable):
            return f"{variable}={asked}"
    return {"egl": "EGL"}.get(name, name)


def _egl_display() -> Any:
    """Return the display that MuJoCo has opened, on the device of ``MUJOCO_EGL_DEVICE_ID``."""
    from mujoco import egl

    return egl.EGL_DISPLAY


def egl_device() -> int | None:
    """Return the index of the EGL device that the variables mean; None if any will do."""
    try:
        devices = egl_devices.device_extensions()
    except OSError as error:
        raise unavailable(error) from error
    if not devices:
        raise unavailable("EGL finds no device, neither a GPU nor Mesa's software renderer")
    asked = os.environ.get("MUJOCO_EGL_DEVICE_ID", "").strip()
    if asked:
        if not (asked.isascii() and asked.isdecimal()) or int(asked) >= len(devices):
            last = len(devices) - 1
            raise ConfigError(
                f"MUJOCO_EGL_DEVICE_ID={asked} is set. Allowed here: "
                f"{f'0 to {last}' if last else '0, the only one of EGL’s devices'}. "
                "Fix: unset MUJOCO_EGL_DEVICE_ID."
            )
        return int(asked)
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    if shown is None or not egl_devices.knows_cuda(devices):
        return None
    known = egl_devices.cuda_devices()
    return None if known is None else known.visible(shown)
