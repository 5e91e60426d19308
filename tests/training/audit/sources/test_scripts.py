"""Commands as people write them: launchers, paths, precisions, Python files, evaluations."""

import json
from pathlib import Path

import pytest

from tasks.errors import ConfigError
from tests.training.audit.test_audit import problems, run_audit
from training.audit.audit import AuditResult

BATCH = "main.py --train_batch_size=8 --max_train_steps=9"


def audit_script(folder: Path, text: str, name: str = "run.sh") -> AuditResult:
    script = folder / name
    script.write_text(text)
    return run_audit(script, environment={})


@pytest.mark.parametrize(
    ("launch", "processes"),
    [
        (f"conda run -n rdt --no-capture-output accelerate launch --num_processes 4 {BATCH}", 4),
        (f"bash -c 'cd x && torchrun --nproc_per_node=2 {BATCH}'", 2),
        (f'ssh node "conda activate rdt; python {BATCH}"', 1),
        (f"tmux new-session -d -s rdt 'accelerate launch --num_processes 2 {BATCH}'", 2),
        (f'sbatch -N 1 --wrap="torchrun --nproc_per_node=4 {BATCH}"', 4),
        (f"python -m torch.distributed.launch --use_env --nproc_per_node=8 {BATCH}", 8),
        (f"accelerate launch --num_processes 8 --unheard_of {BATCH}", 8),
        (f"srun --ntasks=8 python {BATCH}", 8),
        (f"srun -N 1 -n4 python {BATCH}", 4),
        (f"mpirun -np 2 python {BATCH}", 2),
        (f"srun python {BATCH}", None),
        (f"srun -N 2 accelerate launch --num_processes 16 {BATCH}", 16),
        (f"uv run {BATCH}", 1),
        (f"uv run --no-sync python -m torch.distributed.run --nproc_per_node 2 {BATCH}", 2),
        (f"sudo -E time nohup env A=b python3 -u {BATCH} > log 2>&1 &", 1),
        (f"CUDA_VISIBLE_DEVICES=0,3 deepspeed {BATCH}", 2),
        (f"env CUDA_VISIBLE_DEVICES=1 deepspeed --master_port 1 {BATCH}", 1),
        (f"export CUDA_VISIBLE_DEVICES=$(pick)\ndeepspeed {BATCH}", None),
        (f"if (( N > 1 )); then L='torchrun -n 2'; else L=python; fi\n$L {BATCH}", None),
        (f"python -m accelerate.commands.launch --num_processes 3 {BATCH}", 3),
        (f'N=4; CMD="accelerate launch --num_processes $N {BATCH}"; eval "$CMD"', 4),
    ],
)
def test_processes_of_whatever_starts_it(tmp_path: Path, launch: str, processes: int) -> None:
    given = audit_script(tmp_path, launch).facts.training
    assert (given.processes, given.batch, given.updates) == (processes, 8, 9)


@pytest.mark.parametrize(
    ("launch", "severity"),
    [
        ("accelerate launch --num_processes 8", "major"),
        ("torchrun --nnodes=1 --nproc_per_node=8", "major"),
        ("torchrun --nnodes=4 --nproc_per_node=2", None),
        ("deepspeed --include=localhost:0,1,2", "minor"),
        ("deepspeed", None),
        ("accelerate launch --num_processes 2", None),
    ],
)
def test_devices_that_are_shown(launch: str, severity: str | None) -> None:
    done = run_audit(f"CUDA_VISIBLE_DEVICES=2,3 {launch} {BATCH}")
    found = [s for s, rule in problems(done) if rule == "launch/devices"]
    assert found == ([severity] if severity else [])


def test_no_command_is_seen_in_words_about_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="trains or evaluates"):
        audit_script(
            tmp_path, f"pip install x\nwhich python\nconda activate y\necho python {BATCH}\n"
        )


def test_files_are_looked_for_beside_the_script(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir("/")
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "zero2.json").write_text(json.dumps({"gradient_clipping": 1.0}))
    (tmp_path / "accelerate.yaml").write_text("distributed_type: MULTI_GPU\nnum_processes: 4\n")
    (tmp_path / "scripts").mkdir()
    flags = f"{BATCH} --deepspeed=./configs/zero2.json"
    own = 'HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"'
    for name, text in (
        ("run.sh", f"accelerate launch --config_file accelerate.yaml {flags}"),
        ("scripts/run.sh", f"accelerate launch --config_file ./accelerate.yaml {flags}"),
        (
            "scripts/own.sh",
            f"{own}\naccelerate launch --config_file $HERE/accelerate.yaml main.py "
            "--train_batch_size 8 --deepspeed $HERE/configs/zero2.json",
        ),
    ):
        given = audit_script(tmp_path, text, name).facts.training
        assert (given.processes, given.deepspeed_clips) == (4, True), name


