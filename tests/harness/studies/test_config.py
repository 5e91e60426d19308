"""Studies as users write them: arms, cells, claims, and what is refused."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from harness.studies.cells import cells_of, changes_of, record_of
from harness.studies.config import SHIPPED, Study, load_study, study_file
from harness.studies.planning import plan_study, print_plan_tables
from harness.studies.run import check_study
from tasks.errors import ConfigError

TEXT = """
title = "Small"
seeds = 2
exec_horizons = [64, 16]
update_s = 0.5
episode_s = 6
[collect]
suite = "libero_object"
tasks = [0]
demos = 2
resolution = 32
[train]
updates = 100
batch_size = 4
[evaluate]
suite = "libero_object"
tasks = [0]
episodes = 10
resolution = 32
[[arms]]
name = "base"
seeds = 3
[[arms]]
name = "batch"
train = { batch_size = 8 }
[[arms]]
name = "both"
changes = "batch"
train = { warmup = 5 }
exec_horizons = [16]
[[arms]]
name = "few"
collect = { demos = 1 }
[[claims]]
name = "batch"
says = "8 beats 4"
a = { arm = "base", exec_horizon = 16 }
b = { arm = "batch", exec_horizon = 16 }
"""
CLAIM = TEXT[TEXT.index("[[claims]]") :] + "[[claims]]"


def study_of(folder: Path, text: str = TEXT) -> Study:
    file = folder / "study.toml"
    file.write_text(text, encoding="utf-8")
    return load_study(file)


def test_cells_come_seed_by_seed(tmp_path: Path) -> None:
    cells = cells_of(study_of(tmp_path), tmp_path / "out")
    assert [cell.name for cell in cells] == [
        *("base/0", "batch/0", "both/0", "few/0"),
        *("base/1", "batch/1", "both/1", "few/1", "base/2"),
    ]
    assert [cell.recipe.train.settings["seed"] for cell in cells if cell.recipe.train] == [
        *(0, 0, 0, 0, 1, 1, 1, 1, 2)
    ]
    assert len({cell.folder for cell in cells}) == len(cells)
    check_study(cells, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_arms_change_the_base_or_one_another(tmp_path: Path) -> None:
    study = study_of(tmp_path)
    both = next(arm for arm in study.arms if arm.name == "both")
    assert changes_of(study, both)["train"] == {"batch_size": 8, "warmup": 5}
    record = record_of(study, cells_of(study, tmp_path))
    assert record.arms[2].exec_horizons == (16,)
    assert record.arms[0].folders == tuple(f"cells/base/seed-{seed}" for seed in range(3))
    assert record.claims[0].smallest == 0.1


def test_arms_leave_settings_out(tmp_path: Path) -> None:
    text = TEXT.replace('changes = "batch"', 'changes = "batch"\ndrops = ["train.batch_size"]')
    cells = {cell.name: cell for cell in cells_of(study_of(tmp_path, text), tmp_path)}
    trained = cells["both/0"].recipe.train
    assert trained is not None
    assert trained.settings == {"updates": 100, "warmup": 5, "seed": 0}


def test_a_plan_says_what_arms_leave_out(tmp_path: Path) -> None:
    text = TEXT.replace('changes = "batch"', 'changes = "batch"\ndrops = ["train.batch_size"]')
    study = study_of(tmp_path, text)
    plan = plan_study(study, cells_of(study, tmp_path), tmp_path)
    printed = io.StringIO()
    print_plan_tables(study, plan, 1, Console(width=200, file=printed))
    lines = printed.getvalue().splitlines()
    assert (
        next(line for line in lines if line.startswith("both"))
        .rstrip()
        .endswith("batch: train.warmup = 5, without train.batch_size")
    )


def test_arms_share_their_demonstrations(tmp_path: Path) -> None:
    cells = {cell.name: cell for cell in cells_of(study_of(tmp_path), tmp_path)}
    assert cells["base/0"].recipe.demos == cells["both/1"].recipe.demos
    assert cells["base/0"].recipe.demos != cells["few/0"].recipe.demos


def test_a_plan_counts(tmp_path: Path) -> None:
    study = study_of(tmp_path)
    plan = plan_study(study, cells_of(study, tmp_path), tmp_path)
    assert (plan.cells, plan.updates) == (9, 900)
    assert plan.runs == 3 * 2 + 2 * 2 + 2 * 1 + 2 * 2
    assert plan.episodes == 10 * plan.runs
    assert plan.hours == pytest.approx((900 * 0.5 + plan.episodes * 6) / 3600)
    assert set(plan.detectable) == {0.1, 0.3, 0.5}


def test_a_plan_counts_the_windows_of_larger_batches(tmp_path: Path) -> None:
    study = study_of(tmp_path, TEXT.replace("update_s = 0.5", "update_s = 0.1\nwindow_s = 0.05"))
    plan = plan_study(study, cells_of(study, tmp_path), tmp_path)
    small, large = 3 + 2, 2 + 2  # cells with a batch of 4, and of 8
    seconds = 100 * (small * (0.1 + 4 * 0.05) + large * (0.1 + 8 * 0.05)) + plan.episodes * 6
    assert plan.hours == pytest.approx(seconds / 3600)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('name = "batch"\ntrain', 'name = "base"\ntrain', "Two arms are called 'base'"),
        ('name = "few"', 'name = "Both"', "'both' and 'Both', and would share a folder"),
        ('name = "few"', 'name = "a/b"\n[[arms]]\nname = "a-b"', "'a/b' and 'a-b', and would sh"),
        ('name = "few"', 'name = "none"\n[[arms]]\nname = "few"', "'base' and 'none' have the sa"),
        ("train = { warmup = 5 }\nexec_horizons = [16]", "", "'batch' and 'both' have the same"),
        ("[[claims]]", CLAIM, "Two claims are called 'batch'"),
        ('name = "batch"\nsays', 'name = ""\nsays', "The label '' is not allowed"),
        ('changes = "batch"', 'changes = "bacth"', "Unknown arm 'bacth'.*batch"),
        ('changes = "batch"', 'changes = "both"', "changes itself"),
        ('changes = "batch"', 'drops = ["train.clip"]', "drops 'train.clip', which is not set"),
        ("exec_horizon = 16 }\nb", "exec_horizon = 8 }\nb", "at exec_horizon 8. Allowed: 64, 16"),
        ('arm = "batch", exec', 'arm = "base", exec', "with itself"),
        ("train = { batch_size = 8 }", "train = { seed = 8 }", "sets seed, which the study"),
        ("train = { batch_size = 8 }", "train = { batch_sise = 8 }", "batch/0: .*batch_sise"),
        ("seeds = 2", "seeds = 0", "seeds"),
        ("[64, 16]", "[64, 64]", "exec_horizons names 64 twice. Fix: name each once"),
        ("[64, 16]", "[]", "exec_horizons: .* at least 1 item"),
        ("[64, 16]", "true", "exec_horizons: True given; input should be a list"),
        ("seeds = 2", "seads = 2", "seads"),
        ("[collect]", "[colect]", "colect"),
        ('title = "Small"', "title = ", "not valid TOML"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in TEXT
    with pytest.raises(ConfigError, match=words):
        check_study(cells_of(study_of(tmp_path, TEXT.replace(old, new)), tmp_path), tmp_path)


@pytest.mark.parametrize("given", ["16", '"16"', "[16]"])
def test_one_horizon_needs_no_list(tmp_path: Path, given: str) -> None:
    text = TEXT.replace("exec_horizons = [64, 16]", f"exec_horizons = {given}")
    assert study_of(tmp_path, text).exec_horizons == (16,)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_study(tmp_path / "none.toml")


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_studies_are_sound(tmp_path: Path, path: Path) -> None:
    assert study_file(Path(path.stem)) == path
    study = load_study(path)
    check_study([cell for cell in cells_of(study, tmp_path) if cell.seed == 0], tmp_path)
    assert study.claims


def test_an_unknown_study_is_named() -> None:
    with pytest.raises(ConfigError, match=r"Unknown study 'nine-claims'.*eight-claims"):
        study_file(Path("nine-claims"))
