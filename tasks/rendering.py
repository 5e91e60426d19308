"""Can this machine render off screen? ``python -m tasks.rendering --install`` checks and helps.

The check runs in a process of its own: a missing GL library can take the process with it. It goes
the way that a simulation goes: through ``tasks.opengl`` into robosuite's render context.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass

from tasks.errors import HarnessError, PrerequisiteError
from tasks.opengl import DISABLED, PACKAGES, asked_backend, backend, forbidden, prepare, unavailable

_TIMEOUT_S = 120
_SAYS = "libero-bench: "
"""Begins the line in which the checking process says what is wrong in its own words."""
_SCENE = (
    "<mujoco><visual><global offwidth='640' offheight='480'/></visual><worldbody>"
    "<light pos='0 0 3'/><geom size='.2' rgba='1 0 0 1'/><camera pos='0 0 2'/>"
    "</worldbody></mujoco>"
)


@dataclass(frozen=True, kw_only=True)
class Rendering:
    """What came of rendering one image in a process of its own.

    Attributes:
        renderer: What OpenGL calls itself; None if it did not work, or OpenGL does not say.
        error: What is wrong, and the fix; None if it worked.
    """

    renderer: str | None = None
    error: HarnessError | None = None


def probe() -> Rendering:
    """Render one image in a fresh process, as a simulation would."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "tasks.rendering", "--probe"],
            env=os.environ
            | {"PYTHONPATH": os.pathsep.join(path or os.curdir for path in sys.path)},
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Rendering(error=unavailable("one picture took more than two minutes"))
    if done.returncode == 0:
        return Rendering(renderer=done.stdout.strip() or None)
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    if said := [line for line in lines if line.startswith(_SAYS)]:
        return Rendering(error=PrerequisiteError(said[-1].removeprefix(_SAYS)))
    errors = [line for line in lines if "Error" in line and not line.startswith(" ")]
    found = (errors or lines or [f"the process ended with code {done.returncode}"])[0]
    return Rendering(error=unavailable(found))


def check_rendering() -> None:
    """Make sure that off-screen rendering works.

    Raises:
        PrerequisiteError: It does not; the message names the package to install, or the variable
            that is in the way.
    """
    if (error := probe().error) is not None:
        raise error


def render_once() -> str:
    """Render one image in this process; return what OpenGL calls itself.

    Raises:
        HarnessError: It does not work.
    """
    prepare()
    if backend() == DISABLED:
        raise forbidden()
    from robosuite.utils.binding_utils import MjRenderContextOffscreen, MjSim

    try:
        sim = MjSim.from_xml_string(_SCENE)
        context = MjRenderContextOffscreen(sim, device_id=-1)
        context.render(32, 32, camera_id=0)
        if not context.read_pixels(32, 32).any():
            raise unavailable("the picture is black")
        from OpenGL import GL

        return (GL.glGetString(GL.GL_RENDERER) or b"").decode()
    except (ImportError, AttributeError, OSError, RuntimeError) as error:
        raise unavailable(error) from error


def _install() -> None:
    """Install the backend's packages where apt-get and the rights for it are there."""
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        return
    packages = PACKAGES[backend()]
    print(f"Installing {' '.join(packages)} for off-screen rendering …", flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
        subprocess.run(["apt-get", "-qq", *command], env=environment, check=False)


def main(arguments: list[str]) -> int:
    """Check, install if asked, and say what is missing."""
    try:
        if "--probe" in arguments:
            print(render_once())
            sys.stdout.flush()
            os._exit(0)  # freeing a GL context at the interpreter's end can fail
        if "--install" in arguments and backend() in PACKAGES and probe().error is not None:
            _install()
        check_rendering()
    except HarnessError as error:
        print(f"{_SAYS}{error}", file=sys.stderr)
        return 2
    print(f"Off-screen rendering with {asked_backend()} works.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
