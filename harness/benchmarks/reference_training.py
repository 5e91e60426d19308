"""A straightforward training loop, as fine-tuning scripts of diffusion policies are written.

It trains the same network with the same loss, optimiser, clipping and averaging as ours. Data comes
as it does in RDT's own loader of HDF5 files: every sample opens its file, reads what it needs, and
resizes its images one by one.
"""

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from PIL import Image
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset

from policies.rdt.actions.layout_file import get_layout
from policies.rdt.model.presets import build_network
from tasks.demos.schema import IMAGE_DATASETS
from tasks.observation import RobotState

_HORIZON, _HISTORY, _SIZE = 64, 2, 64


class SampleByFile(Dataset[dict[str, Any]]):
    """Samples drawn at random, whatever index is asked for."""

    def __init__(self, files: list[Path], length: int, prepare_text: Callable[..., Any]) -> None:
        self._files, self._length = files, length
        self._text = prepare_text
        self._layout = get_layout("eef-velocity")

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, _: int) -> dict[str, Any]:
        with h5py.File(random.choice(self._files), "r") as file:
            demo = file["data"][random.choice(list(file["data"]))]
            actions = demo["actions"][:]
            start = random.randrange(len(actions))
            robot = demo["robot_states"][:].astype(np.float64)
            joints = demo["obs/joint_states"][:].astype(np.float64)
            frames = [
                [demo[f"obs/{name}"][max(start - back, 0)] for name in IMAGE_DATASETS.values()]
                for back in range(_HISTORY - 1, -1, -1)
            ]
        chunk = actions[start : start + _HORIZON]
        tail = np.repeat(chunk[-1:], _HORIZON - len(chunk), axis=0)
        state = self._layout.encode_state(
            RobotState(
                joint_pos=joints[start],
                gripper_qpos=robot[start, 0:2],
                ee_pos=robot[start, 2:5],
                ee_quat=robot[start, 5:9],
            )
        )
        ids, mask = self._text(["open the drawer"])
        return {
            "images": np.array([[_resized(frame) for frame in step] for step in frames]),
            "token_ids": ids[0],
            "token_mask": mask[0],
            "state": state,
            "action_mask": self._layout.training_mask,
            "actions": self._layout.encode_actions(np.concatenate([chunk, tail])),
        }


def run_loop(
    files: list[Path], *, updates: int, batch_size: int, warm: int, device: str
) -> tuple[float, float]:
    """Train and measure.

    Args:
        files: Demo files.
        updates: Updates to measure.
        batch_size: Windows per update.
        warm: Updates before measuring.
        device: Where.

    Returns:
        Seconds per update, and the share of them spent waiting for data.
    """
    torch.manual_seed(0)
    network = build_network("rdt-small").to(device).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, weight_decay=0.01)
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.995))  # type: ignore[no-untyped-call]
    length = (updates + warm) * batch_size
    data = SampleByFile(files, length, network.text_encoder.prepare)
    waited, spent = 0.0, 0.0
    stream = iter(DataLoader(data, batch_size=batch_size))
    for update in range(updates + warm):
        begin = time.perf_counter()
        batch = {name: value.to(device) for name, value in next(stream).items()}
        loaded = time.perf_counter()
        loss, _ = network(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        average.update_parameters(network)
        loss.item()
        if update >= warm:
            waited += loaded - begin
            spent += time.perf_counter() - begin
    return spent / updates, waited / spent


def _resized(frame: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    upright = Image.fromarray(np.ascontiguousarray(frame[::-1, ::-1]))
    small = upright.resize((_SIZE, _SIZE), Image.Resampling.BOX)
    return np.asarray(small).transpose(2, 0, 1).copy()
