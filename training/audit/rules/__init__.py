"""The rules, each a small function; a new one is a function and its line in ``RULES``."""

from training.audit.findings import Rule
from training.audit.rules import actions, checkpoints, data, evaluation, optimisation, pictures
from training.audit.rules.folklore import FOLKLORE

RULES: tuple[Rule, ...] = (
    Rule("checkpoints/lost-flags", checkpoints.lost_flags),
    Rule("pictures/cameras", pictures.cameras),
    Rule("pictures/orientation", pictures.orientation),
    Rule("actions/mask", actions.masks),
    Rule("actions/mapping", actions.same_mapping),
    Rule("actions/normalisation", actions.normalisation),
    Rule("actions/gripper", actions.gripper),
    Rule("evaluation/norm", evaluation.norm),
    Rule("pictures/flips", pictures.flips),
    Rule("optimisation/averaged-weights", optimisation.averaged_weights),
    Rule("optimisation/low-precision", optimisation.low_precision_weights),
    Rule("checkpoints/from-scratch", checkpoints.from_scratch),
    Rule("checkpoints/sampling-fails", checkpoints.sampling_fails),
    Rule("evaluation/language", evaluation.language),
    Rule("actions/delta-slots", actions.delta_slots),
    Rule("actions/loss-weights", actions.loss_weights),
    Rule("optimisation/learning-rate", optimisation.learning_rate),
    Rule("optimisation/effective-batch", optimisation.effective_batch),
    Rule("optimisation/ignored-warmup", optimisation.scheduler_ignores_warmup),
    Rule("optimisation/schedule-per-process", optimisation.schedule_per_process),
    Rule("evaluation/exec-horizon", evaluation.exec_horizon),
    Rule("data/updates-per-demo", data.updates_per_demo),
    Rule("evaluation/step-limit", evaluation.step_limit),
    Rule("pictures/resolution", pictures.resolution),
    Rule("pictures/history", pictures.history),
    Rule("pictures/missing-camera", pictures.missing_camera),
    Rule("pictures/strong-augmentation", pictures.augmentation_strong),
    Rule("data/condition-masking", data.condition_masking),
    Rule("actions/control-frequency", actions.control_frequency),
    Rule("checkpoints/incomplete-command", checkpoints.incomplete_command),
    Rule("checkpoints/rare", checkpoints.rare_checkpoints),
    Rule("pictures/no-augmentation", pictures.augmentation_off),
    Rule("optimisation/clipping", optimisation.clipping),
    Rule("optimisation/warmup-share", optimisation.warmup_share),
    Rule("checkpoints/unwatched", checkpoints.unwatched),
    Rule("checkpoints/limit-ignored", checkpoints.limit_ignored),
    Rule("evaluation/few-episodes", evaluation.few_episodes),
    Rule("data/state-noise", data.state_noise),
    Rule("actions/dataset-script", actions.not_in_the_command),
    Rule("data/short-episodes", data.short_episodes),
    Rule("evaluation/video-rate", evaluation.video_rate),
    Rule("checkpoints/seed", checkpoints.seed),
    Rule("checkpoints/unknown-flags", checkpoints.unknown_flags),
    *FOLKLORE,
)
"""All rules. Among findings of one severity, those come first whose rule stands first: what makes
success impossible before what makes it rarer, before what makes it hard to measure."""
