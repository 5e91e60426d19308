"""Entries of a recipe: the rows that each stands for, and where their runs lie."""

from pathlib import Path

import pytest

from harness.evaluation.config import EvaluationConfig
from harness.recipes.checks import check_recipe
from harness.recipes.config import load_recipe
from harness.recipes.resolved import RecipeRun
from results.folder import write_info
from results.records import RunInfo
from tasks.errors import ConfigError
from tests.harness.recipes.test_recipes import SMALL


def entries(tmp_path: Path, entry: str) -> RecipeRun:
    file = tmp_path / "r.toml"
    stage = 'title = "x"\n[evaluate]\nsuite = "libero_object"\n[[entries]]\npolicy = "noop"\n'
    file.write_text(stage + entry)
    return RecipeRun(load_recipe(str(file)), tmp_path / "run")


def test_an_entry_stands_for_every_horizon_and_fusion(tmp_path: Path) -> None:
    entry = 'exec_horizons = [32, 8]\nfusions = ["none", "adaptive:plans=4"]'
    assert [
        (config.exec_horizon, str(config.fusion), _place(config))
        for config in entries(tmp_path, entry).evaluations
    ] == [
        (32, "none", "noop/h32-none"),
        (32, "adaptive:alpha=0.1,plans=4", "noop/h32-adaptive-plans=4"),
        (8, "none", "noop/h8-none"),
        (8, "adaptive:alpha=0.1,plans=4", "noop/h8-adaptive-plans=4"),
    ]
    (one,) = entries(tmp_path, 'label = "a/b"\nfusion = "act"').evaluations
    assert (one.exec_horizon, str(one.fusion), _place(one)) == (None, "act:m=0.01", "a-b")


def test_an_entry_stands_for_every_delay_perturbation_and_method_of_joining(tmp_path: Path) -> None:
    axes = 'exec_horizons = [8]\ndelays = [0, 4]\nperturbs = ["none", "camera:h=30"]'
    made = entries(tmp_path, axes).evaluations
    assert [(each.delay, each.perturb, _place(each)) for each in made] == [
        (0, "none", "noop/h8-none-none"),
        (0, "camera:h=30", "noop/h8-none-camera-h30"),
        (4, "none", "noop/h8-none-d4-none"),
        (4, "camera:h=30", "noop/h8-none-d4-camera-h30"),
    ]
    joined = 'chunkings = ["none", "rtc:beta=10"]'
    other = f'[[entries]]\npolicy = "rdt"\ncheckpoint = "x"\n{joined}'
    methods = entries(tmp_path, other).evaluations[1:]
    assert [each.policy.options for each in methods] == [
        {"guidance": "none"},
        {"guidance": "rtc", "rtc_beta": 10},
    ]
    assert [_place(each) for each in methods] == ["rdt/none", "rdt/none-rtc-beta=10"]


@pytest.mark.parametrize(
    ("given", "left", "why"),
    [
        ("[64, 16]\nchunkings = ['none', 'rtc']", ["h64-none", "h16-none", "h16-none-rtc"], "joi"),
        ("[64, 16]\nfusions = ['none', 'act']", ["h64-none", "h16-none", "h16-act"], "to fuse"),
        ("[16, 4]\ndelays = [0, 8]", ["h16-none", "h16-none-d8", "h4-none"], "delay of 8 steps"),
        (
            "[16]\nfusions = ['none', 'act']\nchunkings = ['none', 'rtc']",
            ["h16-none", "h16-none-rtc", "h16-act"],
            "was not asked for",
        ),
    ],
)
def test_an_entry_leaves_out_what_a_sweep_leaves_out(
    tmp_path: Path, given: str, left: list[str], why: str
) -> None:
    file = tmp_path / "r.toml"
    file.write_text(SMALL.replace("[64]", given))
    run = RecipeRun(load_recipe(str(file)), tmp_path / "run")
    check_recipe(run)
    assert [_place(config).removeprefix("rdt/") for config in run.evaluations[1:]] == left
    (note,) = run.notes
    assert note.startswith("Entry 'rdt': 1 of 4 combinations are left out")
    assert why in note


