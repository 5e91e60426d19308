"""Rules on batch, learning rate and its schedule, clipping and adapters."""

from training.audit.facts import Facts, MissingFact
from training.audit.rules.rule import Violation, rule

WANTED_BATCH = 256
"""Samples per update for the published sizes: what 8 GPUs have under the official finetune.sh."""

SMALL_BATCH = 16
"""The least with which rdt-small has learnt its task here."""

_TRIED_RANK = 32


@rule("optimisation/effective-batch", "training.network")
def effective_batch(facts: Facts, network: str) -> Violation | None:
    """Too few samples per update."""
    training, batch = facts.training, facts.batch()
    if batch >= (SMALL_BATCH if facts.small else WANTED_BATCH):
        return None
    if facts.small:
        return Violation(
            f"{batch} samples per update",
            severity="minor",
            expected=f"{SMALL_BATCH} to 32",
            why="rdt-small has learnt with 16 (one demo) and 32; less has not been tried.",
            source="measured: 12 demos, batch 32, 28 minutes: 6/10 unseen states",
            fix=f"--batch-size {2 * SMALL_BATCH}",
        )
    accumulation = facts.accumulation()
    steps = -(-WANTED_BATCH // (batch // accumulation))
    product = f" ({training.batch} per GPU x {training.processes} x accumulation {accumulation})"
    return Violation(
        f"{batch} samples per update" + product * (training.effective_batch is None),
        severity="major" if batch <= WANTED_BATCH // 4 else "minor",
        expected=f"about {WANTED_BATCH}; official scripts: 32 or 24 per GPU, accumulation 1",
        why="At the same learning rate a smaller batch makes noisier updates. No law: the official "
        "README advises a larger batch where the sampled error oscillates.",
        source="finetune.sh, finetune_maniskill.sh, README; RDT_libero_finetune: 8 x 48",
        fix=f"--gradient_accumulation_steps={steps}, or 32 per GPU"
        if facts.official
        else f"--effective-batch-size {WANTED_BATCH}, or that many processes",
    )


@rule("optimisation/clipping", severity="minor")
def clipping(facts: Facts) -> Violation | None:
    """A gradient norm that is asked for and not kept."""
    training = facts.training
    if training.deepspeed and training.deepspeed_clips is False and training.clip:
        return Violation(
            f"max_grad_norm {training.clip:g} under DeepSpeed without gradient_clipping",
            expected='"gradient_clipping": 1.0 in the DeepSpeed configuration',
            why="Under DeepSpeed accelerate's clip call does nothing, and zero2.json has no such "
            "key: the official recipe never clips. One bad batch moves the weights as far as its "
            "gradient says, as far as Adam lets it.",
            source="accelerate.Accelerator.clip_grad_norm_; configs/zero2.json",
            fix='add "gradient_clipping": 1.0 to the file given to --deepspeed',
        )
    if facts.need("training.clip") != 0:
        return None
    return Violation(
        "no gradient clipping",
        expected="1.0",
        why="One bad batch can undo many good ones.",
        source="main.py's default",
        fix="--clip 1.0" if facts.ours else "--max_grad_norm=1.0",
    )


@rule(
    "optimisation/low-rank",
    expected="all weights of RDT trained",
    source="RDT_libero_finetune, the only published set of RDT on LIBERO (n = 50 per suite)",
)
def low_rank(facts: Facts) -> Violation | None:
    """Adapters where all weights could be trained."""
    rank = facts.training.lora_rank
    if not (rank or facts.training.adapters) or facts.small:
        return None
    published = rank is None or rank <= _TRIED_RANK
    of_rank = "" if rank is None else f" of rank {rank}"
    return Violation(
        f"adapters{of_rank} instead of RDT's own weights",
        severity="major" if published else "minor",
        why="With LoRA of ranks 8 to 32 RDT-1B's success on LIBERO saturated near 20 %, where all "
        "weights trained reached 75 %."
        + ("" if published else " Of higher ranks nothing is published."),
        fix=f"drop {'--lora-rank' if facts.ours else '--use_lora'} if the memory "
        "allows; if not, judge by success in simulation",
    )


_HIGH_SMALL, _HIGH = 5e-3, 3e-4
_DECAYING = ("cosine", "linear", "polynomial", "cosine_with_restarts")
_OFTEN_TOO_SHORT = 0.5
_LONG_WARMUP = 0.2
_LEAST_WARMUP = 10


@rule("optimisation/learning-rate", "training.learning_rate", "training.network")
def learning_rate(facts: Facts, rate: float, network: str) -> Violation | None:
    """A peak that is too high, or main.py's tiny default."""
    scaled = rate * facts.batch() if facts.training.scale_lr else rate
    if scaled > (_HIGH_SMALL if facts.small else _HIGH):
        scaling = ""
        if facts.training.scale_lr:
            scaling = f" x batch {facts.batch()} = {scaled:g} (--scale_lr)"
        return Violation(
            f"learning rate {rate:g}{scaling}",
            severity="major",
            expected="1e-4 for the published sizes; 1e-3 for a fresh rdt-small",
            why="Pretrained weights are washed out by steps this large, without warm-up at once.",
            source="finetune.sh: 1e-4; scale_lr in train/train.py multiplies by the total batch",
            fix="--learning_rate=1e-4 without --scale_lr"
            if facts.official
            else "--learning-rate 1e-4",
        )
    if facts.official and "training.learning_rate" not in facts.stated:
        return Violation(
            f"no learning rate given: main.py's default, {rate:g}",
            severity="minor",
            expected="1e-4",
            why="The scripts train at 20 times main.py's default.",
            source="main.py; finetune.sh",
            fix="--learning_rate=1e-4",
        )
    return None


@rule(
    "optimisation/ignored-warmup",
    "training.scheduler",
    severity="major",
    expected="constant_with_warmup, or no warm-up asked for",
    why="get_scheduler gives `constant` no warm-up; the argument is dropped without a word. "
    "The learning rate is at its peak from the first update, and a larger number changes "
    "nothing. (The official scripts train so, knowingly or not.)",
    source="diffusers.optimization.get_scheduler, run; finetune.sh",
)
def ignored_warmup(facts: Facts, scheduler: str) -> Violation | None:
    """A warm-up that was asked for under a scheduler without one."""
    asked = facts.training.warmup or 0
    # Our own `constant` follows a warm-up.
    if facts.ours or scheduler != "constant" or not asked or "training.warmup" not in facts.stated:
        return None
    steps = round(asked * (facts.training.processes or 1) / facts.accumulation())
    rescaled = f" (for {asked:g} updates here: accelerate counts per process)"
    return Violation(
        f"lr_warmup_steps={asked:g} with lr_scheduler=constant: there is no warm-up at all",
        fix=f"--lr_scheduler=constant_with_warmup --lr_warmup_steps={steps}"
        + rescaled * (steps != asked),
    )


@rule(
    "optimisation/schedule-per-process",
    "training.scheduler",
    expected="a schedule counted in optimiser updates",
    why="train.py multiplies the steps by the accumulation, and accelerate's prepared "
    "scheduler advances once per process and update: everything lasts accumulation / "
    "processes times what was asked.",
    source="train/train.py; accelerate.scheduler.AcceleratedScheduler.step, run",
)
def schedule_per_process(facts: Facts, scheduler: str) -> Violation | None:
    """A schedule that accelerate advances once per process."""
    if not facts.official or scheduler == "constant":
        return None
    processes = facts.need("training.processes")
    pace = processes / facts.accumulation()
    if pace == 1:
        return None
    decays = scheduler in _DECAYING
    if "training.warmup" in facts.unreadable and not decays:
        raise MissingFact("the warm-up")
    asked, updates = facts.training.warmup or 0, facts.training.updates
    lasts = asked / pace
    detail = f"{scheduler} on {processes} processes: {asked:g} warm-up steps last {lasts:g} updates"
    early = decays and pace > 1
    if early and updates:
        after = "and then rises again" if scheduler.startswith("cosine") else "and stays there"
        detail += f"; the rate reaches 0 at update {updates / pace:,.0f} {after}"
    short = lasts < _OFTEN_TOO_SHORT * asked
    return Violation(
        detail,
        severity="critical" if early else "major" if short else "minor",
        fix=f"--lr_warmup_steps={asked * pace:.0f} for {asked:g} updates"
        + ("; constant_with_warmup instead of a decay, which cannot be set right" if early else ""),
    )


@rule(
    "optimisation/warmup-share",
    "training.updates",
    "training.scheduler",
    severity="minor",
    source="finetune.sh; measured here: 100 of 1,100-1,900 updates",
)
def warmup_share(facts: Facts, updates: int, scheduler: str) -> Violation | None:
    """A warm-up that takes too much of the training, or next to none of it."""
    if ignored_warmup.check(facts) is not None:
        return None
    lasts = _warmup_updates(facts, updates, scheduler)
    fix = "--lr_scheduler=constant_with_warmup --lr_warmup_steps=N"
    if facts.ours:
        fix = f"--warmup {max(updates // 20, _LEAST_WARMUP)}"
    if lasts / updates > _LONG_WARMUP:
        return Violation(
            f"warm-up over {lasts:,.0f} of {updates:,} updates",
            expected="1 to 10 %",
            why="Much of the training runs below its learning rate.",
            fix=fix,
        )
    if lasts < _LEAST_WARMUP:
        return Violation(
            f"warm-up of {lasts:g} updates, then {scheduler}",
            expected="some hundred updates, 1 to 10 %",
            why="Adam's first steps, taken before its averages settle, are as large as its "
            "learning rate allows. The official recipe does without as well, so this alone fails "
            "nothing.",
            fix=fix,
        )
    return None


def _warmup_updates(facts: Facts, updates: int, scheduler: str) -> float:
    constant = scheduler == "constant"
    asked = (facts.training.warmup if constant else facts.need("training.warmup")) or 0
    if facts.ours:
        return float(asked if asked >= 1 else asked * updates)
    if constant:
        return 0
    processes = facts.need("training.processes")
    return float(asked * facts.accumulation() / (processes if facts.official else 1))
