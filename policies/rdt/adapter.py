"""RDT as a policy: observations to tensors, plans back."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from policies.interface import PlanRequest, PolicySpec
from policies.rdt.checkpoint import load_checkpoint
from policies.rdt.contract import Contract
from policies.rdt.images import resize_frames
from policies.rdt.layout import Layout, get_layout
from policies.rdt.network import ConditionBatch, RDTPolicyNetwork
from policies.rdt.vector import SIZE
from policies.rdt.words import tokenize
from tasks.errors import ConfigError, SpecMismatchError
from tasks.observation import FloatArray, Image, Observation

EXEC_HORIZON = 16
"""Steps of a plan executed unless the user says otherwise."""

_SEED_BITS = (1 << 64) - 1


class RDTPolicy:
    """Plans with an RDT network; an implementation of ``policies.interface.Policy``.

    A plan depends on its request alone. Its noise comes from a generator seeded by the request, and
    every forward pass has the same number of rows, so that no row's arithmetic depends on how many
    others there are. Plans made with different ``batch_size`` may differ in the last bits.
    """

    def __init__(
        self,
        network: RDTPolicyNetwork,
        contract: Contract,
        layout: Layout | None = None,
        *,
        device: str | torch.device = "cpu",
        batch_size: int = 8,
        solver_steps: int | None = None,
    ) -> None:
        """Wrap a network.

        Args:
            network: Weights; moved to ``device`` and put into evaluation mode.
            contract: What they need.
            layout: Mapping to the unified vector; the contract's if not given.
            device: Where to compute.
            batch_size: Rows of every forward pass; spare ones are filled up.
            solver_steps: Instead of the number in the network's config.

        Raises:
            ConfigError: The batch size is not positive.
            SpecMismatchError: Network, contract and layout do not belong together.
        """
        if batch_size < 1:
            raise ConfigError(
                f"batch_size {batch_size} is not allowed. Allowed: 1 or more. Fix: give 8."
            )
        contract.check_network(network)
        if layout is not None:
            contract.check({"layout": layout.name})
        self.network = network.to(device).eval()
        self.contract = contract
        self.layout = layout if layout is not None else get_layout(contract.layout)
        self.device = torch.device(device)
        self.batch_size = batch_size
        self.solver_steps = solver_steps

    @classmethod
    def from_checkpoint(
        cls,
        folder: Path | str,
        *,
        device: str | torch.device = "cpu",
        batch_size: int = 8,
        solver_steps: int | None = None,
    ) -> "RDTPolicy":
        """Load a policy that ``save_checkpoint`` wrote.

        Args:
            folder: The checkpoint.
            device: See ``__init__``.
            batch_size: See ``__init__``.
            solver_steps: See ``__init__``.

        Raises:
            ConfigError: There is no whole checkpoint there.
            SpecMismatchError: Its parts do not belong together.
        """
        network, contract = load_checkpoint(folder)
        return cls(
            network, contract, device=device, batch_size=batch_size, solver_steps=solver_steps
        )

    @property
    def spec(self) -> PolicySpec:
        """What the policy needs and gives."""
        return PolicySpec(
            name="rdt",
            horizon=self.contract.horizon,
            history=self.contract.history,
            cameras=self.contract.cameras,
            exec_horizon=min(EXEC_HORIZON, self.contract.horizon),
        )

    def plan(self, requests: Sequence[PlanRequest]) -> list[FloatArray]:
        """Plan for several episodes at once.

        Args:
            requests: One question per episode.

        Returns:
            One plan per request, (horizon, 7) float64 in [−1, 1], gripper −1 or +1.

        Raises:
            ConfigError: An instruction is too long.
            SpecMismatchError: An observation lacks something or has pictures of another size.
        """
        plans: list[FloatArray] = []
        for start in range(0, len(requests), self.batch_size):
            given = list(requests[start : start + self.batch_size])
            rows = given + [given[0]] * (self.batch_size - len(given))
            noise = torch.stack([self._noise(request.seed) for request in rows])
            vectors = self.network.sample(
                self._conditions(rows), noise.to(self.device), solver_steps=self.solver_steps
            )
            actions = self.layout.decode_actions(vectors.float().cpu().numpy())
            plans += list(actions[: len(given)])
        return plans

    def _noise(self, seed: int) -> Tensor:
        """Draw (T, V) on the CPU, so that every device starts from the same numbers."""
        generator = torch.Generator().manual_seed(seed & _SEED_BITS)
        return torch.randn(self.contract.horizon, SIZE, generator=generator)

    def _conditions(self, rows: Sequence[PlanRequest]) -> ConditionBatch:
        max_words = self.network.encoders_config.max_words
        ids_BL, mask_BL = tokenize([row.instruction for row in rows], max_words)
        frames = np.stack([self._frames(row.window) for row in rows])
        now = [row.window[-1] for row in rows]
        state_BV = self.layout.encode_state(
            joint_pos=np.stack([seen["joint_pos"] for seen in now]),
            ee_pos=np.stack([seen["ee_pos"] for seen in now]),
            ee_quat=np.stack([seen["ee_quat"] for seen in now]),
            gripper_qpos=np.stack([seen["gripper_qpos"] for seen in now]),
        )
        size = (len(rows),)
        mask_BV = torch.from_numpy(self.layout.mask).expand(len(rows), -1)
        return {
            "images": resize_frames(frames, self.contract.image_size).to(self.device),
            "token_ids": torch.from_numpy(ids_BL).to(self.device),
            "token_mask": torch.from_numpy(mask_BL).to(self.device),
            "state": torch.from_numpy(state_BV).to(self.device),
            "action_mask": mask_BV.to(self.device),
            "ctrl_freqs": torch.full(size, self.contract.control_hz, device=self.device),
        }

    def _frames(self, window: Sequence[Observation]) -> Image:
        """Stack (history, cameras, H, W, 3); before the start the first frame repeats."""
        history, side = self.contract.history, self.contract.render_size
        if not window:
            raise SpecMismatchError(
                f"A request has no observation. Needed: 1 to {history}. Fix: fill its window."
            )
        recent = list(window[-history:])
        recent = [recent[0]] * (history - len(recent)) + recent
        wanted = (side, side, 3)
        for seen in recent:
            for camera in self.contract.cameras:
                shape = getattr(seen.get(camera), "shape", ())
                if shape != wanted:
                    raise SpecMismatchError(
                        f"Camera '{camera}' gave {shape or 'no picture'}; the checkpoint needs "
                        f"{wanted}. Fix: render the policy's history at {side} pixels."
                    )
        return np.stack(
            [np.stack([seen[camera] for camera in self.contract.cameras]) for seen in recent]  # type: ignore[literal-required]
        )
