"""Commands in the style of thu-ml/RoboticsDiffusionTransformer: ``main.py`` and evaluations.

What a flag means is one line of a table; what the code does without a flag is ``_imply``. Read in
main.py, train/train.py, configs/base.yaml and finetune.sh of that repository.
"""

from pathlib import Path
from typing import Any, Literal

from training.audit.sources.cameras import camera_name
from training.audit.sources.command import Invocation
from training.audit.sources.launch import launch_facts
from training.audit.sources.reading import (
    Reading,
    Target,
    items,
    number,
    one,
    one_of,
    switch,
    whole,
)

_Precision = Literal["no", "bf16", "fp16"]


def _cameras(words: list[str]) -> tuple[str, ...]:
    return tuple(camera_name(name) for name in items(words))


TRAINING_FLAGS: dict[str, Target] = {
    "train_batch_size": Target("training.batch", whole),
    "gradient_accumulation_steps": Target("training.accumulation", whole),
    "max_train_steps": Target("training.updates", whole),
    "learning_rate": Target("training.learning_rate", number),
    "scale_lr": Target("training.scale_lr", switch),
    "lr_scheduler": Target("training.scheduler", one),
    "lr_warmup_steps": Target("training.warmup", number),
    "mixed_precision": Target("training.precision", one_of(_Precision)),
    "max_grad_norm": Target("training.clip", number),
    "image_aug": Target("training.augmentation", switch),
    "cond_mask_prob": Target("training.condition_mask", number),
    "state_noise_snr": Target("training.state_noise_db", number),
    "checkpointing_period": Target("training.save_every", whole),
    "checkpoints_total_limit": Target("training.keep", whole),
    "sample_period": Target("training.sample_every", whole),
    "dataloader_num_workers": Target("training.loader_workers", whole),
    "seed": Target("training.seeded", lambda words: bool(words)),
    "ctrl_freq": Target("trained.control_hz", number),
    "cameras": Target("trained.cameras", _cameras),
    "camera_names": Target("trained.cameras", _cameras),
    "num_cameras": Target("trained.camera_count", whole),
}
"""What flags of main.py and of its LIBERO forks say."""

_LOOKED_AT = frozenset(
    [
        "deepspeed",
        "pretrained_model_name_or_path",
        "pretrained_text_encoder_name_or_path",
        "pretrained_vision_encoder_name_or_path",
        "precomp_lang_embed",
        "resume_from_checkpoint",
    ]
)
_WITHOUT_RULES = frozenset(
    [
        "config_path",
        "output_dir",
        "load_from_hdf5",
        "sample_batch_size",
        "num_sample_batches",
        "num_train_epochs",
        "gradient_checkpointing",
        "cam_ext_mask_prob",
        "lr_num_cycles",
        "lr_power",
        "use_8bit_adam",
        "alpha",
        "adam_beta1",
        "adam_beta2",
        "adam_weight_decay",
        "adam_epsilon",
        "push_to_hub",
        "hub_token",
        "hub_model_id",
        "logging_dir",
        "allow_tf32",
        "report_to",
        "local_rank",
        "set_grads_to_none",
        "dataset_type",
    ]
)

