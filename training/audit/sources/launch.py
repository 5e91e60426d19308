"""What a launcher decides: processes, mixed precision, DeepSpeed."""

import json
import re
from pathlib import Path
from typing import Any

from training.audit.sources.command import Invocation
from training.audit.sources.reading import number, one, whole

_YAML = re.compile(
    r"^\s*(num_processes|mixed_precision|distributed_type|gradient_clipping|deepspeed_config_file)"
    r":\s*['\"]?([^\s'\"#]+)",
    re.MULTILINE,
)
"""Entries of the file that ``accelerate config`` writes; the last two stand in a block."""

_DEEPSPEED = ("use_deepspeed", "deepspeed_config_file")


def processes(run: Invocation) -> int | None:
    """Return how many processes a launcher starts; None where it does not say."""
    options = _options(run)
    try:
        if run.launcher == "accelerate":
            return whole(options["num_processes"]) if "num_processes" in options else None
        nodes = next((whole(options[n]) for n in ("nnodes", "num_nodes") if n in options), 1)
        for name in ("nproc_per_node", "num_gpus"):
            if name in options:
                return whole(options[name]) * nodes
        if "include" in options:
            hosts = one(options["include"]).split("@")
            return sum(len(host.partition(":")[2].split(",")) for host in hosts)
        return 1 if run.launcher == "python" else None
    except ValueError:
        return None


def launch_facts(run: Invocation) -> dict[str, Any]:
    """Give the facts on training that follow from how an official-style script is launched.

    DeepSpeed is on by main.py's flag or by accelerate; the launcher of that name alone does not
    turn it on. Where a configuration of accelerate cannot be read, it is not known.
    """
    options = _options(run)
    facts: dict[str, Any] = {"processes": processes(run)}
    if "mixed_precision" in options and "mixed_precision" not in run.flags:
        facts["precision"] = options["mixed_precision"][0]
    written = options.get("distributed_type", [""])[0].upper()
    if "deepspeed" in run.flags or written == "DEEPSPEED" or any(n in options for n in _DEEPSPEED):
        chosen = run.flags.get("deepspeed") or options.get("deepspeed_config_file") or [""]
        facts |= {"deepspeed": True, "deepspeed_clips": _clips(chosen[0])}
        if "gradient_clipping" in options and "deepspeed" not in run.flags:
            facts["deepspeed_clips"] = number(options["gradient_clipping"]) > 0
    elif "use_fsdp" not in options and (written or "config_file" not in options):
        facts["deepspeed"] = False
    return facts


def _options(run: Invocation) -> dict[str, list[str]]:
    """Give the launcher's options, those of accelerate's configuration file included."""
    named = run.launch.get("config_file") or [""]
    try:
        text = Path(named[0]).read_text(encoding="utf-8") if named[0] else ""
    except (OSError, UnicodeDecodeError):
        text = ""
    return {name: [value] for name, value in _YAML.findall(text)} | run.launch


def _clips(config: str) -> bool | None:
    """Say whether DeepSpeed's configuration clips gradients; None where that is not known."""
    if not config:
        return False
    path = Path(config)
    if path.is_file():
        try:
            return bool(json.loads(path.read_text(encoding="utf-8")).get("gradient_clipping"))
        except (OSError, ValueError, AttributeError):
            return None
    return False if path.name == "zero2.json" else None  # as the official repository has it
