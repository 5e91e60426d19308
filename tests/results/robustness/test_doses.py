"""Dose–response curves."""

import pytest

from results.robustness.doses import DoseCurve, dose_curves, numbers_of
from tests.results.robustness.perturbed_runs import perturbed, plain_run, run_of


def curve(*runs, number: str) -> DoseCurve:  # type: ignore[no-untyped-def]
    (found,) = [each for each in dose_curves(runs) if each.number == number]
    return found


def swept(text: str, wins: int, of: int = 10):  # type: ignore[no-untyped-def]
    """A run of ``--perturb text`` on the ten base tasks."""
    records = [
        perturbed(
            task,
            text.partition(":")[0],
            text,
            task < wins,
            suite="libero_goal",
            task_name=f"base_{task}",
            init_state=20,
        )
        for task in range(of)
    ]
    return run_of(records)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("camera:h=30,v=15", [("camera:h", 30, "camera:v=15"), ("camera:v", 15, "camera:h=30")]),
        ("noise:fog=5", [("noise:fog", 5, "")]),
        ("noise:fog=5,stream=keyed", [("noise:fog", 5, "noise:stream=keyed")]),
        ("robot:offset=0.3,seed=4", [("robot:offset", 0.3, "")]),
        ("robot:start=201", [("robot:offset", 0.3, "")]),
        ("light:diffuse=0.5", [("light:diffuse", 0.5, "")]),
        ("target:x=0.07", [("target:x", 0.07, "")]),
        (
            "camera:h=-30+noise:fog=5",
            [("camera:h", -30, "noise:fog=5"), ("noise:fog", 5, "camera:h=-30")],
        ),
        ("paraphrase:act/lexical/x", []),
        ("background:floor=dark,wall=white", []),
        ("language:36", []),
        ("", []),
    ],
)
def test_numbers_of_a_text(text: str, found: list[tuple[str, float, str]]) -> None:
    assert numbers_of(text) == found


def test_a_sweep_is_a_curve_that_starts_unperturbed() -> None:
    runs = [swept("camera:h=30", 5), swept("camera:h=15", 8), swept("camera:h=60", 0)]
    made = curve(*runs, plain_run(), number="camera:h")
    assert [dose.value for dose in made.doses] == [0, 15, 30, 60]
    assert [dose.rate.rate for dose in made.doses] == [1.0, 0.8, 0.5, 0.0]
    assert (made.suite, made.others, made.axis) == ("libero_goal", "", "camera:h (orbit, degrees)")


def test_without_the_unperturbed_run_it_starts_at_the_first_dose() -> None:
    made = curve(swept("noise:fog=1", 9), swept("noise:fog=9", 2), number="noise:fog")
    assert [dose.value for dose in made.doses] == [1, 9]


def test_what_changes_nothing_has_its_own_number() -> None:
    made = curve(swept("light:diffuse=0.2", 3), plain_run(), number="light:diffuse")
    assert [dose.value for dose in made.doses] == [0.2, 1.0]
    made = curve(swept("camera:s=150", 3), plain_run(), number="camera:s")
    assert [dose.value for dose in made.doses] == [100, 150]


def test_other_numbers_make_other_curves() -> None:
    runs = [swept(f"camera:h={h},v={v}", 5) for h in (15, 30) for v in (0, 15)]
    found = [c for c in dose_curves([*runs, plain_run()]) if c.number == "camera:h"]
    assert {c.others for c in found} == {"camera:v=0", "camera:v=15"}
    assert all([d.value for d in c.doses] == [15, 30] for c in found)


def test_moved_targets_are_a_curve() -> None:
    runs = [
        run_of(
            perturbed(
                task,
                "layout",
                f"target:x={0.07 * k:g}",
                task < 10 - 2 * k,
                suite=f"libero_goal_temp_x0.{k}",
            )
            for task in range(10)
        )
        for k in (1, 2, 3)
    ]
    made = curve(*runs, plain_run(), number="target:x")
    assert [dose.value for dose in made.doses] == [0, 0.07, 0.14, 0.21]
    assert "m)" in made.axis


def test_points_of_few_episodes_are_left_out() -> None:
    runs = [swept("noise:fog=1", 4, of=4), swept("noise:fog=2", 4, of=5), swept("noise:fog=3", 1)]
    assert [d.value for d in curve(*runs, number="noise:fog").doses] == [2, 3]
    assert dose_curves([runs[0], runs[1]]) == []


def test_policies_are_apart() -> None:
    runs = [swept("noise:fog=1", 9), swept("noise:fog=9", 2)]
    others = [
        (info.__class__(**{**vars(info), "name": "other"}), records) for info, records in runs
    ]
    assert [c.label for c in dose_curves([*runs, *others])] == ["rdt", "other"]
