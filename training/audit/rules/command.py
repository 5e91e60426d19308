"""Rules on commands and their launchers, and on whether a script does what it says."""

from training.audit.facts import Facts
from training.audit.rules.rule import Violation, rule

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
    shown = training.visible_devices
    if shown is None:
        return None
    variable = f"CUDA_VISIBLE_DEVICES={','.join(shown)}"
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
    if training.processes is None or training.processes <= len(shown):
        return None
    return Violation(
        f"{training.processes} processes, and {variable}",
        severity="major",
        expected="a device for each process",
        why="A process without a device of its own stops at once (invalid device ordinal), or "
        "shares one and runs out of memory.",
        source="torch.cuda.set_device; accelerate launch",
        fix=f"{len(shown)} processes, or show {training.processes} devices",
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
