"""Settings: frozen, keyword-only, and strict about numbers wherever these come from.

Left alone, pydantic makes 1 of ``True`` and 5 of ``"5"``, so that a slip in a recipe or a script
runs as something else. Here an integer is an integer, a switch is true or false, and a number is
finite.
"""

import inspect
import re
from collections.abc import Callable, Iterable
from dataclasses import field, fields
from functools import wraps
from operator import index
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ParamSpec,
    SupportsIndex,
    TypeVar,
    Union,
    cast,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import AllowInfNan, BeforeValidator, ConfigDict, Field, Strict, validate_call
from pydantic.dataclasses import dataclass
from pydantic.fields import FieldInfo

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

MOST_NUMBERS = 10_000
"""Tasks, episodes, demonstrations that are asked for at once; more are a slip."""

MOST_SEED = 2**32 - 1 - MOST_NUMBERS
"""NumPy's generator takes 32 bits, and episodes count up from the seed."""

_T = TypeVar("_T")
_P = ParamSpec("_P")

_INTEGER = re.compile(r"[+-]?[0-9]+")
_MOST_DIGITS = 40
"""Longer ones are no setting, and Python refuses to read very long ones."""


def _plain_integer(value: object) -> object:
    """Return NumPy's integers as Python's; everything else as it is."""
    return value if isinstance(value, int) or not isinstance(value, SupportsIndex) else index(value)


_STRICT: dict[Any, Any] = {
    int: Annotated[int, BeforeValidator(_plain_integer), Strict()],
    bool: Annotated[bool, Strict()],
    float: Annotated[float, Strict(), AllowInfNan(False)],
}


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(Field, field))
def settings(cls: type[_T]) -> type[_T]:
    """Turn a class body into a class of settings.

    Args:
        cls: The class; its fields are checked as they are annotated, numbers strictly. Paths may
            be given as strings, tuples as lists, and other settings as dictionaries.
    """
    for name, value in list(vars(cls).items()):
        if isinstance(value, FieldInfo) and value.default_factory is None:
            _annotate(cls, name, value)
    cls.__annotations__ = {k: strict_numbers(v) for k, v in cls.__annotations__.items()}
    make = dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
    return cast(type[_T], make(cls))


def _annotate(cls: type, name: str, info: FieldInfo) -> None:
    """Move a field's bounds into its annotation, so that its default is a plain one."""
    cls.__annotations__[name] = Annotated[(cls.__annotations__[name], *info.metadata)]
    if info.is_required():
        delattr(cls, name)
    else:
        setattr(cls, name, info.default)


def changed_options(section: "DataclassInstance", names: Iterable[str]) -> str:
    """Name the options that are not at their defaults, such as ``--std-min, --std-max``.

    Args:
        section: The settings.
        names: Fields to look at, each of which has a default.
    """
    defaults = {entry.name: entry.default for entry in fields(section)}
    changed = [name for name in names if getattr(section, name) != defaults[name]]
    return ", ".join("--" + name.replace("_", "-") for name in changed)


def strict_call(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Check a function's arguments as those of settings are checked."""

    @wraps(function)
    def checked(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        return function(*args, **kwargs)

    hints = get_type_hints(function, include_extras=True)
    checked.__annotations__ = {name: strict_numbers(hint) for name, hint in hints.items()}
    signature = inspect.signature(function)
    parameters = [
        each.replace(annotation=checked.__annotations__.get(name, each.annotation))
        for name, each in signature.parameters.items()
    ]
    checked.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return validate_call(checked)


def strict_numbers(annotation: Any) -> Any:
    """Return an annotation under which pydantic turns nothing else into a number.

    Args:
        annotation: Any annotation, such as ``int | None`` or ``tuple[float, ...]``.
    """
    if isinstance(annotation, type) and annotation in _STRICT:
        return _STRICT[annotation]
    origin, given = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return Annotated[(strict_numbers(given[0]), *annotation.__metadata__)]
    strict = tuple(strict_numbers(each) for each in given)
    if strict == given:
        return annotation
    return Union[strict] if origin in (Union, UnionType) else origin[strict]  # noqa: UP007


def read_word(text: str) -> bool | int | float | str:
    """Read what was typed for a setting whose type is not known here.

    Args:
        text: A truth, an integer in decimal digits, another number, or any word.
    """
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if _INTEGER.fullmatch(text) and len(text) <= _MOST_DIGITS:
        return int(text)
    try:
        return float(text)
    except ValueError:
        return text
