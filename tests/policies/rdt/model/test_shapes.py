import pytest
import torch

from policies.rdt.model.config import RDTConfig
from policies.rdt.model.presets import PRESETS
from policies.rdt.model.shapes import element_count, tensor_count, tensor_shapes
from policies.rdt.model.transformer import RDTModel
from tests.policies.rdt.checkpoint.official_files import (
    CONFIG,
)


@pytest.mark.parametrize(
    ("preset", "tensors", "numbers"),
    [("rdt-1b", 618, 1_228_319_872), ("rdt-170m", 324, 166_229_888)],
)
def test_published_sizes(preset: str, tensors: int, numbers: int) -> None:
    config = PRESETS[preset].rdt
    with torch.device("meta"):
        model = RDTModel(config)
    state = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    assert (len(state), sum(p.numel() for p in model.parameters())) == (tensors, numbers)
    assert tensor_shapes(config) == state
    assert (tensor_count(config), element_count(state)) == (tensors, numbers)


@pytest.mark.parametrize("adaptors", ["linear", "mlp1x_gelu", "mlp4x_gelu"])
def test_shapes_follow_the_adaptors(adaptors: str) -> None:
    hub_file = CONFIG.to_hub() | dict.fromkeys(
        ("lang_adaptor", "img_adaptor", "state_adaptor"), adaptors
    )
    config = RDTConfig.from_hub(hub_file)
    state = RDTModel(config).state_dict()
    assert tensor_shapes(config) == {key: tuple(value.shape) for key, value in state.items()}
    assert tensor_count(config) == len(state)
