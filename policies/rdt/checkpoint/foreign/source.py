"""What a user names as a checkpoint: where its weights are, and what older exports say of it."""

import shlex
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from policies.rdt.actions.layout import Layout, get_layout
from policies.rdt.actions.layout_file import shipped_layouts
from policies.rdt.actions.normalisation import Normalisation
from policies.rdt.checkpoint.foreign.finding import Weights, is_own
from policies.rdt.checkpoint.foreign.low_rank import Adapter, find_adapter, read_adapter
from policies.rdt.checkpoint.hub import find_source
from policies.rdt.checkpoint.weights import read_json
from tasks.errors import ConfigError, SpecMismatchError, first_mistake

NORMALISATION = "normalisation.json"
"""The numbers alone, for the official code; exports of older versions have no contract beside."""


def find_parts(
    source: Path | str, base: str | None, weights: Weights = "auto"
) -> tuple[Path, Adapter | None]:
    """Find a checkpoint, or an adapter and its base.

    Args:
        source: See ``loading.load_network``, as for the others.
        base: See there.
        weights: See there.

    Returns:
        Where the weights are: a folder of ours, or what ``find_official`` takes. And the adapter
        that is to be merged into them, if there is one.

    Raises:
        ConfigError: An adapter lacks its base, or a base was given for something else.
        PrerequisiteError: Something is on the hub and the hub cannot be reached.
    """
    place = find_source(source, ema=weights == "ema")
    if (folder := find_adapter(place)) is None:
        if base is not None:
            raise ConfigError(
                f"base '{base}' was given, but '{source}' is no adapter. Fix: leave the base out."
            )
        return _own_folder(place), None
    adapter = read_adapter(folder)
    if base is None:
        name = shlex.quote(str(source))
        raise ConfigError(
            f"'{source}' is {adapter.describe()}. It works only merged into its base. Fix: give "
            "the base, a folder or a hub name, with --option.base BASE (inspect: --base BASE); or "
            f"merge it for good: libero-bench export-checkpoint {name} --base BASE --out FOLDER"
        )
    under = find_source(base, ema=weights == "ema")
    if find_adapter(under) is not None:
        raise ConfigError(
            f"The base '{base}' is an adapter itself. Fix: merge it first (libero-bench "
            "export-checkpoint), and give what that wrote."
        )
    return _own_folder(under), adapter


def _own_folder(place: Path) -> Path:
    """Give the folder of ours that a weight file is in: what it needs is said there."""
    return place.parent if place.is_file() and is_own(place.parent) else place


def read_older_normalisation(place: Path, layout: Layout | None) -> Normalisation:
    """Read what exports of older versions say instead of a contract, if this is one.

    Args:
        place: A checkpoint in the official layout.
        layout: What the user says that it was trained with.

    Raises:
        ConfigError: The numbers are there, but not the layout that they are of.
        SpecMismatchError: They are of another layout.
    """
    path = (place.parent if place.is_file() else place) / NORMALISATION
    if not path.is_file():
        return Normalisation()
    try:
        found = TypeAdapter(Normalisation).validate_python(read_json(path))
    except ValidationError as error:
        where, why = first_mistake(error)
        raise ConfigError(f"'{path}': {where}: {why}. Fix: export the checkpoint anew.") from error
    if layout is None:
        fitting = [name for name in shipped_layouts() if _fits(found, get_layout(name))]
        raise ConfigError(
            f"'{path}' says how states and actions were normalised ({found.method}), but not in "
            f"which layout: an older version exported this. Its slots fit {', '.join(fitting)}. "
            "Fix: export the checkpoint anew (libero-bench export-checkpoint), or give the layout "
            "that it was trained with: --option.layout NAME (inspect: --layout NAME)."
        )
    found.laid_over(layout)  # refuses slots of another
    return found


def _fits(normalisation: Normalisation, layout: Layout) -> bool:
    try:
        normalisation.laid_over(layout)
    except SpecMismatchError:
        return False
    return True
