"""Words, images and the network that learns from them."""

import numpy as np
import pytest
import torch

from policies.rdt.actions.layout import DEFAULT_LAYOUT
from policies.rdt.actions.layout_file import get_layout
from policies.rdt.encoders.images import resize_frames
from policies.rdt.encoders.small import EMPTY, KNOWN_WORDS, VOCABULARY_SIZE, tokenize, word_ids
from policies.rdt.model.network import Batch, RDTPolicyNetwork
from policies.rdt.model.presets import PRESETS, build_network, get_preset
from tasks.errors import ConfigError, SpecMismatchError


def training_batch(network: RDTPolicyNetwork, size: int = 4) -> Batch:
    torch.manual_seed(0)
    side = network.encoders_config.image_size
    ids, mask = tokenize(["open the drawer", "close the top drawer", "", "zyzzyva"][:size], 12)
    return {
        "images": torch.randint(0, 256, (size, 2, 2, 3, side, side), dtype=torch.uint8),
        "token_ids": torch.from_numpy(ids),
        "token_mask": torch.from_numpy(mask),
        "state": torch.randn(size, 128),
        "actions": torch.randn(size, network.config.pred_horizon, 128),
        "action_mask": torch.from_numpy(get_layout(DEFAULT_LAYOUT).mask).expand(size, -1),
    }


def test_words_are_numbered_once_and_unknown_ones_too() -> None:
    assert len(set(KNOWN_WORDS)) == len(KNOWN_WORDS)
    assert word_ids("Put the BOWL, please.")[:3] == word_ids("put the bowl")
    unknown = word_ids("zyzzyva")
    assert word_ids("Zyzzyva!") == unknown
    assert len(KNOWN_WORDS) + 2 <= unknown[0] < VOCABULARY_SIZE
    assert word_ids(" ") == [EMPTY]


def test_padding_and_too_many_words() -> None:
    ids, mask = tokenize(["open the drawer", "close it"], 4)
    assert ids.dtype == np.int64
    assert mask.tolist() == [[True, True, True, False], [True, True, False, False]]
    assert (ids[~mask] == 0).all()
    with pytest.raises(ConfigError, match="5 words"):
        tokenize(["put the bowl on it"], 4)


@pytest.mark.parametrize("side", [64, 128, 100])
def test_resizing_is_an_area_mean(side: int) -> None:
    frames = np.random.RandomState(0).randint(0, 256, (2, 3, side, side, 3), dtype=np.uint8)
    small = resize_frames(frames, 64)
    assert small.shape == (2, 3, 3, 64, 64)
    assert small.dtype == torch.uint8
    if side % 64 == 0:
        f = side // 64
        mean = frames.reshape(2, 3, 64, f, 64, f, 3).mean((3, 5))
        wanted = np.moveaxis(np.round(mean), -1, 2)
        np.testing.assert_array_equal(small.numpy(), wanted)
    one = resize_frames(frames[1:, 2:], 64)
    assert torch.equal(one[0, 0], small[1, 2])


def test_loss_reaches_every_parameter(network: RDTPolicyNetwork) -> None:
    batch = training_batch(network)
    loss, scalars = network(batch)
    loss.backward()
    assert scalars["loss"] == loss
    assert not scalars["masked_error"].requires_grad
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0 or name.endswith("embed"), name


def test_weights_multiply_the_error(network: RDTPolicyNetwork) -> None:
    batch = training_batch(network)
    noise = torch.randn_like(batch["actions"])
    steps = torch.tensor([0, 10, 500, 999])
    error = network.denoising_error(batch, noise=noise, timesteps=steps)
    weights = torch.rand(128)
    loss, scalars = network.loss(batch, weights=weights, noise=noise, timesteps=steps)
    torch.testing.assert_close(loss, (error * weights).mean())
    on = batch["action_mask"][0] > 0
    torch.testing.assert_close(scalars["masked_error"], error[..., on].mean().detach())


@pytest.mark.slow
def test_a_few_updates_reduce_the_loss(network: RDTPolicyNetwork) -> None:
    batch = training_batch(network)
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    noise, steps = torch.randn_like(batch["actions"]), torch.tensor([0, 100, 200, 300])
    losses = []
    for _ in range(30):
        loss, _ = network.loss(batch, noise=noise, timesteps=steps)
        losses.append(float(loss.detach()))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert losses[-1] < 0.6 * losses[0]


def test_samples_depend_on_noise_alone(network: RDTPolicyNetwork) -> None:
    batch = training_batch(network)
    noise = torch.randn_like(batch["actions"])
    first, again = network.sample(batch, noise), network.sample(batch, noise)
    assert torch.equal(first, again)
    assert (first[..., batch["action_mask"][0] == 0] == 0).all()
    assert not torch.equal(first, network.sample(batch, -noise))


def test_presets() -> None:
    small = build_network("rdt-small")
    assert 2_000_000 < sum(p.numel() for p in small.parameters()) < 2_300_000
    assert get_preset("rdt-1b").rdt.depth == 28
    assert set(PRESETS) == {"rdt-small", "rdt-170m", "rdt-1b"}
    with pytest.raises(ConfigError, match="rdt-small"):
        get_preset("rdt-smal")
    with pytest.raises(ConfigError, match="SigLIP"):
        build_network("rdt-1b")
    preset = get_preset("rdt-small")
    assert preset.encoders is not None
    with pytest.raises(SpecMismatchError, match="img_token_dim"):
        RDTPolicyNetwork(get_preset("rdt-170m").rdt, preset.encoders)
