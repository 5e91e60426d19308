"""Loading pretrained encoders through transformers, strictly."""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from tasks.errors import ConfigError, PrerequisiteError, SpecMismatchError, list_some

_SAMPLED = 8
"""Numbers from each end of a tensor in a fingerprint."""


def load_pretrained(
    source: str,
    load: Callable[..., tuple[Any, dict[str, Any]]],
    *,
    what: str,
    kinds: tuple[str, ...],
    dtype: torch.dtype,
    spare: tuple[str, ...] = (),
) -> Any:
    """Load a model, refusing one of another kind or without all weights.

    Args:
        source: Folder, or hub name as ``owner/name`` or ``owner/name@revision``.
        load: A model class' ``from_pretrained``.
        what: Description of the model, for messages.
        kinds: ``model_type`` of acceptable configs.
        dtype: Of the weights.
        spare: Prefixes of the names of weights that may be missing.

    Returns:
        The model on the CPU, in evaluation mode and without gradients.

    Raises:
        ConfigError: The folder or name is wrong, or a file is damaged.
        SpecMismatchError: Weights are missing, have another shape, or are not finite.
        PrerequisiteError: It is on the hub and the hub cannot be reached.
    """
    check_kind(source, what=what, kinds=kinds)
    repo, revision = split_source(source, what)
    with _explained(source, what), _quiet():
        # Wrong shapes are refused below, by name.
        model, info = load(
            repo,
            revision=revision,
            dtype=dtype,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
        )
    missing = {key for key in info["missing_keys"] if not key.startswith(spare)}
    other = {str(key[0] if isinstance(key, tuple) else key) for key in info["mismatched_keys"]}
    if problems := [p for p in (list_some("missing", missing), list_some("shape", other)) if p]:
        raise SpecMismatchError(
            f"'{source}' is not all of {what}: {'; '.join(problems)}. "
            "Fix: keep weights and config.json of one model together."
        )
    broken = [
        key
        for key, value in model.state_dict().items()
        if not key.startswith(spare) and not value.isfinite().all()
    ]
    if broken:
        raise SpecMismatchError(
            f"'{source}' holds {list_some('NaN or infinity in', broken)}. Such an encoder gives no "
            "tokens. Fix: fetch it again."
        )
    return model.eval().requires_grad_(requires_grad=False)


def check_kind(source: str, *, what: str, kinds: tuple[str, ...]) -> None:
    """Refuse a model of another kind by its config, before its weights are read.

    Raises:
        ConfigError: The folder or name is wrong, or the model is of another kind.
        PrerequisiteError: It is on the hub and the hub cannot be reached.
    """
    from transformers import PretrainedConfig

    repo, revision = split_source(source, what)
    with _explained(source, what), _quiet():
        kind = str(PretrainedConfig.get_config_dict(repo, revision=revision)[0].get("model_type"))
    if kind not in kinds:
        raise ConfigError(
            f"'{source}' holds a model of type '{kind}', not {what}. Allowed: "
            f"{' or '.join(kinds)}. Fix: give the folder or hub name of {what}."
        )


def split_source(source: str, what: str) -> tuple[str, str | None]:
    """Split a source into a folder and None, or a hub name and its revision.

    Raises:
        ConfigError: It is a file, or neither a folder nor of the form of a hub name.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        return str(path), None
    name, _, revision = source.partition("@")
    if path.exists() or name.count("/") != 1 or name.startswith((".", "/", "~")):
        state = "is a file" if path.exists() else "does not exist"
        raise ConfigError(
            f"'{source}' {state}. Needed: the folder of {what}, or a hub name such as owner/name. "
            "Fix: correct the path."
        )
    return name, revision or None


def find_file(source: str, name: str, what: str) -> Path | None:
    """Give the path of a model's file, None if it has none of that name.

    Raises:
        ConfigError: The folder or name is wrong.
        PrerequisiteError: It is on the hub and the hub cannot be reached.
    """
    from transformers.utils import cached_file

    repo, revision = split_source(source, what)
    with _explained(source, what), _quiet():
        path = cached_file(
            repo, name, revision=revision, _raise_exceptions_for_missing_entries=False
        )
    return None if path is None else Path(path)


def read_config(source: str, name: str, what: str) -> dict[str, Any]:
    """Read a JSON file of a model; empty if it has none of that name.

    Raises:
        ConfigError: The folder or name is wrong, or the file is damaged.
        PrerequisiteError: It is on the hub and the hub cannot be reached.
    """
    path = find_file(source, name, what)
    with _explained(source, what):
        config = {} if path is None else json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(config, dict):
            raise ValueError(f"{name} is not a JSON object")
    return config


def fingerprint(model: torch.nn.Module, *more: object) -> str:
    """Hash some numbers of a model's weights, and ``more``, to 12 hexadecimal digits.

    The numbers are rounded to bfloat16 first, so that the hash is the same in every file format
    and in float32 and bfloat16.
    """
    digest = hashlib.sha256(repr(more).encode())
    for key, value in sorted(model.state_dict().items()):
        flat = value.detach().flatten()
        ends = torch.cat([flat[:_SAMPLED], flat[-_SAMPLED:]]).to("cpu", torch.bfloat16)
        digest.update(f"{key} {tuple(value.shape)}".encode())
        digest.update(ends.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:12]


@contextmanager
def _explained(source: str, what: str) -> Iterator[None]:
    """Turn the errors of transformers for a bad folder or no network into ours."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, RuntimeError, ValueError, KeyError, SafetensorError) as error:
        why = " ".join(str(error).split())[:300]
        if Path(source).expanduser().is_dir():
            raise ConfigError(
                f"'{source}' cannot be loaded as {what} ({why}). Fix: give a whole folder, as "
                "'hf download' or save_pretrained writes it."
            ) from error
        name = source.partition("@")[0]
        raise PrerequisiteError(
            f"There is no folder '{source}' here, and the Hugging Face hub gave no such model "
            f"({why}). Fix: correct the path; or download it where there is network "
            f"('hf download {name} --local-dir FOLDER'), copy the folder here, and give its path."
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from reporting weights that are left out on purpose."""
    from transformers.utils import logging

    verbosity, progress_bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if progress_bar:
            logging.enable_progress_bar()
