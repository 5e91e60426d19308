import pytest

from results.errors import ResultsError
from results.statistics import holm


def test_known_values() -> None:
    """What p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm") of R gives."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_one_test_needs_no_correction() -> None:
    assert holm([0.04]) == [0.04]
    assert holm([]) == []


def test_steps_down_as_holm_described() -> None:
    p_values = [0.001, 0.012, 0.017, 0.02, 0.03, 0.6]
    adjusted = holm(p_values)
    rejected = 0
    for i, p in enumerate(sorted(p_values)):
        if p > 0.05 / (len(p_values) - i):
            break
        rejected += 1
    assert sum(p <= 0.05 for p in adjusted) == rejected == 1
    assert adjusted == sorted(adjusted)
    assert max(adjusted) <= 1.0


def test_nonsense_is_refused() -> None:
    with pytest.raises(ResultsError, match="no p-value"):
        holm([0.5, 1.5])
