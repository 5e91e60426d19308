"""Settings of launchers: processes, devices, mixed precision, DeepSpeed."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from training.audit.sources.command import Invocation
from training.audit.sources.extracted import (
    ExtractedFacts,
    Setting,
    count,
    is_unreadable,
    number,
    one,
    one_of,
)

_YAML = re.compile(
    r"^\s*(num_processes|num_machines|mixed_precision|distributed_type|gradient_clipping|deepspeed_config_file)"
    r":\s*['\"]?([^\s'\"#]+)",
    re.MULTILINE,
)
"""Entries of the file that ``accelerate config`` writes; the last two stand in a block."""

PRECISION = Setting("training.precision", one_of(Literal["no", "bf16", "fp16"]))
"""Mixed precision, an option of the launcher or of the program."""

_COUNTS = ("num_processes", "nproc_per_node", "num_gpus", "include", "ntasks", "n", "np")
_SLOTS = re.compile(r"^\s*[^#\s]+\s+slots=(\d+)", re.MULTILINE)
_DEEPSPEED = ("use_deepspeed", "deepspeed_config_file")


def processes(run: Invocation) -> int | None:
    """Return the number of processes that a launcher starts; None if that is not known."""
    options = _options(run)
    try:
        if run.launcher == "accelerate":
            return count(options["num_processes"]) if "num_processes" in options else None
        if run.launcher == "srun":
            tasks = next((options[n] for n in ("ntasks", "n", "np") if n in options), None)
            return None if tasks is None else count(tasks)
        nodes = next((count(options[n]) for n in ("nnodes", "num_nodes") if n in options), 1)
        for name in ("nproc_per_node", "num_gpus"):
            if name in options:
                return count(options[name]) * nodes
        if "include" in options:
            hosts = one(options["include"]).split("@")
            return sum(len(host.partition(":")[2].split(",")) for host in hosts)
        if run.launch_open:
            return 1 if run.launcher == "python" else None
        if run.launcher == "deepspeed":
            if _on_several_machines(options) or "exclude" in options:
                return _slots(run)
            devices = visible_devices(run)
            return None if devices is None else len(devices) or None
        return {"python": 1, "torchrun": nodes}.get(run.launcher)
    except ValueError:
        return None


def visible_devices(run: Invocation) -> tuple[str, ...] | None:
    """Return a command's CUDA_VISIBLE_DEVICES; None if they are not known."""
    devices = run.exported.get("CUDA_VISIBLE_DEVICES")
    if devices is None or is_unreadable(devices):
        return None
    return tuple(device for device in devices.replace(" ", "").split(",") if device)


def launch_facts(run: Invocation, extracted: ExtractedFacts) -> dict[str, Any]:
    """Return the facts on training that follow from the launch of an official-style script.

    DeepSpeed is on by main.py's flag or by accelerate, not by the launcher of that name. It is not
    known if accelerate's configuration cannot be read. A precision that cannot be read is noted in
    ``extracted``.
    """
    options = _options(run)
    facts: dict[str, Any] = {"processes": processes(run), "device_filter": _device_filter(run)}
    if facts["processes"] is None and run.launch.keys() & _COUNTS:
        extracted.note_unreadable("training.processes", *_first(run.launch, _COUNTS))
    devices = visible_devices(run)
    if devices is not None and not _on_several_machines(options):
        facts["visible_devices"] = devices
    if "mixed_precision" in options and "mixed_precision" not in run.flags:
        extracted.set_from(PRECISION, "--mixed_precision", options["mixed_precision"])
    written = options.get("distributed_type", [""])[0].upper()
    if "deepspeed" in run.flags or written == "DEEPSPEED" or any(n in options for n in _DEEPSPEED):
        chosen = (run.flags.get("deepspeed") or options.get("deepspeed_config_file") or [""])[0]
        config = _config(run, chosen) if chosen else None
        facts |= {"deepspeed": True, "deepspeed_clips": _clips(chosen, config)}
        if "precision" not in extracted.stated["training"]:
            facts["precision"] = _precision(config)
        if "gradient_clipping" in options and "deepspeed" not in run.flags:
            facts["deepspeed_clips"] = number(options["gradient_clipping"]) > 0
    elif run.open or run.launch_open:
        pass  # the words that cannot be read may turn it on
    elif "use_fsdp" not in options and (written or "config_file" not in options):
        facts["deepspeed"] = False
    return facts


def _device_filter(run: Invocation) -> str | None:
    """Return the option by which the launcher deepspeed chooses devices, as it is written."""
    if run.launcher != "deepspeed":
        return None
    for name in ("include", "exclude", "num_gpus", "num_nodes"):
        if run.launch.get(name):
            return f"--{name}={run.launch[name][0]}"
    return None


def _on_several_machines(options: Mapping[str, list[str]]) -> bool:
    counts = [options[name] for name in ("nnodes", "num_nodes", "num_machines") if name in options]
    return "hostfile" in options or "H" in options or any(values != ["1"] for values in counts)


def _slots(run: Invocation) -> int | None:
    """Return the processes in a hostfile of deepspeed; None if it cannot be read."""
    hostfile = run.launch.get("hostfile") or run.launch.get("H")
    if not hostfile or "exclude" in run.launch:
        return None
    slots = [int(number) for number in _SLOTS.findall(read_text(run.path(hostfile[0])))]
    return sum(slots) or None


def read_text(path: Path) -> str:
    """Return the text of a file, empty where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


def _first(options: Mapping[str, list[str]], names: Iterable[str]) -> tuple[str, list[str]]:
    name = next(name for name in names if name in options)
    return f"--{name}", options[name]


def _options(run: Invocation) -> dict[str, list[str]]:
    """Return the launcher's options, with those of accelerate's configuration file."""
    config_file = run.launch.get("config_file") or [""]
    text = read_text(run.path(config_file[0])) if config_file[0] else ""
    return {name: [value] for name, value in _YAML.findall(text)} | run.launch


def _config(run: Invocation, name: str) -> dict[str, Any] | None:
    """Return DeepSpeed's configuration; None where it cannot be read."""
    try:
        config = json.loads(read_text(run.path(name)))
    except ValueError:
        return None
    return config if isinstance(config, dict) else None


def _clips(name: str, config: Mapping[str, Any] | None) -> bool | None:
    """Return whether DeepSpeed's configuration clips gradients; None if that is not known."""
    if not name:
        return False
    if config is not None:
        return bool(config.get("gradient_clipping"))
    return False if PurePosixPath(name).name == "zero2.json" else None  # the official one


def _precision(config: Mapping[str, Any] | None) -> str | None:
    """Return the precision that DeepSpeed's configuration itself sets."""
    for name in ("fp16", "bf16"):
        if isinstance(part := (config or {}).get(name), dict) and part.get("enabled") is True:
            return name
    return None
