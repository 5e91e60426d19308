from pathlib import Path
from typing import Any

import pytest

from policies.rdt.checkpoint import hub
from policies.rdt.checkpoint.hub import find_source
from policies.rdt.checkpoint.official import export_official, load_official
from tasks.errors import ConfigError, PrerequisiteError
from tests.policies.rdt.checkpoint.official_files import (
    assert_same,
    build_model,
    refuse,
)


def test_hub_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    asked: list[tuple[str, str | None, list[str]]] = []

    def download(repo: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append((repo, revision, allow_patterns))
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    export_official(tmp_path, build_model())
    model = load_official("owner/rdt-1b@v1.0")
    assert_same(model, build_model().state_dict())
    assert [(repo, revision) for repo, revision, _ in asked] == [("owner/rdt-1b", "v1.0")] * 2
    assert "model.safetensors" in asked[0][2]
    assert "pytorch_model.bin" in asked[1][2]
    assert all("config.json" in patterns and "*" not in patterns for *_, patterns in asked)
    refuse("owner/rdt-1b", ConfigError, "raw weights only", weights="ema")
    assert "ema/model.safetensors" in asked[-1][2]


def test_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError

    def fail(*_: Any, **__: Any) -> str:
        raise LocalEntryNotFoundError("offline")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    refuse("owner/rdt-1b", PrerequisiteError, "no folder 'owner/rdt-1b'", "hf download", "its path")
    with pytest.raises(PrerequisiteError):
        find_source("owner/rdt-1b")

    def refuse_name(*_: Any, **__: Any) -> str:
        raise RepositoryNotFoundError.__new__(RepositoryNotFoundError)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse_name)
    refuse("owner/rdt-1c", ConfigError, "owner/rdt-1c")


def test_a_folder_goes_before_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_download", lambda *_: pytest.fail("asked the hub"))
    monkeypatch.chdir(tmp_path)
    export_official(tmp_path / "owner" / "name", build_model())
    load_official("owner/name")
