"""Checking what is about to be executed."""

import numpy as np

from tasks.errors import ConfigError
from tasks.observation import ACTION_DIM, FloatArray


def check_actions(actions: FloatArray) -> FloatArray:
    """Return actions as (n, 7) float64, or say what is wrong with them.

    Raises:
        ConfigError: Wrong shape, or numbers that are not finite or not in [−1, 1].
    """
    array = np.asarray(actions, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != ACTION_DIM:
        raise ConfigError(f"Actions of shape {array.shape} given. Allowed: (n, {ACTION_DIM}).")
    if not np.isfinite(array).all():
        raise ConfigError("An action holds NaN or infinity. Allowed: numbers in [−1, 1].")
    if np.abs(array).max(initial=0.0) > 1.0 + 1e-6:
        raise ConfigError(
            f"An action holds {array.flat[int(np.abs(array).argmax())]:.3g}. "
            "Allowed: numbers in [−1, 1]; clip or rescale the policy's output."
        )
    return array
