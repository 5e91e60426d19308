"""The frozen text encoder against transformers."""

from pathlib import Path

import pytest
import torch

from policies.rdt.encoders.t5 import MAX_TOKENS, T5Encoder
from tasks.errors import ConfigError, HarnessError, PrerequisiteError, SpecMismatchError
from tests.policies.rdt.encoders.frozen_files import SENTENCES, change_json, write_siglip, write_t5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_t5(tmp_path_factory.mktemp("t5") / "encoder")


@pytest.fixture(scope="module")
def encoder(folder: Path) -> T5Encoder:
    return T5Encoder(str(folder), dtype=torch.float32)


def test_tokens_are_those_of_transformers(folder: Path, encoder: T5Encoder) -> None:
    from sentencepiece import SentencePieceProcessor
    from transformers import T5EncoderModel

    pieces = SentencePieceProcessor(model_file=str(folder / "spiece.model"))
    model = T5EncoderModel.from_pretrained(folder)
    for text in [*SENTENCES, ""]:
        ids = [*pieces.encode(text), 1]
        assert encoder.token_ids(text) == ids
        with torch.no_grad():
            wanted = model(input_ids=torch.tensor([ids])).last_hidden_state[0]
        torch.testing.assert_close(encoder.encode(text), wanted, rtol=1e-5, atol=1e-5)
    assert len(encoder.token_ids("")) == 1


def test_both_tokenizers_and_both_dtypes(folder: Path, encoder: T5Encoder, tmp_path: Path) -> None:
    fast = T5Encoder(str(write_t5(tmp_path / "fast", tokenizer="json")), dtype=torch.float32)
    for text in SENTENCES:
        assert fast.token_ids(text) == encoder.token_ids(text)
    assert fast.identity == encoder.identity
    half = T5Encoder(str(folder))
    assert half.encode(SENTENCES[0]).dtype == torch.bfloat16
    assert half.identity != encoder.identity  # their tokens differ
    assert half.identity.split("-")[-1] == encoder.identity.split("-")[-1]


def refuse(source: Path | str, kind: type[HarnessError], *words: str) -> None:
    with pytest.raises(kind) as caught:
        T5Encoder(str(source))
    for word in (*words, "Fix:"):
        assert word in str(caught.value)


def test_other_folders_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(write_siglip(tmp_path / "siglip"), ConfigError, "type 'siglip", "t5")
    mute = write_t5(tmp_path / "mute")
    (mute / "spiece.model").unlink()
    refuse(mute, ConfigError, "no tokenizer", "spiece.model")
    bare = write_t5(tmp_path / "bare")
    (bare / "spiece.model").write_bytes(b"\x00not pieces")
    refuse(bare, ConfigError, "damaged or not a tokenizer")
    (bare / "tokenizer.json").write_text("{}")
    refuse(bare, ConfigError, "tokenizer.json", "damaged")
    thin = write_t5(tmp_path / "thin")
    change_json(thin / "config.json", num_layers=3)
    refuse(thin, SpecMismatchError, "missing", "block.2")
    change_json(thin / "config.json", model_type="bert")
    refuse(thin, ConfigError, "type 'bert'")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    refuse("google/t5-of-nobody", PrerequisiteError, "hf download google/t5-of-nobody")


def test_a_text_that_is_too_long_is_refused(encoder: T5Encoder) -> None:
    with pytest.raises(ConfigError, match=f"Allowed: up to {MAX_TOKENS}"):
        encoder.token_ids("put the bowl " * 200)
