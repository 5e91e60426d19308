"""Statistics of a LeRobot data set, as its policies normalise by them."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tasks.observation import Image
from training.demos.lerobot.schema import Array

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
_SAMPLED_IMAGES = 100
"""Of an episode."""

Statistics = dict[str, Any]


def number_statistics(values: Array) -> Statistics:
    """Return smallest, largest, mean, deviation, count and quantiles of (T,) or (T, n) numbers."""
    rows = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
    found: Statistics = {
        "min": rows.min(0).tolist(),
        "max": rows.max(0).tolist(),
        "mean": rows.mean(0).tolist(),
        "std": rows.std(0).tolist(),
        "count": [len(rows)],
    }
    return found | {name: np.quantile(rows, q, axis=0).tolist() for name, q in QUANTILES.items()}


def image_histogram(images: Image) -> Array:
    """Return (4, 256) counts: of each level in each channel of some images, and how many images.

    Args:
        images: (T, H, W, 3) uint8.
    """
    rows = np.unique(np.linspace(0, len(images) - 1, _SAMPLED_IMAGES).astype(int))
    counts = np.zeros((4, 256), dtype=np.int64)
    for channel in range(3):
        counts[channel] = np.bincount(images[rows, ..., channel].ravel(), minlength=256)
    counts[3, 0] = len(rows)
    return counts


def image_statistics(histograms: Iterable[Array]) -> Statistics:
    """Return the statistics of images in 0 to 1, (3, 1, 1) each, from their histograms."""
    counts = np.sum(list(histograms), axis=0)
    levels = np.arange(256) / 255
    channels = []
    for channel in counts[:3]:
        total = channel.sum()
        mean = float(channel @ levels) / total
        present = np.flatnonzero(channel)
        cumulative = np.cumsum(channel)
        found = {
            "min": levels[present[0]],
            "max": levels[present[-1]],
            "mean": mean,
            "std": float(np.sqrt(channel @ np.square(levels - mean) / total)),
        }
        for name, q in QUANTILES.items():
            found[name] = levels[int(np.searchsorted(cumulative, q * total))]
        channels.append(found)
    statistics: Statistics = {
        name: [[[float(channel[name])]] for channel in channels] for name in channels[0]
    }
    return statistics | {"count": [int(counts[3, 0])]}


def all_statistics(
    columns: Mapping[str, Array], histograms: Mapping[str, Iterable[Array]]
) -> dict[str, Statistics]:
    """Return the statistics of every feature.

    Args:
        columns: Numbers by feature, (T,) or (T, n).
        histograms: By feature of images.
    """
    images = {key: image_statistics(each) for key, each in histograms.items()}
    return images | {key: number_statistics(values) for key, values in columns.items()}
