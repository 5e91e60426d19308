"""Work that MuJoCo does for LIBERO's models at every physics step and that nothing depends on.

- *Sensors*: the force and torque sensors at the wrist need an extra pass over the kinematic tree;
  no observation shows them.
- *Marks of bounding volumes*: a byte for each node of each mesh's tree, about a million, is
  cleared before every collision detection so that a viewer may draw them. Collisions use the
  bodies' trees alone, which come first.
"""

import ctypes
from typing import Any

import mujoco

_SIZES = ("nq", "nv", "nu", "na", "nbody", "nbvh")


def leave_out(model: Any) -> None:
    """Make a model do without them, for good.

    To be called once its data exist. The model must not be saved or copied afterwards.

    Args:
        model: A ``mujoco.MjModel``.
    """
    model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_SENSOR)
    for kind in (ctypes.c_int32, ctypes.c_int64):  # as MuJoCo before and since 3.4
        sizes = (kind * len(_SIZES)).from_address(model._address)
        if list(sizes) == [getattr(model, name) for name in _SIZES]:
            sizes[-1] = int((model.body_bvhadr + model.body_bvhnum).max())
            return
