"""Checkpoints by name: a folder or file here, or a model on the Hugging Face hub."""

import re
from collections.abc import Sequence
from pathlib import Path

from tasks.errors import ConfigError, PrerequisiteError

_HUB_NAME = re.compile(
    r"(?P<repo>[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})(@(?P<revision>[\w.][\w./-]*))?"
)

_CONFIGS = (
    *("config.json", "contract.json", "encoders.json", "encoders.safetensors", "extra.json"),
    *("normalisation.json", "adapter_config.json", "adapter_model.safetensors"),
    "adapter_model.bin",
)
_RAW: tuple[tuple[str, ...], ...] = (
    ("model.safetensors", "model.safetensors.index.json", "model-*.safetensors"),
    ("pytorch_model.bin", "pytorch_model.bin.index.json", "pytorch_model-*.bin"),
)
_EMA: tuple[tuple[str, ...], ...] = (("ema/model.safetensors",),)


def is_hub_name(source: Path | str) -> bool:
    """Whether a source does not exist on this machine, but has the form of a hub name."""
    exists = Path(source).expanduser().exists()
    return not exists and _HUB_NAME.fullmatch(str(source)) is not None


def find_source(source: Path | str, *, ema: bool = False) -> Path:
    """Give the local path of a source, downloading it where needed.

    Args:
        source: A folder, a weight file, or a hub name: ``owner/name`` or ``owner/name@revision``.
            A path that exists is given back.
        ema: Download averaged weights instead of the raw ones.

    Raises:
        ConfigError: It is neither here nor a name a hub could have, or the hub has no such model.
        PrerequisiteError: The hub cannot be reached.
    """
    path = Path(source).expanduser()
    if path.exists():
        return path
    match = _HUB_NAME.fullmatch(str(source))
    if match is None:
        raise ConfigError(
            f"There is no checkpoint '{source}'. Allowed: a folder, a weight file, or a name on "
            "the Hugging Face hub such as owner/name or owner/name@revision. Fix: correct the path."
        )
    return _download(match["repo"], match["revision"], _EMA if ema else _RAW)


def _download(repo: str, revision: str | None, weights: Sequence[Sequence[str]]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    folder = Path()
    try:
        for patterns in weights:  # one form is enough
            folder = Path(
                snapshot_download(repo, revision=revision, allow_patterns=[*_CONFIGS, *patterns])
            )
            if any(next(folder.glob(pattern), None) for pattern in patterns):
                break
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise ConfigError(
            f"There is no folder '{repo}' here, and the Hugging Face hub has no public model "
            f"'{repo}'{f' with revision {revision}' if revision else ''}. "
            "Fix: correct the name, or log in with 'hf auth login' if it is private."
        ) from error
    except Exception as error:  # without network each layer below has its own way to fail
        if not _is_network_error(error):
            raise
        raise PrerequisiteError(
            f"There is no folder '{repo}' here, and the Hugging Face hub cannot be reached for a "
            f"model of that name ({type(error).__name__}). Fix: correct the path; or download it "
            f"where there is network ('hf download {repo} --local-dir FOLDER'), copy the folder "
            "here, and give its path."
        ) from error
    return folder


def _is_network_error(error: BaseException) -> bool:
    """Whether an error or a cause of it comes from the network or a download library."""
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__
    packages = {type(link).__module__.split(".")[0] for link in chain}
    return isinstance(error, OSError) or bool(
        packages & {"huggingface_hub", "httpx", "httpx2", "httpcore", "requests", "urllib3"}
    )
