"""The frozen text encoder against transformers, and instructions encoded ahead of time."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from policies.rdt.encoders import language
from policies.rdt.encoders.language import (
    T5TextEncoder,
    encode_instructions,
    format_instruction,
    import_official,
)
from policies.rdt.encoders.language_cache import LanguageCache
from policies.rdt.encoders.t5 import MAX_TOKENS, T5Encoder
from tasks.errors import ConfigError, HarnessError, PrerequisiteError, SpecMismatchError
from tests.policies.rdt.encoders.frozen_files import SENTENCES, change_json, write_siglip, write_t5

RAW = ["open the middle drawer of the cabinet", "put the bowl on the plate"]


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


def test_instructions_are_written_as_in_pre_training() -> None:
    assert (
        format_instruction("put the bowl on the plate", "official") == "Put the bowl on the plate."
    )
    assert format_instruction("  Stop. ", "official") == "Stop."
    assert format_instruction("put it", "plain") == "put it"
    assert format_instruction("", "official") == ""


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


def test_a_cache_holds_one_small_file_per_text_and_goes_on_where_it_was(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, seen = tmp_path / "cache", list[int]()
    one = encode_instructions(SENTENCES[:2], t5=str(folder), out=out, progress=seen.append)
    assert (one.added, one.present, seen) == (2, 0, [1, 2])
    two = encode_instructions(SENTENCES[:3] * 2, t5=str(folder), out=out)
    assert (two.added, two.present) == (1, 2)
    files = sorted(out.glob("*.safetensors"))
    assert len(files) == 3
    assert all(file.stat().st_size < 10_000 for file in files)
    encoder = T5Encoder(str(folder))
    cache = LanguageCache.open(out)
    for text in SENTENCES[:3]:
        assert torch.equal(cache.read(text), encoder.encode(text))
    assert cache.read(SENTENCES[3]) is None

    def nobody(*args: object, **how: object) -> None:
        raise AssertionError("T5 was loaded")

    monkeypatch.setattr(language, "T5Encoder", nobody)
    assert encode_instructions(SENTENCES[:3], t5=str(folder), out=out).present == 3


def test_damaged_and_foreign_caches_are_refused(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "cache"
    encode_instructions(SENTENCES[:2], t5=str(folder), out=out)
    with pytest.raises(SpecMismatchError, match=r"was made by t5-24.*Fix"):
        encode_instructions(SENTENCES, t5=str(write_t5(tmp_path / "b", seed=1)), out=out)
    cache = LanguageCache.open(out)
    path, other = cache.path(SENTENCES[0]), cache.path(SENTENCES[1])
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    with pytest.raises(ConfigError, match="damaged"):
        cache.read(SENTENCES[0])
    path.write_bytes(other.read_bytes())
    with pytest.raises(ConfigError, match="another text's"):
        cache.read(SENTENCES[0])
    tokens = load_file(other)["tokens"]
    nan = {"text": SENTENCES[0], "encoder": cache.encoder.identity, "format": "1"}
    save_file({"tokens": tokens * float("nan")}, path, nan)
    with pytest.raises(ConfigError, match="NaN"):
        cache.read(SENTENCES[0])
    (out / "encoder.json").write_text("{")
    with pytest.raises(ConfigError, match="damaged"):
        LanguageCache.open(out)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mine.txt").write_text("x")
    with pytest.raises(ConfigError, match="not a language cache"):
        LanguageCache.open(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="holds something"):
        encode_instructions(SENTENCES, t5=str(folder), out=tmp_path / "elsewhere")


def test_files_of_the_official_tool_are_taken_over(tmp_path: Path) -> None:
    torch.manual_seed(0)
    tokens = torch.randn(1, 7, 24).to(torch.bfloat16)
    for index, text in enumerate(SENTENCES[:2]):
        given = {"name": f"task{index}", "instruction": text, "embeddings": tokens * (index + 1)}
        torch.save(given, tmp_path / f"{index}.pt")
    done = import_official(tmp_path, out=tmp_path / "cache")
    assert done.added == 2
    text = T5TextEncoder(cache=tmp_path / "cache")
    embedded, mask = text.prepare(RAW)
    assert torch.equal(embedded[1, :7], tokens[0] * 2)
    assert mask.sum(1).tolist() == [7, 7]
    with pytest.raises(ConfigError, match=r"import its \.pt file too"):
        text.prepare(["turn on the stove"])
    torch.save({"embeddings": tokens}, tmp_path / "2.pt")
    with pytest.raises(ConfigError, match="which instruction"):
        import_official(tmp_path / "2.pt", out=tmp_path / "cache")


def test_evaluation_needs_only_the_cache(folder: Path, tmp_path: Path) -> None:
    texts = [format_instruction(raw, "official") for raw in RAW]
    encode_instructions(texts, t5=str(folder), out=tmp_path / "cache")
    cached, live = T5TextEncoder(cache=tmp_path / "cache"), T5TextEncoder(t5=str(folder))
    assert cached.identity == live.identity
    for raw in RAW:
        assert cached.padded_length(raw) == live.padded_length(raw) == 32
    ours, theirs = cached.prepare(RAW), live.prepare(RAW)
    assert torch.equal(ours[0], theirs[0])
    assert torch.equal(ours[1], theirs[1])
    assert (ours[0][~ours[1]] == 0).all()
    with pytest.raises(ConfigError, match=r"lacks the instruction 'Turn on the stove\.'.*--text"):
        cached.prepare(["turn on the stove"])
    both = T5TextEncoder(cache=tmp_path / "cache", t5=str(folder))
    both.prepare(["turn on the stove"])
    assert LanguageCache.open(tmp_path / "cache").read("Turn on the stove.") is not None
    with pytest.raises(ConfigError, match=r"No text encoder was given.*encode-language"):
        T5TextEncoder()


def test_rdt_takes_only_so_many_tokens(folder: Path) -> None:
    short = T5TextEncoder(t5=str(folder), max_tokens=12)
    with pytest.raises(ConfigError, match="this RDT takes up to 12"):
        short.prepare(RAW)
