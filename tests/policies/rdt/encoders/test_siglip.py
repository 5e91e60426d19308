"""The frozen image encoder against transformers' own model and processor."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from policies.rdt.encoders import siglip
from policies.rdt.encoders.siglip import SiglipImageEncoder, SiglipTower
from tasks.errors import ConfigError, HarnessError, PrerequisiteError, SpecMismatchError
from tests.policies.rdt.encoders.frozen_files import change_json, write_siglip, write_t5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_siglip(tmp_path_factory.mktemp("siglip") / "tower")


@pytest.fixture
def tower(folder: Path) -> SiglipTower:
    return SiglipTower(str(folder))


def frames(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)


def by_transformers(folder: Path, frame: Any) -> Tensor:
    """Pad to a square with grey, then processor and model, an image at a time."""
    from transformers import SiglipVisionModel
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    height, width = frame.shape[:2]
    side = max(height, width)
    square = Image.new("RGB", (side, side), (127, 127, 127))
    square.paste(Image.fromarray(frame), ((side - width) // 2, (side - height) // 2))
    pixels = SiglipImageProcessorPil.from_pretrained(folder)(square, return_tensors="pt")
    model = SiglipVisionModel.from_pretrained(folder)
    with torch.no_grad():
        tokens: Tensor = model(**pixels).last_hidden_state[0]
    return tokens


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(28, 28), (64, 64), (50, 80), (81, 40)])
def test_tokens_are_those_of_transformers(
    folder: Path, tower: SiglipTower, shape: tuple[int, int]
) -> None:
    frame = frames(*shape)
    encoder = SiglipImageEncoder(tower, cameras=1, slots=1).eval()
    tokens = encoder(encoder.prepare(frame[None, None, None]))
    torch.testing.assert_close(tokens[0], by_transformers(folder, frame), rtol=1e-5, atol=1e-5)


def test_a_tower_that_is_not_finite(tmp_path: Path) -> None:
    folder = write_siglip(tmp_path / "tower")
    tensors = load_file(folder / "model.safetensors")
    key = next(key for key in tensors if "layers.1" in key)
    tensors[key].view(-1)[3] = torch.nan
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(SpecMismatchError, match=r"NaN or infinity in: .*layers\.1"):
        SiglipTower(str(folder))


@pytest.mark.slow
def test_a_whole_checkpoint_gives_its_tower(tmp_path: Path) -> None:
    from transformers import SiglipModel

    whole = write_siglip(tmp_path / "whole", whole=True)
    tower = SiglipTower(str(whole))
    frame = frames(28, 28)
    encoder = SiglipImageEncoder(tower, cameras=1, slots=1).eval()
    pixels = torch.from_numpy(frame).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.no_grad():
        wanted = SiglipModel.from_pretrained(whole).vision_model(pixels).last_hidden_state
    given = encoder(encoder.prepare(frame[None, None, None]))
    torch.testing.assert_close(given, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_history_cameras_and_the_background_in_rdts_order(folder: Path, tower: SiglipTower) -> None:
    given = frames(2, 2, 2, 40, 40)
    encoder = SiglipImageEncoder(tower, cameras=2, slots=3).eval()
    tokens = encoder(encoder.prepare(given)).unflatten(1, (2, 3, 4))
    grey = by_transformers(folder, np.full((40, 40, 3), 127, np.uint8))
    for row in range(2):
        for step in range(2):
            for camera in range(2):
                wanted = by_transformers(folder, given[row, step, camera])
                torch.testing.assert_close(tokens[row, step, camera], wanted, rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(tokens[row, step, 2], grey, rtol=1e-5, atol=1e-5)


def test_each_image_is_encoded_once(tower: SiglipTower, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = SiglipImageEncoder(tower, cameras=2, slots=3).eval()
    encoded: list[int] = []
    whole = tower.encode
    monkeypatch.setattr(tower, "encode", lambda p: encoded.append(len(p)) or whole(p))
    steps = frames(3, 2, 40, 40)
    first = encoder(encoder.prepare(np.stack([steps[:2]])))
    assert sum(encoded) == 5  # four frames and the background
    second = encoder(encoder.prepare(np.stack([steps[1:]])))
    assert sum(encoded) == 7  # the current frame became the previous one
    assert torch.equal(first[0, 12:20], second[0, :8])
    fresh = SiglipImageEncoder(tower, cameras=2, slots=3).eval()
    assert torch.equal(fresh(fresh.prepare(np.stack([steps[1:]]))), second)
    encoder.train()
    before = sum(encoded)
    encoder(encoder.prepare(np.stack([steps[1:]])))
    assert sum(encoded) == before + 4


def test_a_image_has_the_same_tokens_in_any_company(tower: SiglipTower) -> None:
    many = frames(5, 1, 1, 28, 28)
    encoder = SiglipImageEncoder(tower, cameras=1, slots=1).eval()
    together = encoder(encoder.prepare(many))
    for index in range(5):
        alone = SiglipImageEncoder(tower, cameras=1, slots=1).eval()
        assert torch.equal(alone(alone.prepare(many[[index]]))[0], together[index])


def test_it_is_frozen_and_in_no_state_dict(tower: SiglipTower) -> None:
    encoder = SiglipImageEncoder(tower, cameras=1, slots=1)
    assert not list(encoder.parameters())
    assert not encoder.state_dict()
    assert not encoder(encoder.prepare(frames(1, 1, 1, 28, 28))).requires_grad


def test_the_identity_follows_the_weights_and_not_the_dtype(folder: Path, tmp_path: Path) -> None:
    name = SiglipTower(str(folder)).identity
    assert name.startswith("siglip28-4x16-")
    assert SiglipTower(str(folder), dtype=torch.bfloat16).identity == name
    assert SiglipTower(str(write_siglip(tmp_path / "other", seed=1))).identity != name


def refuse(source: Path | str, kind: type[HarnessError], *words: str) -> None:
    with pytest.raises(kind) as caught:
        SiglipTower(str(source))
    for word in (*words, "Fix:"):
        assert word in str(caught.value)


def test_other_folders_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(write_t5(tmp_path / "t5"), ConfigError, "type 't5'", "siglip")
    odd = write_siglip(tmp_path / "odd")
    change_json(odd / "preprocessor_config.json", image_mean=[0.48, 0.46, 0.41])
    refuse(odd, SpecMismatchError, "image_mean", "0.48")
    thin = write_siglip(tmp_path / "thin")
    change_json(thin / "config.json", num_hidden_layers=3)
    refuse(thin, SpecMismatchError, "missing", "layers.2")
    wide = write_siglip(tmp_path / "wide")
    change_json(wide / "config.json", intermediate_size=32)
    refuse(wide, SpecMismatchError, "shape: ", "mlp.fc1.weight")
    torn = write_siglip(tmp_path / "torn")
    weights = (torn / "model.safetensors").read_bytes()
    (torn / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    refuse(torn, ConfigError, "cannot be loaded")
    refuse(tmp_path / "nowhere", ConfigError, "does not exist")
    refuse(odd / "config.json", ConfigError, "is a file")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    refuse("google/siglip-of-nobody", PrerequisiteError, "hf download google/siglip-of-nobody")


def test_more_cameras_than_slots_are_refused(tower: SiglipTower) -> None:
    with pytest.raises(SpecMismatchError, match="3 cameras were given; this RDT takes 2"):
        SiglipImageEncoder(tower, cameras=3, slots=2)
    encoder = SiglipImageEncoder(tower, cameras=2, slots=3)
    with pytest.raises(SpecMismatchError, match="1 images per step"):
        encoder(encoder.prepare(frames(1, 1, 1, 28, 28)))


@pytest.mark.slow
def test_more_images_than_are_kept_are_encoded_once(
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
