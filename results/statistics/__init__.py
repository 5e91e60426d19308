"""Every statistic of the project, one module each.

| module | answers |
|---|---|
| ``wilson`` | between which rates does the true one lie? |
| ``bootstrap`` | the same for a suite or a difference, tasks being easy and hard |
| ``tango`` | between which differences does the true one lie, on the same episodes? |
| ``estimates`` | which of these intervals fits the counts at hand |
| ``mcnemar`` | do two runs differ, on the same episodes? |
| ``holm`` | how to ask that of many pairs at once |
| ``letters`` | which of many runs cannot be told apart |
| ``power`` | how many episodes show a difference, and which difference do so many show? |

Two-sided throughout, at 95 % or 0.05 unless told otherwise.
"""

from results.statistics.bootstrap import difference_bootstrap, rate_bootstrap
from results.statistics.estimates import Estimate, difference_interval, rate_interval
from results.statistics.holm import holm
from results.statistics.letters import compact_letters
from results.statistics.mcnemar import PairCounts, mcnemar
from results.statistics.power import (
    detectable_difference,
    detectable_difference_paired,
    episodes_needed,
    episodes_needed_paired,
    power_paired,
)
from results.statistics.tango import tango_interval
from results.statistics.wilson import Interval, wilson_interval

__all__ = [
    "Estimate",
    "Interval",
    "PairCounts",
    "compact_letters",
    "detectable_difference",
    "detectable_difference_paired",
    "difference_bootstrap",
    "difference_interval",
    "episodes_needed",
    "episodes_needed_paired",
    "holm",
    "mcnemar",
    "power_paired",
    "rate_bootstrap",
    "rate_interval",
    "tango_interval",
    "wilson_interval",
]
