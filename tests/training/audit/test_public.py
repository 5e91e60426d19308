"""Launch scripts as public repositories have them: their flags, their known faults, no others."""

from pathlib import Path
from typing import NamedTuple

import pytest

from tests.training.audit.test_audit import run_audit

ENCODERS = """
export TEXT_ENCODER_NAME="google/t5-v1_1-xxl"
export VISION_ENCODER_NAME="google/siglip-so400m-patch14-384"
"""
COMMON = (
    " --pretrained_text_encoder_name_or_path=$TEXT_ENCODER_NAME"
    " --pretrained_vision_encoder_name_or_path=$VISION_ENCODER_NAME"
    " --dataloader_num_workers=8 --image_aug --dataset_type=finetune --load_from_hdf5"
    " --lr_scheduler=constant --learning_rate=1e-4 --mixed_precision=bf16"
)
BASE = "--pretrained_model_name_or_path=robotics-diffusion-transformer/rdt-1b"


class Public(NamedTuple):
    """A script, and what is wrong with it.

    Attributes:
        name: Whose it is like.
        script: In our words, with its flags.
        faults: Rules that must fire, with words of what they found.
        worse: Rules whose finding may be worse than minor; of no other it may.
    """

    name: str
    script: str
    faults: dict[str, str]
    worse: set[str]


