"""Small checkpoints in the layouts of the official code."""

import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from policies.rdt.checkpoint.official import load_official
from policies.rdt.model.config import RDTConfig
from policies.rdt.model.transformer import RDTModel
from tasks.errors import HarnessError

CONFIG = RDTConfig(
    hidden_size=64,
    depth=2,
    num_heads=4,
    pred_horizon=8,
    lang_token_dim=24,
    img_token_dim=16,
    max_lang_cond_len=12,
    img_cond_len=24,
    lang_pos_embed_config=(("lang", -12),),
    img_pos_embed_config=(("image", (2, 3, -4)),),
)


def build_model(seed: int = 0, dtype: torch.dtype = torch.bfloat16) -> RDTModel:
    """A model whose answers are not zero."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = RDTModel(CONFIG)
        torch.nn.init.normal_(model.model.final_layer.ffn_final.fc2.weight, std=0.3)
    return model.to(dtype)


def write_config(folder: Path) -> None:
    """Write a config.json as on the hub: flat, without dtype, with what nothing reads."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG.to_hub()))


def write_deepspeed(folder: Path, model: RDTModel) -> Path:
    """Write what DeepSpeed's save_checkpoint leaves in ``pytorch_model``, optimizer aside."""
    write_config(folder)
    states = {
        "module": OrderedDict(model.state_dict()),
        "buffer_names": [],
        "optimizer": None,
        "param_shapes": [OrderedDict((k, v.shape) for k, v in model.state_dict().items())],
        "lr_scheduler": None,
        "data_sampler": None,
        "sparse_tensor_module_names": set(),
        "skipped_steps": 0,
        "global_steps": 20000,
        "dp_world_size": 8,
        "mp_world_size": 1,
        "ds_config": {"bf16": {"enabled": True}, "zero_optimization": {"stage": 2}},
        "ds_version": "0.14.2",
    }
    path = folder / "pytorch_model" / "mp_rank_00_model_states.pt"
    path.parent.mkdir()
    torch.save(states, path)
    (folder / "latest").write_text("pytorch_model")
    return path


def assert_same(given: RDTModel, wanted: dict[str, Tensor]) -> None:
    """Equal bit for bit, dtypes included."""
    state = given.state_dict()
    assert state.keys() == wanted.keys()
    for key, value in wanted.items():
        assert state[key].dtype == value.dtype, key
        assert torch.equal(state[key], value), key


HUB_FILE = {
    "action_dim": 128,
    "ema": {
        "inv_gamma": 1.0,
        "max_value": 0.9999,
        "min_value": 0.0,
        "power": 0.75,
        "update_after_step": 0,
    },
    "img_adaptor": "mlp2x_gelu",
    "img_cond_len": 4374,
    "img_pos_embed_config": [["image", [2, 3, -729]]],
    "img_token_dim": 1152,
    "lang_adaptor": "mlp2x_gelu",
    "lang_pos_embed_config": [["lang", -1024]],
    "lang_token_dim": 4096,
    "max_lang_cond_len": 1024,
    "noise_scheduler": {
        "beta_schedule": "squaredcos_cap_v2",
        "clip_sample": False,
        "num_inference_timesteps": 5,
        "num_train_timesteps": 1000,
        "prediction_type": "sample",
        "type": "ddpm",
    },
    "pred_horizon": 64,
    "rdt": {
        "cond_pos_embed_type": "multimodal",
        "depth": 28,
        "hidden_size": 2048,
        "num_heads": 32,
    },
    "state_adaptor": "mlp3x_gelu",
    "state_token_dim": 128,
}


def refuse(source: Path | str, kind: type[HarnessError], *words: str, **how: Any) -> str:
    """Load weights that are refused in one short line with its fix; return the message."""
    with pytest.raises(kind) as caught:
        load_official(source, **how)
    message = str(caught.value)
    assert "\n" not in message
    assert "Fix:" in message
    assert len(message) < 900
    for word in words:
        assert word in message
    return message
