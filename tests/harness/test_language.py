"""``libero-bench encode-language``: instructions of suites, typed ones, and official files."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.cli import main
from policies.rdt.encoders import language
from policies.rdt.encoders.language import T5TextEncoder
from policies.rdt.encoders.language_cache import LanguageCache
from policies.rdt.encoders.t5 import T5Encoder
from tasks.errors import ConfigError
from tasks.suites import suite_tasks
from tests.policies.rdt.encoders.frozen_files import write_t5


@pytest.fixture(scope="module")
def t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_t5(tmp_path_factory.mktemp("t5") / "encoder")


def encode(capsys: pytest.CaptureFixture[str], *words: object, code: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["encode-language", *map(str, words), "--json"]) == code
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    return said


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    capsys.readouterr()
    assert main(["encode-language", *map(str, words)]) == 2
    seen = capsys.readouterr()
    assert seen.out == ""
    assert "Traceback" not in seen.err
    return seen.err


def official_file(path: Path, text: str, width: int = 24) -> Path:
    tokens = torch.randn(1, 5, width, dtype=torch.bfloat16)
    torch.save({"name": "x", "instruction": text, "embeddings": tokens}, path)
    return path


@pytest.mark.slow
def test_instructions_of_suites(t5: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "cache"
    said = encode(capsys, "--suite", "libero_goal,libero_goal_lan", "--t5", t5, "--out", out)
    assert [group["name"] for group in said["groups"]] == ["libero_goal", "libero_goal_lan"]
    for group in said["groups"]:
        assert (group["instructions"], group["encoded"], group["missing"]) == (10, 10, [])
    assert said["files"] == len(list(out.glob("*.safetensors"))) == 20
    assert (said["dtype"], said["width"]) == ("bfloat16", 24)
    # What an evaluation asks for is there without T5, and is what T5 makes of it.
    reader, encoder = T5TextEncoder(cache=out), T5Encoder(str(t5))
    for suite in ("libero_goal", "libero_goal_lan"):
        for task in suite_tasks(suite):
            tokens, mask = reader.prepare([task.instruction])
            wanted = encoder.encode(language.format_instruction(task.instruction, "official"))
            assert torch.equal(tokens[0][mask[0]], wanted)


def test_the_bddl_files_words(t5: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "cache"
    words = ("--suite", "libero_goal_swap", "--instructions", "bddl", "--out", out)
    said = encode(capsys, *words, "--t5", t5)
    assert said["groups"][0]["encoded"] == 10
    reader = T5TextEncoder(cache=out)
    task = suite_tasks("libero_goal_swap")[0]
    reader.prepare([task.bddl_instruction])
    with pytest.raises(ConfigError, match="lacks the instruction 'Open the middle drawer of the"):
        reader.prepare([task.instruction])


def test_paraphrases(t5: Path, tmp_path: Path, capsys) -> None:
    out, words = tmp_path / "cache", tmp_path / "words.csv"
    words.write_text("task,new_instruction\n0,open it\n0,pull it\n7,light it\n7,open it\n")
    given = ("--suite", "libero_goal", "--instructions", words)
    encode(capsys, "--text", "open it", "--t5", t5, "--out", out)
    reader, sentences = T5TextEncoder(cache=out), ["open it", "pull it", "light it", "open it"]
    with pytest.raises(ConfigError, match=r"lacks 2 of 3 instructions, such as 'pull it'.*--t5"):
        reader.check_instructions(sentences)
    said = encode(capsys, *given, "--t5", t5, "--out", out)
    (group,) = said["groups"]
    assert (group["name"], group["instructions"], group["encoded"]) == ("libero_goal+words", 3, 2)
    reader.check_instructions(sentences)
    T5TextEncoder(cache=tmp_path / "new", t5=str(t5)).check_instructions(sentences)
    without = ("--instructions", words, "--text", "a", "--t5", t5, "--out", out)
    assert "without a suite" in refused(capsys, *without)


def test_it_goes_on_where_it_was(t5: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    out = tmp_path / "cache"
    words = ("--suite", "libero_object", "--t5", t5, "--out", out)
    encode(capsys, *words)
    gone = sorted(out.glob("*.safetensors"))[3]
    gone.unlink()
    said = encode(capsys, *words, "--text", "open it", "--text", "open it")
    first, typed = said["groups"]
    assert (first["encoded"], first["present"]) == (1, 9)
    assert (typed["name"], typed["instructions"], typed["encoded"]) == ("--text", 1, 1)
    assert gone.exists()

    def never(*_: object, **__: object) -> None:
        raise AssertionError("nothing is missing, so T5 need not be loaded")

    monkeypatch.setattr(language, "T5Encoder", never)
    assert encode(capsys, *words)["groups"][0]["present"] == 10
    assert main(["encode-language", *map(str, words)]) == 0
    table = capsys.readouterr().out
    assert "libero_object" in table
    assert f"11 instructions, {said['megabytes']} MB" in table
    assert f"--option.language_cache {out}" in table


def test_forms_and_dtypes(t5: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "cache"
    given = ("--text", "open it", "--t5", t5, "--out", out, "--dtype", "float32")
    encode(capsys, *given, "--form", "plain")
    cache = LanguageCache.open(out)
    assert cache.read("open it") is not None
    assert cache.read("Open it.") is None
    assert "is t5-24-bfloat16" in refused(capsys, "--text", "b", "--t5", t5, "--out", out)


def test_the_fix_that_a_policy_names_works(t5: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "my cache"
    given = ("--t5", t5, "--out", out, "--form", "plain", "--dtype", "float32")
    encode(capsys, "--text", "open it", *given)
    with pytest.raises(ConfigError, match="Fix: libero-bench encode-language") as caught:
        T5TextEncoder(cache=out, form="plain").prepare(["close it"])
    import shlex

    words = shlex.split(str(caught.value).partition("Fix: ")[2])
    assert main(words[1:]) == 0
    tokens, _ = T5TextEncoder(cache=out, form="plain").prepare(["close it"])
    assert tokens.dtype == torch.float32
    # A policy that has T5 adds to a cache in the cache's own dtype.
    T5TextEncoder(cache=out, t5=str(t5), form="plain").prepare(["shut it"])
    assert LanguageCache.open(out).read("shut it") is not None


def test_official_files(tmp_path: Path, capsys) -> None:
    files, out = tmp_path / "official", tmp_path / "cache"
    files.mkdir()
    suite = [
        language.format_instruction(t.instruction, "official") for t in suite_tasks("libero_object")
    ]
    for number, text in enumerate(suite[:-1]):
        official_file(files / f"{number}.pt", text)
    said = encode(capsys, "--import", files, "--suite", "libero_object", "--out", out, code=1)
    imported, wanted = said["groups"]
    assert (imported["instructions"], imported["encoded"]) == (9, 9)
    assert wanted["missing"] == [suite[-1]]
    last = official_file(tmp_path / "last.pt", suite[-1])
    said = encode(capsys, "--import", last, "--suite", "libero_object", "--out", out)
    assert said["groups"][1] == {
        "name": "libero_object",
        "instructions": 10,
        "encoded": 0,
        "present": 10,
        "missing": [],
    }
    assert encode(capsys, "--import", files, "--out", out)["groups"][0]["present"] == 9


def test_what_cannot_be_encoded(t5: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "cache"
    for words, why in (
        (("--suite", "libero_gaol", "--t5", t5), "Did you mean 'libero_goal'?"),
        (("--suite", "libero_goal"), "give --t5"),
        (("--t5", t5), "give --suite"),
        (("--t5", t5, "--import", tmp_path), "one of the two"),
        (("--import", tmp_path / "nowhere"), "There is no .pt file"),
        (("--text", "a", "--t5", tmp_path / "no" / "where"), "does not exist"),
        (("--text", "a", "--t5", t5, "--device", "tpu9"), "Unknown device 'tpu9'"),
        (("--text", "a", "--t5", t5, "--form", "fine"), "official"),
    ):
        assert why in refused(capsys, *words, "--out", out)
    assert not out.exists()
