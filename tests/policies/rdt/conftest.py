"""A network small enough to build in every test."""

from collections.abc import Iterator

import pytest
import torch

from policies.rdt.checkpoint.contract import Contract
from policies.rdt.encoders.base import EncodersConfig
from policies.rdt.model.config import RDTConfig
from policies.rdt.model.network import RDTPolicyNetwork


def build_tiny_network(seed: int = 0) -> RDTPolicyNetwork:
    """A network whose answers are not zero."""
    config = RDTConfig(
        hidden_size=32,
        depth=2,
        num_heads=2,
        pred_horizon=8,
        lang_token_dim=8,
        img_token_dim=16,
        max_lang_cond_len=12,
        img_cond_len=16,
        lang_pos_embed_config=(("lang", 12),),
        img_pos_embed_config=(("image", (2, 2, -4)),),
    )
    encoders = EncodersConfig(image_size=32, image_token_dim=16, max_words=12, text_token_dim=8)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = RDTPolicyNetwork(config, encoders)
        torch.nn.init.normal_(network.rdt.model.final_layer.ffn_final.fc2.weight, std=0.3)
    return network


@pytest.fixture
def network() -> RDTPolicyNetwork:
    return build_tiny_network()


@pytest.fixture
def contract(network: RDTPolicyNetwork) -> Contract:
    return Contract.describe(network, render_size=48, demos={"task": "libero_90/1", "episodes": 3})


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    """Tiny tensors gain nothing from threads, and on a busy machine threads wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
