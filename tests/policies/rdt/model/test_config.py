"""The flat config.json of the hub."""

import json
from typing import Any

import pytest

from policies.rdt.model.config import RDTConfig
from policies.rdt.model.presets import PRESETS
from tasks.errors import ConfigError
from tests.policies.rdt.checkpoint.official_files import HUB_FILE
from tests.policies.rdt.model.sampled import tiny


@pytest.mark.parametrize(
    ("entries", "axes"),
    [
        ((("image", (2, 1, -3)),), (2, 1, 3)),
        ((("image", (-1, 3, -2)),), (1, 3, 2)),
        ((("image", (2, 3)),), None),
        ((("image", -6),), None),
        (None, None),
    ],
)
def test_the_axes_of_images_are_read_from_their_positions(entries: Any, axes: Any) -> None:
    assert tiny(img_pos_embed_config=entries).image_axes == axes


def test_config_goes_through_the_hub_file() -> None:
    for config in (RDTConfig(), tiny()):
        assert RDTConfig.from_hub(json.loads(json.dumps(config.to_hub()))) == config


def test_hub_file_with_what_published_ones_hold() -> None:
    hub = RDTConfig().to_hub() | {"ema": {"power": 0.75}}
    hub["rdt"]["cond_pos_embed_type"] = "multimodal"
    assert RDTConfig.from_hub(hub) == RDTConfig()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"rdt": None}, "rdt"),
        ({"rdt": {"hidden_size": 30, "depth": 2, "num_heads": 2}}, "multiple of 4"),
        ({"rdt": {"hidden_size": 64, "depth": 2, "num_heads": 5}}, "num_heads"),
        ({"surprise": 1}, "surprise"),
        ({"pred_horizon": 0}, "pred_horizon"),
        ({"img_cond_len": 7}, "img_pos_embed_config"),
        ({"state_token_dim": 64}, "state_token_dim"),
        ({"noise_scheduler": {"beta_schedule": "linear"}}, "beta_schedule"),
    ],
)
def test_bad_hub_files_are_refused(change: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word) as caught:
        RDTConfig.from_hub(RDTConfig().to_hub() | change)
    assert "Fix:" in str(caught.value)


def test_the_hubs_config_goes_through_unchanged() -> None:
    config = RDTConfig.from_hub(HUB_FILE)
    assert config == PRESETS["rdt-1b"].rdt
    assert config.to_hub() == HUB_FILE
    assert RDTConfig.from_hub(HUB_FILE | {"dtype": "torch.bfloat16"}) == config


def test_what_a_config_leaves_out_is_as_published() -> None:
    sizes = {"hidden_size": 2048, "depth": 28, "num_heads": 32}
    assert RDTConfig.from_hub({"rdt": sizes}) == RDTConfig.from_hub(HUB_FILE)
    assert RDTConfig.from_hub({"rdt": sizes, "state_token_dim": 128}).action_dim == 128
    other = RDTConfig.from_hub({"rdt": sizes, "max_lang_cond_len": 7, "img_cond_len": 9})
    assert other.lang_pos_embed_config is None
    assert other.img_pos_embed_config is None
    for missing in sizes:
        with pytest.raises(ConfigError, match="num_heads"):
            RDTConfig.from_hub({"rdt": {k: v for k, v in sizes.items() if k != missing}})


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"lang_adapter": "linear"}, "lang_adapter"),
        ({"hidden_size": 64}, "hidden_size"),
        ({"ema": {"powr": 1}}, "powr"),
        ({"rdt": {"hidden_size": 64, "depth": 1, "num_heads": 1, "mlp_ratio": 4}}, "mlp_ratio"),
        ({"noise_scheduler": {"clip_sample": True}}, "clip_sample"),
        ({"state_token_dim": 64}, "state_token_dim"),
    ],
)
def test_unknown_settings_are_refused_by_name(change: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        RDTConfig.from_hub(HUB_FILE | change)
