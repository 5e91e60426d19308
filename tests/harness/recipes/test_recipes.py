"""The whole path, small: demos, fine-tuning, evaluation, table, videos and page."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli import main
from harness.recipes.checks import check_recipe
from harness.recipes.config import SHIPPED, load_recipe
from harness.recipes.resolved import RecipeRun
from results.folder import load_run
from tasks.errors import ConfigError, HarnessError
from tests.training.tiny import save_tiny
from training.run_folder import RunFolder

SMALL = """
title = "Small"
[collect]
suite = "libero_object"
tasks = [0]
demos = 1
resolution = 32
workers = 1
[train]
updates = 2
batch_size = 4
[evaluate]
suite = "libero_object"
tasks = [0]
episodes = 1
resolution = 32
record = 1
workers = 1
[[entries]]
policy = "expert"
[[entries]]
policy = "rdt"
exec_horizons = [64]
"""


@pytest.mark.parametrize("recipe", sorted(SHIPPED.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_recipes_are_sound(recipe: Path, tmp_path: Path) -> None:
    run = RecipeRun(load_recipe(recipe.stem), tmp_path / "run")
    check_recipe(run)
    assert run.evaluations
    assert not run.out.exists()


def test_a_policy_is_trained_and_asked_in_the_same_words(tmp_path: Path) -> None:
    recipe = tmp_path / "small.toml"
    for stages in (["[train]"], ["[evaluate]"], ["[train]", "[evaluate]"]):
        text = SMALL
        for stage in stages:
            text = text.replace(stage, f'{stage}\ninstructions = "bddl"')
        recipe.write_text(text)
        if len(stages) == 1:
            with pytest.raises(ConfigError, match="the same instructions, name or bddl"):
                RecipeRun(load_recipe(str(recipe)), tmp_path / "run")
        else:
            run = RecipeRun(load_recipe(str(recipe)), tmp_path / "run")
            assert [config.instructions for config in run.evaluations] == ["bddl", "bddl"]


def checked(tmp_path: Path, old: str, new: str) -> None:
    """Check ``SMALL`` with a text in it replaced, all ``old`` being there."""
    assert old in SMALL
    file = tmp_path / "r.toml"
    file.write_text(SMALL.replace(old, new))
    check_recipe(RecipeRun(load_recipe(str(file)), tmp_path / "run"))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('policy = "expert"', 'policy = "exprt"', r"entry 'exprt'.*Unknown policy.*'expert'"),
        ("[64]", "[0]", r"entry 'rdt'.*exec_horizon is 0\. Allowed: 1 to 64"),
        ("[64]", "[65]", r"entry 'rdt'.*exec_horizon is 65"),
        ("[64]", "[8]\ndelays = [0, 9]", r"entry 'rdt'.*delay of 9 steps with exec_horizon 8"),
        ("[64]", "[8]\ndelays = [-1]", r"\[evaluate\] of the recipe: delay: -1 given; input"),
        ("record = 1", "record = 1\ndelay = 'late'", r"recipe: delay: 'late' given; input"),
        ("[64]", "[60]\nchunkings = ['rtc']\ndelays = [5]", r"'rtc' needs rows of the plan before"),
        ("[64]", "[64]\nfusions = ['none', 'act']", r"entry 'rdt'.*leaves fusion act:m=0.01 none"),
        ("[64]", "[8]\nperturbs = ['camra:h=3']", r"entry 'rdt'.*camra"),
        ('"expert"', '"expert"\ndelays = [2]', "entry 'expert'.*never late"),
        ("record = 1", "record = 1\ndelay = 2", "entry 'expert'.*never late"),
        ('"expert"', '"expert"\nexec_horizons = [2]', "entry 'expert'.*Allowed: 1 to 1,"),
        ('"expert"', '"expert"\noptions.nois = 1', r"entry 'expert'.*Unknown option.*'noise'"),
        ('"expert"', '"expert"\noptions.noise = "x"', "entry 'expert'.*noise: 'x' given"),
        ('"expert"', '"expert"\noptions.speed = 7', "entry 'expert'.*speed"),
        ('"expert"', '"replay"', "entry 'replay'.*demos: it must be given"),
        ('"expert"', '"random"\ncheckpoint = "x"', "entry 'random'.*takes no checkpoint"),
        ('"expert"', '"rdt"\ncheckpoint = "./x"', r"entry 'rdt'.*no checkpoint '/.*/x'"),
        ("[64]", "[8]\noptions.guidance = 'bid'", "entry 'rdt'.*guidance 'bid' chooses"),
        ("[64]", "[8]\noptions.solver_steps = 0", "entry 'rdt'.*solver_steps: 0 given"),
        ("[64]", "[8]\noptions.layout = 'eef-gaol'", "entry 'rdt'.*eef-gaol"),
        ("episodes = 1", "episodes = 51", "entry 'expert'.*Initial state 50"),
        ("episodes = 1", "init_states = [99]", "entry 'expert'.*Initial state 99"),
        ("episodes = 1", "episodes = 1\nprotocol = 'openvle'", "Unknown protocol 'openvle'"),
        ("episodes = 1", "episodes = 1\nprotocol = 'libero'", "protocol 'libero' shows"),
        ("episodes = 1", "episodes = 1\nshard = '3/2'", "Shard '3/2'"),
        ("32\nrecord", "64\nrecord", "entry 'rdt'.*resolution 64.*Fix: resolution = 32"),
        ("resolution = 32\nrecord", "record", "resolution 256.*Fix: resolution = 32"),
        ("tasks = [0]\nepisodes", "tasks = [10]\nepisodes", r"entry 'expert'.*Tasks \[10\]"),
        ("tasks = [0]\ndemos", "tasks = [10]\ndemos", r"\[collect\] of the recipe.*10"),
        ('"libero_object"\ntasks = [0]\ndemos', '"libero_objct"\ntasks = [0]\ndemos', "objct"),
        ('policy = "expert"', 'policy = "expert"\nlabel = ".."', "label"),
        ('policy = "expert"', f'policy = "expert"\nlabel = "{"x" * 300}"', "label.*1 to 200 bytes"),
        ("updates = 2", "updates = 2\npreset = 'rdt-smal'", r"\[train\].*rdt-smal"),
        ("updates = 2", "updates = 2\npreset = 'rdt-1b'", r"\[train\].*give t5 or"),
        ("updates = 2", "updates = 2\nlayout = 'eef-gaol'", r"\[train\].*eef-gaol"),
        ("updates = 2", "updates = 2\ncheckpoint = './x'", r"\[train\].*no checkpoint '/.*/x'"),
        ("updates = 2", "updates = 2\nheld_out = 1", r"\[train\].*1 held out and 1 to train on"),
        ("updates = 2", "updates = 2\neval_every = 1\neval_exec_horizon = 65", "eval_exec_hor"),
    ],
)
def test_what_a_later_stage_would_refuse_is_refused_first(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    with pytest.raises(HarnessError, match=words) as caught:
        checked(tmp_path, old, new)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_what_is_trained_says_what_an_entry_may_ask_for(tmp_path: Path) -> None:
    save_tiny(tmp_path / "tiny", render_size=32)
    start = 'updates = 2\ncheckpoint = "tiny"'
    with pytest.raises(ConfigError, match=r"exec_horizon is 64\. Allowed: 1 to 8"):
        checked(tmp_path, "updates = 2", start)
    for size, words in ((16, "render_size is 32, needed 16"), (32, "is 64. Allowed: 1 to 8")):
        shutil.rmtree(tmp_path / "tiny")
        save_tiny(tmp_path / "tiny", render_size=size)
        with pytest.raises(HarnessError, match=words):
            checked(tmp_path, "updates = 2", start)
    checked(tmp_path, "updates", "updates")


PLACED = """
title = "Placed"
demos = ["d"]
[train]
updates = 2
checkpoint = "tiny"
[evaluate]
suite = "libero_object"
episodes = 1
[[entries]]
policy = "rdt"
checkpoint = "tiny"
options.language_cache = "words"
[[entries]]
policy = "replay"
options.demos = "d"
"""


def test_paths_are_relative_to_the_recipe(tmp_path: Path, monkeypatch) -> None:
    beside, here = tmp_path / "recipes", tmp_path / "here"
    for folder in ("d", "tiny", "words"):
        (beside / folder).mkdir(parents=True)
    here.mkdir()
    monkeypatch.chdir(here)
    (beside / "r.toml").write_text(PLACED)
    run = RecipeRun(load_recipe("../recipes/r.toml"), tmp_path / "run")
    assert run.training is not None
    assert run.training.demos == (beside / "d",)
    assert run.training.checkpoint == beside / "tiny"
    rdt, replay = (config.policy for config in run.evaluations)
    assert rdt.checkpoint == str(beside / "tiny")
    assert rdt.options == {"language_cache": str(beside / "words")}
    assert replay.options == {"demos": str(beside / "d")}
    (beside / "d").rename(here / "d")
    with pytest.raises(ConfigError, match=r"demos 'd'.*relative to its folder.*'\.\./here/d'"):
        load_recipe("../recipes/r.toml")


def test_a_recipe_may_change_until_what_it_changes_is_made(tmp_path: Path) -> None:
    file, out = tmp_path / "r.toml", tmp_path / "run"

    def claim(old: str, new: str) -> None:
        assert old in SMALL
        file.write_text(SMALL.replace(old, new))
        run = RecipeRun(load_recipe(str(file)), out)
        run.claim()
        assert (out / "recipe.json").read_text().count(new.split()[-1].strip('"[]'))

    claim("updates = 2", "updates = 3")
    claim("demos = 1", "demos = 3")
    claim("title", "title")
    run = RecipeRun(load_recipe(str(file)), out)
    assert run.training is not None
    RunFolder(out / "train").claim(run.training)
    claim("updates = 2", "updates = 4")  # nothing but settings there
    claim("title", "title")
    (out / "train" / "checkpoints" / "update-0000001").mkdir(parents=True)
    claim('policy = "expert"', 'policy = "random"')
    claim("title", "title")
    with pytest.raises(ConfigError, match=r"on other demonstrations.*remove '.*train'"):
        claim("demos = 1", "demos = 4")
    with pytest.raises(ConfigError, match=r"with other settings \(updates: 2 there, 5 asked\)"):
        claim("updates = 2", "updates = 5")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").touch()
    with pytest.raises(ConfigError, match="no recipe's run"):
        RecipeRun(load_recipe(str(file)), tmp_path / "other").claim()


@pytest.mark.sim
@pytest.mark.slow
def test_a_recipe_runs_through_and_is_not_repeated(tmp_path: Path, capsys) -> None:
    recipe = tmp_path / "small.toml"
    recipe.write_text(SMALL)
    out = tmp_path / "run"
    # In a process of its own, as users run it: what dies in it does not take the tests along.
    command = [sys.executable, "-m", "harness.cli", "run", str(recipe), "--out", str(out), "--json"]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr[-2000:]
    rows = json.loads(shown.stdout)
    assert len(rows if isinstance(rows, list) else rows["rows"]) == 2
    for name in ("expert", "rdt"):
        info, episodes = load_run(out / "eval" / name)
        assert info.status == "complete"
        assert len(episodes) == 1
        assert (out / "eval" / name / episodes[0].video).stat().st_size > 1000
    assert load_run(out / "eval" / "expert")[1][0].outcome == "success"
    assert "1 scripted" in (load_run(out / "eval" / "rdt")[0].demos or "")
    page = (out / "page" / "index.html").read_text()
    assert "<video" in page
    assert "Page:" in shown.stderr
    (out / "eval" / "rdt").rename(out / "eval" / "rdt-h64")  # its name in older versions
    files = {p: p.read_text() for p in out.rglob("episodes.jsonl")}
    assert main(["run", str(recipe), "--out", str(out), "--json"]) == 0
    assert {p: p.read_text() for p in out.rglob("episodes.jsonl")} == files
    recipe.write_text(SMALL.replace("updates = 2", "updates = 3"))
    assert main(["run", str(recipe), "--out", str(out)]) == 2
    assert "with other settings" in capsys.readouterr().err


def test_several_seeds_are_trainings_of_one_policy(tmp_path: Path) -> None:
    file = tmp_path / "r.toml"
    file.write_text(SMALL.replace('title = "Small"', 'title = "Small"\nseeds = 2'))
    run = RecipeRun(load_recipe(str(file)), tmp_path / "run")
    check_recipe(run)
    assert [(config.out.name, config.seed) for config in run.trainings] == [
        ("seed-0", 0),
        ("seed-1", 1),
    ]
    places = [config.out.relative_to(run.out).as_posix() for config in run.evaluations]
    assert places == ["eval/expert", "eval/rdt/seed-0", "eval/rdt/seed-1"]
    assert [config.policy.checkpoint for config in run.evaluations[1:]] == [
        str(config.out / "checkpoint") for config in run.trainings
    ]
    run.claim()
    RecipeRun(load_recipe(str(file)), tmp_path / "run").claim()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('title = "Small"', 'title = "x"\nseeds = 1', "greater than or equal to 2"),
        ("[train]", "[train]\nseed = 3", "sets seed, which the recipe run decides"),
    ],
)
def test_seeds_that_cannot_be(tmp_path: Path, old: str, new: str, words: str) -> None:
    text = SMALL.replace('title = "Small"', 'title = "Small"\nseeds = 2')
    file = tmp_path / "r.toml"
    file.write_text((SMALL if "title" in old else text).replace(old, new))
    with pytest.raises(ConfigError, match=words):
        RecipeRun(load_recipe(str(file)), tmp_path / "run")
