"""MuJoCo's C functions, callable from compiled code.

They are declared by name and resolved in the library that the ``mujoco`` package has loaded, so
that numba can keep compiled callers on disk: no address of this process is in them.

Arguments are addresses: ``model._address``, ``data._address``, ``array.ctypes.data``.
"""

from pathlib import Path

import llvmlite.binding
import mujoco
from numba import types

from tasks.errors import PrerequisiteError


def _load() -> None:
    folder = Path(mujoco.__file__).parent
    # Linux: libmujoco.so.3.2.3, macOS: libmujoco.3.2.3.dylib, Windows: mujoco.dll
    found = sorted(p for p in folder.glob("*mujoco*") if {".so", ".dylib", ".dll"} & set(p.suffixes))
    if not found:
        raise PrerequisiteError(
            f"No MuJoCo library lies in {folder}. Fix: pip install --force-reinstall mujoco"
        )
    llvmlite.binding.load_library_permanently(str(found[0]))


_load()

_ADDRESS = types.uintp
_STAGE = types.void(_ADDRESS, _ADDRESS)

step1 = types.ExternalFunction("mj_step1", _STAGE)
"""Position and velocity stage of a step: (model, data)."""
step2 = types.ExternalFunction("mj_step2", _STAGE)
"""Forces, constraints and integration of a step: (model, data)."""
actuation = types.ExternalFunction("mj_fwdActuation", _STAGE)
"""Actuator forces: (model, data)."""
acceleration = types.ExternalFunction("mj_fwdAcceleration", _STAGE)
"""Accelerations without constraints: (model, data)."""
constraint = types.ExternalFunction("mj_fwdConstraint", _STAGE)
"""Constraint forces, from the previous solution on, which it replaces: (model, data)."""
site_jacobian = types.ExternalFunction(
    "mj_jacSite", types.void(_ADDRESS, _ADDRESS, _ADDRESS, _ADDRESS, types.int32)
)
"""Translational and rotational Jacobian, (3, nv) each: (model, data, jacp, jacr, site)."""
full_mass_matrix = types.ExternalFunction("mj_fullM", types.void(_ADDRESS, _ADDRESS, _ADDRESS))
"""Dense mass matrix (nv, nv) from the sparse one: (model, dense, sparse)."""
