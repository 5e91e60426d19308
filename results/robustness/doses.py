"""Success by the strength of a perturbation: dose–response curves.

A perturbation's text, such as ``camera:h=30,v=15``, names its numbers. Episodes of one policy whose
perturbations differ in one number alone are the points of a curve over that number; its first point
are the policy's unperturbed episodes of the same tasks.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil

from results.records import EpisodeRecord, RunRecords
from results.robustness.episodes import (
    base_of,
    counted,
    is_perturbed,
    policy_of,
    rate_of,
    unperturbed_records,
    unperturbed_suite,
)
from results.statistics.clusters import ClusteredRate

LEAST_EPISODES = 5
"""Episodes that a point of a curve needs."""

_NEUTRAL = {
    "camera:s": 100.0,
    "light:diffuse": 1.0,
    "light:ambient": 1.0,
    "light:specular": 1.0,
}
"""Values at which nothing is changed, where that is not 0."""

_UNITS = {
    "camera:h": "orbit, degrees",
    "camera:v": "orbit upwards, degrees",
    "camera:s": "distance, %",
    "camera:er": "turn about the vertical, degrees",
    "camera:ev": "turn about y, degrees",
    "robot:offset": "joints off the home pose, rad",
    "layout:shift": "objects shifted by up to, m",
    "target:x": "target moved along x, m",
    "target:y": "target moved along y, m",
}
_HARMLESS = ("", "noise:stream=keyed")
"""What a perturbation may have besides its number and still start from the unperturbed task."""

_REPLICATES = ("seed",)
"""Numbers that tell repetitions of one dose apart."""


@dataclass(frozen=True, kw_only=True)
class Dose:
    """One point of a curve."""

    value: float
    """How strong."""

    rate: ClusteredRate
    """Success at it."""


@dataclass(frozen=True, kw_only=True)
class DoseCurve:
    """Success of one policy by one number of a perturbation."""

    label: str
    """Name of the policy's runs."""

    suite: str
    """The unperturbed suite."""

    number: str
    """The number, such as ``camera:h``."""

    others: str
    """The perturbation's other numbers; empty without any."""

    doses: tuple[Dose, ...]
    """The points, by ascending value."""

    @property
    def axis(self) -> str:
        """The number in words."""
        noise = self.number.startswith("noise:")
        known = "level, 1 to 10" if noise else _UNITS.get(self.number, "")
        return f"{self.number} ({known})" if known else self.number


def dose_curves(runs: Iterable[RunRecords]) -> list[DoseCurve]:
    """Return the curves of all policies, each with at least two points.

    Args:
        runs: All runs; unperturbed ones give the curves' first points.
    """
    runs = list(runs)
    groups: dict[tuple[str, str, str, str, str], dict[float, list[EpisodeRecord]]] = {}
    for info, records in runs:
        for record in counted(records):
            if not is_perturbed(record):
                continue
            suite = unperturbed_suite(record.suite)
            for number, value, others in numbers_of(record.perturbation or ""):
                key = policy_of(info), info.name, suite, number, others
                groups.setdefault(key, {}).setdefault(value, []).append(record)
    curves = []
    for (policy, label, suite, number, others), points in groups.items():
        if others in _HARMLESS:  # nothing else is changed, so that nothing at all is its start
            bases = {base_of(record) for group in points.values() for record in group}
            neutral = _NEUTRAL.get(number, 0.0)
            points.setdefault(neutral, unperturbed_records(runs, policy, bases))
        doses = tuple(
            Dose(value=value, rate=rate)
            for value, group in sorted(points.items())
            if len(counted(group)) >= LEAST_EPISODES and (rate := rate_of(group)) is not None
        )
        if len(doses) > 1:
            curves.append(
                DoseCurve(label=label, suite=suite, number=number, others=others, doses=doses)
            )
    return sorted(curves, key=lambda curve: (curve.suite, curve.number, curve.others))


def numbers_of(perturbation: str) -> list[tuple[str, float, str]]:
    """Read the numbers of a perturbation's text.

    Returns:
        For each: its name, such as ``camera:h``, its value, and the text of everything else.
    """
    pieces = [
        (kind, name, value)
        for part in perturbation.split("+")
        for kind, _, rest in [part.partition(":")]
        for name, _, value in (item.partition("=") for item in rest.split(","))
    ]
    pieces = [_as_dose(*piece) for piece in pieces if piece[1] not in _REPLICATES]
    found = []
    for at, (kind, name, value) in enumerate(pieces):
        if not re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", value):
            continue
        rest = [piece for other, piece in enumerate(pieces) if other != at]
        others = ",".join(f"{k}:{n}={v}" if v else f"{k}:{n}" for k, n, v in rest)
        found.append((f"{kind}:{name}", float(value), others))
    return found


def _as_dose(kind: str, name: str, value: str) -> tuple[str, str, str]:
    """Return LIBERO-Plus's starts of the arm as the offsets they are: 0.1 rad per hundred."""
    if (kind, name) == ("robot", "start") and value.isdigit():
        return kind, "offset", f"{0.1 * ceil(int(value) / 100):.1f}"
    return kind, name, value
