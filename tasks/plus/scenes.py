"""How LIBERO-Plus's light, background and layout tasks change the scene, and what they need for it.

Their BDDL files name problem classes of upstream's own, of which each differs from one of LIBERO's
in its arena's MJCF and in the names of two textures; or categories of objects that LIBERO does not
have. Both are read from upstream's Python files as text.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from tasks.perturbation import SceneFiles
from tasks.plus.source import PlusSource

_CLASS = re.compile(r"^class\s+(\w+)\s*\(\s*(\w+)\s*\)\s*:", re.MULTILINE)
_PROBLEM = re.compile(r"\(define\s+\(problem\s+(\S+?)\s*\)")
_OBJECTS = re.compile(r"\(:objects\s+([^()]*)\)")
_OBJECT_FILE = re.compile(r"assets/(\S+?\.xml)")
_FREE_JOINT = 13
"""Numbers of a state that a free object adds: position, orientation, velocities."""


class ProblemClass(NamedTuple):
    """A problem class as upstream's file states it.

    Attributes:
        base: Name of the class it derives from.
        scene_xml: Its arena's MJCF, relative to the assets; empty for the base's.
        floor: The name of the floor's style; empty for the base's.
        wall: That of the wall.
    """

    base: str
    scene_xml: str
    floor: str
    wall: str


@dataclass(frozen=True, kw_only=True)
class SceneNeeds:
    """What a task's scene is made of.

    Attributes:
        files: How its files change LIBERO's scene; None if they do not.
        missing: Assets that neither LIBERO nor the user's pack has, relative to the assets.
    """

    files: SceneFiles | None
    missing: tuple[str, ...] = ()


class SceneReader:
    """Reads what tasks need.

    Args:
        source: LIBERO-Plus on this machine.
        libero_assets: LIBERO's own assets.
    """

    def __init__(self, source: PlusSource, libero_assets: Path) -> None:
        self._source = source
        self._libero = libero_assets

    def needs(self, bddl: str) -> SceneNeeds:
        """Return what the scene of a BDDL file is made of.

        Args:
            bddl: The file's text.

        Raises:
            PrerequisiteError: Upstream's files do not say it.
        """
        problem = bddl_word(bddl, _PROBLEM).lower()
        missing: list[str] = []
        described = self._problems.get(problem)
        changed = described is not None and _is_variant(described)
        scene_xml = floor = wall = None
        if described is not None and changed:
            scene_xml = self._arena(described, missing)
            beside = self._libero if scene_xml is None else self._source.assets
            floor = self._texture("FLOOR_STYLE", described.floor, beside, missing)
            wall = self._texture("WALL_STYLE", described.wall, beside, missing)
        objects = {}
        for category in object_categories(bddl):
            if category in self._custom_objects:
                relative = self._custom_objects[category]
                objects[category] = str(self._found(relative, missing))
        if not changed and not objects:
            return SceneNeeds(files=None)
        files = SceneFiles(
            problem=problem if changed else "",
            base_problem=described.base.lower() if described is not None and changed else "",
            scene_xml=scene_xml,
            floor=floor,
            wall=wall,
            objects=objects,
        )
        return SceneNeeds(files=files, missing=tuple(missing))

    def _arena(self, described: ProblemClass, missing: list[str]) -> str | None:
        """Return the arena's MJCF, where it is not LIBERO's own; from the pack if that has it."""
        base = self._problems.get(described.base.lower())
        relative = described.scene_xml or (base.scene_xml if base else "")
        if self._source.assets is not None and (self._source.assets / relative).is_file():
            return str(self._source.assets / relative)
        if described.scene_xml:
            return str(self._found(relative, missing))
        return None

    def _texture(
        self, kind: str, style: str, assets: Path | None, missing: list[str]
    ) -> str | None:
        """Return the file name of a style's texture, which must lie in the arena's assets."""
        if not style:
            return None
        name = self._styles.get(kind, {}).get(style)
        if name is None:
            missing.append(f"textures/{style} (a style that upstream does not define)")
            return None
        if assets is None or not (assets / "textures" / name).is_file():
            missing.append(f"textures/{name}")
        return name

    def _found(self, relative: str, missing: list[str]) -> Path:
        """Return where an asset is, or note that it is missing."""
        places = [self._source.assets, self._libero]
        for place in places:
            if place is not None and (place / relative).is_file():
                return place / relative
        missing.append(relative)
        return Path(relative)

    @cached_property
    def _problems(self) -> dict[str, ProblemClass]:
        found = {}
        for path in sorted((self._source.root / "envs" / "problems").glob("*.py")):
            for name, base, body in _classes(self._source.read(path)):
                found[name.lower()] = ProblemClass(
                    base=base,
                    scene_xml=_stated(body, "scene_xml"),
                    floor=_stated(body, "floor_style"),
                    wall=_stated(body, "wall_style"),
                )
        if not found:
            raise self._source.broken(self._source.root / "envs/problems", "it has no classes")
        return found

    @cached_property
    def _styles(self) -> dict[str, dict[str, str]]:
        path = self._source.root / "envs" / "arenas" / "style.py"
        try:
            tree = ast.parse(self._source.read(path))
            return {
                ast.unparse(node.targets[0]): ast.literal_eval(node.value)
                for node in tree.body
                if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).endswith("_STYLE")
            }
        except (SyntaxError, ValueError) as error:
            raise self._source.broken(path, f"its styles cannot be read ({error})") from error

    @cached_property
    def _custom_objects(self) -> dict[str, str]:
        """The MJCF of each category that only upstream has, relative to the assets."""
        path = self._source.root / "envs" / "objects" / "custom_objects.py"
        found = {}
        for name, base, body in _classes(self._source.read(path)):
            if base == "CustomObjects" and (file := _OBJECT_FILE.search(body)):
                found[_category(name)] = file[1]
        if not found:
            raise self._source.broken(path, "it defines no objects")
        return found


def _classes(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield the name, the base and the body of each class of a module with one base."""
    matches = list(_CLASS.finditer(text))
    ends = [match.start() for match in matches[1:]] + [len(text)]
    for match, end in zip(matches, ends, strict=False):
        yield match[1], match[2], text[match.end() : end]


