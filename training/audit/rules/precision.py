"""Rules on the precision of weights, of their averages and of computation."""

from training.audit.facts import Facts, MissingFact
from training.audit.rules.rule import Violation, rule


@rule(
    "optimisation/low-precision",
    "training.weights",
    severity="critical",
    expected="fp32 master weights under bf16",
    source="RDTRunner.from_pretrained and dtype in train/train.py; toy run measured",
    fix='--deepspeed="./configs/zero2.json" (unless `accelerate config` already turns '
    "DeepSpeed on), or `libero-bench train`, which keeps fp32 weights",
)
def low_precision(facts: Facts, dtype: str) -> Violation | None:
    """Weights without fp32 masters."""
    if dtype == "float32":
        return None
    if dtype == "float16":
        effect = (
            "With mixed precision fp16 the trunk is float16, whose gradients accelerate refuses."
        )
    else:
        effect = (
            "Updates smaller than half a step of bfloat16 (0.2-0.4 % of a weight) are rounded "
            "away: in a toy AdamW run at 1e-4 the weights moved 52 % as far as in fp32."
        )
    return Violation(
        f"no --deepspeed: RDT's trunk itself is trained in {dtype}",
        why=f"{effect} Only DeepSpeed keeps fp32 masters in the official code.",
    )


@rule(
    "optimisation/averaged-weights",
    expected="EMA in fp32, or the raw weights",
    why="At decays near 0.9999 most of an average's steps are rounded away: over 20,000 "
    "simulated updates a bf16 average followed 22 % of a drift that fp32 followed to 92 %. "
    "Its policy is nearer to the weights before fine-tuning.",
    source="train/train.py (ema_rdt.to(weight_dtype)); configs/base.yaml says EMA is not used; "
    "simulation measured",
)
def averaged_weights(facts: Facts) -> Violation | None:
    """Averaged weights kept in bf16, and whether they are evaluated."""
    evaluated = bool(facts.evaluation.averaged)
    if not facts.trains and not evaluated:
        raise MissingFact("the training")
    dtype = facts.training.ema_dtype
    if dtype is None and facts.official and evaluated:
        dtype = "bfloat16" if facts.stored_dtype in (None, "bfloat16") else None
    if dtype in (None, "float32") or facts.training.ema is False:
        return None
    return Violation(
        f"averaged weights (EMA) in {dtype}" + (", and they are evaluated" * evaluated),
        severity="critical" if evaluated else "info",
        fix="evaluate checkpoint-N itself, not checkpoint-N/ema" if evaluated else "",
    )


@rule(
    "optimisation/half-precision",
    "training.precision",
    severity="major",
    expected="bf16",
    why="fp16 ends at 65,504, and RDT's activations and gradients go beyond: DeepSpeed halves "
    "its loss scale until it has reached the minimum, skips updates and stops.",
    source="issue 43 of thu-ml/RoboticsDiffusionTransformer; finetune.sh: bf16",
    fix="--mixed_precision=bf16 (Ampere or newer); on older GPUs --mixed_precision=no",
)
def half_precision(facts: Facts, precision: str) -> str | None:
    """Mixed precision fp16 under DeepSpeed, whose range RDT leaves.

    Our trainer scales its loss, and without DeepSpeed ``low_precision`` fires.
    """
    if precision != "fp16" or not facts.official or not facts.training.deepspeed:
        return None
    return "mixed precision fp16 with DeepSpeed"