@pytest.mark.parametrize("precision", ["fp8", "$MP", "$(mp)"])
@pytest.mark.parametrize(
    "place", ["launch --mixed_precision=%s main.py", "launch main.py --mixed_precision %s"]
)
def test_a_precision_that_is_not_known_is_noted(place: str, precision: str) -> None:
    command = f"accelerate {place % precision} --train_batch_size=4 --learning_rate=1e-2"
    done = run_audit(command, environment={})
    given = done.facts.training
    assert (given.precision, given.weights, given.ema_dtype) == (None, None, None)
    assert "--mixed_precision" in done.notes[0] and precision in done.notes[0]
    assert ("major", "optimisation/learning-rate") in problems(done)


def test_half_precision_with_deepspeed() -> None:
    command = f"accelerate launch --mixed_precision fp16 {BATCH} --deepspeed=configs/zero2.json"
    assert ("major", "optimisation/half-precision") in problems(run_audit(command))
    assert "half-precision" not in str(problems(run_audit(command.replace("fp16", "bf16"))))


def test_half_precision_that_deepspeeds_configuration_turns_on(tmp_path: Path) -> None:
    (tmp_path / "ds.json").write_text('{"fp16": {"enabled": true}, "gradient_clipping": 1.0}')
    done = audit_script(tmp_path, f"deepspeed {BATCH} --deepspeed ds.json\n")
    assert done.facts.training.precision == "fp16"
    assert ("major", "optimisation/half-precision") in problems(done)


def test_another_main_is_not_rdts() -> None:
    done = run_audit("python libero/lifelong/main.py benchmark_name=LIBERO_GOAL --seed 1")
    assert done.facts.training.code == "other"
    assert problems(done) == []


@pytest.mark.parametrize(
    ("flags", "rank", "unknown"),
    [
        ("--use_lora --lora_rank 16 --lora_alpha 32", 16, ()),
        ("--use_lora --lora_rank=$R", None, ()),
        ("--use_lora=false --lora_rank 16", None, ("--lora_rank",)),
    ],
)
def test_adapters_of_forks(flags: str, rank: int | None, unknown: tuple[str, ...]) -> None:
    done = run_audit(f"python {BATCH} {flags}", environment={})
    assert done.facts.training.lora_rank == rank
    assert done.facts.unknown_flags == unknown
    assert (("major", "optimisation/low-rank") in problems(done)) == (not unknown)


@pytest.mark.parametrize(
    ("command", "horizons", "suite", "episodes"),
    [
        (
            "python examples/libero/main.py --args.task-suite-name libero_spatial "
            "--args.replan-steps 5 --args.num-trials-per-task 20",
            (5,),
            "libero_spatial",
            20,
        ),
        ("uv run examples/libero/main.py --task-suite-name=libero_10", (5,), "libero_10", 50),
        (
            "lerobot-eval --policy.path=lerobot/pi05 --policy.n_action_steps=10 --env.type=libero "
            "--env.task=libero_object,libero_goal --eval.n_episodes=10 --eval.batch_size=1",
            (10,),
            "libero_object",
            10,
        ),
        (
            "python -m lerobot.scripts.lerobot_eval --env.task libero_goal --policy.path x/y",
            None,
            "libero_goal",
            None,
        ),
        (
            "python lerobot/scripts/eval.py --policy.path=x/y --env.task=libero_goal",
            None,
            "libero_goal",
            None,
        ),
        (
            "python experiments/robot/libero/run_libero_eval.py --pretrained_checkpoint x/y "
            "--task_suite_name libero_goal --num_open_loop_steps 8",
            (8,),
            "libero_goal",
            50,
        ),
        ("python eval_rdt_libero.py --exec_horizon 8,16 --num_episodes 50", (8, 16), None, 50),
        (
            "libero-bench eval --policy rdt --suite libero_10 --exec-horizon 64,8",
            (64, 8),
            "libero_10",
            None,
        ),
    ],
)
def test_evaluations_of_others(command: str, horizons, suite: str, episodes: int) -> None:
    done = run_audit(command)
    given = done.facts.evaluation
    assert (given.exec_horizons, given.suite, given.episodes) == (horizons, suite, episodes)
    assert not done.facts.trains
    assert not {severity for severity, _ in problems(done)} & {"critical", "major"}


