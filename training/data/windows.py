"""Training samples: windows of history and horizon cut from demonstrations, and their masking."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NotRequired

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from policies.rdt.actions.layout import Layout
from policies.rdt.actions.normalisation import Normalisation
from policies.rdt.encoders.base import TextEncoder
from policies.rdt.encoders.images import BACKGROUND
from policies.rdt.model.network import Batch
from tasks.demos.reader import Demo
from tasks.observation import CONTROL_HZ
from training.data.demo_files import LoadedDemo
from training.data_settings import DataSettings

_MOTION_RAD = 0.01
_MOTION_M = 0.005  # of the hand, which is half a metre from the joints that move it most


class Window(Batch):
    """A sample, or a batch of samples.

    Keys:
        valid: (B, T) bool, True before the demonstration's end; only where the tail is masked.
        shown: (B, history) bool, False for images before a demonstration's first usable step, which
            RDT's loader hides; only under official sampling.
        state_std: (B, V) deviations of the state within the demonstration.
    """

    valid: NotRequired[Tensor]
    shown: NotRequired[Tensor]
    state_std: Tensor


@dataclass(frozen=True, kw_only=True)
class IndexedDemo:
    """Numbers of a demonstration that the sampling of its windows needs.

    Attributes:
        rank: Its index among the used demonstrations of its file.
        of: The number of these.
        steps: T.
        transitions: Steps at which its phases begin, in order.
        first_goal: Step at which the first predicate of the goal is reached; its number of steps
            where the file does not say.
        first_motion: First step at which a joint has moved; the hand, where joints are not known.
    """

    rank: int
    of: int
    steps: int
    transitions: tuple[int, ...]
    first_goal: int
    first_motion: int

    @property
    def first_usable(self) -> int:
        """The step before the first motion, the earliest that RDT's code draws."""
        return max(self.first_motion - 1, 0)


class DemoWindows(Dataset[Window]):
    """All windows of some demonstrations.

    Each starts at one control step of one demonstration: the images of that step and of the
    ``history − 1`` before it, the state, and the next ``horizon`` actions.

    Attributes:
        demos: Number of demonstrations.
        entries: A demonstration's numbers for sampling.
        index: (windows, 2) demonstration and control step of each window.
        instructions: All instructions, sorted.
        no_text: Tokens and mask of the empty instruction, where instructions are hidden.
        without_intended: Number of demonstrations without intended actions.
        mean_state: (V,) mean of all states.
        action_std: (V,) standard deviation of the actions within demonstrations.
        decodes: Whether images are decoded for every sample.
    """

    def __init__(
        self,
        demos: Sequence[LoadedDemo],
        *,
        layout: Layout,
        text_encoder: TextEncoder,
        history: int,
        horizon: int,
        settings: DataSettings | None = None,
        normalisation: Normalisation | None = None,
        held_out: bool = False,
    ) -> None:
        """Encode the demonstrations' states, actions and instructions.

        Args:
            demos: The demonstrations.
            layout: Mapping to RDT's vector.
            text_encoder: Prepares instructions.
            history: Images per camera in a sample.
            horizon: Actions in a sample.
            settings: Targets, tail and sampling.
            normalisation: Of states and actions; none by default.
            held_out: Hide no images, as in an evaluation.
        """
        self._settings = settings or DataSettings()
        self.normalisation = normalisation or Normalisation()
        self._layout = self.normalisation.applied_to(layout)
        self._history, self._horizon = history, horizon
        self._hides_start = self._settings.sampling == "official" and not held_out
        self._images = [loaded.images for loaded in demos]
        self.decodes = any(images.decodes for images in self._images)
        self.demos = len(demos)
        self.without_intended = sum(not loaded.demo.intended_noted for loaded in demos)
        self.entries = [_index(loaded) for loaded in demos]
        self._states = [
            torch.from_numpy(self._layout.encode_state(loaded.demo.robot)) for loaded in demos
        ]
        self._actions = [self._targets(loaded.demo) for loaded in demos]
        instructions = [loaded.demo.instruction for loaded in demos]
        self.instructions = sorted(set(instructions))
        self._read_text(text_encoder, instructions)
        self._mask = torch.from_numpy(layout.training_mask)
        self.index = np.array(
            [(d, t) for d, entry in enumerate(self.entries) for t in range(entry.steps)]
        )
        self.mean_state = torch.cat(self._states).mean(0)
        self._stds = [_deviations(states) for states in self._states]
        acted = torch.cat([a[: e.steps] for a, e in zip(self._actions, self.entries, strict=True)])
        self.action_std = acted.std(0, correction=0)

    def _targets(self, demo: Demo) -> Tensor:
        """Return (T + horizon, V): the demonstration's targets, then those after its end."""
        robot = demo.robot
        actions = demo.targets(self._settings.targets_for(self._layout))
        if self._settings.tail != "official":
            return torch.from_numpy(self._layout.targets(actions, robot, tail=self._horizon))
        targets = torch.from_numpy(self._layout.targets(actions, robot))
        return torch.cat([targets, targets[-1:].expand(self._horizon, -1)])

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
            "images": self._images[demo].at([max(at, 0) for at in steps]),
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
            sample["shown"] = torch.tensor([at >= first or at == step for at in steps])
        return sample

    def before_end(self, rows: Sequence[int], horizon: int) -> Tensor:
        """Return (rows, horizon) bool, True for actions before a demonstration's end."""
        remaining = [self.entries[demo].steps - step for demo, step in self.index[list(rows)]]
        return torch.arange(horizon) < torch.tensor(remaining)[:, None]

    def after_goal(self, rows: Sequence[int]) -> Tensor:
        """Return (rows,) bool, True for windows from the first predicate of the goal on."""
        begun = [step >= self.entries[demo].first_goal for demo, step in self.index[list(rows)]]
        return torch.tensor(begun)


