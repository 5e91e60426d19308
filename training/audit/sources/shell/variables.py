"""Values of variables at one place of a script, and words of which a part is unknown."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node


_LONGEST = 1 << 16

Value = tuple[str, ...]
"""Words: one for a plain variable, any number for an array."""

_SET_OUTSIDE = re.compile(
    r"(?:SLURM|PBS|LSB|SGE|TORCHELASTIC|NCCL|WANDB|HF|XDG|CONDA|VIRTUAL_ENV|OMPI|PMI)\w*"
    r"|HOME|USER|LOGNAME|HOSTNAME|PWD|OLDPWD|PATH|PYTHONPATH|LD_LIBRARY_PATH|TMPDIR|SHELL|LANG"
    r"|RANDOM|SECONDS|BASHPID|PPID|UID|EUID|LINENO|FUNCNAME|BASH\w*|IFS|OPTARG|OPTIND|REPLY"
    r"|RANK|LOCAL_RANK|NODE_RANK|WORLD_SIZE|MASTER_ADDR|MASTER_PORT|CUDA_VISIBLE_DEVICES"
)
"""Variables that a shell, a scheduler, a launcher or an installation sets."""

_OPEN, _CLOSE = "\ue000", "\ue001"
"""Marks, which no script uses, around a part of a word that only a shell knows: of ``out/$RUN`` the
rest stays known."""

_PART = re.compile(f"{_OPEN}([^{_CLOSE}]*){_CLOSE}")
_WORD = re.compile(f"(?:{_OPEN}[^{_CLOSE}]*{_CLOSE}|\\S)+")
_VARIABLE = re.compile(r"\$\{?([A-Za-z_]\w*)\}?")


@dataclass
class Variables:
    """Variables and functions at one place of a script.

    Attributes:
        values: Values of the variables that the script has set.
        environment: Values of others; shared by all places.
        exported: Variables that the script exports.
        functions: Bodies of functions.
        files: Scripts that the script has written, by name.
        folder: Folder that the script lies in; None for a command line.
        ended: Whether this path through the script has come to an ``exit`` or ``return``.
        in_function: Whether arguments are those of a function.
        assigned: Every variable that the script sets somewhere; shared by all places.
        anything_may_be_set: Whether a file that cannot be read may have set any variable.
    """

    values: dict[str, Value] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    exported: set[str] = field(default_factory=set)
    functions: dict[str, "Node"] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    folder: Path | None = None
    ended: bool = False
    in_function: bool = False
    anything_may_be_set: bool = False
    assigned: set[str] = field(default_factory=set)

    def get(self, name: str) -> Value | None:
        """Return a variable's value; None if nothing has set it."""
        if name in self.values or name not in self.environment:
            return self.values.get(name)
        return (self.environment[name],)

    def set(self, name: str, value: Value) -> None:
        """Set a variable; one that grows without end is not followed."""
        if sum(map(len, value)) > _LONGEST:
            self.lose(name)
        else:
            self.values[name] = value

    def copy(self) -> "Variables":
        """Return an independent copy."""
        return replace(
            self,
            values=dict(self.values),
            exported=set(self.exported),
            functions=dict(self.functions),
            files=dict(self.files),
        )

    def become(self, other: "Variables") -> None:
        """Take over the state of another."""
        vars(self).update(vars(other))

    def lose(self, name: str) -> None:
        """Set a variable to an unknown value."""
        self.values[name] = (mark_unknown(f"${name}"),)

    def joined(self, others: list["Variables"]) -> "Variables":
        """Return the state after this path or one of the others, where it is unknown which."""
        going = [path for path in [self, *others] if not path.ended]
        if not going:
            return replace(self.copy(), ended=True)
        result = going[0].copy()
        for other in going[1:]:
            for name in result.values.keys() | other.values.keys():
                first, second = (path.get(name) or ("",) for path in (result, other))
                if first != second:
                    plain = len(first) == len(second) == 1
                    written = f"${name}" if plain else f"${{{name}[@]}}"
                    result.values[name] = common_prefix(first, second, written)
            result.anything_may_be_set |= other.anything_may_be_set
            result.exported |= other.exported
            result.functions |= other.functions
            result.files |= other.files
        return result


def is_set_outside(name: str) -> bool:
    """Return whether something other than the script usually sets a variable."""
    return _SET_OUTSIDE.fullmatch(name) is not None


def mark_unknown(written: str) -> str:
    """Return an unknown part of a word between its marks."""
    return f"{_OPEN}{unmarked(written)}{_CLOSE}"


def is_known(text: str) -> bool:
    """Return whether all of a text is known."""
    return _OPEN not in text


def unmarked(text: str) -> str:
    """Return a text without its marks."""
    return text.replace(_OPEN, "").replace(_CLOSE, "")


def unknown_variables(text: str) -> tuple[str, ...]:
    """Return the variables whose unknown values a text contains."""
    matches = (_VARIABLE.fullmatch(part) for part in _PART.findall(text))
    return tuple(match[1] for match in matches if match)


def split_words(text: str) -> list[str]:
    """Split a text into words; an unknown part is never split."""
    return _WORD.findall(text)


def join_pieces(pieces: Iterable[list[str]]) -> list[str]:
    """Join adjacent pieces of a word: the last word of one and the first of the next."""
    words: list[str] = []
    for piece in pieces:
        if words and piece:
            words[-1] += piece[0]
            words += piece[1:]
        else:
            words += piece
    return words


def common_prefix(first: tuple[str, ...], second: tuple[str, ...], rest: str) -> tuple[str, ...]:
    """Join the words of two possible values: their common start, then an unknown ``rest``."""
    if first == second:
        return first
    if len(first) == len(second) == 1:
        left, right = split_words(first[0]), split_words(second[0])
        return (" ".join([*_common_words(left, right), mark_unknown(rest)]),)
    return (*_common_words(first, second), mark_unknown(rest))


def _common_words(first: Iterable[str], second: Iterable[str]) -> list[str]:
    shared = []
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        shared.append(one)
    return shared