def test_only_plans_of_rdt_are_64_steps_long() -> None:
    whole = run_audit("python run_libero_eval.py --num_open_loop_steps 64")
    assert whole.facts.evaluated.horizon is None
    assert run_audit("python eval_rdt_libero.py --exec_horizon 64").facts.evaluated.horizon == 64


PYTHON = """
import os, subprocess, sys

LR = 1e-4
base = [sys.executable, "main.py", f"--learning_rate={LR}"]
extra = ["--train_batch_size", str(16)]
cmd = ["accelerate", "launch", "--num_processes=8", *base[1:], *extra]
cmd += ["--max_train_steps=1000"]
cmd.append("--image_aug")
if len(sys.argv) > 1:
    cmd.extend(["--lr_scheduler", sys.argv[1]])
subprocess.run(cmd, check=True)
os.system("python eval_rdt_libero.py --exec_horizon 8")
subprocess.run(f"python eval_rdt_libero.py --exec_horizon {LR and 16}", shell=True)
line = "python eval_rdt_libero.py --exec_horizon 32"
subprocess.run(shlex.split(line))
os.system("python eval_rdt_libero.py --exec_horizon %d --num_episodes {}".format(LR) % 4)
"""


def test_a_python_file(tmp_path: Path) -> None:
    text = PYTHON.replace("*base[1:]", '"main.py", f"--learning_rate={LR}"')
    done = audit_script(tmp_path, text, "launch.py")
    given = done.facts.training
    assert (given.processes, given.learning_rate, given.batch) == (8, 1e-4, 16)
    assert (given.updates, given.augmentation, given.scheduler) == (1000, True, None)
    assert done.facts.evaluation.exec_horizons == (8, 32)
    assert sum("exec_horizon" in note and "not readable" in note for note in done.notes) == 2
    assert done.facts.evaluation.episodes is None
    simple = audit_script(tmp_path, 'cmd = ["python", "main.py", "--learning_rate=1e-2"]', "a.py")
    assert simple.facts.training.learning_rate == 1e-2


def test_a_python_file_whose_list_is_not_known_has_no_defaults(tmp_path: Path) -> None:
    done = audit_script(tmp_path, PYTHON, "launch.py")
    assert done.facts.training.learning_rate is None
    assert "may hold further flags" in done.notes[0]
    with pytest.raises(ConfigError, match="not valid Python"):
        audit_script(tmp_path, "cmd = [", "broken.py")
    with pytest.raises(ConfigError, match="trains or evaluates"):
        audit_script(tmp_path, "def train():\n    return ['a', 'b']\n", "train.py")


def test_a_loop_says_once_what_it_cannot_read(tmp_path: Path) -> None:
    text = "for H in 8 16 32; do\n  python eval_rdt_libero.py --exec_horizon $H --suite $1\ndone\n"
    done = audit_script(tmp_path, text)
    assert done.facts.evaluation.exec_horizons == (8, 16, 32)
    assert len(done.notes) == 1


def test_words_that_may_hold_flags_leave_nothing_to_defaults(tmp_path: Path) -> None:
    for words in ('"$@"', "$EXTRA", '"${ARGS[@]}"', "$(cat flags)"):
        text = f"read EXTRA; read ARGS\naccelerate launch {BATCH} --image_aug {words}\n"
        done = audit_script(tmp_path, text)
        given = done.facts.training
        assert (given.learning_rate, given.start, given.deepspeed) == (None, None, None), words
        assert (given.batch, given.augmentation) == (8, True)
        assert problems(done) == []
    done = audit_script(tmp_path, f"torchrun $LAUNCH {BATCH} --image_aug\n")
    assert (done.facts.training.processes, done.facts.training.deepspeed) == (None, None)
    assert done.facts.training.unset == ("LAUNCH",)


@pytest.mark.parametrize(
    ("flag", "scratch"),
    [
        ("--pretrained_backbone_path=a.bin", False),
        ("--resume_from_checkpoint=latest", False),
        ("--init_from_ckpt a", False),
        ("--pretrained_model_name_or_path=$BASE", False),
        ("--checkpointing_period=100", True),
        ("--pretrained_text_encoder_name_or_path=t5", True),
    ],
)
def test_from_scratch_only_where_no_weights_are_named(flag: str, scratch: bool) -> None:
    done = run_audit(f"python {BATCH} {flag}", environment={})
    assert ("checkpoints/from-scratch" in {rule for _, rule in problems(done)}) == scratch


