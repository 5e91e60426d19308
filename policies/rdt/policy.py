"""RDT as a policy: its options, observations to tensors, vectors to plans."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor

from policies.interface import PlanRequest, PolicySpec
from policies.rdt.actions.slots import SIZE
from policies.rdt.checkpoint.contract import ANY_SIZE, Contract
from policies.rdt.checkpoint.hub import find_source
from policies.rdt.checkpoint.loading import LoadingOptions, load_network
from policies.rdt.encoders.images import BACKGROUND
from policies.rdt.model.joining import PreviousPlans, stack_previous_plans
from policies.rdt.model.network import ConditionBatch, RDTPolicyNetwork
from policies.rdt.model.sampling import PlanSampler, SamplingOptions
from policies.rdt.model.torch_runtime import resolve_device
from tasks.errors import ConfigError, SpecMismatchError, first_mistake
from tasks.observation import (
    FloatArray,
    Image,
    Observation,
    RobotState,
    robot_state_at,
    stack_robot_states,
)
from tasks.settings import settings

EXEC_HORIZON = 16
"""Steps of a plan executed unless the user says otherwise."""

_BATCH_ON_CPU, _BATCH = 1, 8

_SEED_BITS = (1 << 64) - 1


class RDTPolicy:
    """Plans with an RDT network.

    A plan depends on its request alone: its noise comes from a generator seeded by the request, and
    every forward pass has the same number of rows. Plans made with different ``batch_size`` may
    differ in the last bits.

    Args:
        network: Moved to ``device`` and put into evaluation mode.
        contract: The contract of the network.
        device: Device of the network.
        batch_size: Rows of every forward pass; unused ones repeat the first.
        sampling: Sampling options.
        files: The checkpoint on this machine; None for a network made in memory.
        more_files: Other files that determine the weights: an adapter's base, a separate config.

    Raises:
        ConfigError: The batch size is not positive, or a way of sampling is not possible with
            this layout or on this device.
        SpecMismatchError: Network and contract do not belong together.
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
        """The policy's inputs and outputs."""
        return PolicySpec(
            name="rdt",
            horizon=self.contract.horizon,
            history=self.contract.history,
            cameras=self.contract.shown_cameras,
            exec_horizon=min(EXEC_HORIZON, self.contract.horizon),
            width=self.layout.width,
        )

    def with_options(self, options: Mapping[str, Any]) -> "RDTPolicy":
        """Return the same policy with other values of some sampling options.

        Raises:
            ConfigError: A value is not allowed.
        """
        try:
            sampling = replace(self.sampling, **options)
        except ValidationError as error:
            option, why = first_mistake(error)
            raise ConfigError(f"Policy 'rdt': {option}: {why}.") from error
        return self._copy(self.batch_size, sampling)

    def with_batch_size(self, batch_size: int) -> "RDTPolicy":
        """Return the same policy with other numbers of rows in its forward passes.

        Raises:
            ConfigError: The batch size is not positive.
        """
        return self._copy(batch_size, self.sampling)

    def _copy(self, batch_size: int, sampling: SamplingOptions) -> "RDTPolicy":
        """Return a policy around the same weights."""
        return RDTPolicy(
            self.network,
            self.contract,
            device=self.device,
            batch_size=batch_size,
            sampling=sampling,
            files=self.files,
            more_files=self.more_files,
        )

    def check_instructions(self, instructions: Sequence[str]) -> None:
        """Refuse instructions that it cannot be told, with ``ConfigError``, before any is."""
        self.network.text_encoder.check_instructions(instructions)

    def plan(self, requests: Sequence[PlanRequest]) -> list[FloatArray]:
        """Plan for several episodes at once.

        Returns:
            One plan per request, (horizon, 7) float64 in [−1, 1], or (horizon, 10) for layouts of
            goals; gripper −1 or +1.

        Raises:
            ConfigError: An instruction is too long, or a language cache lacks it.
            SpecMismatchError: An observation lacks something or has images of another size.
        """
        by_length: dict[int, list[int]] = {}
        for index, request in enumerate(requests):
            length = self.network.text_encoder.padded_length(request.instruction)
            by_length.setdefault(length, []).append(index)
        plans: dict[int, FloatArray] = {}
        for indices in by_length.values():
            for start in range(0, len(indices), self.batch_size):
                batch = indices[start : start + self.batch_size]
                batch_plans = self._plan_batch([requests[index] for index in batch])
                plans.update(zip(batch, batch_plans, strict=True))
        return [plans[index] for index in range(len(requests))]

    def _plan_batch(self, requests: list[PlanRequest]) -> list[FloatArray]:
        """Plan for up to ``batch_size`` requests whose instructions have one padded length."""
        rows = requests + [requests[0]] * (self.batch_size - len(requests))
        frames = self._frames(rows)
        noise = torch.stack([self._noise(request.seed) for request in rows])
        state = stack_robot_states([row.window[-1] for row in rows])
        vectors = self._sampler.sample(
            self.network.condition(self._conditions(rows, frames, state)),
            noise.to(self.device),
            self._previous_plans(rows, state),
        )
        actions = self.layout.decode_actions(vectors.float().cpu().numpy(), state)
        if self.sampling.guidance != "none":
            for row, request in zip(actions, requests, strict=False):
                if request.previous is not None:
                    row[: request.committed] = request.previous[: request.committed]
        return list(actions[: len(requests)])

    def _noise(self, seed: int) -> Tensor:
        """Draw (S·noises, T, V) on the CPU, so that every device starts from the same numbers."""
        generator = torch.Generator().manual_seed(seed & _SEED_BITS)
        shape = (self.sampling.samples * self._sampler.noises, self.contract.horizon, SIZE)
        return torch.randn(shape, generator=generator)

    def _previous_plans(
        self, rows: Sequence[PlanRequest], state: RobotState
    ) -> PreviousPlans | None:
        """Encode the remaining steps of the previous plans, relative to the present state."""
        if self.sampling.guidance == "none":
            return None
        remainders = [
            None
            if row.previous is None
            else torch.from_numpy(
                self.layout.encode_actions(row.previous, robot_state_at(state, index))
            )
            for index, row in enumerate(rows)
        ]
        return stack_previous_plans(
            remainders,
            self.contract.horizon,
            torch.from_numpy(self.layout.action_mask),
            committed=[row.committed for row in rows],
            arm_slots=torch.from_numpy(self.layout.arm_mask),
        )

    def _conditions(
        self, rows: Sequence[PlanRequest], frames: Image, state: RobotState
    ) -> ConditionBatch:
        text, text_mask = self.network.text_encoder.prepare([row.instruction for row in rows])
        mask_BV = torch.from_numpy(self.layout.mask).expand(len(rows), -1)
        return {
            # Left on the CPU: an image that the encoder has cached need not be moved.
            "images": self.network.image_encoder.prepare(frames),
            "token_ids": text.to(self.device),
            "token_mask": text_mask.to(self.device),
            "state": torch.from_numpy(self.layout.encode_state(state)).to(self.device),
            "action_mask": mask_BV.to(self.device),
            "ctrl_freqs": torch.full((len(rows),), self.contract.control_hz, device=self.device),
        }

    def _frames(self, rows: Sequence[PlanRequest]) -> Image:
        """Stack (B, history, cameras, H, W, 3), filling up histories that are too short."""
        history, cameras = self.contract.history, self.contract.shown_cameras
        windows = [list(row.window[-history:]) for row in rows]
        if not all(windows):
            raise SpecMismatchError(
                f"A request has no observation. Needed: 1 to {history}. Fix: fill its window."
            )
        shape = self._frame_shape(windows[0][0])
        repeat_first = self.network.encoders_config.missing_history == "first"
        stacks = []
        for window in windows:
            for observation in window:
                _check_images(observation, cameras, shape)
            steps = [self._camera_frames(observation, shape) for observation in window]
            filler = steps[0] if repeat_first else np.full_like(steps[0], BACKGROUND)
            stacks.append(np.stack([filler] * (history - len(steps)) + steps))
        return np.stack(stacks)

    def _camera_frames(self, observation: Observation, shape: tuple[int, ...]) -> Image:
        """Stack (cameras, H, W, 3), the background where a camera is missing."""
        blank, missing = np.full(shape, BACKGROUND, np.uint8), self.contract.missing_cameras
        return np.stack(
            [
                blank if camera in missing else observation[camera]  # type: ignore[literal-required]
                for camera in self.contract.cameras
            ]
        )

    def _frame_shape(self, observation: Observation) -> tuple[int, ...]:
        size = self.contract.render_size
        if size != ANY_SIZE:
            return size, size, 3
        return _shape(observation, self.contract.shown_cameras[0])


