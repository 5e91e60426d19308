import json
from pathlib import Path

import pytest
from safetensors.torch import save_file

from policies.rdt.checkpoint.location import Weights
from policies.rdt.checkpoint.official import export_official, load_official
from tasks.errors import ConfigError, SpecMismatchError
from tests.policies.rdt.checkpoint.official_files import (
    assert_same,
    build_model,
    refuse,
    write_config,
)


@pytest.mark.slow
def test_raw_and_averaged_weights(tmp_path: Path) -> None:
    raw, averaged = build_model(0), build_model(1)
    folder = export_official(tmp_path / "run", raw)
    with pytest.raises(ConfigError, match="holds raw weights only"):
        load_official(folder, weights="ema")
    (folder / "ema").mkdir()
    save_file(averaged.state_dict(), folder / "ema" / "model.safetensors")
    assert_same(load_official(folder), raw.state_dict())
    assert_same(load_official(folder, weights="raw"), raw.state_dict())
    assert_same(load_official(folder, weights="ema"), averaged.state_dict())
    assert_same(load_official(folder / "ema"), averaged.state_dict())
    (folder / "pytorch_model.bin").unlink()
    assert_same(load_official(folder), averaged.state_dict())
    with pytest.raises(ConfigError, match=r"holds averaged \(ema\) weights only"):
        load_official(folder, weights="raw")
    with pytest.raises(ConfigError, match="auto, raw, ema"):
        load_official(folder, weights="EMA")  # type: ignore[arg-type]


def test_several_files(tmp_path: Path) -> None:
    model = build_model()
    write_config(tmp_path)
    places = {}
    for part in (0, 1):
        name = f"model-0000{part + 1}-of-00002.safetensors"
        keys = sorted(model.state_dict())[part::2]
        save_file({key: model.state_dict()[key] for key in keys}, tmp_path / name)
        places |= dict.fromkeys(keys, name)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    assert_same(load_official(tmp_path), model.state_dict())
    del places["model.x_pos_embed"]
    index.write_text(json.dumps({"weight_map": places}))
    refuse(tmp_path, SpecMismatchError, "missing: model.x_pos_embed")
    index.write_text(json.dumps({"weight_map": {"a": "../../elsewhere.safetensors"}}))
    refuse(tmp_path, ConfigError, "outside its folder")
    index.write_text(json.dumps({"weight_map": {"a": "none.safetensors"}}))
    refuse(tmp_path, ConfigError, "none.safetensors", "missing")


def test_a_run_names_its_checkpoints(tmp_path: Path) -> None:
    for step in (9000, 10000):
        export_official(tmp_path / f"checkpoint-{step}", build_model())
    refuse(tmp_path, ConfigError, "holds 2 checkpoints", "checkpoint-10000")
    load_official(tmp_path / "checkpoint-9000")


def test_weights_without_a_config(tmp_path: Path) -> None:
    folder = export_official(tmp_path / "a" / "b" / "c" / "out", build_model())
    (folder / "config.json").unlink()
    refuse(folder, ConfigError, "config.json", "number of heads")


def test_nothing_to_load(tmp_path: Path) -> None:
    refuse(tmp_path, ConfigError, "no weights there", "pytorch_model.bin")
    refuse(tmp_path / "nowhere", ConfigError, "nowhere", "owner/name")
    refuse("a/b/c", ConfigError, "a/b/c")
    refuse("two words", ConfigError, "two words")


def test_every_choice_of_weights_is_known() -> None:
    assert set(Weights.__args__) == {"auto", "raw", "ema"}
