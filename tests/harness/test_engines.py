"""Options of engines, as the command line, recipes and studies have them."""

import builtins
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from harness.demonstrations.config import CollectionConfig
from harness.engines import ENGINE_OPTIONS, EngineOptions, ReplicaOptions, load_engine
from harness.recipes.config import load_recipe
from harness.recipes.resolved import RecipeRun
from harness.studies.config import StudyOptions
from tasks.errors import ConfigError, PrerequisiteError

JOINED = EngineOptions(engine="ray", address="10.0.0.1:6379", allow_unauthenticated=True)


def test_options_travel_as_settings_and_as_words() -> None:
    assert EngineOptions().chosen() == {}
    assert EngineOptions().flags() == []
    assert EngineOptions(**JOINED.chosen()) == JOINED
    assert JOINED.flags() == [
        *("--engine", "ray", "--address", "10.0.0.1:6379"),
        "--allow-unauthenticated",
    ]


@pytest.mark.parametrize(
    ("typed", "devices"),
    [
        ("0,1", ("cuda:0", "cuda:1")),
        (("0,1", "2"), ("cuda:0", "cuda:1", "cuda:2")),
        ((0, 1), ("cuda:0", "cuda:1")),
        ("cpu,cpu", ("cpu", "cpu")),
        ("cuda, cuda:3", ("cuda", "cuda:3")),
    ],
)
def test_devices_are_read_as_they_are_typed(typed: Any, devices: tuple[str, ...]) -> None:
    assert ReplicaOptions(devices=typed).devices == devices


@pytest.mark.parametrize("typed", ["", "-1", "cpu:0", "cuda:", "cuda:x", "gpu", "0;1", "0,,1"])
def test_other_devices_are_refused(typed: str) -> None:
    with pytest.raises(ConfigError, match="Allowed: numbers of GPUs"):
        ReplicaOptions(devices=typed)


def test_demonstrations_do_not_depend_on_the_engine() -> None:
    on_ray = CollectionConfig(**JOINED.chosen())
    assert on_ray.recipe() == CollectionConfig().recipe()
    assert not set(ENGINE_OPTIONS) & on_ray.recipe().keys()


RECIPE = """
title = "Ray"
entries = [{policy = "random"}]
[collect]
suite = "libero_object"
tasks = [0]
demos = 1
[evaluate]
suite = "libero_object"
tasks = [0]
episodes = 1
engine = "ray"
address = "auto"
"""


def test_a_recipe_has_an_engine_and_the_command_overrides_it(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(RECIPE)
    recipe = load_recipe(str(tmp_path / "r.toml"))
    run = RecipeRun(recipe, tmp_path / "run")
    assert run.collection is not None
    assert (run.collection.engine, run.evaluations[0].address) == ("local", "auto")
    run = RecipeRun(recipe, tmp_path / "run", engine=JOINED)
    assert run.collection is not None
    for config in (run.collection, run.evaluations[0]):
        assert {name: asdict(config)[name] for name in ENGINE_OPTIONS} == asdict(JOINED)


def test_cells_side_by_side_need_a_cluster_to_join() -> None:
    with pytest.raises(ConfigError, match="--jobs 2 with --engine ray"):
        StudyOptions(jobs=2, engine="ray")
    assert StudyOptions(jobs=2, engine="ray", address="auto").jobs == 2


def test_ray_is_asked_for_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_ray(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] == "ray":
            raise ModuleNotFoundError("No module named 'ray'", name="ray")
        return real(name, *args, **kwargs)

    for module in [name for name in sys.modules if name.startswith("harness.cluster")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(builtins, "__import__", without_ray)
    with pytest.raises(PrerequisiteError, match=r"pip install 'libero-bench\[ray\]'"):
        load_engine("harness.cluster.engine:RayEngine")