def _is_variant(described: ProblemClass) -> bool:
    """Whether a class derives from one of LIBERO's, rather than being one."""
    return described.base.lower().startswith("libero_")


def _stated(body: str, name: str) -> str:
    match = re.search(rf'"{name}":\s*"([^"]+)"', body)
    return match[1] if match else ""


def _category(class_name: str) -> str:
    """Return what BDDL files call a class of objects, as LIBERO's registration derives it."""
    return "_".join(re.sub(r"([A-Z0-9])", r" \1", class_name).split()).lower()


def bddl_word(bddl: str, pattern: re.Pattern[str]) -> str:
    """Return what a pattern captures in a BDDL file; empty where it does not occur."""
    match = pattern.search(bddl)
    return match[1] if match else ""


def object_categories(bddl: str) -> dict[str, int]:
    """Return the categories of the movable objects of a BDDL file, and how many there are of each.

    Args:
        bddl: The file's text, with lines such as ``plate_1 plate_2 - plate``.
    """
    words = bddl_word(bddl, _OBJECTS).split()
    categories: dict[str, int] = {}
    count = 0
    for before, word in zip(["", *words], words, strict=False):
        if before == "-":
            categories[word] = categories.get(word, 0) + count
            count = 0
        elif word != "-":
            count += 1
    return categories


def state_size(base_size: int, base_bddl: str, bddl: str) -> int:
    """Return the numbers of a state in a scene to which objects were added.

    Args:
        base_size: Numbers of a state of the base task.
        base_bddl: The base task's BDDL file.
        bddl: The BDDL file with more objects, or the same ones.
    """
    before, now = (sum(object_categories(text).values()) for text in (base_bddl, bddl))
    return base_size + _FREE_JOINT * (now - before)
