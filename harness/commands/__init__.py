"""The commands of ``libero-bench``, by subject.

``--help`` imports them, so what needs torch, MuJoCo or SciPy is imported where a command runs.
"""

from typing import Annotated, Any

from cyclopts import Parameter

Switch = Annotated[bool, Parameter(negative=())]
"""An option that is given or not, without a ``--no-`` form."""


def _as_typed(default: Any) -> Any:
    """Return a default as users type it; None for nothing."""
    if default is None or default == () or default == {}:
        return None
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)


Flat = Parameter(name="*", negative_iterable=(), show_default=_as_typed)
"""Makes an option of each field of a configuration, under the field's name."""
