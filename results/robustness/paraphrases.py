"""Success in other words: PRIDE, and success by the distance of the words.

Kim et al., "LIBERO-Para" (arXiv 2603.28301): PRIDE = Σ(success · PD) / Σ PD, where PD is the
distance of a paraphrase. Words that are far from the task's own count for more.
"""

from collections.abc import Sequence
from typing import NamedTuple

from results.records import EpisodeRecord
from results.robustness.episodes import base_of, counted, rate_of
from results.statistics.clusters import ClusteredRate, Trial, clustered_rate

BIN = 0.1
"""Width of a bin of distances."""


class DistanceBin(NamedTuple):
    """Episodes whose words are about as far from the task's own.

    Attributes:
        low: Least distance.
        high: The distance from which on episodes are in the next bin.
        rate: Their success.
    """

    low: float
    high: float
    rate: ClusteredRate


def pride(records: Sequence[EpisodeRecord]) -> ClusteredRate | None:
    """Return PRIDE, in [0, 1], with an interval clustered by base task.

    Args:
        records: Episodes; errors and episodes without a distance are left out.

    Returns:
        None if no episode has a distance above 0.
    """
    known = _with_distance(records)
    if not any(distance for _, distance in known):
        return None
    return clustered_rate(
        Trial(base_of(record), record.outcome == "success", distance) for record, distance in known
    )


def by_distance(records: Sequence[EpisodeRecord]) -> list[DistanceBin]:
    """Return success in bins of distance, ``BIN`` wide, those without an episode left out."""
    bins: dict[int, list[EpisodeRecord]] = {}
    for record, distance in _with_distance(records):
        # 0.3 / 0.1 is less than 3 in floating point.
        bins.setdefault(int(distance / BIN + 1e-9), []).append(record)
    found = []
    for number, group in sorted(bins.items()):
        rate = rate_of(group)
        assert rate is not None, "every group has an episode that counts"
        found.append(DistanceBin(round(number * BIN, 6), round((number + 1) * BIN, 6), rate))
    return found


def _with_distance(records: Sequence[EpisodeRecord]) -> list[tuple[EpisodeRecord, float]]:
    return [(r, r.distance) for r in counted(records) if r.distance is not None]
