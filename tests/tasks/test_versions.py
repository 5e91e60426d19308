"""Versions outside the supported range are refused before LIBERO fails in its own way."""

import re
from importlib.metadata import requires

import mujoco
import numpy as np
import pytest
from packaging.requirements import Requirement

from tasks import versions
from tasks.errors import PrerequisiteError
from tasks.versions import VERSIONS, check_versions, physics


@pytest.fixture
def installed(monkeypatch):
    """Pretend that other versions are installed."""
    found = {"mujoco": "3.2.3", "robosuite": "1.4.0"}

    def version(package: str) -> str:
        if found[package] is None:
            raise versions.PackageNotFoundError(package)
        return found[package]

    monkeypatch.setattr(versions, "version", version)
    check_versions.cache_clear()
    yield found
    check_versions.cache_clear()


@pytest.mark.parametrize("mujoco_version", ["3.2.3", "3.2.7", "3.3.0", "3.3.7", "3.3.8"])
def test_supported_versions_pass(installed, mujoco_version: str) -> None:
    installed["mujoco"] = mujoco_version
    check_versions()
    warned = versions.beside_the_pin()
    assert (warned is None) == (mujoco_version == "3.2.3")
    assert warned is None or f"mujoco {mujoco_version} is installed, not 3.2.3" in warned


@pytest.mark.parametrize(
    ("package", "found", "words"),
    [
        ("mujoco", "3.2.2", "mujoco 3.2.2 is installed. Allowed: 3.2.3 to 3.3.7"),
        ("mujoco", "3.4.0", "Fix: pip install mujoco==3.2.3"),
        ("mujoco", "3.17.0", "mujoco 3.17.0 is installed"),
        ("mujoco", "4.0.0", "mujoco 4.0.0 is installed"),
        ("mujoco", None, "mujoco is not installed"),
        ("robosuite", "1.5.0", "Allowed: 1.4.0"),
        ("robosuite", "1.4.1", "Fix: pip install robosuite==1.4.0"),
    ],
)
def test_other_versions_are_refused(installed, package: str, found, words: str) -> None:
    installed[package] = found
    with pytest.raises(PrerequisiteError, match=re.escape(words)):
        check_versions()


def test_a_version_beside_the_pin_is_named_with_what_differs(installed) -> None:
    assert versions.beside_the_pin() is None
    installed["mujoco"] = "3.3.7"
    words = versions.beside_the_pin()
    assert words.startswith("mujoco 3.3.7 is installed, not 3.2.3")
    assert "darker" in words
    assert words.endswith("Fix: pip install mujoco==3.2.3")
    installed["mujoco"] = None
    assert versions.beside_the_pin() is None


@pytest.mark.parametrize("package", ["mujoco", "robosuite"])
def test_what_pip_installs_is_what_is_supported(package: str) -> None:
    (required,) = (
        requirement
        for requirement in map(Requirement, requires("libero-bench"))
        if requirement.name == package
    )
    pin = VERSIONS[package]
    for version in ("1.3.9", "1.4.0", "1.4.1", "3.2.2", "3.2.3", "3.3.0", "3.3.9", "3.4.0", "4.0"):
        assert pin.supports(version) == required.specifier.contains(version)


def test_the_pinned_version_of_every_package_is_supported() -> None:
    for pin in VERSIONS.values():
        assert pin.supports(pin.pinned)
        assert pin.supports(pin.newest)


def test_the_warm_start_is_described_as_the_installed_mujoco_treats_it() -> None:
    model = mujoco.MjModel.from_xml_string(
        "<mujoco><worldbody><geom type='plane' size='1 1 1'/>"
        "<body pos='0 0 .05'><freejoint/><geom size='.1'/></body></worldbody></mujoco>"
    )
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    updated = bool(np.any(data.qacc_warmstart))
    assert physics().forward_updates_warmstart == updated
    assert physics("3.3.5").forward_updates_warmstart
    assert not physics("3.3.6").forward_updates_warmstart
    assert not physics("3.10.0").forward_updates_warmstart
