"""The checks that simulate tell a simulation like the golden one from another."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from harness.doctor import goldens, simulation
from tasks.observation import CAMERAS
from tasks.simulation.simulator import Simulator
from tasks.suites import ORIGINAL_SUITES

NOWHERE = Path("/nonexistent")


def altered(start: goldens.SettledStart, *, by: int) -> goldens.SettledStart:
    """Make every pixel of a start's pictures so much brighter or darker."""
    images = {
        camera: np.where(image > 127, image - by, image + by).astype(np.uint8)
        for camera, image in start.images.items()
    }
    return dataclasses.replace(start, images=images)


@pytest.mark.parametrize("suite", ORIGINAL_SUITES)
def test_goldens_are_compared_by_pixels_and_positions(
    suite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    golden = goldens.golden_start(suite)
    moved = dataclasses.replace(golden, state=golden.state + 1e-3)
    starts = {
        "ok": golden,
        "warning": altered(golden, by=1),
        "failed": altered(golden, by=30),
        "moved": moved,
    }
    findings = {}
    for name, start in starts.items():
        monkeypatch.setattr(goldens, "begin", lambda _, start=start: start)
        findings[name] = simulation.check_images(suite, tmp_path / name)
    assert {name: finding.status for name, finding in findings.items()} == {
        "ok": "ok",
        "warning": "warning",
        "failed": "failed",
        "moved": "failed",
    }
    assert "1.00 (at most 1)" in findings["warning"].detail
    assert "antialiasing" in findings["failed"].fix
    assert "1.0e-03" in findings["moved"].detail
    kinds = ("here", "golden", "difference")
    written = {f"{suite}-{camera}-{kind}.png" for camera in CAMERAS for kind in kinds}
    assert {path.name for path in (tmp_path / "failed").iterdir()} == written
    assert not (tmp_path / "warning").exists()


def test_differences_are_expected_of_another_mujoco(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    golden = goldens.golden_start("libero_object")
    monkeypatch.setattr(goldens, "begin", lambda _: altered(golden, by=30))
    monkeypatch.setattr(simulation, "version", lambda _: "3.3.7")
    finding = simulation.check_images("libero_object", tmp_path)
    assert finding.status == "warning"
    assert "golden is mujoco 3.2.3, here is 3.3.7" in finding.detail


@pytest.mark.parametrize(
    ("shift", "status"), [(0.0, "ok"), (1e-7, "warning"), (1e-2, "failed"), (np.nan, "failed")]
)
def test_physics_is_compared_with_the_golden_end(
    monkeypatch: pytest.MonkeyPatch, shift: float, status: str
) -> None:
    end = np.asarray(goldens.golden_facts()["end"])
    monkeypatch.setattr(goldens, "final_state", lambda: end + shift)
    assert simulation.check_physics(NOWHERE).status == status
    monkeypatch.setattr(goldens, "final_state", lambda: end[:-1])
    assert simulation.check_physics(NOWHERE).status == "failed"


@pytest.mark.sim
def test_this_machine_shows_the_golden_start_and_no_other(tmp_path: Path) -> None:
    golden = goldens.golden_start("libero_object")
    here, other = goldens.begin("libero_object"), goldens.begin("libero_object", 1)
    for camera in CAMERAS:
        assert goldens.difference(here.images[camera], golden.images[camera]).near
        assert not goldens.difference(other.images[camera], golden.images[camera]).near
    assert simulation.check_physics(tmp_path).status in ("ok", "warning")


@pytest.mark.sim
def test_a_simulation_that_differs_from_the_official_one_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(goldens, "STEPS", 6)
    assert simulation.check_identity(NOWHERE).status == "ok"

    class Weaker(Simulator):
        def step(self, action, **how):
            return super().step(action * (1 - 1e-9), **how)

    monkeypatch.setattr(simulation, "Simulator", Weaker)
    finding = simulation.check_identity(NOWHERE)
    assert (finding.status, "from control step 1 on" in finding.detail) == ("failed", True)


@pytest.mark.sim
def test_speed_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "control steps/s without pictures" in simulation.check_speed(NOWHERE).detail
    monkeypatch.setattr(simulation, "REAL_TIME", 1e9)
    assert simulation.check_speed(NOWHERE).status == "warning"
