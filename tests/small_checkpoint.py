"""A checkpoint of rdt-small with fresh weights, and with the contract of a trained one."""

import json
from pathlib import Path

import torch

from policies.rdt.checkpoint.contract import Contract
from policies.rdt.checkpoint.storage import save_checkpoint
from policies.rdt.model.presets import build_network

_FILES = Path(__file__).parent / "small_checkpoint_files"
"""Contract and notes of a training of the recipe drawer-bowl: goals of the hand, two cameras of 128
pixels."""


def save_small(folder: Path) -> Path:
    """Write it to a new folder; return the folder."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_network("rdt-small")
    contract = Contract.from_json((_FILES / "contract.json").read_text())
    extra = json.loads((_FILES / "extra.json").read_text())
    return save_checkpoint(folder, network, contract, extra=extra)
