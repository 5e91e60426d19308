"""Whole audits: what users bring, in order of severity; and what is printed."""

import json
from pathlib import Path

import pytest

from harness.cli import main
from tasks.errors import ConfigError
from training.audit.audit import AuditResult, audit

HERE = Path(__file__).parent

BROUGHT, FIXED, WHOLE = HERE / "brought.sh", HERE / "fixed.sh", HERE / "whole.sh"
BROUGHT_EVALUATION = HERE / "brought_eval.sh"


def run_audit(*inputs: object, **options: object) -> AuditResult:
    return audit([str(given) for given in inputs], **options)


def problems(done: AuditResult) -> list[tuple[str, str]]:
    """Severity and rule of all that is to be mended, in order."""
    return [(f.status, f.name) for f in done.findings if f.status != "info"]


def remarks(done: AuditResult) -> set[str]:
    return {f.name for f in done.findings if f.status == "info"}


def test_the_script_that_users_bring() -> None:
    done = run_audit(BROUGHT, BROUGHT_EVALUATION, demos=50)
    assert problems(done) == [
        ("critical", "pictures/cameras"),
        ("critical", "optimisation/low-precision"),
        ("major", "checkpoints/from-scratch"),
        ("major", "optimisation/effective-batch"),
        ("major", "optimisation/ignored-warmup"),
        ("major", "evaluation/exec-horizon"),
        ("major", "checkpoints/incomplete-command"),
        ("minor", "checkpoints/rare"),
        ("minor", "checkpoints/unwatched"),
    ]
    assert remarks(done) >= {
        "actions/dataset-script",
        "folklore/warmup-5000",
        "folklore/receding-horizon",
        "folklore/adaptive-loss",
        "folklore/crop-and-resize",
    }
    # 3.2 million samples of 50 demos are enough of them.
    assert "data/updates-per-demo" in done.passed
    assert done.notes == ()


def test_its_fixed_form() -> None:
    done = run_audit(FIXED)
    assert problems(done) == [
        ("critical", "optimisation/low-precision"),
        ("major", "checkpoints/from-scratch"),
        ("major", "optimisation/ignored-warmup"),
        ("major", "checkpoints/incomplete-command"),
        ("minor", "checkpoints/unwatched"),
        ("minor", "checkpoints/limit-ignored"),
    ]
    assert {"optimisation/effective-batch", "checkpoints/rare"} <= set(done.passed)
    warmup = next(f for f in done.findings if f.name == "optimisation/ignored-warmup")
    assert "lr_warmup_steps=5000" in warmup.detail
    assert warmup.fix == "--lr_scheduler=constant_with_warmup --lr_warmup_steps=5000"
    assert "folklore/batch-256" in remarks(done)


def test_the_command_alone_is_read_like_the_script() -> None:
    command = " ".join(BROUGHT.read_text().replace("\\\n", " ").split())
    assert problems(run_audit(command)) == problems(run_audit(BROUGHT))


def test_a_whole_script_with_deepspeed_and_a_sweep() -> None:
    done = run_audit(WHOLE, demos=50)
    assert problems(done) == [
        ("minor", "optimisation/clipping"),
        ("minor", "optimisation/warmup-share"),
    ]
    assert done.facts.evaluation.exec_horizons == (64, 32, 16)
    assert done.facts.evaluated.cameras == ("agentview", "wrist")
    assert done.facts.batch() == 256
    assert done.facts.unknown_flags == ()
    assert "no effect" not in str(done.findings)


def test_flags_behind_a_comment_are_lost(tmp_path: Path) -> None:
    cut = tmp_path / "cut.sh"
    cut.write_text(WHOLE.read_text().replace("    --image_aug \\\n", "    # --image_aug \\\n"))
    done = run_audit(cut)
    assert problems(done)[0] == ("critical", "checkpoints/lost-flags")
    assert "--state_noise_snr=40" in done.facts.lost_flags
    assert done.facts.training.augmentation is False


def test_averaged_weights_in_evaluation(tmp_path: Path) -> None:
    script = tmp_path / "both.sh"
    text = WHOLE.read_text().replace("checkpoint-200000", "checkpoint-19000/ema/model.safetensors")
    script.write_text(text.replace("--max_steps 400", "--max_steps 250"))
    assert problems(run_audit(script))[:2] == [
        ("critical", "optimisation/averaged-weights"),
        ("major", "evaluation/step-limit"),
    ]


def test_plain_ddp_cannot_sample(tmp_path: Path) -> None:
    script = tmp_path / "ddp.sh"
    script.write_text(WHOLE.read_text().replace('    --deepspeed="./configs/zero2.json" \\\n', ""))
    assert problems(run_audit(script))[:2] == [
        ("critical", "optimisation/low-precision"),
        ("critical", "checkpoints/sampling-fails"),
    ]


