"""Every kind of input, alone and together."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from policies.rdt.actions.layout_file import shipped_layouts
from policies.rdt.checkpoint.official import export_official
from results.folder import write_info
from results.records import RunInfo
from tests.policies.rdt.checkpoint.official_files import build_model
from tests.training.audit.test_audit import problems, remarks, run_audit
from training.audit.sources import own_evaluation, own_training
from training.audit.sources.contract import network_of
from training.config import TrainingConfig
from training.run_folder import RunFolder

HERE = Path(__file__).parents[1]
ROOT = HERE.parents[2]

BROUGHT, FIXED, WHOLE = HERE / "brought.sh", HERE / "fixed.sh", HERE / "whole.sh"
BROUGHT_EVALUATION = HERE / "brought_eval.sh"


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
        ("torchrun --nnodes=2 ", 2),
        ("accelerate launch ", None),
        ("python ", 1),
    ],
)
def test_processes_of_launchers(launch: str, count: int | None) -> None:
    done = run_audit(f"{launch}main.py --max_train_steps=9 --train_batch_size=2")
    assert done.facts.training.processes == count
    assert done.facts.training.deepspeed is False


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
    assert "agentview, wrist" in done.findings[0].detail
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
    assert done.facts.unknown_flags == ()
    assert problems(run_audit(tmp_path / "run" / "train.json", gpus=1)) == problems(done)


def test_what_a_training_of_ours_learns_where_nobody_says(small_checkpoint: Path) -> None:
    train = "libero-bench train --demos d --out o"
    fresh = run_audit(train)
    assert fresh.facts.trained.goals and fresh.facts.trained.normalisation == "action"
    rule = ("major", "actions/plans-of-deltas")
    assert rule not in problems(fresh)
    deltas = run_audit(f"{train} --layout eef-velocity")
    assert not deltas.facts.trained.goals and deltas.facts.trained.normalisation == "none"
    assert rule in problems(deltas)
    begun = run_audit(f"{train} --checkpoint {small_checkpoint}")
    assert begun.facts.trained.goals and begun.facts.trained.normalisation == "action"
    official = run_audit(f"{train} --checkpoint robotics-diffusion-transformer/rdt-1b")
    assert official.facts.trained.delta_slots == (39, 40, 41, 42, 43, 44)
    assert official.facts.trained.normalisation == "none"


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


@pytest.mark.parametrize("recipe", sorted((ROOT / "harness" / "recipes").glob("*.toml")))
def test_a_shipped_recipe_has_no_grave_problem(recipe: Path) -> None:
    assert {severity for severity, _ in problems(run_audit(recipe))} <= {"minor"}


def test_what_a_recipe_says() -> None:
    done = run_audit(ROOT / "harness" / "recipes" / "quickstart.toml")
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


def test_a_checkpoint_of_ours_and_an_evaluation_that_names_it(small_checkpoint: Path) -> None:
    command = "libero-bench eval --policy rdt --suite libero_90 --out e --episodes 50"
    right = f"{command} --checkpoint {small_checkpoint} --resolution 128"
    still = ("minor", "pictures/no-augmentation")  # so it was trained
    assert problems(run_audit(right, gpus=1)) == [("minor", "data/updates-per-demo"), still]
    assert problems(run_audit(f"{right} --protocol libero --option.norm mean_square")) == [
        ("critical", "pictures/orientation"),
        ("critical", "evaluation/norm"),
        still,
    ]
    wrong = f"{command} --checkpoint {small_checkpoint}"
    assert problems(run_audit(wrong)) == [("major", "pictures/resolution"), still]
    assert problems(run_audit(small_checkpoint, command)) == [
        ("major", "pictures/resolution"),
        still,
    ]


def test_a_run_of_an_evaluation(tmp_path: Path, small_checkpoint: Path) -> None:
    info = RunInfo(
        name="mine",
        policy={
            "name": "rdt",
            "checkpoint": str(small_checkpoint),
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
        provenance={"packages": {"mujoco": "3.8.1"}},
    )
    write_info(tmp_path, info)
    wanted = [
        ("critical", "pictures/cameras"),
        ("major", "evaluation/exec-horizon"),
        ("major", "evaluation/simulator-version"),
        ("major", "evaluation/step-limit"),
        ("major", "data/condition-masking"),
        ("minor", "pictures/no-augmentation"),
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


def test_every_key_is_a_setting_of_the_trainer() -> None:
    assert own_training.TRAINING_SETTINGS.keys() <= own_training.SETTINGS
    assert set(own_training.AUGMENTATIONS) <= own_training.SETTINGS


def test_numbers_that_live_beside_torch(tmp_path: Path) -> None:
    from policies.rdt.model.presets import PRESETS, build_network
    from policies.rdt.policy import EXEC_HORIZON

    small = PRESETS["rdt-small"]
    assert small.encoders is not None
    assert small.encoders.image_size == own_training.ENCODER_PIXELS
    assert build_network("rdt-small").history == own_training.HISTORY
    assert EXEC_HORIZON == own_evaluation.EXEC_HORIZON
    for name, preset in PRESETS.items():
        config = {"rdt": {"hidden_size": preset.rdt.hidden_size}}
        (tmp_path / "config.json").write_text(json.dumps(config))
        assert network_of(tmp_path) == name


@pytest.mark.slow
def test_reading_scripts_takes_no_torch() -> None:
    code = (
        "import sys; from harness.cli import main; "
        f"main(['audit', {str(WHOLE)!r}, 'libero-bench train --demos a --out b']); "
        "sys.exit(sum(name in sys.modules for name in ('torch', 'mujoco', 'transformers')))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "optimisation/clipping" in done.stdout
