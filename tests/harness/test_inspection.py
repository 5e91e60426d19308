"""``libero-bench inspect``: what it says of each kind of checkpoint, and how it refuses."""

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from harness.cli import app, main
from policies.rdt.checkpoint.official import export_official
from policies.rdt.checkpoint.storage import load_checkpoint
from tasks.errors import HarnessError
from tests.policies.rdt.checkpoint.official_files import build_model, write_deepspeed
from tests.training.tiny import save_tiny

ROOT = Path(__file__).parents[2]


def facts(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["inspect", *words, "--json"]) == code
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    return said


def test_a_checkpoint_of_ours(capsys, small_checkpoint: Path) -> None:
    said = facts(capsys, str(small_checkpoint))
    assert (said["kind"], said["preset"], said["norm"]) == ("libero-bench", "rdt-small", "variance")
    assert (said["parameters"], said["tensors"]) == (1_985_792, 114)
    assert said["encoder_parameters"] > 0
    assert said["needs"] == []
    assert said["healthy"] is True
    assert said["contract"]["demos"]["label"] == "50 scripted"
    assert said["camera_slots"] == ["agentview", "wrist"]
    assert "--resolution 128" in said["evaluate"]
    assert "option" not in said["evaluate"]


def test_an_official_checkpoint(tmp_path: Path, capsys) -> None:
    folder = export_official(tmp_path / "my rdt", build_model())
    said = facts(capsys, str(folder))
    assert (said["kind"], said["which"], said["preset"]) == ("official", "raw", None)
    assert said["dtypes"] == {"bfloat16": said["parameters"]}
    assert said["norm"] is None
    assert "timm" in said["norm_hint"]
    assert said["camera_slots"] == ["agentview", "wrist", None]
    assert (said["contract"]["image_size"], said["contract"]["render_size"]) == (384, 0)
    assert said["config"]["noise_scheduler"]["prediction_type"] == "sample"
    assert said["disk_bytes"] == sum(f.stat().st_size for f in folder.iterdir())
    assert len(said["needs"]) == 2
    words = shlex.split(said["evaluate"])
    assert words[words.index("--checkpoint") + 1] == str(folder)
    assert words[words.index("--option.layout") + 1] == "eef-velocity"
    _, given, _ = app.parse_args(words[1:], exit_on_error=False, print_error=False)
    assert given.arguments["config"].policy.options == {
        "siglip": "FOLDER",
        "language_cache": "FOLDER",
        "layout": "eef-velocity",
        "norm": "variance",
    }
    assert main(["inspect", str(folder)]) == 0
    table = capsys.readouterr().out
    for word in ("official", "variance", "siglip-so400m-patch14-384", "bfloat16", "all finite"):
        assert word in table
    assert said["evaluate"] in table.splitlines()


def test_deepspeed_and_averaged_weights(tmp_path: Path, capsys) -> None:
    model = build_model()
    folder = tmp_path / "checkpoint-5"
    path = write_deepspeed(folder, model)
    assert facts(capsys, str(folder))["kind"] == "deepspeed"
    assert facts(capsys, str(path))["disk_bytes"] == path.stat().st_size
    (folder / "ema").mkdir()
    save_file(model.state_dict(), folder / "ema" / "model.safetensors")
    assert facts(capsys, str(folder))["ema"] == str(folder / "ema" / "model.safetensors")
    said = facts(capsys, str(folder), "--weights", "ema")
    assert (said["kind"], said["which"]) == ("ema", "ema")
    assert said["evaluate"].endswith("--option.weights ema")


def test_unhealthy_checkpoints(tmp_path: Path, capsys) -> None:
    model = build_model()
    with torch.no_grad():
        model.state_adaptor[0].bias[3] = float("nan")
    folder = export_official(tmp_path / "nan", model)
    said = facts(capsys, str(folder), code=1)
    assert said["nonfinite"] == ["state_adaptor.0.bias"]
    assert facts(capsys, str(folder), "--no-check")["nonfinite"] is None
    state = model.state_dict()
    del state["model.x_pos_embed"]
    torch.save(state, folder / "pytorch_model.bin")
    assert "missing: model.x_pos_embed" in facts(capsys, str(folder), code=1)["mismatch"]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return save_tiny(tmp_path / "own")


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main([*words]) == 2
    seen = capsys.readouterr()
    assert seen.out == ""
    assert len(seen.err.strip().splitlines()) == 1
    assert "ix:" in seen.err
    return seen.err


ABSURD: list[tuple[str, str, dict[str, Any]]] = [
    ("contract", "horizon is 1000000000 in it and 8 in", {"horizon": 10**9}),
    ("contract", "history", {"history": 10**8}),
    ("contract", "render_size", {"render_size": 10**5}),
    ("contract", "render_size", {"render_size": 5}),
    ("contract", "image_size", {"image_size": 10**6}),
    ("contract", "control_hz", {"control_hz": 1e9}),
    ("contract", "control_hz", {"control_hz": float("nan")}),
    ("contract", "cameras", {"cameras": ["agentview"]}),
    ("contract", "text_encoder", {"text_encoder": "words-v1-99x9"}),
    ("contract", "sideways", {"layout": "sideways"}),
    ("encoders", "tokens per step", {"image_size": 16 * 10**6}),
    ("encoders", "tokens per step", {"cameras": ["agentview", "wrist", "left"]}),
    ("encoders", "lang_token_dim", {"text_token_dim": 10**12}),
    ("config", "horizon", {"pred_horizon": 10**9}),
    ("config", "history", {"img_cond_len": 10**9, "img_pos_embed_config": None}),
]


