"""Trainings in the style of thu-ml/RoboticsDiffusionTransformer: ``main.py`` and its forks.

A flag is a line of a table; the defaults of the code are in ``_set_defaults``. Known from main.py,
train/train.py, configs/base.yaml and finetune.sh of that repository.
"""

import re
from collections.abc import Set
from pathlib import Path
from typing import Any

from training.audit.sources.command import Invocation
from training.audit.sources.extracted import (
    ExtractedFacts,
    Setting,
    camera_names,
    count,
    is_unreadable,
    number,
    one,
    switch,
    whole,
)
from training.audit.sources.launcher import PRECISION, launch_facts

TRAINING_FLAGS: dict[str, Setting] = {
    "train_batch_size": Setting("training.batch", count),
    "gradient_accumulation_steps": Setting("training.accumulation", count),
    "max_train_steps": Setting("training.updates", count),
    "learning_rate": Setting("training.learning_rate", number),
    "scale_lr": Setting("training.scale_lr", switch),
    "lr_scheduler": Setting("training.scheduler", one),
    "lr_warmup_steps": Setting("training.warmup", number),
    "mixed_precision": PRECISION,
    "max_grad_norm": Setting("training.clip", number),
    "image_aug": Setting("training.augmentation", switch),
    "cond_mask_prob": Setting("training.condition_mask", number),
    "state_noise_snr": Setting("training.state_noise_db", number),
    "checkpointing_period": Setting("training.save_every", count),
    "checkpoints_total_limit": Setting("training.keep", whole),
    "sample_period": Setting("training.sample_every", whole),
    "dataloader_num_workers": Setting("training.loader_workers", whole),
    "seed": Setting("training.seeded", lambda words: bool(words)),
    "ctrl_freq": Setting("trained.control_hz", number),
    "cameras": Setting("trained.cameras", camera_names),
    "camera_names": Setting("trained.cameras", camera_names),
    "num_cameras": Setting("trained.camera_count", whole),
}
"""The facts that flags of main.py and of its LIBERO forks set, by the flags' names."""

_FORKS = {"main_sft.py": "RDT_libero_finetune"}
_WEIGHTS = re.compile(
    r"pretrain|checkpoint|ckpt|resume|restore|weights|backbone|base_model|init_from|load_from"
)
"""Names of flags of forks that may name weights to start from."""

_READ_ELSEWHERE = frozenset(
    (
        *("deepspeed", "pretrained_model_name_or_path"),
        *("pretrained_text_encoder_name_or_path",),
        *("pretrained_vision_encoder_name_or_path", "precomp_lang_embed"),
        *("resume_from_checkpoint", "use_lora", "use_peft"),
    )
)
_WITHOUT_RULES = frozenset(
    (
        *("config_path", "output_dir", "load_from_hdf5", "sample_batch_size"),
        *("num_sample_batches", "num_train_epochs", "gradient_checkpointing"),
        *("cam_ext_mask_prob", "lr_num_cycles", "lr_power", "use_8bit_adam", "alpha"),
        *("adam_beta1", "adam_beta2", "adam_weight_decay", "adam_epsilon"),
        *("push_to_hub", "hub_token", "hub_model_id", "logging_dir", "allow_tf32"),
        *("report_to", "local_rank", "set_grads_to_none", "dataset_type"),
        *("model_config_path", "CONFIG_NAME"),
    )
)

_MANY = 4
"""Flags of main.py with which a program of another name counts as a fork of it."""

_GENERAL = frozenset(
    ("output_dir", "seed", "report_to", "logging_dir", "config_path", "local_rank")
)
"""Flags that any training may have."""

MAIN_FLAGS = TRAINING_FLAGS.keys() | _READ_ELSEWHERE | _WITHOUT_RULES
"""Every flag of main.py, and those of its forks that are known."""


