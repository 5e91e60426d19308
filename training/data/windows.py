"""Training samples: windows of history and horizon cut from demonstrations."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NotRequired

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from policies.rdt.actions.layout import Layout
from policies.rdt.actions.normalisation import Normalisation
from policies.rdt.encoders.base import ImageEncoder, TextEncoder
from policies.rdt.model.network import Batch
from tasks.demos.file import open_demo_file
from tasks.demos.folders import find_all_demo_files
from tasks.demos.reader import Demo, read_demos
from tasks.demos.timing import Timing, observation_timing
from tasks.errors import ConfigError
from training.config_sections import DataSettings
from training.data.images import KeptPictures, LazyPictures, Pictures, Places, look
from training.data.split import choose_demos, first_motion, transitions

_KEPT_BYTES = 2 << 30


class Window(Batch):
    """A sample, or a batch of them.

    Keys:
        valid: (B, T) bool, True before the demonstration's end; only where the tail is masked.
        shown: (B, history) bool, False where pictures are to be hidden as RDT's loader hides what
            is before a demonstration's first usable step; only under official sampling.
        state_std: (B, V) deviations of the state within the demonstration.
    """

    valid: NotRequired[Tensor]
    shown: NotRequired[Tensor]
    state_std: Tensor


@dataclass(frozen=True, kw_only=True)
class IndexedDemo:
    """What is known of a demonstration without its pictures.

    Attributes:
        rank: Its place among the demonstrations of its file.
        of: How many of that file are used.
        steps: T.
        transitions: Steps at which something changes.
        first_motion: First step at which a joint has moved.
    """

    rank: int
    of: int
    steps: int
    transitions: tuple[int, ...]
    first_motion: int

    @property
    def first_usable(self) -> int:
        """The step before the first motion, the earliest that RDT's code draws."""
        return max(self.first_motion - 1, 0)


