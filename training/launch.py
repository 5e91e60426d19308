"""Starting accelerate with the setup of ``accelerate launch``, where the trainer supports it."""

import os
from collections.abc import Mapping
from datetime import timedelta

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import GradientAccumulationPlugin, InitProcessGroupKwargs

from tasks.errors import ConfigError
from tasks.native_libraries import load_triton_after_mesa
from training.config import TrainingConfig
from training.config_sections import OptimisationSettings

SHARDED = "accelerate launch --use_fsdp --fsdp_version 2 --num_processes N -m harness.cli train ..."
"""The command line under which weights, gradients, moments and averages are sharded."""

_SUPPORTED = ("NO", "MULTI_CPU", "MULTI_GPU", "FSDP")
"""Values of ``accelerate.DistributedType``."""

_TIMEOUT = timedelta(hours=6)
"""How long processes wait for the main one, which alone saves and samples; the launcher notices
a process that dies at once."""

_FSDP_ONLY = {
    "FSDP_OFFLOAD_PARAMS": ("false", "--fsdp_offload_params", "weights stay where they are used"),
    "FSDP_ACTIVATION_CHECKPOINTING": (
        "false",
        "--fsdp_activation_checkpointing",
        "--gradient-checkpointing of the training does that",
    ),
    "FSDP_AUTO_WRAP_POLICY": (
        "TRANSFORMER_BASED_WRAP",
        "--fsdp_auto_wrap_policy",
        "RDT's blocks are what is wrapped",
    ),
    "FSDP_TRANSFORMER_CLS_TO_WRAP": (
        "Block",
        "--fsdp_transformer_layer_cls_to_wrap",
        "RDT's blocks are what is wrapped",
    ),
}
"""By variable of accelerate: its only allowed value, its option, and the reason."""


def accumulation_steps(settings: OptimisationSettings, processes: int) -> int:
    """Return the number of forward passes per process and update.

    Args:
        settings: The batch sizes.
        processes: Number of processes.

    Raises:
        ConfigError: The effective batch is no multiple of the windows of one pass.
    """
    wanted, per_pass = settings.effective_batch_size, settings.batch_size * processes
    if wanted is None:
        return 1
    if wanted % per_pass:
        below = wanted // per_pass * per_pass
        allowed = " or ".join(str(size) for size in (below, below + per_pass) if size)
        raise ConfigError(
            f"--effective-batch-size {wanted} is no multiple of {per_pass} (--batch-size "
            f"{settings.batch_size} × {processes} processes). Allowed nearby: {allowed}. "
            "Fix: give one of these, or another --batch-size."
        )
    return wanted // per_pass


def fsdp_enabled(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether weights are sharded among processes."""
    return _on(environment, "ACCELERATE_USE_FSDP")


def check_launch(config: TrainingConfig, environment: Mapping[str, str] = os.environ) -> None:
    """Refuse options of accelerate that the trainer would not follow.

    Under DeepSpeed accelerate leaves clipping to DeepSpeed, which does not clip unless its own
    configuration says so.

    Raises:
        ConfigError: There is such an option.
    """
    for name, title in (("DEEPSPEED", "DeepSpeed"), ("MEGATRON_LM", "Megatron-LM")):
        if _on(environment, f"ACCELERATE_USE_{name}"):
            raise ConfigError(
                f"accelerate is set to {title}. It was never tried with this trainer, and under "
                "DeepSpeed accelerate does not clip gradients without a configuration of "
                "DeepSpeed's own. Allowed: one process, data parallel, FSDP 2, which shares out "
                f"the same state. Fix: {SHARDED}"
            )
    precision = environment.get("ACCELERATE_MIXED_PRECISION", "no").lower()
    if precision not in ("no", config.precision):
        raise ConfigError(
            f"accelerate is set to mixed precision {precision}, the training to --precision "
            f"{config.precision}, which counts. Fix: --precision {precision}, or drop accelerate's."
        )
    if environment.get("ACCELERATE_DYNAMO_BACKEND", "no").lower() != "no":
        raise ConfigError(
            "accelerate is set to compile the network (--dynamo_backend), which the training does "
            "itself. Fix: drop it; --compile compiles RDT."
        )
    if fsdp_enabled(environment):
        _check_fsdp(config, environment)


def open_accelerator(config: TrainingConfig) -> Accelerator:
    """Start accelerate with the setup of ``accelerate launch``.

    Raises:
        ConfigError: The trainer does not support the setup, or it does not suit the settings.
    """
    check_launch(config)
    load_triton_after_mesa()  # mesa may have been loaded since this package was imported
    processes, sharded = int(os.environ.get("WORLD_SIZE", "1")), fsdp_enabled()
    if sharded:
        # By default all processes but the first get empty encoders from transformers, which
        # accelerate fills with their shards. Frozen encoders are not sharded: they stay empty.
        os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "false"
    AcceleratorState._reset_state()  # or a second run in a process keeps the first one's precision
    accelerator = Accelerator(
        mixed_precision=config.precision,
        # By default accelerate takes processes without a GPU for separate runs.
        cpu=processes > 1 and not torch.cuda.is_available(),
        # Given before accelerate starts, as its wrappers need the accumulation from the beginning.
        # Sharded gradients are reduced after every pass; otherwise whole ones would be kept.
        gradient_accumulation_plugin=GradientAccumulationPlugin(
            num_steps=accumulation_steps(config, processes), sync_each_batch=sharded
        ),
        kwargs_handlers=[InitProcessGroupKwargs(timeout=_TIMEOUT)],
    )
    kind = accelerator.distributed_type.value
    if kind not in _SUPPORTED or accelerator.parallelism_config is not None:
        raise ConfigError(
            f"accelerate is set to {kind}"
            f"{' with a parallelism config' if accelerator.parallelism_config else ''}. Allowed: "
            "one process, data parallel on CPUs or GPUs (MULTI_CPU, MULTI_GPU), or FSDP 2. Fix: "
            "accelerate launch --multi_gpu --num_processes N -m harness.cli train ..., or "
            f"{SHARDED}"
        )
    if accelerator.num_processes != processes or (sharded and kind == "NO"):
        raise ConfigError(
            f"{processes} processes were launched and {accelerator.num_processes} train together"
            f"{', which cannot share weights out' if sharded else ''}. Fix: start them with "
            "accelerate launch --multi_gpu or --use_fsdp, or one without it."
        )
    return accelerator


def _check_fsdp(config: TrainingConfig, environment: Mapping[str, str]) -> None:
    version = environment.get("FSDP_VERSION", "1")
    if version != "2":
        raise ConfigError(f"FSDP {version} is asked for. Allowed: 2. Fix: {SHARDED}")
    for name, (allowed, option, why) in _FSDP_ONLY.items():
        value = environment.get(name, allowed)
        if value.lower() != allowed.lower():
            raise ConfigError(
                f"{option} {value} would have no effect: {why}. Fix: drop it from accelerate's "
                "options."
            )
    if config.precision == "fp16":
        raise ConfigError(
            "--precision fp16 under FSDP, whose scaled gradients were never tried in pieces. "
            "Allowed: no, bf16. Fix: --precision bf16."
        )
    if config.compile:
        raise ConfigError(
            "--compile under FSDP, which puts blocks together and apart between their calls. "
            "Fix: drop --compile."
        )


def _on(environment: Mapping[str, str], name: str) -> bool:
    return environment.get(name, "false").lower() in ("1", "true", "yes")