@pytest.mark.parametrize(("file", "word", "change"), ABSURD)
def test_what_evaluation_refuses_inspect_refuses_too(
    own: Path, capsys, file: str, word: str, change: dict[str, Any]
) -> None:
    path = own / f"{file}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert word in refused(capsys, "inspect", str(own))
    with pytest.raises(HarnessError, match=word):
        load_checkpoint(own)


def test_encoders_that_do_not_fit_or_are_not_finite(own: Path, capsys) -> None:
    path = own / "encoders.safetensors"
    tensors = load_file(path)
    save_file({**tensors, "more": torch.ones(2)}, path)
    assert "unexpected: more" in refused(capsys, "inspect", str(own))
    broken = {**tensors, "text.embedding.weight": tensors["text.embedding.weight"] * torch.inf}
    save_file(broken, path)
    said = facts(capsys, str(own), code=1)
    assert said["nonfinite"] == ["text.embedding.weight"]
    assert said["evaluate"] is None
    assert main(["inspect", str(own)]) == 1
    assert "Evaluate it" not in capsys.readouterr().out
    words = ["eval", "--policy", "rdt", "--checkpoint", str(own), "--suite", "libero_object"]
    words += ["--episodes", "1", "--resolution", "16", "--out", str(own / "run")]
    assert "NaN or infinity (as float32) in: text.embedding.weight" in refused(capsys, *words)


def test_no_command_is_given_for_weights_that_do_not_fit(own: Path, capsys) -> None:
    state = load_file(own / "model.safetensors")
    save_file({f"policy.{key}": value for key, value in state.items()}, own / "model.safetensors")
    said = facts(capsys, str(own), code=1)
    assert "missing" in said["mismatch"]
    assert said["evaluate"] is None
    save_file({f"module.{key}": value for key, value in state.items()}, own / "model.safetensors")
    said = facts(capsys, str(own))
    assert said["notes"] == [
        "model.safetensors: module. (DataParallel) taken out of the tensors' names."
    ]
    assert said["evaluate"]


def test_the_resolution_that_an_evaluation_lacks_is_named(own: Path, capsys) -> None:
    words = ["eval", "--policy", "rdt", "--checkpoint", str(own), "--suite", "libero_object"]
    said = refused(capsys, *words, "--episodes", "1", "--out", str(own / "run"))
    assert "render_size is 256, needed 16 (fix: give --resolution 16, in a recipe " in said
    assert "resolution = 16;" in said


def test_an_adapter_and_weights_without_a_config(tmp_path: Path, capsys) -> None:
    model = build_model()
    base = export_official(tmp_path / "base", model)
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    settings = {"peft_type": "LORA", "r": 1, "lora_alpha": 2, "base_model_name_or_path": "a/rdt"}
    (adapter / "adapter_config.json").write_text(json.dumps(settings))
    layer = "base_model.model.model.blocks.0.attn.proj"
    save_file(
        {f"{layer}.lora_A.weight": torch.ones(1, 64), f"{layer}.lora_B.weight": torch.ones(64, 1)},
        adapter / "adapter_model.safetensors",
    )
    said = refused(capsys, "inspect", str(adapter))
    assert "a LoRA adapter (rank 1, alpha 2); its base is 'a/rdt'" in said
    assert "--base BASE" in said
    found = facts(capsys, str(adapter), "--base", str(base))
    assert found["evaluate"].endswith(f"--option.base {base}")
    assert str(adapter) in found["evaluate"]
    assert "merged into" in found["notes"][0]
    config = (base / "config.json").rename(tmp_path / "config.json")
    (tmp_path / "base").rename(tmp_path / "elsewhere")
    weights = tmp_path / "elsewhere"
    config = config.rename(tmp_path / "shape.json")
    assert "--config FILE" in refused(capsys, "inspect", str(weights))
    found = facts(capsys, str(weights), "--config", str(config))
    assert found["evaluate"].endswith(f"--option.config {config}")


def test_what_is_no_checkpoint_is_refused_in_one_line(tmp_path: Path, capsys) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(
        b"\x80\x02cposix\nsystem\nX\x02\x00\x00\x00ls\x85R."
    )
    (tmp_path / "config.json").write_text(json.dumps({"rdt": None}))
    (tmp_path / "empty").mkdir()
    for source in (tmp_path / "nowhere", tmp_path, tmp_path / "empty"):
        assert main(["inspect", str(source)]) == 2
        seen = capsys.readouterr()
        assert seen.out == ""
        assert seen.err.startswith("libero-bench: ")
        assert len(seen.err.strip().splitlines()) == 1
        assert "Fix:" in seen.err


@pytest.mark.slow
def test_looking_needs_neither_the_simulator_nor_transformers(small_checkpoint: Path) -> None:
    code = (
        f"import sys; from harness.cli import main; main(['inspect', {str(small_checkpoint)!r}]);"
        "print(sorted({'mujoco', 'robosuite', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
