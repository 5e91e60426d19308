"""Files that are named like weights and are none: pointers, web pages, an optimizer's state."""

from pathlib import Path

from tasks.errors import ConfigError

FETCH_AGAIN = "Fix: fetch the file again, or give another checkpoint."

_HEAD_BYTES = 512
_MAX_ERROR_CHARACTERS = 160

_OPTIMIZER_NAMES = (
    "optimizer.",
    "scheduler.",
    "scaler.",
    "random_states",
    "training_args.",
    "rng_",
)
"""How the names of files begin that training code leaves beside weights."""

OPTIMIZER_ENDING = "_optim_states.pt"
"""How the names of DeepSpeed's optimizer shards end."""


def brief(error: BaseException) -> str:
    """Give the first line of an error, shortened; some libraries write paragraphs."""
    lines = str(error).strip().splitlines()
    text = lines[0] if lines else type(error).__name__
    return text if len(text) <= _MAX_ERROR_CHARACTERS else f"{text[: _MAX_ERROR_CHARACTERS - 1]}…"


def is_training_state(name: str) -> bool:
    """Whether a file's name is that of an optimizer, a scheduler or the like."""
    return name.startswith(_OPTIMIZER_NAMES) or name.endswith(OPTIMIZER_ENDING)


def is_safetensors(head: bytes) -> bool:
    """Whether a file begins as safetensors: 8 bytes of length, of which the upper are 0, then {."""
    return head[4:9] == b"\0\0\0\0{"


def read_head(path: Path) -> bytes:
    """Read how a file of weights begins.

    Raises:
        ConfigError: It cannot be read, is empty, a Git LFS pointer, a web page or other text, or
            is the state of an optimizer.
    """
    if is_training_state(path.name):
        raise ConfigError(
            f"'{path}' is what an optimizer or a scheduler goes on from; it holds no weights that "
            "can be loaded. Fix: give the folder of the checkpoint, or its weight file."
        )
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise ConfigError(f"'{path}' cannot be read ({brief(error)}). {FETCH_AGAIN}") from error
    if is_safetensors(head):
        return head
    start = head.lstrip().lower()
    if not start:
        raise ConfigError(f"'{path}' is empty ({path.stat().st_size} bytes). {FETCH_AGAIN}")
    if start.startswith(b"version https://git-lfs"):
        raise ConfigError(
            f"'{path}' is a Git LFS pointer: a few lines in place of the weights, which were not "
            "fetched. Fix: run 'git lfs pull' in that folder, or fetch it with 'hf download'."
        )
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise ConfigError(
            f"'{path}' is a web page, not weights; a download has saved what the site said. "
            "Fix: fetch the file with 'hf download', logged in where that is needed."
        )
    if start.startswith((b"{", b"[")):
        raise ConfigError(f"'{path}' is text (JSON), not weights. {FETCH_AGAIN}")
    return head
