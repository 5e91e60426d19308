"""The names of LIBERO-Plus's tasks, which say what is perturbed.

``BASE[_language_N][_view_H_V_S_ER_EV_initstate_K[_noise_N]]``, ``BASE_(table|tb|light|add)_N`` or
``BASE[_moved]_levelL_sampleM``. The endings are anchored, as names of bases hold such words, too:
``…_from_table_center_…``.
"""

import re
from dataclasses import dataclass, field

from tasks.errors import ConfigError
from tasks.perturbation import (
    NOISE_KINDS,
    NOISE_LEVELS,
    ROBOT_STARTS,
    CameraMove,
    Dimension,
    Noise,
    RobotStart,
)

_VIEW = re.compile(
    r"(?P<base>.+)_view_(?P<h>-?\d+)_(?P<v>-?\d+)_(?P<s>\d+)_(?P<er>-?\d+)_(?P<ev>-?\d+)"
    r"_initstate_(?P<start>\d+)(?:_noise_(?P<noise>\d+))?"
)
_LANGUAGE = re.compile(r"(?P<base>.+)_language_(?P<number>\d+)")
_FILES = re.compile(
    r"(?P<base>.+?)(?:_(?P<kind>table|tb|light|add)_(?P<number>\d+)"
    r"|(?P<moved>_moved)?_level(?P<level>\d+)_sample(?P<sample>\d+))"
)
_KINDS: dict[str, Dimension] = {
    "table": "background",
    "tb": "background",
    "light": "light",
    "add": "layout",
}


@dataclass(frozen=True, kw_only=True)
class PlusName:
    """What the name of a LIBERO-Plus task says.

    Attributes:
        name: The name.
        base: Name of the task that it perturbs.
        dimension: What is perturbed.
        bddl_name: Stem of its BDDL file, which may be another's.
        states_name: Stem of its file of initial states, likewise.
        files: What its own files change, such as ``light:12``; empty if nothing.
        camera: The pose of the camera, for the name of every task means one.
        robot: The start of the arm; None for the usual one.
        noise: The corruption; None without one.
    """

    name: str
    base: str
    dimension: Dimension
    bddl_name: str
    states_name: str
    files: str = ""
    camera: CameraMove = field(default_factory=CameraMove)
    robot: RobotStart | None = None
    noise: Noise | None = None


def parse_name(name: str) -> PlusName:
    """Read the name of a task.

    Raises:
        ConfigError: It is not of LIBERO-Plus's grammar, or a number in it is out of range.
    """
    if view := _VIEW.fullmatch(name):
        return _viewed(name, view)
    if language := _LANGUAGE.fullmatch(name):
        base, number = language["base"], language["number"]
        return PlusName(
            name=name,
            base=base,
            dimension="language",
            bddl_name=name,
            states_name=base,
            files=f"language:{number}",
        )
    files = _FILES.fullmatch(name)
    if files is None:
        raise _foreign(name)
    if files["kind"] is None:
        moved = "moved_" if files["moved"] else ""
        variant = f"layout:{moved}level{files['level']}_sample{files['sample']}"
        return _layout(name, files["base"], variant)
    dimension = _KINDS[files["kind"]]
    if dimension == "layout":
        return _layout(name, files["base"], f"layout:add_{files['number']}")
    number = files["number"] if dimension == "light" else f"{files['kind']}_{files['number']}"
    return PlusName(
        name=name,
        base=files["base"],
        dimension=dimension,
        bddl_name=name,
        states_name=files["base"],
        files=f"{dimension}:{number}",
    )


def _layout(name: str, base: str, variant: str) -> PlusName:
    return PlusName(
        name=name, base=base, dimension="layout", bddl_name=name, states_name=name, files=variant
    )


def _viewed(name: str, view: re.Match[str]) -> PlusName:
    start, number = int(view["start"]), int(view["noise"] or 0)
    if start > ROBOT_STARTS or number > len(NOISE_KINDS) * NOISE_LEVELS:
        raise _foreign(name)
    language = _LANGUAGE.fullmatch(view["base"])
    base = language["base"] if language else view["base"]
    camera = CameraMove(**{axis: float(int(view[axis])) for axis in ("h", "v", "s", "er", "ev")})
    noise = None
    if number:
        kind, level = divmod(number - 1, NOISE_LEVELS)
        noise = Noise(kind=NOISE_KINDS[kind], level=level + 1)
    dimension: Dimension = "language" if language else "camera"
    if start:
        dimension = "robot"
    if noise is not None:
        dimension = "noise"
    return PlusName(
        name=name,
        base=base,
        dimension=dimension,
        bddl_name=view["base"],
        states_name=base,
        files=f"language:{language['number']}" if language else "",
        camera=camera,
        robot=RobotStart(start=start) if start else None,
        noise=noise,
    )


def _foreign(name: str) -> ConfigError:
    return ConfigError(
        f"'{name[:120]}' is no name of a LIBERO-Plus task. Allowed: BASE_view_H_V_S_ER_EV_"
        "initstate_K, BASE_language_N, BASE_light_N, BASE_table_N, BASE_tb_N, BASE_add_N or "
        "BASE_levelL_sampleM."
    )
