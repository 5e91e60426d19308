"""Recognising an input (command, script, settings, run, checkpoint) and reading it."""

import json
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from tasks.errors import ConfigError, unknown_name
from training.audit.sections import SECTIONS, fact_names
from training.audit.sources.extracted import ALLOWED, ExtractedFacts, camera_name, naming_source
from training.audit.sources.own_evaluation import read_recipe, read_run
from training.audit.sources.own_training import read_checkpoint, read_training
from training.audit.sources.python_file import read_python
from training.audit.sources.scripts import join_exec_horizons, read_commands, required_mujoco
from training.audit.sources.shell.script import Script, read_script
from training.config import TrainingConfig

_LONGEST = 1 << 20
_SCRIPTS = (".sh", ".bash", ".slurm", ".sbatch", ".py")


def read_input(
    name: str,
    environment: Mapping[str, str] | None = None,
    options: Mapping[str, Collection[str]] | None = None,
) -> list[ExtractedFacts]:
    """Read one input.

    Args:
        name: A path, a command, or the name of a checkpoint on a hub.
        environment: Variables that scripts may use.
        options: Options of our commands that are no settings of a training, by command.

    Returns:
        Its facts; of a script, those of each command.

    Raises:
        ConfigError: It cannot be read.
        HarnessError: A checkpoint cannot be used.
    """
    path = Path(name).expanduser()
    if " " in name.strip() and not _exists(path):
        return read_commands(read_script(name, environment), "the command", None, options)
    if not _exists(path):
        if name.count("/") == 1 and not name.startswith((".", "/", "~")) and not path.suffix:
            return [_checkpoint(name)]
        raise ConfigError(f"The input '{name}' does not exist. Allowed: {ALLOWED}.")
    if path.is_dir():
        return _folder(path)
    if path.name == "run.json":
        return _folder(path.parent)
    if path.suffix in (".safetensors", ".bin", ".pt"):
        return [_checkpoint(name)]
    text = _text(path)
    if path.suffix == ".toml":
        return [_toml(path, text)]
    if path.suffix == ".json":
        return [_settings(path, _object(path, text))]
    if path.suffix in (".txt", ".yml", ".yaml"):
        return [_requirements(path, text)]
    return read_commands(_script(path, text, environment), path.name, path.parent, options)


def _script(path: Path, text: str, environment: Mapping[str, str] | None) -> Script:
    first_line = text.partition("\n")[0]
    if path.suffix == ".py" or (first_line.startswith("#!") and "python" in first_line):
        return read_python(text, path.name, environment, path.parent)
    return read_script(text, environment, path.parent)


def _requirements(path: Path, text: str) -> ExtractedFacts:
    """Read a file of pip's requirements or of a conda environment: the simulator's version."""
    required = required_mujoco(text)
    if required is None:
        raise ConfigError(f"'{path}' requires no mujoco, so it says nothing. Allowed: {ALLOWED}.")
    extracted = ExtractedFacts(source=path.name)
    extracted.set("evaluation", mujoco=required)
    return extracted


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a long command is no path
        return False


def _text(path: Path) -> str:
    if path.stat().st_size > _LONGEST:
        raise ConfigError(f"'{path}' is too large for a script. Allowed: {ALLOWED}.")
    raw = path.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if path.suffix in _SCRIPTS and b"\0" not in raw:
            return raw.decode("utf-8", "replace")  # comments in another encoding
        raise ConfigError(f"'{path}' is no text. Allowed: {ALLOWED}.") from error


def _object(path: Path, text: str) -> dict[str, Any]:
    try:
        plain = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"'{path}' is damaged ({error}). Fix: give an intact one.") from error
    if not isinstance(plain, dict):
        raise ConfigError(f"'{path}' holds no settings. Allowed: {ALLOWED}.")
    return plain


def _folder(path: Path) -> list[ExtractedFacts]:
    if (path / "run.json").is_file():
        extracted = ExtractedFacts(source=str(path / "run.json"))
        info = _object(path / "run.json", _text(path / "run.json"))
        if not isinstance(info.get("policy"), dict) or not isinstance(info.get("protocol"), dict):
            raise ConfigError(f"'{path}/run.json' is no evaluation run's. Allowed: {ALLOWED}.")
        with naming_source(extracted.source):
            read_run(info, extracted)
        return [extracted]
    if (path / "recipe.json").is_file():
        return _recipe_run(path)
    if (path / "train.json").is_file():
        extractions = [_settings(path / "train.json", _object(path, _text(path / "train.json")))]
        if (path / "checkpoint" / "contract.json").is_file():
            extractions.append(_checkpoint(str(path / "checkpoint")))
        return extractions
    return [_checkpoint(str(path))]


def _recipe_run(path: Path) -> list[ExtractedFacts]:
    """Read the folder of ``libero-bench run``: a training, and evaluations of its checkpoint."""
    extractions = _folder(path / "train") if (path / "train" / "train.json").is_file() else []
    for file in sorted(path.glob("eval/*/run.json")):
        policy = _object(file, _text(file)).get("policy")
        if isinstance(policy, dict) and policy.get("checkpoint"):
            extractions += _folder(file.parent)
    if not extractions:
        raise ConfigError(f"'{path}' has neither trained nor evaluated yet. Allowed: {ALLOWED}.")
    join_exec_horizons(extractions)
    return extractions


def _checkpoint(source: str) -> ExtractedFacts:
    extracted = ExtractedFacts(source=source)
    read_checkpoint(source, extracted)
    return extracted


def _settings(path: Path, plain: Mapping[str, Any]) -> ExtractedFacts:
    extracted = ExtractedFacts(source=str(path))
    if not set(plain) & {entry.name for entry in fields(TrainingConfig)}:
        raise ConfigError(f"'{path}' holds no training settings. Allowed: {ALLOWED}.")
    with naming_source(extracted.source):
        read_training(plain, extracted, beside=path.parent)
    return extracted


def _toml(path: Path, text: str) -> ExtractedFacts:
    try:
        plain = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"'{path}' is not valid TOML: {error}.") from error
    if set(plain) & {"train", "evaluate", "entries"}:
        extracted = ExtractedFacts(source=path.name)
        with naming_source(extracted.source):
            read_recipe(plain, extracted, beside=path.parent)
        return extracted
    if set(plain) & set(SECTIONS):
        return _stated(path, plain)
    return _settings(path, plain)


def _stated(path: Path, plain: Mapping[str, Any]) -> ExtractedFacts:
    """Read a TOML file of facts, by their names in ``facts``."""
    extracted = ExtractedFacts(source=path.name)
    for section, entries in plain.items():
        if section not in SECTIONS or not isinstance(entries, dict):
            raise unknown_name(f"table of '{path}'", section, SECTIONS)
        for name, value in entries.items():
            if name not in fact_names(section):
                raise unknown_name(f"fact of [{section}]", name, fact_names(section))
            if isinstance(value, list):
                cameras = name == "cameras"
                value = tuple(camera_name(str(v)) if cameras else v for v in value)
            extracted.set(section, **{name: value})
    return extracted
