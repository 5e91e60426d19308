"""Rules on where weights come from, which are kept, and how training is monitored."""

from training.audit.facts import Facts
from training.audit.rules.rule import Violation, rule

_FEW, _HARDLY_ANY = 20, 4
_CHECKPOINT_GB, _MUCH_TB = 20, 0.5
"""1.23 billion weights at 2 + 2 + 12 bytes; and how much is worth saying."""


@rule(
    "checkpoints/from-scratch",
    "training.start",
    expected="the published weights",
    why="1.2 billion random weights do not learn a task from some dozens of demonstrations.",
    source="train/train.py: without the flag the model is built from configs/base.yaml",
)
def from_scratch(facts: Facts, start: str) -> Violation | None:
    """No pretrained weights for a large network."""
    if start or facts.small:
        return None
    incomplete = bool(facts.training.missing_flags)
    network = facts.training.network or "the network"
    return Violation(
        f"no pretrained weights: {network} starts from random ones"
        + (" (unless the command was abridged)" if incomplete else ""),
        severity="major" if incomplete else "critical",
        fix="--pretrained_model_name_or_path=robotics-diffusion-transformer/rdt-1b"
        if facts.official
        else "--checkpoint FOLDER, or --preset rdt-small",
    )


@rule(
    "checkpoints/sampling-fails",
    severity="critical",
    expected="DeepSpeed, or one process, or no sampling",
    source="train/sample.py under torch's DDP, run",
    fix='--deepspeed="./configs/zero2.json"',
)
def sampling_fails(facts: Facts) -> Violation | None:
    """Sampling during training where the official code cannot."""
    period = facts.training.sample_every or 0
    if not facts.official or period <= 0 or facts.training.deepspeed is not False:
        return None
    processes = facts.need("training.processes")
    if processes < 2:
        return None
    return Violation(
        f"sample_period {period} on {processes} processes without DeepSpeed",
        why="Sampling calls rdt.predict_action, which DistributedDataParallel does not forward: "
        f"training ends with an AttributeError at update {period}.",
    )


@rule(
    "checkpoints/rare",
    "training.updates",
    "training.save_every",
    source="rdt-small, measured here; finetune.sh saves every 1,000 of 200,000",
)
def rare(facts: Facts, updates: int, every: int) -> Violation | None:
    """Few checkpoints to choose from."""
    if facts.training.judge_every:
        return _rarely_evaluated(updates, facts.training.judge_every)
    if facts.ours and "training.keep" not in facts.stated:
        return None  # these are states to resume from, of which one is kept
    count = updates // every
    if count >= _FEW:
        return None
    period = max(updates // 50, 1)
    return Violation(
        f"a checkpoint every {every:,} of {updates:,} updates: {count} to choose from",
        severity="major" if count < _HARDLY_ANY else "minor",
        expected=f"{_FEW} or more, and the choice made by success in simulation",
        why="Success goes up and down between checkpoints, and on few demonstrations the best is "
        "often not the last. The action error does not rank them: .0042 gave 1/3, .0082 gave 3/3.",
        fix=f"--save-every {period}, or --eval-every {max(updates // 20, 1)}"
        if facts.ours
        else f"--checkpointing_period={period}",
    )


def _rarely_evaluated(updates: int, every: int) -> Violation | None:
    """Few evaluations for success to choose from; each keeps its checkpoint if it is the best."""
    count = updates // every + bool(updates % every)
    if count >= _HARDLY_ANY:
        return None
    return Violation(
        f"a policy judged every {every:,} of {updates:,} updates: {count} to choose from",
        severity="minor",
        expected=f"{_HARDLY_ANY} or more",
        why="Success goes up and down between checkpoints, and on few demonstrations the best is "
        "often not the last.",
        source="rdt-small, measured here",
        fix=f"--eval-every {max(updates // (2 * _HARDLY_ANY), 1)}",
    )


@rule("checkpoints/limit-ignored", severity="minor")
def limit_ignored(facts: Facts) -> Violation | None:
    """A number of checkpoints to keep that is not kept to, or that keeps only late ones."""
    training = facts.training
    keep, saved = training.keep, None
    if keep is None:
        return None
    if training.updates and training.save_every:
        saved = training.updates // training.save_every
    if facts.official:
        if saved is not None and saved <= keep:
            return None
        return Violation(
            f"checkpoints_total_limit={keep}: it has no effect"
            + ("" if saved is None else f", all {saved} stay"),
            expected="room on the disk for all of them",
            why="accelerate removes old checkpoints only under automatic_checkpoint_naming, which "
            "train.py does not set. Each holds the weights twice, the averaged ones and the "
            "optimiser; a full disk ends the training.",
            source="accelerate.Accelerator.save_state; train/train.py",
            fix="watch the disk, and remove old ones yourself (early ones may be the best)",
        )
    if saved is None or keep * 2 >= saved or training.judge_every:
        return None
    first = (training.updates or 0) - keep * (training.save_every or 0)
    return Violation(
        f"{keep} of {saved} checkpoints kept: none before update {first:,}",
        expected="at least half of them",
        why="With few demonstrations the best checkpoint is often an early one.",
        source="rdt-small, measured here: success does not follow the loss",
        fix="keep more, or save less often",
    )


@rule(
    "checkpoints/disk",
    severity="info",
    expected="room for all of them",
    why="Each holds 1.2 billion weights and their averages in bf16, and the optimiser's three "
    "fp32 numbers for each. Nothing removes old ones.",
    source="arithmetic; accelerate.Accelerator.save_state; train/train.py",
)
def disk(facts: Facts) -> str | None:
    """Checkpoints of a published size that take more room than many disks have."""
    if not facts.official or facts.training.network != "rdt-1b" or facts.training.adapters:
        return None
    updates, every = facts.need("training.updates"), facts.need("training.save_every")
    count = updates // every
    terabytes = count * _CHECKPOINT_GB / 1000
    if terabytes < _MUCH_TB:
        return None
    return f"{count} checkpoints of about {_CHECKPOINT_GB} GB: {terabytes:.1f} TB"


@rule(
    "checkpoints/unwatched",
    severity="minor",
    expected="every 500 updates",
    why="The loss is over single noise levels and says little of a plan. "
    "overall_avg_sample_mse is what the README says to watch.",
    source="README and finetune.sh",
)
def unmonitored(facts: Facts) -> Violation | None:
    """No measurement of the sampled error, nor of success."""
    training = facts.training
    if training.judge_every or (facts.ours and training.sample_every is None):
        return None
    if facts.need("training.sample_every") > 0:
        return None
    fix = "--sample-period 500 --held-out 1"
    if facts.official:
        fix = "--sample_period=500"
        fix += " (with DeepSpeed: plain DDP cannot)" * (training.deepspeed is False)
    return Violation("the sampled action error is never measured (sample_period)", fix=fix)


@rule(
    "checkpoints/seed",
    "training.seeded",
    severity="info",
    expected="a seed, and three of them before two recipes are compared",
    why="Without one a training cannot be repeated; with one alone a difference between "
    "recipes may be luck.",
    source="arXiv 2409.09491",
    fix="--seed=0",
)
def seed(facts: Facts, seeded: bool) -> str | None:
    """Training that cannot be repeated."""
    return None if seeded else "no seed"
