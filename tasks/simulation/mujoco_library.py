"""MuJoCo's C functions, callable from compiled code.

They are declared by name and resolved in the library that the ``mujoco`` package has loaded, so
that numba can keep compiled callers on disk: no address of this process is in them.

Arguments are addresses: ``model._address``, ``data._address``, ``array.ctypes.data``.
"""

from pathlib import Path
from typing import Any

import llvmlite.binding
import mujoco
from numba import types

from tasks.errors import PrerequisiteError


def _load() -> None:
    folder = Path(mujoco.__file__).parent
    # Linux: libmujoco.so.3.2.3, macOS: libmujoco.3.2.3.dylib, Windows: mujoco.dll
    endings = {".so", ".dylib", ".dll"}
    found = sorted(path for path in folder.glob("*mujoco*") if endings & set(path.suffixes))
    if not found:
        raise PrerequisiteError(
            f"No MuJoCo library lies in {folder}. Fix: pip install --force-reinstall mujoco"
        )
    llvmlite.binding.load_library_permanently(str(found[0]))


_load()


def _function(name: str, *arguments: Any) -> Any:
    return types.ExternalFunction(name, types.void(*arguments))


_ADDRESS: Any = types.uintp
_INDEX: Any = types.int32

step1 = _function("mj_step1", _ADDRESS, _ADDRESS)
"""Position and velocity stage of a step: (model, data)."""
step2 = _function("mj_step2", _ADDRESS, _ADDRESS)
"""Forces, constraints and integration of a step: (model, data)."""
actuation = _function("mj_fwdActuation", _ADDRESS, _ADDRESS)
"""Actuator forces: (model, data)."""
acceleration = _function("mj_fwdAcceleration", _ADDRESS, _ADDRESS)
"""Accelerations without constraints: (model, data)."""
constraint = _function("mj_fwdConstraint", _ADDRESS, _ADDRESS)
"""Constraint forces, from the previous solution on, which it replaces: (model, data)."""
site_jacobian = _function("mj_jacSite", _ADDRESS, _ADDRESS, _ADDRESS, _ADDRESS, _INDEX)
"""Translational and rotational Jacobian, (3, nv) each: (model, data, jacp, jacr, site)."""
full_mass_matrix = _function("mj_fullM", _ADDRESS, _ADDRESS, _ADDRESS)
"""Dense mass matrix (nv, nv) from the sparse one: (model, dense, sparse)."""
