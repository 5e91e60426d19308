"""Evaluations of others: of RDT's forks, openpi, OpenVLA and OpenVLA-OFT, LeRobot.

A flag is a line of a table. Known from examples/libero/main.py of openpi,
experiments/robot/libero/run_libero_eval.py of OpenVLA-OFT and ``lerobot-eval --help``.
"""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Literal

from training.audit.sources.command import Invocation
from training.audit.sources.extracted import ExtractedFacts
from training.audit.sources.values import (
    Setting,
    camera_names,
    count,
    counts,
    number,
    one,
    switch,
    whole,
)

_Evaluator = Literal["rdt", "openpi", "openvla", "lerobot"]

_DEFAULTS: Mapping[_Evaluator, Mapping[str, Any]] = {
    "rdt": {},
    "openpi": {"exec_horizons": (5,), "episodes": 50},
    "openvla": {"episodes": 50},
    "lerobot": {},
}
"""Defaults of the evaluators."""

_HORIZON = 64
"""Steps of a plan of RDT's published sizes."""

EVALUATION_FLAGS: dict[str, Setting] = {
    **dict.fromkeys(
        (
            *("exec_horizon", "execution_horizon", "replan_steps", "num_open_loop_steps"),
            *("n_action_steps", "policy.n_action_steps"),
        ),
        Setting("evaluation.exec_horizons", counts),
    ),
    **dict.fromkeys(
        ("pred_horizon", "horizon", "chunk_size", "action_chunk_size", "policy.chunk_size"),
        Setting("evaluated.horizon", count),
    ),
    **dict.fromkeys(
        ("cameras", "camera_names", "camera_keys", "camera"),
        Setting("evaluated.cameras", camera_names),
    ),
    **dict.fromkeys(
        ("num_cameras", "num_images_in_input"), Setting("evaluated.camera_count", whole)
    ),
    **dict.fromkeys(
        (
            *("resolution", "camera_size", "render_size", "camera_height", "camera_heights"),
            *("env_img_res", "env.observation_height"),
        ),
        Setting("evaluated.render_size", whole),
    ),
    **dict.fromkeys(
        ("rotate_180", "rotate180"),
        Setting("evaluated.orientation", lambda words: "rotate180" if switch(words) else "raw"),
    ),
    **dict.fromkeys(
        ("flip", "flip_images", "vflip", "flip_vertical"),
        Setting("evaluated.orientation", lambda words: "flipped" if switch(words) else None),
    ),
    **dict.fromkeys(
        ("ctrl_freq", "control_freq", "control_frequency", "control_hz"),
        Setting("evaluated.control_hz", number),
    ),
    **dict.fromkeys(
        ("history", "img_history_size", "obs_history"), Setting("evaluated.history", whole)
    ),
    **dict.fromkeys(
        ("max_steps", "max_episode_steps", "step_limit", "env.episode_length"),
        Setting("evaluation.max_steps", count),
    ),
    **dict.fromkeys(
        ("suite", "benchmark", "task_suite", "task_suite_name", "dataset_name", "env.task"),
        Setting("evaluation.suite", lambda words: one(words).partition(",")[0]),
    ),
    **dict.fromkeys(
        (
            *("episodes", "num_episodes", "num_trials", "num_traj", "num_trials_per_task"),
            *("eval.n_episodes",),
        ),
        Setting("evaluation.episodes", count),
    ),
    **dict.fromkeys(
        ("temporal_agg", "temporal_ensemble", "temporal_ensembling"),
        Setting("evaluation.fusion", lambda words: "act" if switch(words) else "none"),
    ),
    **dict.fromkeys(("fps", "video_fps"), Setting("evaluation.video_fps", number)),
    "use_ema": Setting("evaluation.averaged", switch),
    **dict.fromkeys(
        (
            *("pretrained", "pretrained_path", "checkpoint", "ckpt", "pretrained_checkpoint"),
            *("policy.path", "policy.pretrained_path"),
        ),
        Setting("evaluation.checkpoint", one),
    ),
}
"""The facts that flags of LIBERO evaluations set, by the flags' names."""


def read_foreign_evaluation(run: Invocation, extracted: ExtractedFacts) -> None:
    """Extract facts from a command that evaluates with the code of others."""
    for name, words in run.flags.items():
        if name in EVALUATION_FLAGS:
            extracted.set_from(EVALUATION_FLAGS[name], f"--{name}", words)
    checkpoint = extracted.stated["evaluation"].get("checkpoint")
    if checkpoint and "/ema" in f"/{checkpoint}":
        extracted.set("evaluation", averaged=True)
    extracted.checkpoint = checkpoint
    family = _evaluator(run)
    extracted.set("evaluation", evaluator=family)
    extracted.default("evaluation", **_DEFAULTS[family])
    if family == "rdt":
        extracted.default("evaluated", horizon=_HORIZON)


def _evaluator(run: Invocation) -> _Evaluator:
    """Return whose evaluation a command is."""
    name = PurePosixPath(run.program).name
    if "lerobot" in run.program or any(flag.startswith(("policy.", "env.")) for flag in run.flags):
        return "lerobot"
    if "examples/libero" in run.program or "replan_steps" in run.flags:
        return "openpi"
    if name == "run_libero_eval.py" or "num_open_loop_steps" in run.flags:
        return "openvla"
    return "rdt"
