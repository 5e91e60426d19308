"""``libero-bench inspect``: what it says of each kind of checkpoint, and how it refuses."""

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from harness.cli import app, main
from policies.rdt.official import export_official
from tests.policies.rdt.official_files import build_model, write_deepspeed

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "harness" / "recipes" / "drawer-bowl-start"


def facts(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["inspect", *words, "--json"]) == code
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    return said


def test_a_checkpoint_of_ours(capsys) -> None:
    said = facts(capsys, str(SHIPPED))
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
    assert given.arguments["option"] == {
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


def test_looking_needs_neither_the_simulator_nor_transformers() -> None:
    code = (
        f"import sys; from harness.cli import main; main(['inspect', {str(SHIPPED)!r}]);"
        "print(sorted({'mujoco', 'robosuite', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
