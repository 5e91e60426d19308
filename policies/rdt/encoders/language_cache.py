"""Instructions that a text encoder has encoded before, one small file each."""

import hashlib
import json
import pickle
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from tasks.errors import ConfigError, SpecMismatchError
from tasks.files import atomic_file, write_text

ENCODER = "encoder.json"
"""Names the encoder of all files in a cache."""

_FORMAT = "1"


@dataclass(frozen=True, kw_only=True)
class CachedEncoder:
    """The encoder of a cache's files.

    Attributes:
        identity: Names the encoder, its weights and its dtype.
        width: Width of a token.
        dtype: Of the tokens, ``bfloat16`` or ``float32``.
        source: Folder or hub name, for messages.
    """

    identity: str
    width: int
    dtype: str
    source: str

    def refusal(self, tokens: Tensor) -> str:
        """Explain why tokens cannot be this encoder's; empty if they can."""
        if tokens.ndim != 2 or not len(tokens) or tokens.shape[1] != self.width:
            return f"shape {tuple(tokens.shape)}, needed (L, {self.width})"
        if str(tokens.dtype) != f"torch.{self.dtype}":
            return f"{tokens.dtype}, needed torch.{self.dtype}"
        return "" if torch.isfinite(tokens).all() else "NaN or infinity in it"


class LanguageCache:
    """A folder of encoded instructions, all from one encoder.

    A file is named by a hash of the text and the encoder's identity. It holds both and the tokens,
    (L, width) in bfloat16 or float32, without padding.
    """

    def __init__(self, folder: Path, encoder: CachedEncoder) -> None:
        self.folder, self.encoder = folder, encoder

    @classmethod
    def open(cls, folder: Path | str) -> "LanguageCache":
        """Open a cache to read from.

        Raises:
            ConfigError: There is none.
        """
        folder = Path(folder).expanduser()
        path = folder / ENCODER
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            if raw.pop("format") != _FORMAT:
                raise ValueError("another format")
            encoder = CachedEncoder(**raw)
            if [type(value) for value in asdict(encoder).values()] != [str, int, str, str]:
                raise ValueError("values of another type")
        except FileNotFoundError as error:
            raise ConfigError(
                f"'{folder}' is not a language cache: {ENCODER} is missing. Fix: make one with "
                f"'libero-bench encode-language --suite libero_goal --t5 FOLDER --out {folder}'."
            ) from error
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise ConfigError(
                f"'{path}' is damaged ({' '.join(str(error).split())}). Fix: delete the folder "
                "and encode again."
            ) from error
        return cls(folder, encoder)

    @classmethod
    def create(cls, folder: Path | str, encoder: CachedEncoder) -> "LanguageCache":
        """Open a cache to write to; a new folder becomes one.

        Raises:
            ConfigError: The folder holds something else.
            SpecMismatchError: The cache is another encoder's.
        """
        folder = Path(folder).expanduser()
        if is_cache(folder):
            cache = cls.open(folder)
            cache.check(encoder)
            return cache
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ConfigError(
                f"'{folder}' holds something that is not a language cache. Allowed: a new or an "
                "empty folder, or an earlier cache. Fix: give another name."
            )
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"format": _FORMAT, **asdict(encoder)}, indent=2) + "\n"
        write_text(folder / ENCODER, text, several_writers=True)
        return cls(folder, encoder)

    def check(self, encoder: CachedEncoder) -> None:
        """Refuse an encoder other than that of the files, with ``SpecMismatchError``."""
        if (self.encoder.identity, self.encoder.width) != (encoder.identity, encoder.width):
            raise SpecMismatchError(
                f"The language cache '{self.folder}' was made by {self.encoder.identity} (from "
                f"'{self.encoder.source}'); '{encoder.source}' is {encoder.identity}. "
                "Fix: give the same encoder, or another folder for the cache."
            )

    def path(self, text: str) -> Path:
        """Give the file of a text, which need not exist."""
        digest = hashlib.sha256(f"{self.encoder.identity}\0{text}".encode()).hexdigest()
        return self.folder / f"{digest[:32]}.safetensors"

    def has(self, text: str) -> bool:
        """Whether the text has a file."""
        return self.path(text).is_file()

    def read(self, text: str) -> Tensor | None:
        """Give the tokens of a text, (L, width); None if it is not there.

        Raises:
            ConfigError: Its file is damaged or is another text's.
        """
        path = self.path(text)
        if not path.is_file():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                tokens: Tensor = file.get_tensor("tokens")
        except (SafetensorError, OSError) as error:
            raise self._damaged(path, str(error)) from error
        if metadata != self._metadata(text):
            raise self._damaged(path, "it is another text's, encoder's or format's")
        if why := self.encoder.refusal(tokens):
            raise self._damaged(path, why)
        return tokens

    def write(self, text: str, tokens: Tensor) -> Path:
        """Save the tokens of a text; a reader sees all of the file or nothing.

        Args:
            text: The input of T5.
            tokens: (L, width) bfloat16 or float32, without padding.

        Raises:
            SpecMismatchError: They are of another width or dtype, or not finite.
        """
        if why := self.encoder.refusal(tokens):
            raise SpecMismatchError(f"The tokens of '{text}' cannot be kept: {why}.")
        path = self.path(text)
        with atomic_file(path, several_writers=True) as draft:
            # A clone, because a slice would be written with the whole tensor.
            save_file({"tokens": tokens.detach().cpu().clone()}, draft, self._metadata(text))
        return path

    def _metadata(self, text: str) -> dict[str, str]:
        return {"text": text, "encoder": self.encoder.identity, "format": _FORMAT}

    def _damaged(self, path: Path, why: str) -> ConfigError:
        return ConfigError(
            f"'{path}' in the language cache is damaged ({' '.join(why.split())}). "
            "Fix: delete that file and encode again."
        )


def is_cache(folder: Path | str) -> bool:
    """Whether there is a cache in a folder."""
    return (Path(folder).expanduser() / ENCODER).exists()


def read_official(path: Path) -> tuple[str, Tensor]:
    """Read one instruction as the official single-instruction tool saves it.

    Args:
        path: A ``.pt`` file of ``{name, instruction, embeddings}``. Nothing in it is run.

    Returns:
        The text as it was encoded, and its (L, width) tokens.

    Raises:
        ConfigError: It is something else.
    """
    try:
        loaded: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        why = " ".join(str(error).split())[:200]
        raise ConfigError(f"'{path}' cannot be read ({why}). Fix: give a .pt file.") from error
    text = loaded.get("instruction") if isinstance(loaded, dict) else None
    tokens = loaded.get("embeddings") if isinstance(loaded, dict) else None
    if not isinstance(text, str) or not isinstance(tokens, Tensor):
        raise ConfigError(
            f"'{path}' does not say which instruction it holds. Needed: {{name, instruction, "
            "embeddings}. Fix: encode the instruction with --t5 instead."
        )
    if tokens.ndim != 3 or len(tokens) != 1:
        raise ConfigError(
            f"'{path}' holds embeddings of shape {tuple(tokens.shape)}. Needed: (1, L, width). "
            "Fix: encode the instruction with --t5 instead."
        )
    return text, tokens[0]
