"""Weights as others leave them: understood and said, or refused with the reason and the fix."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from policies.rdt.checkpoint.inspection import inspect_checkpoint
from policies.rdt.checkpoint.official import export_official, load_official
from tasks.errors import ConfigError, HarnessError, SpecMismatchError
from tests.policies.rdt.checkpoint import official_files
from tests.policies.rdt.checkpoint.official_files import (
    assert_same,
    build_model,
    write_config,
    write_deepspeed,
)

SAFE, BIN = "model.safetensors", "pytorch_model.bin"
STATE = dict(build_model().state_dict())


def write(folder: Path, state: dict[str, Tensor], name: str = SAFE) -> Path:
    write_config(folder)
    if name.endswith(".safetensors"):
        save_file(state, folder / name)
    else:
        torch.save(state, folder / name)
    return folder


def refuse(source: Path, *words: str, **how: Any) -> None:
    official_files.refuse(source, HarnessError, *words, **how)


Rename = Callable[[str], str]
WRAPPED: dict[str, Rename] = {
    "module.": lambda key: f"module.{key}",
    "_orig_mod.": lambda key: f"_orig_mod.{key}",
    "_orig_mod. and module.": lambda key: f"module._orig_mod.{key}",
    "module. ": lambda key: f"_orig_mod.module.{key}",
    "compile of the trunk": lambda key: key.replace("model.", "model._orig_mod.", 1),
    "twice": lambda key: f"module.module.{key}",
    "fsdp": lambda key: (
        key.replace("model.", "_fsdp_wrapped_module.model._orig_mod.", 1)
        if key.startswith("model.")
        else f"_fsdp_wrapped_module.{key}"
    ),
}


@pytest.mark.parametrize("how", WRAPPED)
def test_what_wrappers_add_to_names_is_taken_out_and_said(
    tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write(tmp_path / "out", {WRAPPED[how](key): value for key, value in STATE.items()})
    assert_same(load_official(folder), STATE)
    (said,) = caplog.messages
    assert "taken out of the tensors' names" in said


def test_names_of_which_only_some_are_wrapped(tmp_path: Path) -> None:
    some = {f"module.{k}" if k.startswith("model.") else k: v for k, v in STATE.items()}
    refuse(write(tmp_path / "a", some), "Some tensors' names have 'module.'", "DataParallel")
    both = STATE | {f"_orig_mod.{key}": value.clone() for key, value in STATE.items()}
    refuse(write(tmp_path / "b", both), "'_orig_mod.'", "two kinds")


def test_a_good_file_beside_a_bad_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write(tmp_path / "out", {"vision.weight": torch.ones(2)})
    torch.save(STATE, folder / BIN)
    assert_same(load_official(folder), STATE)
    assert "pytorch_model.bin was taken" in caplog.messages[0]
    assert "unexpected: vision.weight" in caplog.messages[0]
    assert inspect_checkpoint(folder).weights == folder / BIN
    (folder / SAFE).write_bytes(b"\x00" * 99)
    caplog.clear()
    assert_same(load_official(folder), STATE)
    assert "not a safetensors file" in caplog.messages[0]
    (folder / BIN).write_bytes(b"PK\x03\x04garbage")
    refuse(folder, "None of the weight files", SAFE, BIN, "not a safetensors file", "damaged")
    refuse(folder / SAFE, "not a safetensors file")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\n", "Git LFS pointer"),
        (b"<!DOCTYPE html><html>Sign in</html>", "web page"),
        (b'{"error": "Repository not found"}', "text (JSON)"),
        (b"", "empty"),
    ],
)
@pytest.mark.parametrize("name", [SAFE, BIN])
def test_files_that_are_no_weights_are_named(
    tmp_path: Path, name: str, data: bytes, words: str
) -> None:
    write_config(tmp_path)
    (tmp_path / name).write_bytes(data)
    refuse(tmp_path, words, name)


def test_a_file_is_what_it_begins_as(tmp_path: Path) -> None:
    folder = write(tmp_path / "out", STATE)
    (folder / SAFE).rename(folder / BIN)
    assert_same(load_official(folder), STATE)
    torch.save(STATE, folder / SAFE)
    assert_same(load_official(folder / SAFE), STATE)


def test_weights_among_other_things_in_a_file(tmp_path: Path) -> None:
    write_config(tmp_path)
    path = tmp_path / "model.pt"
    for entry in ("model", "state_dict", "model_state_dict"):
        torch.save({entry: STATE, "epoch": 3, "best": 0.5}, path)
        assert_same(load_official(tmp_path), STATE)
    torch.save({"model": STATE, "state_dict": STATE}, path)
    refuse(tmp_path, "under state_dict and model")
    torch.save(STATE, tmp_path / "other.pth")
    refuse(tmp_path, "2 files that may be weights", "model.pt", "other.pth")
    assert_same(load_official(tmp_path / "other.pth"), STATE)


def test_tensors_that_share_their_numbers(tmp_path: Path) -> None:
    flat = torch.cat([value.flatten() for value in STATE.values()])
    views, start = {}, 0
    for key, value in STATE.items():
        views[key] = flat[start : start + value.numel()].view(value.shape)
        start += value.numel()
    assert_same(load_official(write(tmp_path / "views", views, BIN)), STATE)
    refuse(
        write(tmp_path / "tied", {**STATE, "tied": STATE["model.x_pos_embed"]}, BIN),
        "unexpected: tied",
    )


def test_a_folder_named_ema_and_pickled_averages(tmp_path: Path) -> None:
    folder = write(tmp_path / "run" / "ema", STATE)
    assert_same(load_official(folder), STATE)
    assert_same(load_official(folder.parent), STATE)
    assert_same(load_official(write(tmp_path / "b" / "ema", STATE, "model.pt")), STATE)


def test_parts_of_which_some_are_missing(tmp_path: Path) -> None:
    write_config(tmp_path)
    names = [f"pytorch_model-0000{n}-of-00003.bin" for n in (1, 2, 3)]
    keys = sorted(STATE)
    halves = {keys[0]: torch.float16, keys[1]: torch.bfloat16}
    for index, name in enumerate(names):
        part = {key: STATE[key].to(halves.get(key, torch.float32)) for key in keys[index::3]}
        torch.save(part, tmp_path / name)
    refuse(tmp_path, "no pytorch_model.bin.index.json")
    places = {key: names[index % 3] for index, key in enumerate(keys)}
    (tmp_path / f"{BIN}.index.json").write_text(json.dumps({"weight_map": places}))
    wanted = {key: value.float() for key, value in STATE.items()}
    wanted[keys[0]] = wanted[keys[0]].half().float()
    assert_same(load_official(tmp_path), wanted)
    (tmp_path / names[0]).unlink()
    (tmp_path / names[2]).unlink()
    refuse(tmp_path, "names 3 files, of which 2 not there", names[0], names[2])


def test_deepspeed_without_a_config(tmp_path: Path) -> None:
    model = build_model()
    path = write_deepspeed(tmp_path / "checkpoint-5", model)
    config = tmp_path / "config.json"
    (tmp_path / "checkpoint-5" / "config.json").rename(tmp_path / "elsewhere.json")
    for source in (path, path.parent, tmp_path / "checkpoint-5"):
        refuse(source, "has no config.json", "--option.config FILE", "copy the config.json")
    assert_same(load_official(path, config=tmp_path / "elsewhere.json"), STATE)
    (tmp_path / "elsewhere.json").rename(config)
    assert_same(load_official(path.parent.parent, config=tmp_path), STATE)
    refuse(path, "There is no", config=tmp_path / "none")


def test_deepspeeds_own_folders(tmp_path: Path) -> None:
    write_deepspeed(tmp_path / "run", build_model())
    run = tmp_path / "run"
    (run / "pytorch_model").rename(run / "global_step2000")
    (run / "latest").write_text("global_step2000\n")
    assert_same(load_official(run), STATE)
    (run / "latest").write_text("../elsewhere")
    refuse(run, "no weights there")
    (run / "latest").unlink()
    assert_same(load_official(run), STATE)
    shutil.copytree(run / "global_step2000", run / "global_step9000")
    refuse(run, "holds 2 checkpoints", "global_step9000")


def test_weights_that_are_split_over_processes(tmp_path: Path) -> None:
    step = tmp_path / "run" / "global_step5"
    step.mkdir(parents=True)
    (step.parent / "latest").write_text("global_step5")
    shard = step / "bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt"
    shard.write_bytes(b"PK")
    for source in (step.parent, step, shard):
        refuse(source, f"zero_to_fp32.py {step.parent} OUT")
    model = step / "zero_pp_rank_1_mp_rank_00_model_states.pt"
    model.write_bytes(b"PK")
    refuse(model, "one file per process")
    fsdp = tmp_path / "fsdp" / "pytorch_model_fsdp_0"
    fsdp.mkdir(parents=True)
    (fsdp / "__0_0.distcp").touch()
    refuse(fsdp.parent, f"accelerate merge-weights {fsdp} OUT")
    (tmp_path / "fsdp" / "optimizer.bin").touch()
    refuse(tmp_path / "fsdp" / "optimizer.bin", "optimizer")


def test_adapters_that_were_saved_with_the_whole(tmp_path: Path) -> None:
    state = {key: value for key, value in STATE.items() if "attn.qkv" not in key}
    state["model.blocks.0.attn.qkv.lora_A.weight"] = torch.ones(2, 64)
    refuse(write(tmp_path / "out", state), "low-rank adapters", "merge_and_unload")


def test_more_kinds_that_are_no_checkpoint(tmp_path: Path) -> None:
    for name, word in (
        ("adapter_model.safetensors", "adapter_config.json"),
        ("rdt.gguf", "no format that RDT's weights come in"),
    ):
        folder = tmp_path / name
        write_config(folder)
        (folder / name).touch()
        refuse(folder, word)


def test_an_export_is_plain(tmp_path: Path) -> None:
    deepspeed = write_deepspeed(tmp_path / "ds", build_model())
    folder = export_official(tmp_path / "out", load_official(deepspeed))
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", BIN]
    with pytest.raises(ConfigError):
        export_official(folder, build_model())
    with pytest.raises(SpecMismatchError):
        load_official(write(tmp_path / "empty", {}))
