"""The workload of ``bench policy``: random weights of the right shapes, new images in each plan."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harness.benchmarks.config import PolicyCase
from harness.benchmarks.reference_policy import Stages, untimed
from policies.interface import PlanRequest
from policies.rdt.checkpoint.contract import ANY_SIZE, Contract
from policies.rdt.encoders.base import (
    Encoders,
    EncodersConfig,
    FrozenEncodersConfig,
    ImageEncoder,
    TextEncoder,
)
from policies.rdt.encoders.factory import build_encoders
from policies.rdt.encoders.siglip import SiglipImageEncoder, SiglipTower
from policies.rdt.model.network import ConditionBatch, RDTPolicyNetwork
from policies.rdt.model.presets import get_preset
from policies.rdt.model.transformer import Conditioning, RDTInputs, RDTModel
from tasks.observation import Observation

TEXT_TOKENS = 32
"""Language tokens of an instruction: LIBERO's have 10 to 30 with T5's pieces."""

SO400M = {
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "image_size": 384,
    "patch_size": 14,
}
_INSTRUCTION = "put the black bowl on the plate and close the top drawer of the cabinet"
_BANK = 8


class ProbedNetwork(RDTPolicyNetwork):
    """A network whose encoders and conditions are stages that can be timed."""

    stages: Stages = staticmethod(untimed)

    def condition(self, batch: ConditionBatch) -> Conditioning:
        """Encode what plans depend on."""
        with self.stages("conditions"):
            return super().condition(batch)

    def _encode(self, batch: ConditionBatch) -> RDTInputs:
        with self.stages("encoder"):
            return super()._encode(batch)


class GivenImages(ImageEncoder):
    """Replaces an image encoder that is not measured: tokens by an image's first number."""

    def __init__(self, config: EncodersConfig | FrozenEncodersConfig) -> None:
        super().__init__()
        cameras = len(config.cameras)
        self._slots = config.tokens_per_step // config.tokens_per_image
        self._spare = self._slots - cameras
        bank = torch.randn(_BANK, config.tokens_per_image, config.image_token_dim)
        self.register_buffer("bank", bank, persistent=False)

    def prepare(self, frames: npt.NDArray[np.uint8]) -> Tensor:
        """Return (..., 3, 1, 1) uint8: the first pixel of each image."""
        return torch.from_numpy(frames[..., 0, 0, :, None, None].copy())

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, history·slots·patches, width)."""
        bank: Any = self.bank
        chosen = images[..., 0, 0, 0].to(bank.device, torch.int64) % _BANK
        missing = chosen.new_zeros(*chosen.shape[:2], self._spare)
        tokens: Tensor = bank[torch.cat([chosen, missing], dim=2)]
        return tokens.flatten(1, 3)


class GivenText(TextEncoder):
    """Replaces T5, whose tokens come from a cache when episodes are run."""

    def __init__(self, config: FrozenEncodersConfig) -> None:
        super().__init__()
        # In a cache they are bfloat16.
        self._tokens = torch.randn(TEXT_TOKENS, config.text_token_dim).bfloat16()

    def padded_length(self, instruction: str) -> int:
        """Return the same number for all."""
        return TEXT_TOKENS

    def prepare(self, instructions: Any) -> tuple[Tensor, Tensor]:
        """Return (B, L, width) and (B, L) bool."""
        rows = len(instructions)
        return self._tokens.expand(rows, -1, -1), torch.ones(rows, TEXT_TOKENS, dtype=torch.bool)

    def forward(self, text: Tensor) -> Tensor:
        """Return the tokens of ``prepare``."""
        return text


def build_case(case: PolicyCase) -> tuple[ProbedNetwork, Contract]:
    """Build a network with random weights, none of them zero, and its contract.

    Raises:
        ConfigError: There is no such preset.
    """
    preset, dtype = get_preset(case.preset), getattr(torch, case.dtype)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        with torch.device(case.device):
            rdt = RDTModel(preset.rdt, dtype=dtype)
            # Fresh weights answer zero, which would hide every difference.
            last = rdt.model.final_layer.ffn_final.fc2.weight
            torch.nn.init.normal_(last, std=preset.rdt.hidden_size**-0.5)
        small = preset.encoders
        encoders = _large_encoders(case) if small is None else build_encoders(small)
        if not case.encoder:
            images = GivenImages(encoders.config)
            encoders = Encoders(config=encoders.config, image=images, text=encoders.text)
        network = ProbedNetwork(rdt, encoders).to(case.device, dtype).eval()
    return network, Contract.describe(network, render_size=128 if small else ANY_SIZE)


def _large_encoders(case: PolicyCase) -> Encoders:
    from transformers import SiglipVisionConfig, SiglipVisionModel

    config = FrozenEncodersConfig(image_identity="random", text_identity="random")
    text = GivenText(config)
    if not case.encoder:
        return Encoders(config=config, image=GivenImages(config), text=text)
    with torch.device(case.device):
        model = SiglipVisionModel(SiglipVisionConfig(**SO400M)).to(getattr(torch, case.dtype))
    tower = SiglipTower.holding(model, device=case.device)
    image = SiglipImageEncoder(tower, cameras=len(config.cameras), slots=config.slots)
    return Encoders(config=config, image=image, text=text)


class Episodes:
    """Requests for consecutive plans of some episodes, with noise for images."""

    def __init__(self, case: PolicyCase, contract: Contract) -> None:
        self._case, self._contract = case, contract
        self._size = contract.render_size or 256

    def requests(self, turn: int) -> list[PlanRequest]:
        """Return every episode's request for its plan number ``turn``; always the same."""
        history = self._contract.history
        now = turn * self._case.exec_horizon + history
        return [
            PlanRequest(
                window=[
                    self._observation(episode, now - back) for back in range(history - 1, -1, -1)
                ],
                instruction=_INSTRUCTION,
                seed=1000 * turn + episode,
            )
            for episode in range(self._case.batch)
        ]

    def _observation(self, episode: int, step: int) -> Observation:
        rng = np.random.default_rng((episode, step))
        shape = (self._size, self._size, 3)
        observation = Observation(
            joint_pos=rng.uniform(-1, 1, 7),
            ee_pos=rng.uniform(-0.3, 0.3, 3),
            ee_quat=rng.normal(size=4),
            gripper_qpos=np.array([0.02, -0.02]),
        )
        for camera in self._contract.cameras:
            observation[camera] = rng.integers(0, 256, shape, dtype=np.uint8)  # type: ignore[literal-required]
        return observation