def _shape(observation: Observation, camera: str) -> tuple[int, ...]:
    return tuple(getattr(observation.get(camera), "shape", ()))


def _check_images(
    observation: Observation, cameras: Sequence[str], needed: tuple[int, ...]
) -> None:
    for camera in cameras:
        shape = _shape(observation, camera)
        if shape != needed or len(shape) != 3 or shape[2] != 3:
            size = f" at {needed[0]} pixels" if needed else ""
            raise SpecMismatchError(
                f"Camera '{camera}' gave {shape or 'no image'}; the checkpoint needs "
                f"{needed or '(height, width, 3)'}. "
                f"Fix: render the policy's history{size}."
            )


@settings
class RDTOptions(LoadingOptions, SamplingOptions):
    """Plans with RDT, from a checkpoint of ours or an official one."""

    checkpoint: str | None = None
    """Folder of a checkpoint of ours or in the official layout, or a hub name."""

    device: str = "auto"
    """``auto`` (CUDA where there is one), ``cpu``, ``cuda`` or ``cuda:1``."""

    batch_size: int | None = None
    """Rows of every forward pass; if not given, 1 on a CPU, where unused rows cost as much as used
    ones, and 8 elsewhere."""

    def build(self) -> RDTPolicy:
        """Load the checkpoint as a policy.

        Raises:
            ConfigError: There is no checkpoint, or an option is not allowed or does not apply.
            SpecMismatchError: Parts of the checkpoint do not belong together.
            PrerequisiteError: A device is missing, or the hub cannot be reached.
        """
        if self.checkpoint is None:
            raise ConfigError(
                "Policy 'rdt' has no checkpoint. Needed: the folder of a trained one. "
                "Fix: give --checkpoint FOLDER, or train one with 'libero-bench train'."
            )
        device = resolve_device(self.device)
        usual = _BATCH_ON_CPU if device == "cpu" else _BATCH
        files = find_source(self.checkpoint, ema=self.weights == "ema")
        network, contract = load_network(files, self, device=device)
        return RDTPolicy(
            network,
            contract,
            device=device,
            batch_size=usual if self.batch_size is None else self.batch_size,
            sampling=self,
            files=files,
            more_files=tuple(find_source(p) for p in (self.base, self.config) if p is not None),
        )