@pytest.mark.parametrize(
    ("comment", "accumulation", "batch"),
    [
        ("# Gradient accumulation: 8", 8, None),
        ("# effective batch = 4 x 8 x 8 = 256", None, 256),
        ("# 32 per GPU x 8 GPUs x accumulation 8, total batch size 2048", 8, 2048),
        ("# effective batch size: 256 = 32 x 8", None, 256),
        ("# Global batch 256 (32 per GPU x 8), lr 1e-4", None, 256),
        ("# total batch = 32 x 8", None, None),
        ('echo "grad_accum=4"', 4, None),
        ("# --gradient_accumulation_steps=8 \\", None, None),
        ("# accumulate gradients if memory is short", None, None),
    ],
)
def test_what_comments_promise(tmp_path: Path, comment: str, accumulation, batch) -> None:
    given = audit_script(tmp_path, f"{comment}\npython {BATCH}\n").facts.training
    assert (given.promised_accumulation, given.promised_batch) == (accumulation, batch)


@pytest.mark.parametrize(
    ("install", "condition"),
    [
        ("pip install mujoco==3.8.1 robosuite==1.4.0", "==3.8.1"),
        ('uv pip install "mujoco>=3.2, <3.4"', ">=3.2,<3.4"),
        ("python -m pip install -U mujoco", "*"),
        ("conda install -y -c conda-forge mujoco=3.3.7", "==3.3.7"),
        ("pip install -r requirements.txt", "==3.9.0"),
        ("pip install mujoco-py", None),
    ],
)
def test_which_mujoco_a_script_installs(tmp_path: Path, install: str, condition: str) -> None:
    (tmp_path / "requirements.txt").write_text("numpy\nmujoco == 3.9.0  # newest\n")
    done = audit_script(tmp_path, f"{install}\npython eval_rdt_libero.py --exec_horizon 8\n")
    assert done.facts.evaluation.mujoco == condition
    assert run_audit(tmp_path / "requirements.txt").facts.evaluation.mujoco == "==3.9.0"
    (tmp_path / "environment.yml").write_text("dependencies:\n  - pip:\n    - mujoco==3.4.0\n")
    assert run_audit(tmp_path / "environment.yml").facts.evaluation.mujoco == "==3.4.0"
    if condition == "==3.8.1":
        assert problems(done) == [("major", "evaluation/simulator-version")]


def test_a_recipe_with_several_fusions(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        '[evaluate]\nsuite = "libero_10"\n[[entries]]\npolicy = "rdt"\nexec_horizons = [8]\n'
        'fusions = ["none", "act:m=0.05"]\n'
    )
    assert run_audit(recipe).facts.evaluation.fusion == "none, act:m=0.05"


def test_our_own_options_are_known(capsys: pytest.CaptureFixture[str]) -> None:
    from harness.cli import main

    train = (
        "libero-bench train --demos d --out o --json --lora-dropout 0.1 --batchsize 4 --updates $N"
    )
    evaluation = "libero-bench eval --policy rdt --suite libero_90 --out e --workers 2 --sweep 3"
    assert main(["audit", train, evaluation, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    unknown = next(f for f in said["findings"] if f["rule"] == "checkpoints/unknown-flags")
    assert unknown["found"] == "batchsize, --sweep"
    assert "updates" not in said["facts"]["training"]


def test_encodings_of_scripts(tmp_path: Path) -> None:
    script = tmp_path / "run.sh"
    text = f"# 训练\r\npython \\\r\n\t{BATCH}\r\n"
    for raw in (text.encode("utf-8-sig"), text.encode("gbk")):
        script.write_bytes(raw)
        done = run_audit(script)
        assert done.facts.training.batch == 8
        assert "end as on Windows" in done.notes[-1]


@pytest.mark.parametrize("value", ["0", "-1", "nan", "1e999", "1.5", "x", "", "'a b'"])
def test_numbers_that_cannot_be_are_noted(value: str) -> None:
    flags = ("train_batch_size", "gradient_accumulation_steps", "max_train_steps")
    names = (*flags, "checkpointing_period")
    done = run_audit(
        f"accelerate launch --num_processes={value} main.py "
        + " ".join(f"--{name} {value}" for name in names)
    )
    assert sum("was not read" in note for note in done.notes) == len(names) + 1
    sweep = run_audit(f"python eval_rdt_libero.py --num_cameras 2 --exec_horizon {value}")
    assert sweep.facts.evaluation.exec_horizons is None