def read_official(run: Invocation, extracted: ExtractedFacts) -> None:
    """Extract facts from a command that trains with the official code or a fork of it."""
    for name, words in run.flags.items():
        if name in TRAINING_FLAGS:
            extracted.set_from(TRAINING_FLAGS[name], f"--{name}", words)
    _adapters(run, extracted)
    known: Set[str] = MAIN_FLAGS
    if extracted.stated["training"].get("adapters"):
        known = known | {name for name in run.flags if name.startswith("lora")}
    extracted.unknown_flags += [f"--{name}" for name in run.flags if name not in known]
    main = Path(run.program).name.startswith("main")
    specific = run.flags.keys() & MAIN_FLAGS - _GENERAL
    official = len(specific) >= (1 if main else _MANY)
    others = [name for name in run.flags if name not in known and _WEIGHTS.search(name)]
    start = next((words[0] for words in map(run.flags.get, others) if words and words[0]), None)
    extracted.set(
        "training",
        code="official" if official and start is None else "other",
        start=(run.flags.get("pretrained_model_name_or_path") or [""])[0] or start,
        fork=_FORKS.get(Path(run.program).name),
        unset=run.unset or None,
        **launch_facts(run, extracted),
    )
    if official and start is None:
        _set_defaults(run, extracted)


def _adapters(run: Invocation, extracted: ExtractedFacts) -> None:
    """Set low-rank adapters, as forks of the official code have them."""
    if not any(name in run.flags and _asked(run.flags[name]) for name in ("use_lora", "use_peft")):
        return
    extracted.set("training", adapters=True)
    for name in ("lora_rank", "lora_r", "peft_lora_r"):
        if name in run.flags:
            extracted.set_from(Setting("training.lora_rank", count), f"--{name}", run.flags[name])


def _asked(words: list[str]) -> bool:
    try:
        return switch(words)
    except ValueError:
        return False


def _set_defaults(run: Invocation, extracted: ExtractedFacts) -> None:
    """Set the defaults of the official code."""
    facts = extracted.stated["training"]
    start = facts.get("start", "")
    resumed = "resume_from_checkpoint" in run.flags
    unreadable = "training.precision" in extracted.unreadable
    network = "rdt-170m" if "170m" in start.lower() else "rdt-1b"
    extracted.default(
        "training",
        network=network,
        start=start or ("resumed" if resumed else ""),
        missing_flags=_missing(run),
        batch=4,
        accumulation=1,
        learning_rate=5e-6,
        scheduler="constant",
        warmup=500,
        clip=1.0,
        ema=True,
        ema_dtype=None if unreadable else _dtype(facts.get("precision")),
        weights=_weights(facts, start, unreadable=unreadable),
        loss="plain",
        augmentation=False,
        flips=False,
        shift=0.0,
        hue=0.03,
        condition_mask=0.1,
        save_every=500,
        sample_every=-1,
        seeded=False,
    )
    extracted.default("trained", horizon=64, history=2, image_size=384)


def _missing(run: Invocation) -> tuple[str, ...]:
    """Return the missing flags without which main.py stops before the first update."""
    missing = []
    if not run.flags.get("pretrained_vision_encoder_name_or_path"):
        missing.append("--pretrained_vision_encoder_name_or_path")
    text = run.flags.keys() & {"precomp_lang_embed", "pretrained_text_encoder_name_or_path"}
    if not text:
        missing.append("--pretrained_text_encoder_name_or_path or --precomp_lang_embed")
    if run.flags.get("dataloader_num_workers", ["0"]) in (["0"], []):
        missing.append("--dataloader_num_workers (persistent workers need 1 or more)")
    return tuple(missing)


def _dtype(precision: str | None) -> str:
    return {"bf16": "bfloat16", "fp16": "float16"}.get(precision or "no", "float32")


def _weights(facts: dict[str, Any], start: str, *, unreadable: bool) -> str | None:
    """Return the dtype in which the optimiser updates the trunk.

    ``from_pretrained`` builds it in bf16 whatever the precision; else it has that of the mixed
    precision. DeepSpeed keeps masters in fp32.
    """
    if "deepspeed" not in facts:
        return None
    if facts["deepspeed"]:
        return "float32"
    if is_unreadable(start):
        return None
    from_folder = bool(start) and not start.endswith((".pt", ".bin", ".safetensors"))
    if from_folder:
        return "bfloat16"
    return None if unreadable else _dtype(facts.get("precision"))