def _place(config: EvaluationConfig) -> str:
    """Return where a run lies below ``RUN/eval``."""
    return str(config.out).partition("/run/eval/")[2]


def _folders(tmp_path: Path, entry: str) -> list[str]:
    return [_place(config) for config in entries(tmp_path, entry).evaluations]


def test_entries_of_one_label_are_kept_apart(tmp_path: Path) -> None:
    other = '\n[[entries]]\npolicy = "random"\nlabel = "noop"\n'
    assert _folders(tmp_path, "exec_horizons = [1]" + other) == ["noop/h1-none", "noop/none"]
    assert _folders(tmp_path, 'fusion = "act"' + other) == ["noop/act", "noop/none"]
    with pytest.raises(ConfigError, match=r"same label, horizon and fusion.*another label"):
        entries(tmp_path, other)


@pytest.mark.parametrize(
    ("runs", "entry", "folders"),
    [
        (["noop-h8"], "exec_horizons = [8]", ["noop-h8"]),
        (["noop-h8"], "exec_horizons = [8, 4]", ["noop-h8", "noop/h4-none"]),
        (["noop-h8-act"], 'exec_horizons = [8]\nfusion = "act"', ["noop-h8-act"]),
        (["noop-act"], 'fusions = ["none", "act"]', ["noop/none", "noop-act"]),
        (["noop"], "exec_horizons = [8, 4]", ["noop", "noop-h4"]),
        (["noop"], "delays = [0, 4]", ["noop", "noop-d4"]),
        (["noop"], "delays = [4]", ["noop-d4"]),
        (["noop"], 'delays = ["measured"]', ["noop"]),
        (["noop"], 'delays = [3, "measured"]', ["noop-d3", "noop"]),
        (["noop"], 'perturbs = ["noise:fog=5", "none"]', ["noop-noise-fog5", "noop"]),
        (["noop-h8"], "exec_horizons = [8]\ndelays = [0, 2]", ["noop-h8", "noop/h8-none-d2"]),
        (["noop"], "exec_horizons = [4]", ["noop-h4"]),
        (["noop/h8-none"], "exec_horizons = [8]", ["noop/h8-none"]),
        (["noop/h8-none"], "exec_horizons = [4]", ["noop/h4-none"]),
        (
            ["noop-h8"],
            'exec_horizons = [8]\n[[entries]]\npolicy = "random"\nlabel = "noop-h8"',
            ["noop", "noop-h8"],
        ),
    ],
)
def test_runs_under_other_names_keep_them(
    tmp_path: Path, runs: list[str], entry: str, folders: list[str]
) -> None:
    """Of older versions, and of before a horizon was added or dropped."""
    for name in runs:
        policy = {"name": "noop", "hash": "x", "exec_horizon": 8, "fusion": "none"}
        if name == "noop" and "measured" in entry:  # it may be any number of steps
            policy |= {"delay": 3, "delay_measured_ms": 140.0}
        info = RunInfo(
            name="noop",
            policy=policy,
            protocol={"name": "openvla", "hash": "x"},
            tasks={"libero_object": (0,)},
            episodes_per_task=1,
            expected_episodes=1,
        )
        folder = tmp_path / "run" / "eval" / name
        folder.mkdir(parents=True)
        write_info(folder, info)
    assert _folders(tmp_path, entry) == folders


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ('fusion = "akt"', "Unknown fusion 'akt'"),
        ('fusion = "act"\nfusions = ["none"]', "both fusion and fusions"),
        ('fusions = ["act", "act:m=0.01"]', "same label, horizon and fusion"),
        ('chunkings = ["rtc"]', "policy 'noop' cannot join chunks"),
        ('chunkings = ["rtc,bid"]', "one method in each text"),
        ('chunkings = ["rct"]', "Did you mean 'rtc'"),
    ],
)
def test_mistakes_in_an_entry(tmp_path: Path, entry: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        entries(tmp_path, entry)
