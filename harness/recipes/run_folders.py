"""Run folders of a recipe: named as a sweep names them, or as older versions did."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.evaluation.config import EvaluationConfig, run_name
from results.folder import RUN_FILE, read_info
from tasks.errors import ConfigError


def with_run_folders(rows: Sequence[tuple[EvaluationConfig, str]]) -> list[EvaluationConfig]:
    """Give each evaluation its run folder.

    It is ``OUT/LABEL``, or ``OUT/LABEL/h16-act`` where a label stands for several rows. A run that
    is there under another name keeps it: that of an older version, such as ``OUT/LABEL-h16-act``,
    or that of before a row was added or dropped.

    Args:
        rows: The evaluations, all with the label's folder, ``OUT/LABEL``, as ``out``, and the name
            of each within it.

    Raises:
        ConfigError: Two of them have the same label and name.
    """
    for (folder, name), count in Counter((config.out, name) for config, name in rows).items():
        if count > 1:
            raise ConfigError(
                f"{count} entries have the same label, horizon and fusion, delay, chunking and "
                f"perturbation, and would share '{folder / name}'. Fix: give each another label."
            )
    counts = Counter(config.out for config, _ in rows)
    return [
        replace(
            config, out=_run_folder(config, name, alone=counts[config.out] == 1, labels=set(counts))
        )
        for config, name in rows
    ]


def _run_folder(config: EvaluationConfig, name: str, *, alone: bool, labels: set[Path]) -> Path:
    """Return where the run is or, if it is not begun, where it is to be."""
    folder, older = config.out, _older_folder(config, name)
    below = folder / name
    begun = [path for path in (below, older) if _is_run(path) and path not in labels - {folder}]
    if begun:
        return begun[0]
    if _is_run(folder):  # no run may lie within it
        return folder if _holds(folder, config) else older
    return folder if alone and not list(folder.glob(f"*/{RUN_FILE}")) else below


def _older_folder(config: EvaluationConfig, name: str) -> Path:
    usual = run_name(config.exec_horizon, config.fusion)
    parts = [config.out.name, "" if config.exec_horizon is None else f"h{config.exec_horizon}"]
    parts.append("" if config.fusion.name == "none" else config.fusion.folder_name)
    parts.append(name.removeprefix(usual).removeprefix("-"))
    return config.out.with_name("-".join(filter(None, parts)))


def _is_run(folder: Path) -> bool:
    return (folder / RUN_FILE).is_file()


def _holds(folder: Path, config: EvaluationConfig) -> bool:
    """Whether a run is of the evaluation's row, whatever its other settings."""
    info = read_info(folder)
    policy, horizon = info.policy, config.exec_horizon
    perturb = None if config.perturb == "none" else config.perturb
    return (
        policy.get("fusion") == str(config.fusion)
        and horizon in (None, policy.get("exec_horizon"))
        and ("measured" if "delay_measured_ms" in policy else policy.get("delay", 0))
        == config.delay
        and policy.get("options", {}).get("guidance") == config.policy.options.get("guidance")
        and info.perturbation == perturb
    )
