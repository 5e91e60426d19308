"""What is remembered between plans, and many images at once."""

from pathlib import Path

import numpy as np
import pytest
import torch

from policies.rdt.encoders import siglip
from policies.rdt.encoders.base import LRUCache
from policies.rdt.encoders.siglip import SiglipImageEncoder, SiglipTower
from tests.policies.rdt.encoders.frozen_files import write_siglip


def test_the_latest_call_is_kept_whole() -> None:
    made: list[int] = []

    def look_up(*keys: int) -> list[int]:
        before = len(made)

        def make(new: list[int]) -> list[torch.Tensor]:
            made.extend(keys[index] for index in new)
            return [torch.tensor(keys[index]) for index in new]

        assert [int(value) for value in cache.look_up(keys, make)] == list(keys)
        return made[before:]

    cache = LRUCache(2)
    assert look_up(1, 1) == [1]
    assert (look_up(2), look_up(1), look_up(3)) == ([2], [], [3])
    assert (look_up(1), look_up(2)) == ([], [2])
    assert look_up(1, 2, 3, 4, 5) == [3, 4, 5]
    assert len(cache) == 5
    assert look_up(5, 4, 3, 2, 1) == []
    look_up(6)
    assert len(cache) == 2


@pytest.mark.slow
def test_more_pictures_than_are_kept_are_encoded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch of many episodes, each plan one step after the one before."""
    tower = SiglipTower(str(write_siglip(tmp_path / "tower")))
    monkeypatch.setattr(siglip, "KEPT_IMAGES", 4)
    encoder = SiglipImageEncoder(tower, cameras=2, slots=2).eval()
    encoded: list[int] = []
    encode = tower.encode
    monkeypatch.setattr(
        tower, "encode", lambda images: encoded.append(len(images)) or encode(images)
    )
    episodes = 6
    shape = (episodes, 3, 2, 40, 40, 3)
    frames = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    torch.set_num_threads(2)  # as many images are prepared side by side
    first = encoder(encoder.prepare(frames[:, :2]))
    assert sum(encoded) == episodes * 2 * 2
    encoded.clear()
    second = encoder(encoder.prepare(frames[:, 1:]))
    assert sum(encoded) == episodes * 2
    torch.set_num_threads(1)
    half = first.shape[1] // 2
    assert torch.equal(first[:, half:], second[:, :half])
    alone = SiglipImageEncoder(tower, cameras=2, slots=2).eval()
    assert torch.equal(alone(alone.prepare(frames[5:6, 1:])), second[5:6])
