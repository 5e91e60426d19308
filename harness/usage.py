"""Reading a command line exactly, and saying what is wrong with it.

cyclopts would round ``--episodes 1.5`` to 2. The project's packages import NumPy and pydantic;
``--help`` needs neither, so they are imported when an option is read.
"""

import sys
from math import isfinite
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin

from cyclopts import (
    App,
    ArgumentCollection,
    CycloptsError,
    MissingArgumentError,
    Token,
    UnknownOptionError,
)

from tasks.errors import ConfigError

_NOTHING = ("none", "null")


def read_options(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Read integers, numbers, paths and policies' own options; a hook of cyclopts.

    Args:
        app: The application.
        commands: The command's names.
        arguments: The command's arguments with what was typed for each.

    Raises:
        ConfigError: A text is not what its argument takes.
    """
    for argument in arguments:
        for token in argument.tokens:
            _check_text(token)
        if get_origin(argument.hint) is dict:
            argument.tokens = [_read_entry(token) for token in argument.tokens]
            continue
        kinds = set(get_args(argument.hint) or (argument.hint,))
        optional = NoneType in kinds
        if Path in kinds:
            _check_paths(argument.tokens)
        kinds -= {NoneType}
        if len(kinds) == 1 and (kind := kinds.pop()) in _ALLOWED:
            argument.tokens = [_read(token, kind, optional=optional) for token in argument.tokens]


def _read_word(text: str) -> object:
    from tasks.settings import read_word

    return read_word(text)


def _read(token: Token, kind: Any, *, optional: bool) -> Token:
    text = token.value
    if not text or (optional and text.lower() in _NOTHING):  # a bare flag has no word
        return token
    value = _read_word(text)
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind or (isinstance(value, float) and not isfinite(value)):
        raise _refusal(f"{token.keyword or 'Value'} '{text}' is not allowed. {_ALLOWED[kind]}.")
    return token.evolve(implicit_value=value)


def _read_entry(token: Token) -> Token:
    """Read ``--option.batch-size 4`` as the number 4 under ``batch_size``."""
    keys = tuple(key.replace("-", "_") for key in token.keys)
    return token.evolve(keys=keys, implicit_value=_read_word(token.value))


def _refusal(message: str) -> Exception:
    return ConfigError(message)


def _check_text(token: Token) -> None:
    """Refuse what cannot be written into a run's records; files to look at may be called so."""
    if token.keyword and not token.value.isascii():
        try:
            token.value.encode()
        except UnicodeEncodeError as error:
            raise _refusal(
                f"{token.keyword} '{token.value}' is no text in this locale. Allowed: text in "
                f"{sys.getfilesystemencoding()}. Fix: LC_ALL=C.UTF-8 without PYTHONUTF8=0, or "
                "another name."
            ) from error


def _check_paths(tokens: list[Token]) -> None:
    for token in tokens:
        if not token.value or "\0" in token.value:
            given = token.value.replace("\0", "\\0")
            raise _refusal(
                f"{token.keyword or 'The path'} '{given}' is not allowed. Allowed: the path of a "
                "file or folder, such as runs/first."
            )


_ALLOWED = {
    int: "Allowed: a whole number such as 3",
    float: "Allowed: a finite number such as 0.5",
}


def misspelt_option(error: CycloptsError) -> str | None:
    """Say which option does not exist, as that explains whatever else is wrong.

    Args:
        error: What cyclopts raised, such as that a required option is missing.

    Returns:
        A sentence with the nearest option; None if all options exist.
    """
    if error.app is None or error.app.default_command is None:
        return None
    known = error.app.assemble_argument_collection()
    for word in error.unused_tokens or ():
        name = word.split("=")[0]
        if name.startswith("--") and name != "--" and not _is_known(name, known):
            token = Token(keyword=name, source="cli")
            return str(UnknownOptionError(token=token, argument_collection=known, verbose=False))
    return None


def usage_error(error: CycloptsError) -> str:
    """Return cyclopts' own message, on one line."""
    if isinstance(error, MissingArgumentError) and error.argument and not error.keyword:
        argument = error.argument
        if not argument.tokens:
            return f"{argument.name} must be given. All options: --help."
    return " ".join(str(error).split())


def _is_known(name: str, known: ArgumentCollection) -> bool:
    try:
        known.match(name)
    except ValueError:
        return False
    return True
