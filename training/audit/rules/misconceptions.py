"""Claims about RDT's recipe that are often repeated, answered where an input touches them."""

from collections.abc import Callable

from training.audit.facts import Facts
from training.audit.rules.rule import Rule, rule


def _misconception(
    name: str, touched: Callable[[Facts], bool], *, claim: str, code: str, so: str, source: str
) -> Rule:
    """Make a rule that answers a claim.

    Args:
        name: The rule's name, without its theme.
        touched: Whether an input has to do with the claim.
        claim: What is often said.
        code: What the official code does.
        so: What follows.
        source: Where in the code.
    """
    texts = rule(f"folklore/{name}", severity="info", expected=code, why=so, source=source)
    return texts(lambda facts: f'Often said: "{claim}"' if touched(facts) else None)


def _warmup_is_set(facts: Facts) -> bool:
    stated = "training.warmup" in facts.stated
    return facts.official and (stated or facts.training.scheduler == "constant_with_warmup")


MISCONCEPTIONS = (
    _misconception(
        "batch-256",
        touched=lambda facts: facts.official and (facts.training.accumulation or 1) > 1,
        claim="RDT is fine-tuned with a total batch of 256, by accumulation 8-16",
        code="32 per GPU, accumulation 1; about 1536 on the authors' 48 GPUs",
        so="256 is what 8 GPUs have under finetune.sh, not a number of the paper. Accumulation 8 "
        "also makes each update take 8 times as long.",
        source="finetune.sh, main.py",
    ),
    _misconception(
        "warmup-5000",
        touched=_warmup_is_set,
        claim="constant_with_warmup over 5,000-10,000 steps",
        code="the scripts use `constant`, which has no warm-up",
        so="Raising lr_warmup_steps alone does nothing. Whether a warm-up helps on LIBERO is "
        "for a measurement to say.",
        source="finetune.sh, finetune_maniskill.sh; diffusers.optimization",
    ),
    _misconception(
        "adaptive-loss",
        touched=lambda facts: facts.official or facts.training.loss == "weighted",
        claim="RDT weights its loss by action statistics, std clipped to [0.01, 1]",
        code="plain mean squared error over all 64 x 128 numbers",
        so="Weighting is an idea to try (--loss), not a part of RDT that was forgotten.",
        source="models/rdt_runner.py",
    ),
    _misconception(
        "receding-horizon",
        touched=lambda facts: (
            facts.evaluation.exec_horizons is not None
            or facts.evaluation.fusion not in (None, "none")
        ),
        claim='RDT executes 8-16 steps per plan, which is "temporal ensembling"',
        code="64 of 64 on hardware, 16 in ManiSkill; no ensembling",
        so="Two things: exec_horizon is how many steps run before a new plan; ensembling averages "
        "plans that overlap. Both are switches of libero-bench eval.",
        source="scripts/agilex_inference.py, eval_sim/eval_rdt_maniskill.py",
    ),
    _misconception(
        "key-moments",
        touched=lambda facts: any(
            "key" in flag or "moment" in flag for flag in facts.unknown_flags
        ),
        claim="RDT samples key moments more often",
        code="uniform over steps after the still prefix; the tail repeats the last action",
        so="Sampling transitions more often is an idea to try, not the recipe.",
        source="data/hdf5_vla_dataset.py",
    ),
    _misconception(
        "crop-and-resize",
        touched=lambda facts: bool(facts.official and facts.training.augmentation),
        claim="--image_aug crops and resizes",
        code="colour jitter, blur and noise on half of the pictures; no crop, never a flip",
        so="Nothing moves in the picture, so the flag does not teach tolerance of small shifts.",
        source="train/dataset.py, train/image_corrupt.py",
    ),
    _misconception(
        "centimetres",
        touched=lambda facts: (
            facts.official and bool(facts.trained.delta_slots or facts.trained.rotation)
        ),
        claim="RDT's physical units are centimetres",
        code="metres and radians; the gripper in [0, 1]",
        so="Numbers 100 times too large or too small lie outside what the slots have held.",
        source="configs/state_vec.py and the data sets' preprocessing",
    ),
    _misconception(
        "deepspeed-is-optional",
        touched=lambda facts: facts.official and facts.training.deepspeed is not None,
        claim="without DeepSpeed nothing changes but memory",
        code="without it the trunk itself is bf16, gradients are clipped, and sampling on several "
        "GPUs fails",
        so="With it: fp32 masters, no clipping unless configured, sampling works.",
        source="train/train.py; accelerate",
    ),
)
"""Each checked against the official code."""
