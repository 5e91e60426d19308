"""The plans in a server's answers."""

from typing import Any

from policies.remote.connection import ServerError
from policies.remote.mapping import ServerMapping
from tasks.actions import check_finite, read_numbers
from tasks.errors import ConfigError, SpecMismatchError
from tasks.observation import ACTION_DIM, FloatArray

MAX_HORIZON = 4096


def read_plan(values: Any, mapping: ServerMapping) -> FloatArray:
    """Return a plan from a server, (horizon, 7) float64 in [−1, 1].

    Args:
        values: An array or lists of numbers.
        mapping: Conventions of its numbers.

    Raises:
        SpecMismatchError: It is no plan.
        ServerError: It holds NaN or infinity.
    """
    try:
        actions = read_numbers(values)
    except ValueError as error:
        raise SpecMismatchError(
            f"The policy server's '{mapping.actions_key}' cannot be read ({error}). Needed: an "
            f"array or lists of numbers, (steps, {ACTION_DIM}). Fix: serve a policy that answers "
            "as openpi's do."
        ) from error
    if actions.ndim != 2 or not 1 <= len(actions) <= MAX_HORIZON or actions.shape[1] != ACTION_DIM:
        raise SpecMismatchError(
            f"The policy server gave actions of shape {actions.shape}. Needed: (steps, "
            f"{ACTION_DIM}), position and axis-angle deltas and gripper, 1 to {MAX_HORIZON} "
            "steps. Fix: serve a policy that was trained for LIBERO."
        )
    try:
        check_finite(actions, "The policy server's actions")
    except ConfigError as error:
        raise ServerError(str(error)) from error  # the next answer may be finite
    return mapping.commands(actions)