OFFICIAL = Public(
    "the official recipe",
    f"""#!/bin/bash
#SBATCH --gres=gpu:1
{ENCODERS}
source ~/.bashrc
conda activate rdt
OUTPUT_DIR="./checkpoints/run"
if [ ! -d "$OUTPUT_DIR" ]; then
    mkdir "$OUTPUT_DIR"
else
    echo "Folder '$OUTPUT_DIR' already exists"
fi
# On one machine:
# accelerate launch main.py \\
#     --deepspeed="./configs/zero2.json" \\
deepspeed --hostfile=hostfile.txt main.py \\
    --deepspeed="./configs/zero2.json" {BASE} --output_dir=$OUTPUT_DIR \\
    --train_batch_size=32 --sample_batch_size=64 --max_train_steps=200000 \\
    --checkpointing_period=1000 --sample_period=500 --checkpoints_total_limit=40 \\
    --state_noise_snr=40 --precomp_lang_embed --report_to=wandb {COMMON}

    # --resume_from_checkpoint="checkpoint-36000" \\
""",
    {
        "optimisation/clipping": "without gradient_clipping",
        "optimisation/warmup-share": "warm-up of 0 updates",
        "checkpoints/limit-ignored": "checkpoints_total_limit=40",
        "checkpoints/seed": "no seed",
    },
    set(),
)
MANISKILL = Public(
    "a fork for another simulator",
    f"""{ENCODERS}
accelerate launch main.py --deepspeed="./configs/zero2.json" {BASE} --train_batch_size=24 \\
  --max_train_steps=400000 --checkpointing_period=10000 --sample_period=500 \\
  --checkpoints_total_limit=40 --state_noise_snr=40 {COMMON}
""",
    {
        "optimisation/clipping": "without gradient_clipping",
        "checkpoints/disk": "40 checkpoints",
    },
    set(),
)
YAML = Public(
    "values from a file, through a program",
    f"""#!/bin/bash
CONFIG_NAME="$1"
CONFIG_FILE="model_config/$CONFIG_NAME.yml"
{ENCODERS}
if [ ! -f "$CONFIG_FILE" ]; then
  echo "Config file $CONFIG_FILE does not exist!"
  exit 1
fi
START=$(python scripts/read_yaml.py "$CONFIG_FILE" pretrained_model_name_or_path)
BATCH=$(python scripts/read_yaml.py "$CONFIG_FILE" train_batch_size)
STEPS=$(python scripts/read_yaml.py "$CONFIG_FILE" max_train_steps)
PERIOD=$(python scripts/read_yaml.py "$CONFIG_FILE" checkpointing_period)
RATE=$(python scripts/read_yaml.py "$CONFIG_FILE" learning_rate)
ACCUMULATION=$(python scripts/read_yaml.py "$CONFIG_FILE" gradient_accumulation_steps)
CUDA_USE=$(python scripts/read_yaml.py "$CONFIG_FILE" cuda_visible_device)
START=$(echo "$START" | tr -d '"')
export CUDA_VISIBLE_DEVICES=$CUDA_USE
python -m data.compute_dataset_stat_hdf5 --task_name $CONFIG_NAME
accelerate launch --main_process_port=28499 main.py --deepspeed="./configs/zero2.json" \\
  --pretrained_model_name_or_path=$START --train_batch_size=$BATCH --max_train_steps=$STEPS \\
  --checkpointing_period=$PERIOD --sample_period=$PERIOD --checkpoints_total_limit=$PERIOD \\
  --gradient_accumulation_steps=$ACCUMULATION --state_noise_snr=$RATE \\
  --precomp_lang_embed {COMMON} --learning_rate=$RATE \\
  --model_config_path=$CONFIG_FILE --CONFIG_NAME=$CONFIG_NAME
""",
    {"optimisation/clipping": "without gradient_clipping"},
    set(),
)
FULL = Public(
    "all weights on LIBERO",
    f"""export run_id=$(date +%Y%m%d_%H%M%S)
# export CUDA_VISIBLE_DEVICES="1,2,3,4,5,6,7"
export CUDA_VISIBLE_DEVICES=0
{ENCODERS}
RESUME_SRC="./checkpoints/rdt-1b-old/checkpoint-65000"
export OUTPUT_DIR="./checkpoints/rdt-${{run_id}}" # 加入run_id作为后缀
RESUME_ARG=""
if [ -n "$RESUME_SRC" ]; then
    if [ ! -d "$RESUME_SRC" ]; then
        echo "指定的恢复路径 '$RESUME_SRC' 不存在"
        exit 1
    fi
    name=$(basename "$RESUME_SRC")
    path=$(realpath "$OUTPUT_DIR/$name")
    RESUME_ARG="--pretrained_model_name_or_path=$path"
fi
# deepspeed --exclude="localhost:0" main_sft.py \\
deepspeed --include="localhost:0,1,2,3,4,5,6,7" main_sft.py \\
    --deepspeed="./configs/zero2.json" --pretrained_model_name_or_path=$BASE_MODEL_PATH \\
    --train_batch_size=48 --max_train_steps=200000 --checkpointing_period=5000 \\
    --sample_period=500 --checkpoints_total_limit=40 --precomp_lang_embed {COMMON} \\
    $RESUME_ARG
    # --resume_from_checkpoint="checkpoint-36000" \\
""",
    {
        "launch/unset-variables": "$BASE_MODEL_PATH",
        "launch/devices": "CUDA_VISIBLE_DEVICES=0, and --include=localhost:0,1,2,3,4,5,6,7",
        "data/loader-of-fork": "main_sft.py",
        "data/short-episodes": "HDF5 loader",
    },
    set(),
)
LORA = Public(
    "adapters on LIBERO",
    f"""export CUDA_VISIBLE_DEVICES=0
{ENCODERS}
deepspeed --exclude="localhost:0" main_sft.py --deepspeed="./configs/zero2.json" \\
    --pretrained_model_name_or_path="./checkpoints/rdt-1b" --use_lora --lora_rank=32 \\
    --lora_alpha=64 --lora_dropout=0.1 --lora_target_modules="all" --train_batch_size=64 \\
    --max_train_steps=200000 --checkpointing_period=5000 --sample_period=500 \\
    --checkpoints_total_limit=40 --use_8bit_adam --precomp_lang_embed {COMMON}  # 使用
""",
    {
        "optimisation/low-rank": "rank 32",
        "launch/devices": "CUDA_VISIBLE_DEVICES=0, and --exclude=localhost:0",
        "data/loader-of-fork": "main_sft.py",
    },
    {"optimisation/low-rank"},
)
NO_DEEPSPEED = Public(
    "a fork for LIBERO without DeepSpeed",
    f"""#!/bin/bash
# Fine-tuning RDT-1B on LIBERO-90, 8 GPUs
# 32 per GPU x 8 GPUs, gradient accumulation 8
{ENCODERS}
accelerate launch --num_processes 8 --multi_gpu --mixed_precision bf16 main.py \\
    {BASE} --train_batch_size=32 --max_train_steps=100000 --sample_period=500 \\
    --checkpointing_period=2000 --lr_warmup_steps=5000 --precomp_lang_embed {COMMON}
""",
    {
        "optimisation/low-precision": "trained in bfloat16",
        "optimisation/ignored-warmup": "lr_warmup_steps=5000 with lr_scheduler=constant",
        "launch/promises": "accumulation 8; the command has none",
        # Sampling calls what DistributedDataParallel does not forward.
        "checkpoints/sampling-fails": "without DeepSpeed",
    },
    {
        "optimisation/low-precision",
        "optimisation/ignored-warmup",
        "checkpoints/sampling-fails",
    },
)
HUMAN = Public(
    "a human-to-robot fork",
    """
accelerate launch --num_processes 4 --main_process_port 29500 main.py \\
  --pretrained_vision_encoder_name_or_path="dino-siglip" --deepspeed="./configs/zero3.json" \\
  --config_path "configs/hrdt_finetune.yaml" --output_dir ./checkpoints --train_batch_size 4 \\
  --gradient_accumulation_steps 4 --sample_batch_size 16 --max_train_steps 10000 \\
  --checkpointing_period 10 --sample_period 500 --checkpoints_total_limit 10 \\
  --lr_scheduler "constant_with_warmup" --lr_warmup_steps 500 --learning_rate 1e-4 \\
  --mixed_precision "bf16" --dataloader_num_workers 24 --dataset_type "finetune" \\
  --dataset_name "robotwin_agilex" --report_to wandb --upsample_rate 3 --image_aug \\
  --gradient_checkpointing --precomp_lang_embed --training_mode "lang" --mode "finetune" \\
  --pretrained_backbone_path "./checkpoints/pretrain/checkpoint-500000/pytorch_model.bin"
""",
    {},
    set(),
)


