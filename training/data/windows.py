"""Training samples: windows of history and horizon cut from demonstrations."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from policies.rdt.arm import RobotState
from policies.rdt.images import resize_frames
from policies.rdt.layout import Layout
from policies.rdt.network import Batch
from policies.rdt.words import tokenize
from tasks.errors import ConfigError
from training.demo_reader import Demo, find_demo_files, read_demos


class DemoWindows(Dataset[Batch]):
    """All windows of some demonstrations, pictures kept in memory at the encoder's size.

    Sample ``i`` starts at one control step of one demonstration: the pictures of that step and of
    the ``history − 1`` before it, the state, and the next ``horizon`` actions. Beyond the end of a
    demonstration the robot stands still, and the gripper stays as it last was.
    """

    def __init__(
        self,
        paths: Sequence[Path | str],
        *,
        layout: Layout,
        cameras: Sequence[str],
        image_size: int,
        history: int,
        horizon: int,
        max_words: int,
    ) -> None:
        """Read the demonstrations.

        Args:
            paths: HDF5 files, or folders of them.
            layout: Mapping to RDT's vector.
            cameras: Cameras, in the order the encoder takes them.
            image_size: Height and width of the encoder's pictures, pixels.
            history: Pictures per camera in a sample.
            horizon: Actions in a sample.
            max_words: Words of an instruction at most.

        Raises:
            ConfigError: A file cannot be used, or pictures differ in size.
        """
        self._layout, self._history, self._horizon = layout, history, horizon
        self.files = sorted({file for path in paths for file in find_demo_files(path)})
        self.render_sizes: set[int] = set()
        self._pictures: list[Tensor] = []
        self._states: list[Tensor] = []
        self._actions: list[Tensor] = []
        instructions: list[str] = []
        for file in self.files:
            for demo in read_demos(file):
                self.render_sizes.add(demo.pictures[cameras[0]].shape[1])
                self._pictures.append(_pictures(demo, cameras, image_size))
                self._states.append(_states(demo, layout))
                self._actions.append(_actions(demo, layout, horizon))
                instructions.append(demo.instruction)
        if len(self.render_sizes) != 1:
            raise ConfigError(
                f"The demos have pictures of {sorted(self.render_sizes)} pixels. "
                "Allowed: one size. Fix: train on one of them, or render them alike."
            )
        ids, mask = tokenize(instructions, max_words)
        longest = mask.sum(1).max()  # padding is masked, so shorter rows only save time
        ids, mask = ids[:, :longest], mask[:, :longest]
        self._token_ids, self._token_mask = torch.from_numpy(ids), torch.from_numpy(mask)
        self._mask = torch.from_numpy(layout.training_mask)
        steps = [len(states) for states in self._states]
        self._index = [(d, t) for d, length in enumerate(steps) for t in range(length)]
        self.demos = len(steps)
        self.mean_state = torch.cat(self._states).mean(0)
        self.instructions = sorted(set(instructions))

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, index: int) -> Batch:
        demo, step = self._index[index]
        seen = [max(step - back, 0) for back in range(self._history - 1, -1, -1)]
        return {
            "images": self._pictures[demo][seen],
            "token_ids": self._token_ids[demo],
            "token_mask": self._token_mask[demo],
            "state": self._states[demo][step],
            "action_mask": self._mask,
            "actions": self._actions[demo][step : step + self._horizon],
        }

    @property
    def render_size(self) -> int:
        """Height and width at which the pictures were rendered, pixels."""
        return next(iter(self.render_sizes))


def _pictures(demo: Demo, cameras: Sequence[str], size: int) -> Tensor:
    """Return (T, cameras, 3, S, S) uint8."""
    return torch.stack([resize_frames(demo.pictures[camera], size) for camera in cameras], dim=1)


def _states(demo: Demo, layout: Layout) -> Tensor:
    return torch.from_numpy(layout.encode_state(**_robot(demo)))


def _actions(demo: Demo, layout: Layout, horizon: int) -> Tensor:
    """Return (T + horizon, V): what to predict, then standing still with the last grip."""
    return torch.from_numpy(layout.targets(demo.targets, _robot(demo), tail=horizon))


def _robot(demo: Demo) -> RobotState:
    return RobotState(
        joint_pos=demo.joint_pos,
        ee_pos=demo.ee_pos,
        ee_quat=demo.ee_quat,
        gripper_qpos=demo.gripper_qpos,
    )
