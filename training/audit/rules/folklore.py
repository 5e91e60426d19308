"""Claims about RDT's recipe that are often repeated, answered where an input touches them."""

from collections.abc import Callable
from dataclasses import dataclass

from training.audit.facts import Facts
from training.audit.findings import Found, Rule


@dataclass(frozen=True, kw_only=True)
class Claim:
    """Something that is often said.

    Attributes:
        name: The rule's name, without its theme.
        touched: Whether an input has to do with it.
        said: The claim.
        code: What the official code does.
        so: What follows.
        source: Where in the code.
    """

    name: str
    touched: Callable[[Facts], bool]
    said: str
    code: str
    so: str
    source: str

    def answer(self, facts: Facts) -> Found | None:
        """Answer the claim, if the input touches it."""
        if not self.touched(facts):
            return None
        return Found(
            severity="info",
            found=f'Often said: "{self.said}"',
            expected=self.code,
            why=self.so,
            source=self.source,
        )


def _scheduled(facts: Facts) -> bool:
    asked = "training.warmup" in facts.said or facts.training.scheduler == "constant_with_warmup"
    return facts.official and asked


CLAIMS = (
    Claim(
        name="batch-256",
        touched=lambda facts: facts.official and (facts.training.accumulation or 1) > 1,
        said="RDT is fine-tuned with a total batch of 256, by accumulation 8-16",
        code="32 per GPU, accumulation 1; about 1536 on the authors' 48 GPUs",
        so="256 is what 8 GPUs have under finetune.sh, not a number of the paper. Accumulation 8 "
        "also makes each update take 8 times as long.",
        source="finetune.sh, main.py",
    ),
    Claim(
        name="warmup-5000",
        touched=_scheduled,
        said="constant_with_warmup over 5,000-10,000 steps",
        code="the scripts use `constant`, which has no warm-up",
        so="Raising lr_warmup_steps alone does nothing. Whether a warm-up helps on LIBERO is "
        "for a measurement to say.",
        source="finetune.sh, finetune_maniskill.sh; diffusers.optimization",
    ),
    Claim(
        name="adaptive-loss",
        touched=lambda facts: facts.official or facts.training.loss == "weighted",
        said="RDT weights its loss by action statistics, std clipped to [0.01, 1]",
        code="plain mean squared error over all 64 x 128 numbers",
        so="Weighting is an idea to try (--loss), not a part of RDT that was forgotten.",
        source="models/rdt_runner.py",
    ),
    Claim(
        name="receding-horizon",
        touched=lambda facts: (
            facts.evaluation.exec_horizons is not None
            or facts.evaluation.fusion not in (None, "none")
        ),
        said='RDT executes 8-16 steps per plan, which is "temporal ensembling"',
        code="64 of 64 on hardware, 16 in ManiSkill; no ensembling",
        so="Two things: exec_horizon is how many steps run before a new plan; ensembling averages "
        "plans that overlap. Both are switches of libero-bench eval.",
        source="scripts/agilex_inference.py, eval_sim/eval_rdt_maniskill.py",
    ),
    Claim(
        name="key-moments",
        touched=lambda facts: any("key" in flag or "moment" in flag for flag in facts.unknown),
        said="RDT samples key moments more often",
        code="uniform over steps after the still prefix; the tail repeats the last action",
        so="Sampling transitions more often is an idea to try, not the recipe.",
        source="data/hdf5_vla_dataset.py",
    ),
    Claim(
        name="crop-and-resize",
        touched=lambda facts: bool(facts.official and facts.training.augmentation),
        said="--image_aug crops and resizes",
        code="colour jitter, blur and noise on half of the pictures; no crop, never a flip",
        so="Nothing moves in the picture, so the flag does not teach tolerance of small shifts.",
        source="train/dataset.py, train/image_corrupt.py",
    ),
    Claim(
        name="centimetres",
        touched=lambda facts: (
            facts.official and bool(facts.trained.delta_slots or facts.trained.rotation)
        ),
        said="RDT's physical units are centimetres",
        code="metres and radians; the gripper in [0, 1]",
        so="Numbers 100 times too large or too small lie outside what the slots have held.",
        source="configs/state_vec.py and the data sets' preprocessing",
    ),
    Claim(
        name="deepspeed-is-optional",
        touched=lambda facts: facts.official and facts.training.deepspeed is not None,
        said="without DeepSpeed nothing changes but memory",
        code="without it the trunk itself is bf16, gradients are clipped, and sampling on several "
        "GPUs fails",
        so="With it: fp32 masters, no clipping unless configured, sampling works.",
        source="train/train.py; accelerate",
    ),
)
"""The claims, each checked against the official code."""

FOLKLORE = tuple(Rule(name=f"folklore/{claim.name}", check=claim.answer) for claim in CLAIMS)
"""The claims as rules."""