EVALUATION_FLAGS: dict[str, Target] = {
    **dict.fromkeys(
        ("exec_horizon", "execution_horizon", "replan_steps", "num_open_loop_steps"),
        Target("evaluation.exec_horizons", lambda words: (whole(words),)),
    ),
    **dict.fromkeys(
        ("pred_horizon", "horizon", "chunk_size", "action_chunk_size"),
        Target("evaluated.horizon", whole),
    ),
    **dict.fromkeys(
        ("cameras", "camera_names", "camera_keys", "camera"),
        Target("evaluated.cameras", _cameras),
    ),
    "num_cameras": Target("evaluated.camera_count", whole),
    **dict.fromkeys(
        ("resolution", "camera_size", "render_size", "camera_height", "camera_heights"),
        Target("evaluated.render_size", whole),
    ),
    **dict.fromkeys(
        ("rotate_180", "rotate180"),
        Target("evaluated.orientation", lambda words: "rotate180" if switch(words) else "raw"),
    ),
    **dict.fromkeys(
        ("flip", "flip_images", "vflip", "flip_vertical"),
        Target("evaluated.orientation", lambda words: "flipped" if switch(words) else None),
    ),
    **dict.fromkeys(
        ("ctrl_freq", "control_freq", "control_frequency", "control_hz"),
        Target("evaluated.control_hz", number),
    ),
    **dict.fromkeys(
        ("history", "img_history_size", "obs_history"), Target("evaluated.history", whole)
    ),
    **dict.fromkeys(
        ("max_steps", "max_episode_steps", "step_limit"), Target("evaluation.max_steps", whole)
    ),
    **dict.fromkeys(
        ("suite", "benchmark", "task_suite", "task_suite_name", "dataset_name"),
        Target("evaluation.suite", one),
    ),
    **dict.fromkeys(
        ("episodes", "num_episodes", "num_trials", "num_traj", "num_trials_per_task"),
        Target("evaluation.episodes", whole),
    ),
    **dict.fromkeys(
        ("temporal_agg", "temporal_ensemble", "temporal_ensembling"),
        Target("evaluation.fusion", lambda words: "act" if switch(words) else "none"),
    ),
    **dict.fromkeys(("fps", "video_fps"), Target("evaluation.video_fps", number)),
    "use_ema": Target("evaluation.averaged", switch),
    **dict.fromkeys(
        ("pretrained", "pretrained_path", "checkpoint", "ckpt", "pretrained_checkpoint"),
        Target("evaluation.checkpoint", one),
    ),
}
"""What flags of evaluations say, under the names that LIBERO evaluations give them."""


def read_official(run: Invocation, reading: Reading) -> None:
    """Read a command that trains or evaluates with the official code or a fork of it."""
    table = TRAINING_FLAGS if run.kind == "train" else EVALUATION_FLAGS
    for name, words in run.flags.items():
        if name in table:
            put(reading, table[name], f"--{name}", words)
        elif run.kind == "train" and name not in _LOOKED_AT | _WITHOUT_RULES:
            reading.unknown.append(f"--{name}")
    if run.kind == "eval":
        checkpoint = reading.said["evaluation"].get("checkpoint")
        if checkpoint and "/ema" in f"/{checkpoint}":
            reading.say("evaluation", averaged=True)
        reading.checkpoint = checkpoint
        reading.imply("evaluated", horizon=64)
        return
    main = Path(run.program).name.startswith("main")
    official = main or len(run.flags.keys() & (TRAINING_FLAGS.keys() | _WITHOUT_RULES)) >= 4
    reading.say("training", code="official" if official else "other", **launch_facts(run))
    if official:
        _imply(run, reading)


def put(reading: Reading, target: Target, name: str, words: Any) -> None:
    """Note a setting; a value that cannot be read is noted as that."""
    try:
        target.put(reading, words)
    except (ValueError, TypeError):
        shown = " ".join(words) if isinstance(words, list) else words
        reading.notes.append(f"{reading.source}: the value of {name}, '{shown}', was not read.")


def _imply(run: Invocation, reading: Reading) -> None:
    """Note what the official code does where the command says nothing."""
    start = (run.flags.get("pretrained_model_name_or_path") or [""])[0]
    resumed = "resume_from_checkpoint" in run.flags
    facts = reading.said["training"]
    network = "rdt-170m" if "170m" in start.lower() else "rdt-1b"
    reading.imply(
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
        ema_dtype=_dtype(facts.get("precision")),
        weights=_weights(facts, start),
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
    reading.imply("trained", horizon=64, history=2, image_size=384)


def _missing(run: Invocation) -> tuple[str, ...]:
    """List flags without which main.py stops before the first update."""
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


def _weights(facts: dict[str, Any], start: str) -> str | None:
    """Say in which dtype the optimiser changes the trunk.

    ``from_pretrained`` builds it in bf16 whatever the precision; else it has that of the mixed
    precision. DeepSpeed keeps masters in fp32.
    """
    if "deepspeed" not in facts:
        return None
    if facts["deepspeed"]:
        return "float32"
    from_folder = bool(start) and not start.endswith((".pt", ".bin", ".safetensors"))
    return "bfloat16" if from_folder else _dtype(facts.get("precision"))
