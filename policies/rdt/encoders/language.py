"""The frozen text encoder, and encoding instructions into a cache, with which T5 is not needed."""

import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from policies.rdt.encoders.base import (
    Form,
    LRUCache,
    TextEncoder,
)
from policies.rdt.encoders.language_cache import (
    CachedEncoder,
    LanguageCache,
    is_cache,
    read_official,
)
from policies.rdt.encoders.t5 import MAX_TOKENS, T5Encoder
from tasks.errors import ConfigError

Progress = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class EncodedInstructions:
    """Instructions in a cache.

    Attributes:
        texts: Inputs of T5, each once.
        cache: Folder of the cache.
        added: Number encoded or imported now.
        present: Number that was there before.
    """

    texts: tuple[str, ...]
    cache: Path
    added: int
    present: int


def format_instruction(instruction: str, form: Form) -> str:
    """Format an instruction for T5.

    Args:
        instruction: The task in words.
        form: ``official``: with a capital and a period, as in RDT's pre-training data; ``plain``:
            unchanged.
    """
    text = instruction.strip()
    if form == "plain" or not text:
        return text
    text = text[0].upper() + text[1:]
    return text if text.endswith(".") else f"{text}."


def encode_instructions(
    texts: Iterable[str],
    *,
    t5: str,
    out: Path | str,
    dtype: torch.dtype = torch.bfloat16,
    device: str | torch.device = "cpu",
    progress: Progress | None = None,
) -> EncodedInstructions:
    """Encode the texts that a cache lacks, so that a killed run can be continued.

    T5 is not loaded if the cache was made from the same source and holds all texts.

    Args:
        texts: Inputs of T5; see ``format_instruction``.
        t5: Folder or hub name of the encoder.
        out: The cache; created if missing.
        dtype: Of T5 and of the tokens.
        device: Of T5.
        progress: Called after each text with the number of texts in the cache.

    Raises:
        ConfigError: A source, a text or the cache cannot be used.
        SpecMismatchError: The cache is another encoder's.
        PrerequisiteError: T5 is on the hub and the hub cannot be reached.
    """
    texts = tuple(dict.fromkeys(texts))
    if is_cache(out):
        cache = LanguageCache.open(out)
        missing = [text for text in texts if cache.read(text) is None]
        dtype_name = str(dtype).removeprefix("torch.")
        if not missing and (cache.encoder.source, cache.encoder.dtype) == (t5, dtype_name):
            return EncodedInstructions(texts=texts, cache=cache.folder, added=0, present=len(texts))
    encoder = T5Encoder(t5, dtype=dtype, device=device)
    cache = LanguageCache.create(out, encoder.description)
    missing = [text for text in texts if cache.read(text) is None]
    present = len(texts) - len(missing)
    for index, text in enumerate(missing, 1):
        cache.write(text, encoder.encode(text))
        if progress is not None:
            progress(present + index)
    return EncodedInstructions(texts=texts, cache=cache.folder, added=len(missing), present=present)


def import_official(source: Path | str, *, out: Path | str) -> EncodedInstructions:
    """Import instructions that the official single-instruction tool encoded.

    Args:
        source: A ``.pt`` file, or a folder of them.
        out: The cache; created if missing.

    Raises:
        ConfigError: There is no such file, one is something else, or the cache cannot be used.
        SpecMismatchError: The cache is another encoder's, or the files differ in width or dtype.
    """
    source = Path(source).expanduser()
    files = [source] if source.is_file() else sorted(source.glob("*.pt"))
    if not files:
        raise ConfigError(
            f"There is no .pt file at '{source}'. Needed: a file, or a folder of them, as RDT's "
            "own tool writes one per instruction. Fix: correct the path."
        )
    encoded = [read_official(file) for file in files]
    width, dtype = encoded[0][1].shape[1], str(encoded[0][1].dtype).removeprefix("torch.")
    # The files do not name their encoder; it was RDT's.
    encoder = CachedEncoder(
        identity=imported_identity(width), width=width, dtype=dtype, source=str(source)
    )
    cache = LanguageCache.create(out, encoder)
    texts = tuple(dict.fromkeys(text for text, _ in encoded))
    present = sum(cache.read(text) is not None for text in texts)
    for text, tokens in encoded:
        cache.write(text, tokens)
    return EncodedInstructions(
        texts=texts, cache=cache.folder, added=len(texts) - present, present=present
    )


def imported_identity(width: int) -> str:
    """Name the encoder of official files, which do not name it themselves."""
    return f"t5-{width}-imported"


_KEPT_INSTRUCTIONS = 256
_PADDING_STEP = 32


