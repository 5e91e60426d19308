"""Rules on commands, their launchers and promises; misconceptions about RDT's recipe.

A misconception is a claim that is often repeated, answered where an input touches it.
"""

from collections.abc import Callable

from training.audit.facts import Facts
from training.audit.rules.rule import Rule, Violation, rule

_LISTED_FLAGS = 4


@rule(
    "checkpoints/lost-flags",
    severity="critical",
    expected="one command, every line but the last ending in a backslash",
    why="A comment line, or a space after the backslash, ends a command; what follows is a "
    "command of its own that fails unnoticed.",
    source="bash",
    fix="move comments out of the command, and end lines with the backslash",
)
def lost_flags(facts: Facts) -> str | None:
    """Flags that a comment or a space has cut off."""
    lost = facts.lost_flags
    if not lost:
        return None
    more = f" and {len(lost) - _LISTED_FLAGS} more" if len(lost) > _LISTED_FLAGS else ""
    return f"flags that reach no command: {', '.join(lost[:_LISTED_FLAGS])}{more}"


@rule(
    "checkpoints/incomplete-command",
    severity="major",
    expected="a whole command, as in finetune.sh",
    why="As it stands main.py stops before the first update. If the command was abridged, "
    "audit the whole one: what is missing here may hide more.",
    source="main.py's defaults; train/train.py; torch's DataLoader",
    fix="add them, --dataloader_num_workers=8 among them",
)
def incomplete_command(facts: Facts) -> str | None:
    """Flags without which the official code stops."""
    missing = facts.training.missing_flags
    return f"missing: {'; '.join(missing)}" if facts.official and missing else None


@rule(
    "checkpoints/unknown-flags",
    severity="info",
    expected="flags that main.py or libero-bench has",
    why="They were not judged. The official main.py refuses flags it does not know; a fork "
    "may have them.",
    source="main.py; libero-bench train --help",
)
def unknown_flags(facts: Facts) -> str | None:
    """Flags that no rule looked at."""
    return ", ".join(facts.unknown_flags) or None


@rule("launch/devices")
def devices(facts: Facts) -> Violation | None:
    """More processes than devices that are shown, or two choices of devices."""
    training = facts.training
    visible = training.visible_devices
    if visible is None:
        return None
    variable = f"CUDA_VISIBLE_DEVICES={','.join(visible)}"
    if training.device_filter is not None:
        return Violation(
            f"{variable}, and {training.device_filter}",
            severity="minor",
            expected="one of the two",
            why="Under such an option the launcher deepspeed ignores CUDA_VISIBLE_DEVICES and "
            "numbers the machine's devices itself, so the variable does not say where this runs.",
            source="deepspeed/launcher/runner.py",
            fix="unset CUDA_VISIBLE_DEVICES, or drop the option",
        )
    if training.processes is None or training.processes <= len(visible):
        return None
    return Violation(
        f"{training.processes} processes, and {variable}",
        severity="major",
        expected="a device for each process",
        why="A process without a device of its own stops at once (invalid device ordinal), or "
        "shares one and runs out of memory.",
        source="torch.cuda.set_device; accelerate launch",
        fix=f"{len(visible)} processes, or show {training.processes} devices",
    )


@rule(
    "launch/unset-variables",
    severity="minor",
    why="Unless it is exported before the script runs, bash puts nothing in its place: a flag "
    "with an empty value, or none.",
    source="bash",
)
def unset_variables(facts: Facts) -> Violation | None:
    """Variables that a script uses and never sets."""
    names = facts.training.unset
    if not names:
        return None
    listed = ", ".join(f"${name}" for name in names)
    return Violation(
        f"{listed} in the command, which nothing in the script sets",
        expected="a value, or a default such as ${" + names[0] + ":-…}",
        fix=f"set {names[0]} in the script; `set -u` makes bash stop at such a name",
    )


@rule(
    "launch/promises",
    severity="minor",
    expected="the command does what its comments say",
    why="A comment is not read by anything: what runs is the command, and who reads the "
    "comment later compares the wrong thing.",
    source="the script",
)
def promises(facts: Facts) -> Violation | None:
    """A comment in the script that speaks of other numbers than its command."""
    training = facts.training
    differences = []
    promised = training.promised_accumulation
    readable = "training.accumulation" not in facts.unreadable
    if promised is not None and readable and (training.accumulation or 1) != promised:
        stated = "training.accumulation" in facts.stated
        has = str(training.accumulation) if stated else "none"
        differences.append(f"accumulation {promised}; the command has {has}")
    batch = facts.known_batch()
    if training.promised_batch is not None and batch not in (None, training.promised_batch):
        differences.append(f"{training.promised_batch} samples per update; the command has {batch}")
    if not differences:
        return None
    flag = "" if promised is None else f": --gradient_accumulation_steps={promised}"
    return Violation(
        f"a comment in the script says {'; and '.join(differences)}",
        fix=f"correct the comment, or give the flag{flag}",
    )


@rule(
    "data/loader-of-fork",
    severity="minor",
    expected="every demonstration of every file",
    why="The published loader opens `demo_0` of each file alone and drops demonstrations of "
    "fewer than 128 steps: of LIBERO's 50 demonstrations per task at most one is learnt.",
    source="RDT_libero_finetune, data/ (the HDF5 loader)",
    fix="go through all keys of the file's `data` group, lower the limit of 128, and print how "
    "many demonstrations remain",
)
def loader_of_fork(facts: Facts) -> str | None:
    """A loader that is known to read a part of the demonstrations."""
    if facts.training.fork != "RDT_libero_finetune":
        return None
    return "main_sft.py of RDT_libero_finetune, if its loader is as published"


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
