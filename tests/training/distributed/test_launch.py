"""What accelerate may be set to."""

from pathlib import Path

import pytest

from tasks.errors import ConfigError
from training.config import TrainingConfig
from training.distributed.launch import check_launch

FSDP = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}


def check(environment: dict[str, str], **settings: object) -> None:
    check_launch(TrainingConfig(demos=(), out=Path("x"), **settings), environment)


def test_what_the_trainer_does_is_taken_up() -> None:
    check({})
    check({"ACCELERATE_MIXED_PRECISION": "no"}, precision="bf16")
    check(
        {"ACCELERATE_MIXED_PRECISION": "bf16", "ACCELERATE_DYNAMO_BACKEND": "NO"} | FSDP,
        precision="bf16",
    )
    check(FSDP | {"FSDP_CPU_RAM_EFFICIENT_LOADING": "true", "FSDP_OFFLOAD_PARAMS": "false"})
    check(FSDP | {"FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP"})


@pytest.mark.parametrize(
    ("environment", "settings", "words"),
    [
        ({"ACCELERATE_USE_DEEPSPEED": "true"}, {}, "DeepSpeed.*does not clip.*--use_fsdp"),
        ({"ACCELERATE_USE_MEGATRON_LM": "true"}, {}, "Megatron"),
        ({"ACCELERATE_MIXED_PRECISION": "bf16"}, {}, "Fix: --precision bf16"),
        ({"ACCELERATE_DYNAMO_BACKEND": "INDUCTOR"}, {}, "--compile"),
        ({"ACCELERATE_USE_FSDP": "true"}, {}, "FSDP 1 is asked for.*--fsdp_version 2"),
        (FSDP | {"FSDP_OFFLOAD_PARAMS": "true"}, {}, "--fsdp_offload_params true"),
        (FSDP | {"FSDP_ACTIVATION_CHECKPOINTING": "true"}, {}, "--gradient-checkpointing"),
        (FSDP | {"FSDP_AUTO_WRAP_POLICY": "SIZE_BASED_WRAP"}, {}, "RDT's blocks"),
        (FSDP, {"precision": "fp16"}, "--precision bf16"),
        (FSDP, {"compile": True}, "drop --compile"),
    ],
)
def test_what_would_have_no_effect_is_refused(
    environment: dict[str, str], settings: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        check(environment, **settings)
