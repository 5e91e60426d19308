"""A study's rates, effects and verdicts, its tables and its page, from runs on disk."""

import json
from pathlib import Path
from typing import Any

import pytest

from results.statistics.seeds import SeedRates, pooled_effect, pooled_spread
from results.studies.page import write_study_page
from results.studies.records import (
    ArmRecord,
    ClaimRecord,
    SideRecord,
    StudyRecord,
    read_study,
    write_study,
)
from results.studies.rendering import StudyTables
from tasks.errors import ResultsError
from tests.results.suite_runs import write_suite_run

EPISODES = 20
SUCCESSES = {  # of 20 episodes, by arm and horizon, a number for each seed
    ("base", 64): (2, 3, 1),
    ("base", 16): (9, 10, 8),
    ("full", 64): (11, 10, 12),
    ("full", 16): (18, 19, 17),
    ("camera", 64): (2, 2, 2),
    ("camera", 16): (9, 9, 9),
}


def claim(name: str, a: tuple[str, int], b: tuple[str, int], smallest: float = 0.1) -> ClaimRecord:
    sides = [SideRecord(arm=arm, exec_horizon=horizon) for arm, horizon in (a, b)]
    return ClaimRecord(name=name, says="…", scaled="", a=sides[0], b=sides[1], smallest=smallest)


CLAIMS = (
    claim("horizon", ("base", 64), ("base", 16)),
    claim("all fixes", ("base", 64), ("full", 16)),
    claim("camera", ("base", 16), ("camera", 16), 0.5),
    claim("reversed", ("base", 16), ("base", 64)),
)


def write_runs(
    folder: Path, arm: str, horizon: int, seeds: tuple[int, ...], films: int = 0
) -> None:
    for seed, successes in enumerate(seeds):
        outcomes = {1: "s" * successes + "f" * (EPISODES - successes)}
        run = folder / "cells" / arm / f"seed-{seed}" / "eval" / arm / f"h{horizon}-none"
        policy = {"name": "rdt", "exec_horizon": horizon, "fusion": "none"}
        write_suite_run(run, outcomes, suite="libero_90", policy=policy, films=films)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    arms = tuple(
        ArmRecord(
            name=name,
            note=f"about {name}",
            changes={"train": {"batch_size": 64}} if name == "full" else {},
            exec_horizons=(64, 16),
            folders=tuple(f"cells/{name}/seed-{seed}" for seed in range(3)),
        )
        for name in ("base", "full", "camera")
    )
    study = StudyRecord(
        title="Why <it> fails", description="", arms=arms, claims=CLAIMS, settings={"train": {}}
    )
    write_study(tmp_path, study)
    for (arm, horizon), seeds in SUCCESSES.items():
        write_runs(tmp_path, arm, horizon, seeds, films=1 if arm == "full" else 0)
    return tmp_path


def values(folder: Path) -> dict[str, Any]:
    tables: dict[str, Any] = json.loads(StudyTables(folder).render("json"))
    return tables


def test_rates_are_over_seeds(folder: Path) -> None:
    rates = {(row["arm"], row["exec_horizon"]): row for row in values(folder)["rates"]}
    assert rates.keys() == SUCCESSES.keys()
    for key, row in rates.items():
        assert tuple(row["successes"]) == SUCCESSES[key]
        assert row["low"] < row["rate"] < row["high"]
    assert rates["base", 16]["rate"] == pytest.approx(27 / 60)


def test_effects_pool_the_spread_of_all_arms(folder: Path) -> None:
    effects = {(row["arm"], row["exec_horizon"]): row for row in values(folder)["effects"]}
    arms = {arm: SeedRates(SUCCESSES[arm, 16], EPISODES) for arm in ("base", "full", "camera")}
    expected = pooled_effect(arms["base"], arms["full"], pooled_spread(list(arms.values())))
    row = effects["full", 16]
    assert row["estimate"] == pytest.approx(expected.estimate)
    assert (row["low"], row["high"]) == pytest.approx(expected.interval())
    assert effects["camera", 16]["estimate"] == pytest.approx(0.0)


def test_claims_get_verdicts(folder: Path) -> None:
    claims = {row["name"]: row for row in values(folder)["claims"]}
    assert [claims[name]["verdict"] for name in ("horizon", "all fixes", "camera", "reversed")] == [
        *("supported", "supported", "refuted", "refuted")
    ]
    assert claims["horizon"]["paired"]
    assert claims["horizon"]["estimate"] == pytest.approx(21 / 60)
    assert not claims["all fixes"]["paired"]
    assert claims["all fixes"]["estimate"] == pytest.approx((54 - 6) / 60)


