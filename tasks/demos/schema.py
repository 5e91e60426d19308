"""LIBERO's HDF5 schema for demonstrations, and what this project adds to it."""

from typing import Literal

OBSERVATIONS = {
    "agentview_rgb": (None, None, 3),
    "eye_in_hand_rgb": (None, None, 3),
    "gripper_states": (2,),
    "joint_states": (7,),
    "ee_states": (6,),
    "ee_pos": (3,),
    "ee_ori": (3,),
}
"""Datasets under ``obs`` and the shape of one row; None stands for any size."""

IMAGE_DATASETS = {"agentview": "agentview_rgb", "wrist": "eye_in_hand_rgb"}
"""Camera names of this project and their dataset."""

TAG = "libero-v1"

INTENDED = "intended_actions"
"""Dataset that official files lack: the actions without the demonstrator's noise. ``actions`` is
what was executed and leads through ``states``."""

Targets = Literal["executed", "intended"]
"""Which of the two a policy learns."""

CONVENTION_ATTRIBUTE = "obs_convention"
"""Attribute of ``data`` that official files lack: see ``Convention``."""

Convention = Literal["before_action", "after_action"]
"""Whether ``obs[t]`` was seen before or after ``actions[t]``. In the official files it is after,
``states[t]`` being before; regenerated sets and ours record both before."""

PHASES_ATTRIBUTE = "phases"
"""Attribute of a demonstration that official files lack: its phases as JSON (``phases``)."""

SEED_ATTRIBUTE = "scene_seed"
"""Attribute of a demonstration that official files lack: what LIBERO sampled its start with."""

START_ATTRIBUTE = "start"
"""Attribute of a demonstration that official files lack: how its episode begins where no seed says
so, as JSON (``demo_start``)."""
