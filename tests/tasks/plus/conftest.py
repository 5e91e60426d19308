"""A small LIBERO-Plus made here: two perturbed tasks of each kind, files of LIBERO's own."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from tasks.plus.source import ASSETS_VARIABLE
from tasks.suites import clear_caches, find_task

BASE = find_task("libero_goal", 0).name
NAMES = (
    f"{BASE}_view_30_15_100_0_0_initstate_0",
    f"{BASE}_view_0_0_100_0_0_initstate_57",
    f"{BASE}_view_0_0_100_0_0_initstate_0_noise_33",
    f"{BASE}_language_4_view_0_0_100_0_0_initstate_0",
    f"{BASE}_moved_level1_sample2",
    f"{BASE}_light_3",
    f"{BASE}_table_1",
    f"{BASE}_tb_2",
    f"{BASE}_add_1",
)
_VARIANT = """class {name}(Libero_Tabletop_Manipulation):
    def __init__(self, **kwargs):
        kwargs.update({{"scene_xml": "scenes/{scene}.xml"}})
        kwargs.update({{"scene_properties": {{"floor_style": "dark", "wall_style": "white"}}}})
"""


def write_states(path: Path, states: object) -> None:
    """Write initial states as torch pickles them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(states, path)


def make_tree(folder: Path) -> Path:
    """Make the tree in a folder; return that of its files."""
    root = folder / "libero" / "libero"
    task = find_task("libero_goal", 0)
    bddl, states = task.bddl_file.read_text(encoding="utf-8"), task.init_states()
    (root / "benchmark").mkdir(parents=True)
    listed = repr({"libero_goal": list(NAMES)})
    (root / "benchmark" / "libero_suite_task_map.py").write_text(f"libero_task_map = {listed}\n")
    problems = root / "envs" / "problems"
    problems.mkdir(parents=True)
    classes = {"Light3": "lit", "Table1": "oak", "Tb2": "libero_tabletop_base_style"}
    base = 'class Libero_Tabletop_Manipulation(BDDLBaseDomain):\n    "scene_xml": "scenes/b.xml"\n'
    variants = [_VARIANT.format(name=name, scene=scene) for name, scene in classes.items()]
    (problems / "tables.py").write_text(base + "".join(variants))
    (root / "envs" / "arenas").mkdir()
    styles = 'FLOOR_STYLE = {"dark": "dark_floor_texture.png"}\n'
    (root / "envs" / "arenas" / "style.py").write_text(styles + 'WALL_STYLE = {"white": "w.png"}\n')
    (root / "envs" / "objects").mkdir()
    added = 'class Fan_1(CustomObjects):\n    f"assets/new_objects/fan/a.xml"\n'
    (root / "envs" / "objects" / "custom_objects.py").write_text(added)
    folder_of = root / "bddl_files" / "libero_goal"
    folder_of.mkdir(parents=True)
    problem = "LIBERO_Tabletop_Manipulation"
    others = {f"{BASE}_light_3": "Light3", f"{BASE}_table_1": "Table1", f"{BASE}_tb_2": "Tb2"}
    for name in (BASE, f"{BASE}_language_4", f"{BASE}_moved_level1_sample2", *others):
        text = bddl.replace(problem, others.get(name, problem))
        if "language" in name:
            text = text.replace("Open the", "Kindly OPEN the")
        (folder_of / f"{name}.bddl").write_text(text)
    with_fan = bddl.replace("(:objects", "(:objects\n    fan__1_1 - fan__1\n   ")
    (folder_of / f"{BASE}_add_1.bddl").write_text(with_fan)
    inits = root / "init_files"
    write_states(inits / "libero_goal" / f"{BASE}.pruned_init", states)
    moved = inits / "libero_newobj" / "libero_goal"
    write_states(moved / f"{BASE}_moved_level1_sample2.pruned_init", states[0])
    write_states(moved / f"{BASE}_add_1.pruned_init", np.append(states[0], np.zeros(13)))
    return root


@pytest.fixture
def plus_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Make the tree and take LIBERO-Plus from it."""
    root = make_tree(tmp_path)
    monkeypatch.setenv(ASSETS_VARIABLE, str(tmp_path))
    clear_caches()
    yield root
    clear_caches()