@pytest.mark.parametrize(
    "public",
    [OFFICIAL, MANISKILL, YAML, FULL, LORA, NO_DEEPSPEED, HUMAN],
    ids=lambda public: public.name,
)
def test_a_public_script(public: Public, tmp_path: Path) -> None:
    script = tmp_path / "finetune.sh"
    script.write_text(public.script)
    done = run_audit(script, environment={})
    found = {finding.name: finding for finding in done.findings}
    for rule, words in public.faults.items():
        assert words in found[rule].detail
    worse = {rule for rule, finding in found.items() if finding.status in ("critical", "major")}
    assert worse == public.worse
    assert "checkpoints/from-scratch" not in found
    assert done.facts.lost_flags == ()


def test_processes_that_only_another_file_says(tmp_path: Path) -> None:
    for public in (OFFICIAL, MANISKILL, YAML):
        script = tmp_path / "finetune.sh"
        script.write_text(public.script)
        done = run_audit(script, environment={})
        assert done.facts.training.processes is None
        assert "optimisation/effective-batch" in str(done.skipped)


def test_processes_in_a_hostfile(tmp_path: Path) -> None:
    (tmp_path / "hostfile.txt").write_text("# two machines\na slots=8\nb  slots=4\n")
    (tmp_path / "finetune.sh").write_text(OFFICIAL.script)
    assert run_audit(tmp_path / "finetune.sh", environment={}).facts.batch() == 32 * 12


def test_values_that_a_program_reads_are_not_judged(tmp_path: Path) -> None:
    script = tmp_path / "finetune.sh"
    script.write_text(YAML.script)
    done = run_audit(script, environment={}, gpus=1)
    given = done.facts.training
    assert (given.batch, given.updates, given.accumulation, given.learning_rate) == (None,) * 4
    assert {"training.batch", "training.accumulation"} <= done.facts.unreadable
    assert "--train_batch_size, '$(python scripts/read_yaml.py" in done.notes[0]
    assert "given, not readable" in done.notes[0]
