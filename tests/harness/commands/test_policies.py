"""The list of policies and of their options."""

import json

import pytest

from harness.cli import main


def test_policies_are_listed_with_what_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policies", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {"random", "noop", "expert", "rdt", "replay", "remote"} <= set(listed)
    assert "floor" in listed["random"]
    assert main(["policies"]) == 0
    assert "libero-bench policies NAME" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["expert", "rdt", "replay", "remote"])
def test_every_option_is_explained(capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert main(["policies", name, "--json"]) == 0
    options = json.loads(capsys.readouterr().out)
    assert options
    for option, words in options.items():
        assert words.partition("[")[0].strip(), option


def test_choices_defaults_and_needs_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policies", "rdt", "--json"]) == 0
    options = json.loads(capsys.readouterr().out)
    assert (
        "[choices: none, rtc, rtc-blend, bid, inpaint] [default: none]"
        in options["--option.guidance"]
    )
    assert options["--option.dtype"].endswith("[choices: float32, bfloat16]")
    assert "--option.checkpoint" not in options
    assert main(["policies", "replay"]) == 0
    assert "[required]" in capsys.readouterr().out
    assert main(["policies", "noop"]) == 0
    assert "no options" in capsys.readouterr().out


def test_an_unknown_policy_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policies", "rtd"]) == 2
    assert "Did you mean 'rdt'" in capsys.readouterr().err