def _index(loaded: LoadedDemo) -> IndexedDemo:
    demo = loaded.demo
    # RDT's own data loader skips the steps before; a demonstration that never moves gives 0.
    if demo.has_joints:
        moved = (np.abs(demo.joint_pos - demo.joint_pos[0]) > _MOTION_RAD).any(1)
    else:
        moved = (np.abs(demo.ee_pos - demo.ee_pos[0]) > _MOTION_M).any(1)
    return IndexedDemo(
        rank=loaded.rank,
        of=loaded.of,
        steps=demo.steps,
        transitions=tuple(sorted({phase.step for phase in demo.phases})),
        first_goal=min((p.step for p in demo.phases if p.kind == "goal"), default=demo.steps),
        first_motion=int(moved.argmax()),
    )


def _deviations(states: Tensor) -> Tensor:
    """Return (V,) deviations; as in RDT's statistics, entries next to zero do not count."""
    counted = (states.abs() > 1e-8).float()
    count = counted.sum(0).clamp(min=1.0)
    mean = (states * counted).sum(0) / count
    return (((states - mean) * counted).square().sum(0) / count).sqrt()


def add_state_noise(batch: Window, decibels: float | None) -> None:
    """Add normal noise to the state, in place, as RDT's training does.

    Args:
        batch: The batch.
        decibels: Signal-to-noise ratio: the noise has deviation / 10^(dB/20); None for no noise.
    """
    if decibels is None:
        return
    state = batch["state"]
    batch["state"] = state + torch.randn_like(state) * batch["state_std"] / 10 ** (decibels / 20)


def mask_conditions(
    batch: Window,
    settings: DataSettings,
    cameras: Sequence[str],
    mean_state: Tensor,
    no_text: tuple[Tensor, Tensor] | None,
    *,
    missing: Sequence[str] = (),
) -> None:
    """Hide conditions at random, each independently and in place, as in RDT's own training.

    A hidden image becomes the uniform background, a hidden state the mean state, a hidden frequency
    0, a hidden instruction the empty one, and a hidden slot mask zeros. Images that are not
    ``shown`` in a window are always hidden.

    Args:
        batch: The batch.
        settings: The probabilities.
        cameras: Names, in the order of the images.
        mean_state: (V,) mean of the training data's states.
        no_text: Tokens and mask of the empty instruction; needed where language is hidden.
        missing: Cameras that are always hidden, as augmentation may have changed their background.
    """
    if "shown" in batch:
        hidden = ~batch["shown"][:, :, None, None, None, None]
        batch["images"] = batch["images"].masked_fill(hidden, BACKGROUND)
    images, state = batch["images"], batch["state"]
    device, count = images.device, len(state)
    probabilities = torch.tensor(
        [1.0 if camera in missing else settings.mask_probability(camera) for camera in cameras],
        device=device,
    )
    if probabilities.any():
        hidden = torch.rand(images.shape[:3], device=device) < probabilities
        batch["images"] = images.masked_fill(hidden[..., None, None, None], BACKGROUND)

    def draw(condition: str) -> Tensor | None:
        """Draw (B, 1) which samples hide a condition; None where none ever does."""
        probability = settings.mask_probability(condition)
        return torch.rand(count, 1, device=device) < probability if probability else None

    if (masked := draw("state")) is not None:
        batch["state"] = torch.where(masked, mean_state.to(state), state)
    if (masked := draw("frequency")) is not None:
        batch["ctrl_freqs"] = torch.where(masked[:, 0], 0.0, float(CONTROL_HZ))
    if (masked := draw("elements")) is not None:
        batch["action_mask"] = batch["action_mask"].masked_fill(masked, 0.0)
    if no_text is not None and (masked := draw("language")) is not None:
        empty_ids, empty_mask = (tensor.to(device) for tensor in no_text)
        ids = batch["token_ids"]
        masked_ids = masked.view(-1, *[1] * (ids.ndim - 1))
        batch["token_ids"] = torch.where(masked_ids, empty_ids, ids)
        batch["token_mask"] = torch.where(masked, empty_mask, batch["token_mask"])
