"""Initial position embeddings of RDT's sequence and conditions."""

from typing import Any

import numpy as np
import numpy.typing as npt

from policies.rdt.model.config import PositionEntry

Table = npt.NDArray[np.float64]

_MODALITIES = 4  # timestep, control frequency, state, actions


def sincos(dim: int, positions: npt.NDArray[Any]) -> Table:
    """Embed positions: ω_k = 10000^(−k/(dim/2)), sines first, then cosines (Vaswani et al. 2017).

    Args:
        dim: Width of the embedding, even.
        positions: (N,) numbers.

    Returns:
        (N, dim) float64 in [−1, 1].
    """
    frequencies = 1.0 / 10000 ** (np.arange(dim // 2, dtype=np.float64) / (dim / 2))
    angles = positions.astype(np.float64)[:, None] * frequencies[None, :]
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)


def sequence_positions(hidden_size: int, horizon: int) -> Table:
    """Embed the positions of [timestep, frequency, state, actions].

    Args:
        hidden_size: H, a multiple of 4.
        horizon: T.

    Returns:
        (T + 3, H) float64: modality in the first half, position within it in the second.
    """
    modality = np.concatenate([np.arange(_MODALITIES - 1), np.full(horizon, _MODALITIES - 1)])
    within = np.concatenate([np.zeros(_MODALITIES - 1), np.arange(horizon)])
    half = hidden_size // 2
    return np.concatenate([sincos(half, modality), sincos(half, within)], axis=1)


def condition_positions(
    hidden_size: int, length: int, entries: tuple[PositionEntry, ...] | None
) -> Table:
    """Embed the positions of a condition, language or images: (N, H) float64.

    Args:
        hidden_size: H.
        length: N tokens.
        entries: As in ``RDTConfig.lang_pos_embed_config``; None numbers the tokens 0..N−1.
    """
    if entries is None:
        return sincos(hidden_size, np.arange(length))
    return np.concatenate([_entry_positions(hidden_size, axes) for _, axes in entries])


def _entry_positions(hidden_size: int, axes: int | tuple[int, ...]) -> Table:
    if isinstance(axes, int):
        rows = sincos(hidden_size, np.arange(max(axes, 1)))
        return np.array(np.broadcast_to(rows, (abs(axes), hidden_size)))
    grid = np.zeros((*(abs(axis) for axis in axes), hidden_size))
    embedded = [index for index, axis in enumerate(axes) if axis > 1]
    width = hidden_size // len(embedded) if embedded else 0
    width -= width % 2
    for order, index in enumerate(embedded):
        rows = sincos(width, np.arange(axes[index]))
        shape = [1] * len(axes) + [width]
        shape[index] = axes[index]
        grid[..., order * width : (order + 1) * width] = rows.reshape(shape)
    return grid.reshape(-1, hidden_size)