class T5TextEncoder(TextEncoder):
    """Tokens of instructions, from a cache, from T5, or from a cache that T5 adds to.

    Args:
        cache: Folder of instructions encoded before; created if T5 is given too.
        t5: Source of the encoder, loaded once an instruction is not in the cache.
        form: Form of the instructions.
        max_tokens: Most tokens that RDT takes.
        device: Of T5.

    Raises:
        ConfigError: Neither cache nor T5 is given, or a source is wrong.
        SpecMismatchError: The cache is another encoder's.
        PrerequisiteError: The source is on the hub and the hub cannot be reached.
    """

    def __init__(
        self,
        *,
        cache: Path | str | None = None,
        t5: str | None = None,
        form: Form = "official",
        max_tokens: int = MAX_TOKENS,
        device: str | torch.device = "cpu",
    ) -> None:
        super().__init__()
        self._source, self._form = t5, form
        self._max_tokens, self._device = max_tokens, device
        self._cached = LRUCache(_KEPT_INSTRUCTIONS)
        self._t5: T5Encoder | None = None
        self._cache: LanguageCache | None = None
        if cache is not None and (t5 is None or is_cache(cache)):
            self._cache = LanguageCache.open(cache)
        elif cache is not None:
            self._cache = LanguageCache.create(cache, self._loaded().description)
        self.encoder: CachedEncoder = (
            self._loaded().description if self._cache is None else self._cache.encoder
        )

    @property
    def identity(self) -> str:
        """Names the encoder and its weights."""
        return self.encoder.identity

    @property
    def width(self) -> int:
        """Width of a token."""
        return self.encoder.width

    def padded_length(self, instruction: str) -> int:
        """Give the number of tokens, rounded up to a multiple of 32, at most RDT's limit."""
        steps = -(-len(self._tokens([instruction])[0]) // _PADDING_STEP)
        return min(steps * _PADDING_STEP, self._max_tokens)

    def prepare(self, instructions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Look up and pad with zeros: (B, L, width), and (B, L) bool, True where a token is."""
        tokens = self._tokens(instructions)
        length = max(map(self.padded_length, instructions))
        padded = tokens[0].new_zeros(len(tokens), length, self.width)
        mask = torch.zeros(len(tokens), length, dtype=torch.bool)
        for row, instruction_tokens in enumerate(tokens):
            padded[row, : len(instruction_tokens)] = instruction_tokens
            mask[row, : len(instruction_tokens)] = True
        return padded, mask

    def check_instructions(self, instructions: Sequence[str]) -> None:
        """Refuse instructions that the cache lacks, without T5 to encode them."""
        cache = self._cache
        if cache is None or self._source is not None:
            return
        distinct = dict.fromkeys(instructions)
        lacking = [text for text in distinct if not cache.has(format_instruction(text, self._form))]
        if len(lacking) == 1:
            raise self._missing(cache, lacking[0], format_instruction(lacking[0], self._form))
        if lacking:
            raise ConfigError(
                f"The language cache '{cache.folder}' lacks {len(lacking)} of {len(distinct)} "
                f"instructions, such as '{lacking[0]}'. Fix: {self._encode_command(cache)}, with "
                "the --suite and --instructions of the evaluation."
            )

    def forward(self, text: Tensor) -> Tensor:
        """Return the prepared tokens: they are encoded already."""
        return text

    def _tokens(self, instructions: Sequence[str]) -> list[Tensor]:
        return self._cached.look_up(
            instructions, lambda new: [self._encode(instructions[index]) for index in new]
        )

    def _encode(self, instruction: str) -> Tensor:
        text = format_instruction(instruction, self._form)
        tokens = None if self._cache is None else self._cache.read(text)
        if tokens is None:
            if self._source is None and self._cache is not None:
                raise self._missing(self._cache, instruction, text)
            if self._cache is not None:
                self._cache.check(self._loaded().description)
            tokens = self._loaded().encode(text)
            if self._cache is not None:
                self._cache.write(text, tokens)
        if len(tokens) > self._max_tokens:
            raise ConfigError(
                f"The instruction '{text[:60]}…' has {len(tokens)} tokens; this RDT takes up to "
                f"{self._max_tokens}. Fix: shorten it."
            )
        return tokens

    def _loaded(self) -> T5Encoder:
        if self._t5 is None:
            if self._source is None:
                raise ConfigError(
                    "No text encoder was given. Needed: a language cache, or T5-v1.1-XXL. Fix: "
                    "give --option.language_cache FOLDER (made once with 'libero-bench "
                    "encode-language --suite SUITE --t5 T5 --out FOLDER'), or --option.t5 FOLDER."
                )
            dtype = "bfloat16" if self._cache is None else self._cache.encoder.dtype
            self._t5 = T5Encoder(self._source, dtype=getattr(torch, dtype), device=self._device)
        return self._t5

    def _missing(self, cache: LanguageCache, instruction: str, text: str) -> ConfigError:
        if cache.encoder.identity == imported_identity(self.width):
            fix = (
                "import its .pt file too (libero-bench encode-language --import FILE.pt --out "
                f"{shlex.quote(str(cache.folder))}), or encode all instructions anew with --t5 and "
                "another --out"
            )
        else:
            fix = f"{self._encode_command(cache)} --text {shlex.quote(instruction)}"
        return ConfigError(
            f"The language cache '{cache.folder}' lacks the instruction '{text}'. Fix: {fix}"
        )

    def _encode_command(self, cache: LanguageCache) -> str:
        how = "" if self._form == "official" else f" --form {self._form}"
        how += "" if cache.encoder.dtype == "bfloat16" else f" --dtype {cache.encoder.dtype}"
        source, folder = shlex.quote(cache.encoder.source), shlex.quote(str(cache.folder))
        return f"libero-bench encode-language --t5 {source}{how} --out {folder}"
