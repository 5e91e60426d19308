"""The benchmark of pictures: what it compares, and that it finds a difference."""

import numpy as np
import pytest

from harness.benchmarks import picture_identity
from harness.benchmarks.picture_identity import PictureFigures, compare_pictures
from harness.benchmarks.tables import picture_table
from policies.interface import PlanningError
from tasks.simulation.renderer import Renderer

PAIR = [("libero_spatial", 0), ("libero_object_swap", 1)]


@pytest.fixture(autouse=True)
def no_expert(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let random actions take over at once: the expert looks for grasps for many seconds."""

    class Expert:
        failure = None

        def begin(self, simulator: object, seed: int) -> None:
            raise PlanningError("There is no grasp.")

    monkeypatch.setattr(picture_identity, "ExpertPolicy", Expert)


@pytest.mark.sim
def test_two_tasks_are_compared_by_turns_and_have_no_difference() -> None:
    reports: list[str] = []
    figures = list(compare_pictures(PAIR, (48, 64), 6, reports.append))
    assert [(row.suite, row.task) for row in figures] == PAIR
    assert [row.different for row in figures] == [0, 0]
    assert all(row.pictures >= 2 * 2 * 7 for row in figures)
    assert all(min(ways.values()) > 0 for row in figures for ways in row.seconds.values())
    assert [report.split(":")[0] for report in reports[:4]] == [
        "libero_spatial 0",
        "libero_object_swap 1",
    ] * 2
    assert any("a state that was set" in report for report in reports)


@pytest.mark.sim
def test_a_difference_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = Renderer._render

    def spoiled(self: Renderer, camera: str, data: object) -> np.ndarray:
        picture = draw(self, camera, data)
        picture[0, 0] ^= camera == "wrist"
        return picture

    monkeypatch.setattr(Renderer, "_render", spoiled)
    (figures,) = compare_pictures(PAIR[:1], (32,), 1)
    assert figures.different == figures.pictures // 2 > 0
    assert figures.first_difference == "wrist, reset to 0"


def test_the_table_has_a_line_for_all() -> None:
    seconds = {"agentview": {"robosuite": 0.1, "culled": 0.08, "ours": 0.04}}
    rows = [
        PictureFigures(suite="a", task=0, pictures=10, different=0, seconds=seconds),
        PictureFigures(
            suite="b", task=1, pictures=5, different=2, first_difference="x", seconds=seconds
        ),
    ]
    table = picture_table(rows)
    assert [str(cell) for cell in table.columns[1].cells] == ["10", "5", "15"]
    assert [str(cell) for cell in table.columns[2].cells] == ["0", "2 (first: x)", "2"]
    assert list(table.columns[3].cells)[:2] == ["100 → 80 → 40"] * 2
