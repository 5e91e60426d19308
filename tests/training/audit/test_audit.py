"""Whole audits: what users bring, in order of severity; every kind of input, also together."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli import main
from policies.rdt.layout_file import shipped_layouts
from policies.rdt.official import export_official
from results.folder import write_info
from results.records import RunInfo
from tasks.errors import ConfigError
from tests.policies.rdt.official_files import build_model
from training.audit.auditing import Audit, audit
from training.audit.sources import own
from training.config import TrainingConfig
from training.run_folder import RunFolder

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
SHIPPED = ROOT / "harness" / "recipes" / "drawer-bowl-start"

BROUGHT, FIXED, WHOLE = HERE / "brought.sh", HERE / "fixed.sh", HERE / "whole.sh"
BROUGHT_EVALUATION = HERE / "brought_eval.sh"


def run_audit(*inputs: object, **options: object) -> Audit:
    return audit([str(given) for given in inputs], **options)


def problems(done: Audit) -> list[tuple[str, str]]:
    """Severity and rule of all that is to be mended, in order."""
    return [(f.severity, f.rule) for f in done.verdict.findings if f.severity != "info"]


def remarks(done: Audit) -> set[str]:
    return {f.rule for f in done.verdict.findings if f.severity == "info"}


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
    assert "data/updates-per-demo" in done.verdict.passed
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
    assert {"optimisation/effective-batch", "checkpoints/rare"} <= set(done.verdict.passed)
    warmup = next(f for f in done.verdict.findings if f.rule == "optimisation/ignored-warmup")
    assert "lr_warmup_steps=5000" in warmup.found
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
    assert done.facts.unknown == ()
    assert "no effect" not in str(done.verdict.findings)


def test_flags_behind_a_comment_are_lost(tmp_path: Path) -> None:
    cut = tmp_path / "cut.sh"
    cut.write_text(WHOLE.read_text().replace("    --image_aug \\\n", "    # --image_aug \\\n"))
    done = run_audit(cut)
    assert problems(done)[0] == ("critical", "checkpoints/lost-flags")
    assert "--state_noise_snr=40" in done.facts.lost
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
    assert "the number of processes (--gpus)" in unknown.verdict.unjudged
    assert run_audit(command, gpus=8).facts.batch() == 256
    other = run_audit(BROUGHT, gpus=2)
    assert other.facts.batch() == 8
    assert "says processes 8, the command line says 2" in other.notes[0]


@pytest.mark.parametrize(
    ("written", "launch", "wanted"),
    [
        ("distributed_type: MULTI_GPU\nnum_processes: 4\n", "", (4, False, None)),
        ("distributed_type: 'NO'\n", "--num_processes 2", (2, False, None)),
        (
            "deepspeed_config:\n  gradient_clipping: 1.0\n  zero_stage: 2\n"
            "distributed_type: DEEPSPEED\nnum_processes: 8\n",
            "",
            (8, True, True),
        ),
        (None, "--num_processes 2", (2, None, None)),
        (None, "--use_deepspeed --num_processes 2", (2, True, False)),
    ],
)
def test_configurations_of_accelerate(tmp_path: Path, written, launch: str, wanted) -> None:
    config = tmp_path / "accelerate.yaml"
    if written:
        config.write_text(written)
    command = f"accelerate launch --config_file {config} {launch} main.py --mixed_precision bf16"
    given = run_audit(f"{command} --max_train_steps 9").facts.training
    assert (given.processes, given.deepspeed, given.deepspeed_clips) == wanted
    masters = {True: "float32", False: "bfloat16", None: None}
    assert given.weights == masters[given.deepspeed]


@pytest.mark.parametrize(
    ("launch", "count"),
    [
        ("deepspeed --include=a:0,1,2@b:0,1 ", 5),
        ("deepspeed --num_gpus 4 --num_nodes=2 ", 8),
        ("torchrun --nnodes=2 --nproc_per_node=8 ", 16),
        ("torchrun --nproc_per_node=gpu ", None),
        ("accelerate launch ", None),
        ("python ", 1),
    ],
)
def test_processes_of_launchers(launch: str, count: int | None) -> None:
    done = run_audit(f"{launch}main.py --max_train_steps=9 --train_batch_size=2")
    assert done.facts.training.processes == count
    assert done.facts.training.deepspeed is False


def test_only_the_last_of_several_trainings_is_judged(tmp_path: Path) -> None:
    script = tmp_path / "two.sh"
    first = BROUGHT.read_text().replace("--image_aug", "--scale_lr")
    script.write_text(f"{first}\n{FIXED.read_text()}")
    done = run_audit(script)
    assert problems(done) == problems(run_audit(FIXED))
    assert "trains 2 times" in done.notes[0]


def test_unknown_flags_and_values_that_cannot_be_read() -> None:
    done = run_audit("python main.py --train_batch_size=$B --max_train_steps=9 --lora_rank 8")
    assert done.facts.unknown == ("--lora_rank",)
    assert "checkpoints/unknown-flags" in remarks(done)
    assert "'$B', was not read" in done.notes[0]
    done = audit(["python main.py --train_batch_size=$B --image_aug"], environment={"B": "24"})
    assert done.facts.training.batch == 24


@pytest.mark.parametrize("name", shipped_layouts())
def test_layouts_of_an_official_dataset_script(name: str) -> None:
    found = problems(run_audit(WHOLE, layout=name))
    about = [rule for severity, rule in found if rule.startswith("actions/")]
    wanted = {"tj-chen": ["actions/mask", "actions/gripper"], "tj-chen-25": ["actions/mask"]}
    assert sorted(about) == sorted(wanted.get(name, []))


def test_facts_that_the_user_states(tmp_path: Path) -> None:
    """The mapping of a LIBERO fork that reports 0 %."""
    stated = tmp_path / "facts.toml"
    stated.write_text(
        """
        [trained]
        cameras = ["agentview_rgb", "eye_in_hand_rgb"]
        delta_slots = [30, 31, 32, 33, 34, 35, 36, 37, 38]
        state_slots = [0, 1, 2, 3, 4, 5, 6, 10, 30, 31, 32, 33, 34, 35, 36, 37, 38]
        action_slots = [30, 31, 32, 33, 34, 35, 36, 37, 38, 10]
        rotation = "delta-6d"
        gripper = "closing"
        gripper_slot = 10
        gripper_state = "opening"
        gripper_state_slot = 10
        normalisation = "state"
        control_hz = 25
        """
    )
    done = run_audit(BROUGHT, BROUGHT_EVALUATION, stated)
    found = problems(done)
    assert found[:2] == [("critical", "pictures/cameras"), ("critical", "actions/normalisation")]
    assert "agentview, wrist" in done.verdict.findings[0].found
    wanted = ("actions/gripper", "actions/delta-slots", "actions/loss-weights")
    assert {("major", rule) for rule in wanted} <= set(found)
    assert ("minor", "actions/control-frequency") in found
    assert "actions/dataset-script" not in remarks(done)
    assert "folklore/centimetres" in remarks(done)


def test_a_training_run_of_ours(tmp_path: Path) -> None:
    config = TrainingConfig(demos=(tmp_path,), out=tmp_path / "run", batch_size=4, image_shift=12)
    RunFolder(tmp_path / "run").claim(config)
    done = run_audit(tmp_path / "run", gpus=1)
    assert problems(done) == [
        ("major", "pictures/strong-augmentation"),
        ("minor", "optimisation/effective-batch"),
    ]
    assert done.facts.unknown == ()
    assert problems(run_audit(tmp_path / "run" / "train.json", gpus=1)) == problems(done)


def test_commands_of_ours() -> None:
    train = "libero-bench train --demos d --out o --warmup 1500 --image-shift 2"
    evaluation = "libero-bench eval --policy rdt --suite libero_90 --exec-horizon 64 --out e"
    assert problems(run_audit(train, evaluation)) == [
        ("major", "evaluation/exec-horizon"),
        ("minor", "optimisation/warmup-share"),
    ]
    many = run_audit(f"accelerate launch --num_processes 2 -m harness.cli {train[13:]}")
    assert many.facts.batch() == 64
    assert many.facts.small


def test_a_shipped_recipe_has_no_problem() -> None:
    done = run_audit(ROOT / "harness" / "recipes" / "quickstart.toml")
    assert problems(done) == []
    assert done.facts.training.network == "rdt-small"
    assert done.facts.evaluation.exec_horizons == (64, 16, 8)
    assert done.facts.training.demos == 12


def test_a_recipe_with_problems(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        """
        title = "x"
        [collect]
        suite = "libero_object"
        tasks = [0, 1]
        demos = 50
        resolution = 128
        [train]
        updates = 100
        image_shift = 2
        [evaluate]
        suite = "libero_object"
        protocol = "libero"
        episodes = 5
        resolution = 256
        [[entries]]
        policy = "expert"
        exec_horizons = [1]
        [[entries]]
        policy = "rdt"
        exec_horizons = [64]
        """
    )
    assert problems(run_audit(recipe)) == [
        ("critical", "pictures/orientation"),
        ("major", "evaluation/exec-horizon"),
        ("major", "data/updates-per-demo"),
        ("major", "pictures/resolution"),
        ("minor", "optimisation/warmup-share"),
        ("minor", "evaluation/few-episodes"),
    ]


def test_a_checkpoint_of_ours_and_an_evaluation_that_names_it() -> None:
    command = "libero-bench eval --policy rdt --suite libero_90 --out e --episodes 50"
    right = f"{command} --checkpoint {SHIPPED} --resolution 128"
    assert problems(run_audit(right, gpus=1)) == []
    assert problems(run_audit(f"{right} --protocol libero --option norm=mean_square")) == [
        ("critical", "pictures/orientation"),
        ("critical", "evaluation/norm"),
    ]
    wrong = f"{command} --checkpoint {SHIPPED}"
    assert problems(run_audit(wrong)) == [("major", "pictures/resolution")]
    assert problems(run_audit(SHIPPED, command)) == [("major", "pictures/resolution")]


def test_a_run_of_an_evaluation(tmp_path: Path) -> None:
    info = RunInfo(
        name="mine",
        policy={
            "name": "rdt",
            "checkpoint": str(SHIPPED),
            "exec_horizon": 64,
            "horizon": 64,
            "history": 2,
            "cameras": ["agentview"],
        },
        protocol={
            "name": "mine",
            "hash": "0" * 12,
            "max_steps": {"libero_90": 200},
            "resolution": 128,
            "orientation": "rotate180",
        },
        tasks={"libero_90": (1,)},
        episodes_per_task=50,
        expected_episodes=50,
    )
    write_info(tmp_path, info)
    wanted = [
        ("critical", "pictures/cameras"),
        ("major", "evaluation/exec-horizon"),
        ("major", "evaluation/step-limit"),
        ("major", "data/condition-masking"),
    ]
    assert problems(run_audit(tmp_path)) == wanted
    assert problems(run_audit(tmp_path / "run.json")) == wanted


def test_what_a_recipe_leaves(tmp_path: Path) -> None:
    RunFolder(tmp_path / "train").claim(TrainingConfig(demos=(tmp_path,), out=tmp_path / "train"))
    (tmp_path / "recipe.json").write_text("{}")
    for name, checkpoint, steps in (("a", "c", 64), ("b", "c", 16), ("expert", None, 1)):
        policy = {"name": name, "checkpoint": checkpoint, "exec_horizon": steps, "horizon": 64}
        folder = tmp_path / "eval" / name
        folder.mkdir(parents=True)
        plain = {"policy": policy, "protocol": {"name": "openvla"}, "tasks": {"libero_90": [1]}}
        (folder / "run.json").write_text(json.dumps(plain))
    done = run_audit(tmp_path)
    assert done.facts.evaluation.exec_horizons == (64, 16)
    assert problems(done) == [("minor", "pictures/no-augmentation")]


def test_an_official_checkpoint(tmp_path: Path) -> None:
    folder = export_official(tmp_path / "checkpoint", build_model())
    done = run_audit(folder)
    assert done.facts.stored_dtype == "bfloat16"
    assert done.facts.trained.horizon == 8
    assert done.facts.trained.cameras is None
    assert "does not say its cameras" in done.notes[0]
    averaged = export_official(tmp_path / "other" / "ema", build_model(), file_format="safetensors")
    assert problems(run_audit(averaged)) == [("critical", "optimisation/averaged-weights")]


def test_every_setting_of_the_trainer_is_known() -> None:
    known = own.TRAINING_SETTINGS.keys() | own._SEPARATE | own._WITHOUT_RULES
    missing = {entry.name for entry in dataclasses.fields(TrainingConfig)} - known
    assert not missing, "give each its line in TRAINING_SETTINGS, or name it in _WITHOUT_RULES"


def test_numbers_that_live_beside_torch() -> None:
    from policies.rdt.adapter import EXEC_HORIZON
    from policies.rdt.presets import PRESETS, build_network

    small = PRESETS["rdt-small"]
    assert small.encoders is not None
    assert small.encoders.image_size == own.ENCODER_PIXELS
    assert build_network("rdt-small").history == own.HISTORY
    assert EXEC_HORIZON == own.EXEC_HORIZON
    for name, preset in PRESETS.items():
        assert own._HIDDEN.get(preset.rdt.hidden_size, "rdt-small") == name


def test_reading_scripts_takes_no_torch() -> None:
    code = (
        "import sys; from harness.cli import main; "
        f"main(['audit', {str(WHOLE)!r}, 'libero-bench train --demos a --out b']); "
        "sys.exit(sum(name in sys.modules for name in ('torch', 'mujoco', 'transformers')))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "optimisation/clipping" in done.stdout


def test_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", str(BROUGHT), str(BROUGHT_EVALUATION), "--least", "major"]) == 0
    text = capsys.readouterr().out
    assert max(len(line) for line in text.splitlines()) <= 100
    assert " 1. CRITICAL  pictures/cameras" in text
    assert "7. MAJOR  checkpoints/incomplete-command" in text
    assert "MINOR" not in text
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
        (["kind.toml"], "kind.toml: a setting is of the wrong kind"),
        (["libero-bench eval --suite libero_90 --resolution big"], "of the wrong kind"),
        (["picture"], "is no text"),
        (["empty"], "Fix"),
        ([str(BROUGHT), "--gpus", "0"], "--gpus 0 is not allowed"),
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
