"""RDT as a policy: observations to tensors, plans back."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from policies.interface import PlanRequest, PolicySpec
from policies.rdt.actions.slots import SIZE
from policies.rdt.checkpoint.contract import ANY_SIZE, Contract
from policies.rdt.encoders.images import BACKGROUND
from policies.rdt.model.network import ConditionBatch, RDTPolicyNetwork
from policies.rdt.model.sampling import (
    PlanSampler,
    PreviousPlans,
    SamplingOptions,
    stack_previous_plans,
)
from tasks.errors import ConfigError, SpecMismatchError
from tasks.observation import (
    FloatArray,
    Image,
    Observation,
    RobotState,
    robot_state_at,
    stack_robot_states,
)

EXEC_HORIZON = 16
"""Steps of a plan executed unless the user says otherwise."""

_SEED_BITS = (1 << 64) - 1


class RDTPolicy:
    """Plans with an RDT network; an implementation of ``policies.interface.Policy``.

    A plan depends on its request alone. Its noise comes from a generator seeded by the request, and
    every forward pass has the same number of rows, so that no row's arithmetic depends on how many
    others there are. Plans made with different ``batch_size`` may differ in the last bits.

    Attributes:
        files: Where the checkpoint is on this machine; None for a network made in memory.
        more_files: Other files that determine the weights: an adapter's base, a separate config.
    """

    def __init__(
        self,
        network: RDTPolicyNetwork,
        contract: Contract,
        *,
        device: str | torch.device = "cpu",
        batch_size: int = 8,
        sampling: SamplingOptions | None = None,
        files: Path | None = None,
        more_files: tuple[Path, ...] = (),
    ) -> None:
        """Wrap a network.

        Args:
            network: Weights; moved to ``device`` and put into evaluation mode.
            contract: What they need.
            device: Where to compute.
            batch_size: Rows of every forward pass; spare ones are filled up.
            sampling: How to sample.
            files: See the class.
            more_files: See the class.

        Raises:
            ConfigError: The batch size is not positive, or a way of sampling is not possible with
                this layout or on this device.
            SpecMismatchError: Network and contract do not belong together.
        """
        if batch_size < 1:
            raise ConfigError(
                f"batch_size {batch_size} is not allowed. Allowed: 1 or more. Fix: give 8."
            )
        contract.check_network(network)
        self.files, self.more_files = files, more_files
        self.network = network.to(device).eval()
        self.contract = contract
        self.layout = contract.mapping
        self.device = torch.device(device)
        self.batch_size = batch_size
        self.sampling = sampling or SamplingOptions()
        if self.sampling.guidance != "none":
            self.layout.check_encodes_actions()
        self._sampler = PlanSampler(self.network.rdt, self.sampling, self.device)

    @property
    def spec(self) -> PolicySpec:
        """What the policy needs and gives."""
        return PolicySpec(
            name="rdt",
            horizon=self.contract.horizon,
            history=self.contract.history,
            cameras=self.contract.shown_cameras,
            exec_horizon=min(EXEC_HORIZON, self.contract.horizon),
            width=self.layout.width,
        )

    def plan(self, requests: Sequence[PlanRequest]) -> list[FloatArray]:
        """Plan for several episodes at once.

        Args:
            requests: One question per episode.

        Returns:
            One plan per request, (horizon, 7) float64 in [−1, 1], or (horizon, 10) for layouts of
            goals; gripper −1 or +1.

        Raises:
            ConfigError: An instruction is too long, or a language cache lacks it.
            SpecMismatchError: An observation lacks something or has images of another size.
        """
        by_length: dict[int, list[int]] = {}
        for index, request in enumerate(requests):
            places = self.network.text_encoder.padded_length(request.instruction)
            by_length.setdefault(places, []).append(index)
        plans: dict[int, FloatArray] = {}
        for alike in by_length.values():
            for start in range(0, len(alike), self.batch_size):
                chosen = alike[start : start + self.batch_size]
                made = self._plan_rows([requests[index] for index in chosen])
                plans.update(zip(chosen, made, strict=True))
        return [plans[index] for index in range(len(requests))]

    def _plan_rows(self, given: list[PlanRequest]) -> list[FloatArray]:
        """Plan for up to ``batch_size`` requests whose instructions are padded alike."""
        rows = given + [given[0]] * (self.batch_size - len(given))
        frames = self._frames(rows)
        noise = torch.stack([self._noise(request.seed) for request in rows])
        state = stack_robot_states([row.window[-1] for row in rows])
        vectors = self._sampler.sample(
            self.network.condition(self._conditions(rows, frames, state)),
            noise.to(self.device),
            self._precedent(rows, state),
        )
        actions = self.layout.decode_actions(vectors.float().cpu().numpy(), state)
        return list(actions[: len(given)])

    def _noise(self, seed: int) -> Tensor:
        """Draw (S, T, V) on the CPU, so that every device starts from the same numbers."""
        generator = torch.Generator().manual_seed(seed & _SEED_BITS)
        shape = (self.sampling.samples, self.contract.horizon, SIZE)
        return torch.randn(shape, generator=generator)

    def _precedent(self, rows: Sequence[PlanRequest], state: RobotState) -> PreviousPlans | None:
        if self.sampling.guidance == "none":
            return None
        rests = [
            None if row.previous is None else self._rest_of(row.previous, state, index)
            for index, row in enumerate(rows)
        ]
        return stack_previous_plans(
            rests, self.contract.horizon, torch.from_numpy(self.layout.action_mask)
        )

    def _rest_of(self, previous: FloatArray, state: RobotState, index: int) -> Tensor:
        """Put the rest of a plan into unified vectors, from where the robot is now."""
        now = robot_state_at(state, index)
        return torch.from_numpy(self.layout.encode_actions(previous, now))

    def _conditions(
        self, rows: Sequence[PlanRequest], frames: Image, state: RobotState
    ) -> ConditionBatch:
        text, text_mask = self.network.text_encoder.prepare([row.instruction for row in rows])
        mask_BV = torch.from_numpy(self.layout.mask).expand(len(rows), -1)
        return {
            # Left on the CPU: an encoder that knows an image already need not move it.
            "images": self.network.image_encoder.prepare(frames),
            "token_ids": text.to(self.device),
            "token_mask": text_mask.to(self.device),
            "state": torch.from_numpy(self.layout.encode_state(**state)).to(self.device),
            "action_mask": mask_BV.to(self.device),
            "ctrl_freqs": torch.full((len(rows),), self.contract.control_hz, device=self.device),
        }

    def _frames(self, rows: Sequence[PlanRequest]) -> Image:
        """Stack (B, history, cameras, H, W, 3) and fill up histories that are too short."""
        history, cameras = self.contract.history, self.contract.shown_cameras
        windows = [list(row.window[-history:]) for row in rows]
        if not all(windows):
            raise SpecMismatchError(
                f"A request has no observation. Needed: 1 to {history}. Fix: fill its window."
            )
        wanted = self._frame_shape(windows[0][0])
        stacks = []
        for window in windows:
            for seen in window:
                _check_images(seen, cameras, wanted)
            images = [self._by_place(seen, wanted) for seen in window]
            blank = np.full_like(images[0], BACKGROUND)
            first = self.network.encoders_config.missing_history == "first"
            missing = [images[0] if first else blank] * (history - len(images))
            stacks.append(np.stack(missing + images))
        return np.stack(stacks)

    def _by_place(self, seen: Observation, shape: tuple[int, ...]) -> Image:
        """Stack (cameras, H, W, 3), the background where a camera is missing."""
        blank, missing = np.full(shape, BACKGROUND, np.uint8), self.contract.missing_cameras
        return np.stack(
            [blank if camera in missing else seen[camera] for camera in self.contract.cameras]  # type: ignore[literal-required]
        )

    def _frame_shape(self, seen: Observation) -> tuple[int, ...]:
        side = self.contract.render_size
        if side != ANY_SIZE:
            return side, side, 3
        return tuple(getattr(seen.get(self.contract.shown_cameras[0]), "shape", ()))


def _check_images(seen: Observation, cameras: Sequence[str], wanted: tuple[int, ...]) -> None:
    for camera in cameras:
        shape: tuple[int, ...] = tuple(getattr(seen.get(camera), "shape", ()))
        if shape != wanted or len(shape) != 3 or shape[2] != 3:
            needed = wanted or "(height, width, 3)"
            size = f" at {wanted[0]} pixels" if wanted else ""
            raise SpecMismatchError(
                f"Camera '{camera}' gave {shape or 'no image'}; the checkpoint needs {needed}. "
                f"Fix: render the policy's history{size}."
            )
