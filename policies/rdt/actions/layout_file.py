"""Reading layouts from TOML: the shipped ones by name, others by path."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError

from policies.rdt.actions.channels import ActionChannel, ActionSource, StateChannel, StateSource
from policies.rdt.actions.layout import DEFAULT_LAYOUT, Layout, Masks
from tasks.errors import ConfigError, first_mistake, unknown_name

_SUFFIX = ".toml"
_FIX = "Fix: start from one of those in policies/rdt/layouts."
# The class of each table's entries and, of tables whose entries name a source, the sources.
_TABLES: dict[str, tuple[Any, tuple[str, ...]]] = {
    "state": (StateChannel, get_args(StateSource)),
    "action": (ActionChannel, get_args(ActionSource)),
    "masks": (Masks, ()),
}


@cache
def shipped_layouts() -> tuple[str, ...]:
    """Return the names of the layouts that come with the package."""
    files = (entry.name for entry in _folder().iterdir())
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in files if name.endswith(_SUFFIX)))


def get_layout(name: str | Path = DEFAULT_LAYOUT) -> Layout:
    """Return a shipped layout by its name, or a user's own by the path of its file.

    Raises:
        ConfigError: There is no such layout, the file is not one, or it is another layout under the
            name of a shipped one.
    """
    if not isinstance(name, Path) and not name.endswith(_SUFFIX) and "/" not in name:
        if name not in shipped_layouts():
            error = unknown_name("layout", name, shipped_layouts())
            raise ConfigError(
                f"{error} A layout of your own is given as a path ending in {_SUFFIX}."
            )
        return _shipped(name)
    path = Path(name)
    try:
        layout = _read(path.read_bytes(), str(path))
    except OSError as error:
        raise ConfigError(
            f"The layout '{path}' cannot be read ({error.strerror}). "
            f"Allowed: a file ending in {_SUFFIX}, or one of {', '.join(shipped_layouts())}."
        ) from error
    if layout.name in shipped_layouts() and _shipped(layout.name).hash != layout.hash:
        raise ConfigError(
            f"The layout '{path}' is called '{layout.name}', as a shipped one is that does "
            "something else. Fix: give it a name of its own."
        )
    return layout


def parse_layout(plain: Mapping[str, Any], where: str) -> Layout:
    """Make a layout of plain data, as ``Layout.as_dict`` gives it; ``where`` names its source.

    Raises:
        ConfigError: It is not a layout.
    """
    try:
        _check_names(plain)
        layout: Layout = TypeAdapter(Layout).validate_python(plain)
    except ConfigError as error:
        raise ConfigError(f"The layout '{where}': {error}") from error
    except ValidationError as error:
        place, why = first_mistake(error)
        why = why.split("value error, ")[-1]  # without the whole table that was given
        raise ConfigError(f"The layout '{where}': {place}: {why}. {_FIX}") from error
    return layout


@cache
def _shipped(name: str) -> Layout:
    layout = _read((_folder() / f"{name}{_SUFFIX}").read_bytes(), f"{name}{_SUFFIX}")
    assert layout.name == name, "a shipped layout's name is its file's"
    return layout


def _folder() -> Traversable:
    return resources.files("policies.rdt") / "layouts"


def _read(text: bytes, where: str) -> Layout:
    try:
        return parse_layout(tomllib.loads(text.decode()), where)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"The layout '{where}' is not TOML ({error}). {_FIX}") from error


def _check_names(plain: Mapping[str, Any]) -> None:
    """Refuse misspelt keys and sources with the nearest that exists; types are pydantic's."""
    _check_keys("layout setting", plain, Layout)
    for table, (kind, sources) in _TABLES.items():
        entries = plain.get(table, ())
        for entry in [entries] if isinstance(entries, Mapping) else entries:
            if not isinstance(entry, Mapping):
                continue
            _check_keys(f"setting of {table}", entry, kind)
            source = entry.get("source")
            if sources and isinstance(source, str) and source not in sources:
                raise unknown_name(f"{table} source", source, sources)


def _check_keys(what: str, entry: Mapping[str, Any], kind: Any) -> None:
    allowed = tuple(kind.__dataclass_fields__)
    for key in entry:
        if key not in allowed:
            raise unknown_name(what, key, allowed)
