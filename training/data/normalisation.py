"""The normalisation of states and actions: measured on demonstrations, or kept from before."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from policies.rdt.actions.layout import Layout
from policies.rdt.actions.normalisation import Normalisation, SlotScales, action_slots, state_slots
from policies.rdt.actions.slots import Method
from tasks.demos.reader import Demo
from tasks.demos.schema import Targets
from tasks.errors import ConfigError
from training.data_settings import DataSettings

LEAST_SCALE = 1e-2
"""Smallest scale of a slot, in its own units: metres, radians, LIBERO's numbers for a delta. A slot
that hardly changes in the demonstrations holds noise, which a smaller scale would amplify."""

_QUANTILES = (0.01, 0.99)


def choose_normalisation(
    settings: DataSettings,
    layout: Layout,
    demos: Iterable[Demo],
    *,
    start: Normalisation | None,
    before: Normalisation | None,
) -> Normalisation:
    """Return the normalisation of a run.

    Args:
        settings: The method and the targets.
        layout: Mapping to the unified vector.
        demos: Demonstrations to train on.
        start: Normalisation of the checkpoint to start from; None for a fresh network.
        before: Normalisation of the run's own latest checkpoint, if it is resumed.

    Returns:
        ``before`` if the run is resumed, as its weights were trained under it. Otherwise the method
        of the settings, measured on these demonstrations. Without one, ``start``, or for a fresh
        network the method that suits the layout.

    Raises:
        ConfigError: The resumed run had another method.
    """
    method = settings.normalise
    if before is not None:
        if method not in (None, before.method):
            raise ConfigError(
                f"--normalise {method}: the checkpoint this run goes on from was trained under "
                f"'{before.method}'. Fix: --normalise {before.method}, or another --out."
            )
        return before
    if method is None and start is not None:
        return start
    method = settings.method_for(layout)
    if method == "none":
        return Normalisation()
    return measure(method, layout, demos, settings.targets_for(layout))


def measure(method: Method, layout: Layout, demos: Iterable[Demo], which: Targets) -> Normalisation:
    """Measure states and targets, each separately, in the units of the layout.

    Args:
        method: Any but none.
        layout: Mapping to the unified vector.
        demos: The demonstrations.
        which: The actions that are the targets.
    """
    states, actions = [], []
    for demo in demos:
        robot = demo.robot
        states.append(layout.encode_state(robot)[:, list(state_slots(layout))])
        actions.append(layout.targets(demo.targets(which), robot)[:, list(action_slots(layout))])
    return Normalisation(
        method=method,
        state=scales(method, np.concatenate(states), state_slots(layout)),
        action=scales(method, np.concatenate(actions), action_slots(layout)),
    )


def scales(method: Method, values: npt.NDArray[Any], slots: Sequence[int]) -> SlotScales:
    """Return the offset and scale of each column.

    Args:
        method: ``meanstd``: mean and standard deviation; ``minmax`` and ``quantile``: the middle
            and half the distance of the smallest and largest value, or of the 1 % and 99 %
            quantiles.
        values: (N, slots).
        slots: Slots of the columns.
    """
    values = values.astype(np.float64)
    if method == "meanstd":
        offset, scale = values.mean(0), values.std(0)
    else:
        ends = (0.0, 1.0) if method == "minmax" else _QUANTILES
        low, high = np.quantile(values, ends, axis=0)
        offset, scale = (low + high) / 2, (high - low) / 2
    return SlotScales(
        slots=tuple(slots),
        offset=tuple(offset.tolist()),
        scale=tuple(np.maximum(scale, LEAST_SCALE).tolist()),
    )
