"""What accelerate may be set to."""

from pathlib import Path

import pytest

from tasks.errors import ConfigError
from training.config import TrainingConfig
from training.launch import check_launch

FSDP = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}


def check(environment: dict[str, str], **settings: object) -> None:
    check_launch(TrainingConfig(demos=(), out=Path("x"), **settings), environment)


PRECISION, DYNAMO = "ACCELERATE_MIXED_PRECISION", "ACCELERATE_DYNAMO_BACKEND"


@pytest.mark.parametrize(
    ("name", "accepted", "refused", "environment"),
    [
        (PRECISION, "no", "fp16", {}),
        (PRECISION, "bf16", "fp16", {}),
        (DYNAMO, "NO", "INDUCTOR", {}),
        (PRECISION, "bf16", "fp16", FSDP),
        ("FSDP_VERSION", "2", "1", FSDP),
        ("FSDP_OFFLOAD_PARAMS", "false", "true", FSDP),
        ("FSDP_AUTO_WRAP_POLICY", "TRANSFORMER_BASED_WRAP", "SIZE_BASED_WRAP", FSDP),
    ],
)
def test_one_value_is_accepted_and_its_neighbour_refused(
    name: str, accepted: str, refused: str, environment: dict[str, str]
) -> None:
    check(environment | {name: accepted}, precision="bf16")
    with pytest.raises(ConfigError, match="Fix:"):
        check(environment | {name: refused}, precision="bf16")


@pytest.mark.parametrize("value", ["true", "false"])
def test_how_accelerate_loads_does_not_matter(value: str) -> None:
    with pytest.raises(ConfigError, match="FSDP 1"):
        check({"ACCELERATE_USE_FSDP": "true", "FSDP_CPU_RAM_EFFICIENT_LOADING": value})
    check(FSDP | {"FSDP_CPU_RAM_EFFICIENT_LOADING": value})


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
