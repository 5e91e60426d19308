"""Run folders of a recipe: named as a sweep names them, or as older versions did."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.evaluation.config import EvaluationConfig, run_name
from results.folder import RUN_FILE, read_info
from tasks.errors import ConfigError


def with_run_folders(configs: Sequence[EvaluationConfig]) -> list[EvaluationConfig]:
    """Give each evaluation its run folder.

    It is ``OUT/LABEL``, or ``OUT/LABEL/h16-act`` where a label stands for several horizons or
    fusions. A run that is there under another name keeps it: that of an older version, such as
    ``OUT/LABEL-h16-act``, or that of before a horizon was added or dropped.

    Args:
        configs: The evaluations, all with the label's folder, ``OUT/LABEL``, as ``out``.

    Raises:
        ConfigError: Two of them have the same label, horizon and fusion.
    """
    for (folder, _), count in Counter((config.out, _name(config)) for config in configs).items():
        if count > 1:
            raise ConfigError(
                f"{count} entries have the same label, horizon and fusion, and would share "
                f"'{folder}'. Fix: give each another label."
            )
    counts = Counter(config.out for config in configs)
    return [
        replace(config, out=_run_folder(config, alone=counts[config.out] == 1, labels=set(counts)))
        for config in configs
    ]


def _name(config: EvaluationConfig) -> str:
    return run_name(config.exec_horizon, config.fusion)


def _run_folder(config: EvaluationConfig, *, alone: bool, labels: set[Path]) -> Path:
    """Return where the run is or, if it is not begun, where it is to be."""
    folder, older = config.out, _older_folder(config)
    below = folder / _name(config)
    begun = [path for path in (below, older) if _is_run(path) and path not in labels - {folder}]
    if begun:
        return begun[0]
    if _is_run(folder):  # no run may lie within it
        return folder if _holds(folder, config) else older
    return folder if alone and not list(folder.glob(f"*/{RUN_FILE}")) else below


def _older_folder(config: EvaluationConfig) -> Path:
    name = config.out.name
    if config.exec_horizon is not None:
        name += f"-h{config.exec_horizon}"
    if config.fusion.name != "none":
        name += f"-{config.fusion.folder_name}"
    return config.out.with_name(name)


def _is_run(folder: Path) -> bool:
    return (folder / RUN_FILE).is_file()


def _holds(folder: Path, config: EvaluationConfig) -> bool:
    """Whether a run is one at the evaluation's horizon and fusion."""
    policy = read_info(folder).policy
    horizon = config.exec_horizon
    return policy.get("fusion") == str(config.fusion) and (
        horizon is None or policy.get("exec_horizon") == horizon
    )
