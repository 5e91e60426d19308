"""Demo files in LIBERO's format with made-up contents, for tests that need no simulator."""

import json
from pathlib import Path

import h5py
import numpy as np


def write_file(
    path: Path,
    *,
    demos: int = 2,
    steps: int = 12,
    size: int = 16,
    convention: str | None = None,
    steady: bool = False,
) -> Path:
    rng = np.random.default_rng(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["problem_info"] = json.dumps({"language_instruction": "open the drawer"})
        if convention:
            data.attrs["obs_convention"] = convention
        for index in range(demos):
            group = data.create_group(f"demo_{index}")
            actions = rng.uniform(-1, 1, (steps, 7))
            if steady:
                actions[:] = 0.5
            actions[:, 6] = np.where(np.arange(steps) < steps // 2, -1.0, 1.0)
            robot = rng.normal(size=(steps, 9))
            robot[:, 5:9] /= np.linalg.norm(robot[:, 5:9], axis=1, keepdims=True)
            group["actions"] = actions
            group["states"] = rng.normal(size=(steps, 20))
            group["robot_states"] = robot
            group["obs/joint_states"] = rng.normal(size=(steps, 7))
            for name in ("agentview_rgb", "eye_in_hand_rgb"):
                group[f"obs/{name}"] = rng.integers(0, 255, (steps, size, size, 3), dtype=np.uint8)
    return path
