"""Instructions encoded ahead of time, and the text encoder that reads them."""

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
from policies.rdt.encoders.t5 import T5Encoder
from tasks.errors import ConfigError, SpecMismatchError
from tests.policies.rdt.encoders.frozen_files import SENTENCES, write_t5

RAW = ["open the middle drawer of the cabinet", "put the bowl on the plate"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_t5(tmp_path_factory.mktemp("t5") / "encoder")


@pytest.fixture(scope="module")
def encoder(folder: Path) -> T5Encoder:
    return T5Encoder(str(folder), dtype=torch.float32)


def test_instructions_are_written_as_in_pre_training() -> None:
    assert (
        format_instruction("put the bowl on the plate", "official") == "Put the bowl on the plate."
    )
    assert format_instruction("  Stop. ", "official") == "Stop."
    assert format_instruction("put it", "plain") == "put it"
    assert format_instruction("", "official") == ""


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
