"""Asking about many pairs at once: Holm's correction."""

from collections.abc import Sequence

from results.errors import ResultsError


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted so that the chance of any false alarm stays below the level.

    Holm (1979): the i-th smallest of m, counted from 0, is multiplied by m - i, and none may be
    smaller than one before it. Uniformly better than Bonferroni, under the same absence of
    assumptions: tests that share a run depend on one another.

    Args:
        p_values: Of one family of tests, each in [0, 1].

    Returns:
        The adjusted values, in the given order.

    Raises:
        ResultsError: A p-value is out of its range.
    """
    if wrong := [p for p in p_values if not 0.0 <= p <= 1.0]:
        raise ResultsError(f"{wrong[0]} is no p-value: give numbers between 0 and 1.")
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for i, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - i) * p_values[index]))
        adjusted[index] = largest
    return adjusted