def test_gpus_where_nothing_says_them_and_where_something_else_does() -> None:
    command = "accelerate launch main.py --train_batch_size=32 --max_train_steps=1000"
    unknown = run_audit(command)
    assert "the number of processes (--gpus)" in unknown.skipped
    assert run_audit(command, gpus=8).facts.batch() == 256
    other = run_audit(BROUGHT, gpus=2)
    assert other.facts.batch() == 8
    assert "says processes 8, the command line says 2" in other.notes[0]


def test_only_the_last_of_several_trainings_is_judged(tmp_path: Path) -> None:
    script = tmp_path / "two.sh"
    first = BROUGHT.read_text().replace("--image_aug", "--scale_lr")
    script.write_text(f"{first}\n{FIXED.read_text()}")
    done = run_audit(script)
    assert problems(done) == problems(run_audit(FIXED))
    assert "trains 2 times" in done.notes[0]


def test_unknown_flags_and_values_that_cannot_be_read() -> None:
    done = run_audit("python main.py --train_batch_size=$B --max_train_steps=9 --lora_rank 8")
    assert done.facts.unknown_flags == ("--lora_rank",)
    assert "checkpoints/unknown-flags" in remarks(done)
    assert "'$B', was not read" in done.notes[0]
    done = audit(["python main.py --train_batch_size=$B --image_aug"], environment={"B": "24"})
    assert done.facts.training.batch == 24


def test_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", str(BROUGHT), str(BROUGHT_EVALUATION), "--least", "major"]) == 0
    text = capsys.readouterr().out
    assert max(len(line) for line in text.splitlines()) <= 100
    found = [line.split()[:2] for line in text.splitlines()]
    assert ["critical", "pictures/cameras"] in found
    assert ["major", "checkpoints/incomplete-command"] in found
    assert not [words for words in found if words[:1] == ["minor"]]
    assert "2 critical, 5 major, 2 minor, " in text
    assert "Not judged, as no input says it: " in text


def test_json_and_strict(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", str(BROUGHT), "--json", "--strict", "--demos", "50"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["summary"]["critical"] == 1
    first = said["findings"][0]
    assert first["rule"] == "optimisation/low-precision"
    assert first.keys() == {"rule", "severity", "found", "expected", "why", "source", "fix"}
    assert said["facts"]["training"]["processes"] == 8
    assert said["facts"]["training"]["demos"] == 50
    assert main(["audit", str(WHOLE), "--strict"]) == 0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["nowhere.sh"], "'nowhere.sh' does not exist. Allowed: a shell script"),
        (["echo nothing to see"], "No command in the command trains or evaluates"),
        (["x.toml"], "no training settings"),
        (["wrong.toml"], "Did you mean 'cameras'"),
        (["bad.toml"], "trained.horizon"),
        (["broken.toml"], "not valid TOML"),
        (["libero-bench train --demos d --out o --updates 0"], "training.updates"),
        (["kind.toml"], "kind.toml: a setting is of the wrong kind"),
        (["libero-bench eval --suite libero_90 --resolution big"], "of the wrong kind"),
        (["picture"], "is no text"),
        (["empty"], "Fix"),
        ([str(BROUGHT), "--gpus", "0"], '"0" for --gpus. Must be >= 1'),
        ([str(BROUGHT), "--layout", "eef-velocty"], "Did you mean 'eef-velocity'"),
    ],
)
def test_bad_inputs(tmp_path: Path, capsys, monkeypatch, given: list[str], words: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.toml").write_text("a = 1")
    Path("wrong.toml").write_text("[trained]\ncamera = ['agentview']")
    Path("bad.toml").write_text("[trained]\nhorizon = 'long'")
    Path("kind.toml").write_text("entries = ['rdt']")
    Path("broken.toml").write_text("[trained")
    Path("picture").write_bytes(b"\xff\xd8\xff\xe0 no text")
    Path("empty").mkdir()
    assert main(["audit", *given]) == 2
    message = capsys.readouterr().err.strip()
    assert words in message
    assert len(message.splitlines()) == 1


@pytest.mark.slow
def test_scripts_that_break_off_are_read_or_refused() -> None:
    text = WHOLE.read_text()
    read = 0
    for end in range(0, len(text), 7):
        try:
            read += bool(audit([f"{text[:end]} "], environment={}).sources)
        except ConfigError:
            continue
    assert read > 50


def test_a_script_of_nothing(tmp_path: Path) -> None:
    script = tmp_path / "install.sh"
    script.write_text("pip install torch\necho done\n")
    with pytest.raises(ConfigError, match="trains or evaluates"):
        run_audit(script)