class DemoWindows(Dataset[Window]):
    """All windows of some demonstrations.

    Sample ``i`` starts at one control step of one demonstration: the pictures of that step and of
    the ``history − 1`` before it, the state, and the next ``horizon`` actions.
    """

    def __init__(
        self,
        paths: Sequence[Path | str],
        *,
        layout: Layout,
        cameras: Sequence[str],
        image_encoder: ImageEncoder,
        text_encoder: TextEncoder,
        history: int,
        horizon: int,
        settings: DataSettings | None = None,
        normalisation: Normalisation | None = None,
        missing_cameras: Sequence[str] = (),
        held_out: bool = False,
    ) -> None:
        """Read the demonstrations.

        ``timings`` says of each of ``files`` when its rows were seen, ``without_intended`` how many
        demonstrations have executed actions alone.

        Args:
            paths: HDF5 files, or folders of them.
            layout: Mapping to RDT's vector.
            cameras: Cameras, in the order the encoder takes them.
            image_encoder: Prepares pictures.
            text_encoder: Prepares instructions.
            history: Pictures per camera in a sample.
            horizon: Actions in a sample.
            settings: Which demonstrations, what follows their end, where pictures are kept.
            normalisation: Laid over the layout; none by default.
            missing_cameras: Cameras whose place shows the background.
            held_out: Take the demonstrations that are held out instead of those to train on.

        Raises:
            ConfigError: A file cannot be used, it cannot be told when its rows were seen, pictures
                differ in size, or a file has too few demonstrations.
        """
        self._settings = settings or DataSettings()
        self.normalisation = normalisation or Normalisation()
        self._layout = self.normalisation.applied_to(layout)
        self._history, self._horizon = history, horizon
        self._places = Places(cameras=tuple(cameras), missing=tuple(missing_cameras))
        self._prepare = image_encoder.prepare
        # Those that are held out are to be seen as in an evaluation, which hides nothing.
        self._hides_start = self._settings.sampling == "official" and not held_out
        self.files = sorted(find_all_demo_files(paths))
        seen = [look(file, self._places.shown) for file in self.files]
        self.render_sizes = set().union(*(sizes for _, _, sizes in seen))
        self._lazy = self._reads_late(sum(frames for _, frames, _ in seen))
        self.timings: list[Timing] = []
        self.without_intended = 0
        self.entries: list[IndexedDemo] = []
        self._pictures: list[Pictures] = []
        self._states: list[Tensor] = []
        self._actions: list[Tensor] = []
        instructions: list[str] = []
        for file, (there, _, _) in zip(self.files, seen, strict=True):
            chosen = choose_demos(file, there, self._settings, held_out=held_out)
            timing = self._timing(file)
            demos = read_demos(
                file,
                convention=timing.convention,
                pictures=not self._lazy,
                cameras=self._places.shown,
                instructions=self._settings.instructions,
            )
            for place, demo in enumerate(islice(demos, chosen.stop)):
                if place in chosen:
                    self._add(demo, file, place - chosen.start, len(chosen))
                    instructions.append(demo.instruction)
        if len(self.render_sizes) != 1:
            raise ConfigError(
                f"The demos have pictures of {sorted(self.render_sizes)} pixels. "
                "Allowed: one size. Fix: train on one of them, or render them alike."
            )
        self.instructions = sorted(set(instructions))
        self._read_text(text_encoder, instructions)
        self._mask = torch.from_numpy(layout.training_mask)
        self.index = np.array(
            [(d, t) for d, entry in enumerate(self.entries) for t in range(entry.steps)]
        )
        self.demos = len(self.entries)
        self.mean_state = torch.cat(self._states).mean(0)
        self._stds = [_deviations(states) for states in self._states]
        acted = torch.cat([a[: e.steps] for a, e in zip(self._actions, self.entries, strict=True)])
        self.action_std = acted.std(0, correction=0)

    def _reads_late(self, frames: int) -> bool:
        """Whether pictures are read when they are needed, by the settings and their size."""
        if self._settings.pictures != "auto":
            return self._settings.pictures == "lazy"
        one = self._prepare(np.zeros((1, 16, 16, 3), dtype=np.uint8)).numel()
        return frames * one > _KEPT_BYTES

    def _timing(self, path: Path) -> Timing:
        with open_demo_file(path) as file:
            self.timings.append(observation_timing(file, self._settings.convention))
        return self.timings[-1]

    def _add(self, demo: Demo, file: Path, rank: int, of: int) -> None:
        if self._lazy:
            self._pictures.append(LazyPictures(demo, file, self._places, self._prepare))
        else:
            self._pictures.append(KeptPictures(demo, self._places, self._prepare))
        self.without_intended += not demo.intended_noted
        self._states.append(torch.from_numpy(self._layout.encode_state(demo.robot)))
        self._actions.append(self._targets(demo))
        self.entries.append(
            IndexedDemo(
                rank=rank,
                of=of,
                steps=demo.steps,
                transitions=transitions(demo),
                first_motion=first_motion(demo),
            )
        )

    def _targets(self, demo: Demo) -> Tensor:
        """Return (T + horizon, V): what to predict, then what stands for the time after it."""
        robot = demo.robot
        actions = demo.targets(self._settings.targets_for(self._layout))
        if self._settings.tail != "official":
            return torch.from_numpy(self._layout.targets(actions, robot, tail=self._horizon))
        given = torch.from_numpy(self._layout.targets(actions, robot))
        return torch.cat([given, given[-1:].expand(self._horizon, -1)])

    def _read_text(self, encoder: TextEncoder, instructions: list[str]) -> None:
        rows = {text: row for row, text in enumerate(self.instructions)}
        self._text_row = [rows[text] for text in instructions]
        hidden = [""] if self._settings.mask_probability("language") else []
        ids, mask = encoder.prepare([*self.instructions, *hidden])
        longest = int(mask.sum(1).max())  # padding is masked, so shorter rows only save time
        self._token_ids, self._token_mask = ids[:, :longest], mask[:, :longest]
        self.no_text = (self._token_ids[-1], self._token_mask[-1]) if hidden else None

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: int) -> Window:
        demo, step = self.index[index].tolist()
        steps = range(step - self._history + 1, step + 1)
        text = self._text_row[demo]
        sample: Window = {
            "images": self._pictures[demo].rows([max(each, 0) for each in steps]),
            "token_ids": self._token_ids[text],
            "token_mask": self._token_mask[text],
            "state": self._states[demo][step],
            "state_std": self._stds[demo],
            "action_mask": self._mask,
            "actions": self._actions[demo][step : step + self._horizon],
        }
        if self._settings.tail == "masked":
            sample["valid"] = self.before_end([index], self._horizon)[0]
        if self._hides_start:
            first = self.entries[demo].first_usable
            sample["shown"] = torch.tensor([each >= first or each == step for each in steps])
        return sample

    def before_end(self, rows: Sequence[int], horizon: int) -> Tensor:
        """Return (rows, horizon) bool: which actions of these windows a demonstration has."""
        left = [self.entries[demo].steps - step for demo, step in self.index[list(rows)]]
        return torch.arange(horizon) < torch.tensor(left)[:, None]

    @property
    def missing_cameras(self) -> tuple[str, ...]:
        """Cameras whose place shows the background."""
        return self._places.missing

    @property
    def render_size(self) -> int:
        """Height and width at which the pictures were rendered, pixels."""
        return next(iter(self.render_sizes))


def _deviations(states: Tensor) -> Tensor:
    """Return (V,) deviations; as in RDT's statistics, entries next to zero do not count."""
    there = (states.abs() > 1e-8).float()
    count = there.sum(0).clamp(min=1.0)
    mean = (states * there).sum(0) / count
    return (((states - mean) * there).square().sum(0) / count).sqrt()