def test_unfinished_seeds_are_left_out_and_named(folder: Path) -> None:
    episodes = folder / "cells/full/seed-2/eval/full/h16-none/episodes.jsonl"
    lines = episodes.read_text().splitlines(keepends=True)
    episodes.write_text("".join(lines[:-1]))
    row = next(r for r in values(folder)["rates"] if (r["arm"], r["exec_horizon"]) == ("full", 16))
    assert (row["seeds"], row["unfinished"]) == (2, [2])
    episodes.write_text("")
    for seed in (0, 1):
        (folder / f"cells/full/seed-{seed}/eval/full/h16-none/episodes.jsonl").write_text("")
    claims = {row["name"]: row for row in values(folder)["claims"]}
    assert claims["all fixes"]["verdict"] == "undecided"
    assert claims["all fixes"]["why"] == "no seed of full h16 is finished"
    assert claims["horizon"]["verdict"] == "supported"


def test_a_wild_arm_decides_nothing(folder: Path) -> None:
    for seed, successes in enumerate((0, 20, 18)):
        episodes = folder / f"cells/full/seed-{seed}/eval/full/h16-none/episodes.jsonl"
        records = [json.loads(line) for line in episodes.read_text().splitlines()]
        for number, record in enumerate(records):
            succeeded = number < successes
            record |= {
                "outcome": "success" if succeeded else "failure",
                "first_success_step": 5 if succeeded else None,
            }
        episodes.write_text("".join(json.dumps(record) + "\n" for record in records))
    tables = values(folder)
    claims = {row["name"]: row for row in tables["claims"]}
    assert claims["all fixes"]["verdict"] == "undecided"
    assert claims["all fixes"]["seeds_needed"] is None or claims["all fixes"]["seeds_needed"] > 3


def test_errors_are_split_at_the_goal(folder: Path) -> None:
    for seed, (before, after) in enumerate(((0.1, 0.3), (0.3, 0.5))):
        log = folder / f"cells/base/seed-{seed}/train/train.jsonl"
        log.parent.mkdir(parents=True)
        sampled = {"overall": 0.2, "before_goal": before, "after_goal": after}
        old = {"update": 5, "sampled": {"overall": 9.0}}
        entries = [{"update": 5, "loss": 1.0}, old, {"update": 10, "sampled": sampled}]
        log.write_text("".join(json.dumps(entry) + "\n" for entry in entries) + '{"update": 1')
    (row,) = values(folder)["errors"]
    assert (row["arm"], row["seeds"], row["overall"]) == ("base", 2, 0.2)
    assert (row["before_goal"], row["after_goal"]) == pytest.approx((0.2, 0.4))
    page = write_study_page(folder, StudyTables(folder)).read_text(encoding="utf-8")
    assert "Before the first goal" in page
    assert "base: loss" in page
    assert "base: error of sampled plans" in page


def test_every_format_has_the_tables(folder: Path) -> None:
    tables = StudyTables(folder)
    for text in (tables.render("table"), tables.render("markdown")):
        assert "45.0 %" in text  # the base at 16
        assert "supported" in text
        assert "refuted" in text
    assert "Claims:\n\n| Claim | B less A |" in tables.render("markdown")
    header, *rows = tables.render("csv").splitlines()
    assert header.startswith("arm,exec_horizon,seeds,episodes")
    assert len(rows) == len(SUCCESSES)


def test_the_page_stands_alone(folder: Path) -> None:
    page = write_study_page(folder, StudyTables(folder)).read_text(encoding="utf-8")
    assert "Why &lt;it&gt; fails" in page
    assert "train.batch_size = 64" in page
    assert page.count('<video controls preload="none" src="cells/full/') == 2  # one a horizon
    assert "http" not in page.replace("http://www.w3.org", "")
    (folder / "index.html").write_text("mine")
    with pytest.raises(ResultsError, match="would be lost"):
        write_study_page(folder, StudyTables(folder))


@pytest.mark.parametrize(
    ("content", "words"),
    [("{", "damaged"), ('{"schema_version": 9}', "damaged"), (None, "is no study.s folder.*Fix")],
)
def test_what_is_no_study_is_refused(folder: Path, content: str | None, words: str) -> None:
    if content is None:
        (folder / "study.json").unlink()
    else:
        (folder / "study.json").write_text(content)
    with pytest.raises(ResultsError, match=words):
        read_study(folder)


def test_a_newer_study_is_refused(folder: Path) -> None:
    raw = json.loads((folder / "study.json").read_text())
    (folder / "study.json").write_text(json.dumps(raw | {"schema_version": 9}))
    with pytest.raises(ResultsError, match="update libero-bench"):
        read_study(folder)
