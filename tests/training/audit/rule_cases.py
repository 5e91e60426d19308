"""The form of a case of a rule, and the facts that cases are made of."""

from typing import Any, NamedTuple

from pydantic import TypeAdapter

from training.audit.facts import Facts
from training.audit.sections import SECTIONS

OFFICIAL: dict[str, Any] = {"code": "official", "network": "rdt-1b"}
OWN: dict[str, Any] = {"code": "libero-bench", "network": "rdt-small"}


def facts(**given: Any) -> Facts:
    """Facts as a reader would make them: everything given counts as stated."""
    stated = {f"{s}.{name}" for s in SECTIONS for name in given.get(s, {})}
    return TypeAdapter(Facts).validate_python({**given, "stated": frozenset(stated)})


def training(base: dict[str, Any] | None = None, **given: Any) -> Facts:
    return facts(training={**(OFFICIAL if base is None else base), **given})


class Case(NamedTuple):
    rule: str
    fires: Facts
    severity: str
    words: str
    quiet: Facts
