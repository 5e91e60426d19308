"""PRIDE, and success by the distance of words."""

from collections.abc import Sequence

import pytest

from results.records import EpisodeRecord
from results.robustness.paraphrases import by_distance, pride
from tests.results.robustness.perturbed_runs import perturbed


def told(*pairs: tuple[float | None, bool]) -> Sequence[EpisodeRecord]:
    return [
        perturbed(task, "act", "paraphrase:act", success, distance=distance)
        for task, (distance, success) in enumerate(pairs)
    ]


def test_far_words_count_for_more() -> None:
    near, far = told((0.1, True), (0.3, False)), told((0.1, False), (0.3, True))
    for records, wanted in ((near, 0.25), (far, 0.75)):
        score = pride(records)
        assert score is not None
        assert score.rate == pytest.approx(wanted)
        assert score.low < wanted < score.high


def test_all_and_none() -> None:
    best, worst = pride(told((0.2, True), (0.5, True))), pride(told((0.2, False), (0.5, False)))
    assert best is not None and worst is not None
    assert (best.rate, worst.rate) == (1.0, 0.0)


def test_without_distances_there_is_none() -> None:
    assert pride(told((None, True))) is pride(told((0.0, True))) is pride([]) is None


def test_bins_are_a_tenth_wide() -> None:
    records = told((0.0, True), (0.1, True), (0.3, False), (0.39, True), (0.7, False), (None, True))
    bins = [(low, high, rate.successes, rate.episodes) for low, high, rate in by_distance(records)]
    assert bins == [(0.0, 0.1, 1, 1), (0.1, 0.2, 1, 1), (0.3, 0.4, 1, 2), (0.7, 0.8, 0, 1)]
