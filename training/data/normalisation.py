"""How states and actions are normalised: measured on demonstrations, or taken over."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from policies.rdt.actions.layout import Layout
from policies.rdt.actions.normalisation import Normalisation, SlotScales, action_slots, state_slots
from policies.rdt.actions.slots import Method
from tasks.demos.file import Targets
from tasks.demos.reader import Demo
from tasks.errors import ConfigError
from training.config_sections import DataSettings

LEAST_SCALE = 1e-2
"""No slot is divided by less, in its own units: metres, radians, LIBERO's numbers for a delta. What
hardly changes in the demonstrations is noise there, and would be as loud as all else."""

_QUANTILES = (0.01, 0.99)


def choose_normalisation(
    settings: DataSettings,
    layout: Layout,
    demos: Iterable[Demo],
    *,
    start: Normalisation | None,
    before: Normalisation | None,
) -> Normalisation:
    """Take the normalisation over, or measure it.

    Args:
        settings: What is asked.
        layout: Mapping to the unified vector.
        demos: Those that are trained on; read only where something is measured.
        start: Of the checkpoint that the run starts from; None for a fresh network.
        before: Of the run's own latest checkpoint, if it goes on from one.

    Returns:
        That of the run's latest checkpoint if there is one: its weights know no other. Otherwise
        what is asked, measured on these demonstrations; where nothing is asked, that of the start,
        and what suits the layout where there is no start.

    Raises:
        ConfigError: The run was under another normalisation before.
    """
    asked = settings.normalise
    if before is not None:
        if asked not in (None, before.method):
            raise ConfigError(
                f"--normalise {asked}: the checkpoint this run goes on from was trained under "
                f"'{before.method}'. Fix: --normalise {before.method}, or another --out."
            )
        return before
    if asked is None and start is not None:
        return start
    method = settings.method_for(layout)
    if method == "none":
        return Normalisation()
    return measure(method, layout, demos, settings.targets_for(layout))


def measure(method: Method, layout: Layout, demos: Iterable[Demo], which: Targets) -> Normalisation:
    """Measure states and targets, each by itself, as the layout alone writes them.

    Args:
        method: Other than none.
        layout: Mapping to the unified vector.
        demos: What is measured: every state, and every target within a demonstration.
        which: Which of their actions are the targets.
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
    """Give the offset and scale of each column.

    Args:
        method: ``meanstd``: mean and standard deviation; ``minmax`` and ``quantile``: the middle
            and half the distance of the smallest and largest value, or of the 1 % and 99 %
            quantiles.
        values: (N, slots).
        slots: What the columns are.
    """
    given = values.astype(np.float64)
    if method == "meanstd":
        offset, scale = given.mean(0), given.std(0)
    else:
        ends = (0.0, 1.0) if method == "minmax" else _QUANTILES
        low, high = np.quantile(given, ends, axis=0)
        offset, scale = (low + high) / 2, (high - low) / 2
    return SlotScales(
        slots=tuple(slots),
        offset=tuple(offset.tolist()),
        scale=tuple(np.maximum(scale, LEAST_SCALE).tolist()),
    )
