"""A policy of a few thousand weights, to train in tests in no time."""

from pathlib import Path

import torch

from policies.rdt.actions.layout import DEFAULT_LAYOUT
from policies.rdt.actions.layout_file import get_layout
from policies.rdt.checkpoint.contract import Contract
from policies.rdt.checkpoint.storage import save_checkpoint
from policies.rdt.encoders.base import EncodersConfig, EncoderSources
from policies.rdt.encoders.factory import load_frozen_encoders
from policies.rdt.model.config import RDTConfig
from policies.rdt.model.network import RDTPolicyNetwork

HORIZON = 8


def tiny_network() -> RDTPolicyNetwork:
    encoders = EncodersConfig(image_size=16, image_token_dim=16, text_token_dim=8, max_words=12)
    shape = RDTConfig(
        hidden_size=32,
        depth=2,
        num_heads=2,
        pred_horizon=HORIZON,
        lang_token_dim=8,
        img_token_dim=16,
        max_lang_cond_len=12,
        img_cond_len=4,
        lang_pos_embed_config=(("lang", 12),),
        img_pos_embed_config=(("image", (2, 2, -1)),),
    )
    return RDTPolicyNetwork(shape, encoders)


def save_tiny(folder: Path, *, render_size: int = 16, layout: str = DEFAULT_LAYOUT) -> Path:
    """Write a checkpoint of a fresh network, to start a run from."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = tiny_network()
    contract = Contract.describe(
        network,
        layout=get_layout(layout),
        render_size=render_size,
        orientation="rotate180",
    )
    return save_checkpoint(folder, network, contract)


def save_tiny_frozen(folder: Path, sources: EncoderSources) -> RDTPolicyNetwork:
    """Write a checkpoint of a fresh network that takes large encoders; return the network."""
    encoders = load_frozen_encoders(sources, max_words=64)
    steps = encoders.config.tokens_per_step
    shape = RDTConfig(
        hidden_size=32,
        depth=2,
        num_heads=2,
        pred_horizon=HORIZON,
        lang_token_dim=encoders.config.text_token_dim,
        img_token_dim=encoders.config.image_token_dim,
        max_lang_cond_len=64,
        img_cond_len=2 * steps,
        lang_pos_embed_config=(("lang", -64),),
        img_pos_embed_config=(("image", (2, 3, -(steps // 3))),),
    )
    network = RDTPolicyNetwork(shape, encoders)
    contract = Contract.describe(network, render_size=16, orientation="rotate180")
    save_checkpoint(folder, network, contract)
    return network
