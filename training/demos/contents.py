"""The arrays of a demo file, as far as they can be read, and a finding on the rest."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from tasks.demos.schema import IMAGE_DATASETS, INTENDED, OBSERVATIONS, Convention
from tasks.demos.source import DemoSource
from tasks.errors import ConfigError, Finding, Status, failure

_JOINTS = "obs/joint_states"
_NEEDED: dict[str, tuple[int, ...]] = {
    "actions": (7,),
    "robot_states": (9,),
    _JOINTS: (7,),
}
_OPTIONAL: dict[str, tuple[int | None, ...]] = {
    "states": (None,),
    INTENDED: (7,),
    **{
        f"obs/{key}": row
        for key, row in OBSERVATIONS.items()
        if key not in IMAGE_DATASETS.values() and key != "joint_states"
    },
}
"""Shapes of the rows of arrays, by LIBERO's names."""


@dataclass(kw_only=True)
class DemoContents:
    """The arrays of a demo file without images, by demonstration and LIBERO's names."""

    file: DemoSource
    names: list[str]
    arrays: dict[str, dict[str, Any]]
    convention: Convention | None

    def columns(self, *keys: str) -> Iterator[tuple[Any, ...]]:
        """Yield these arrays of each demonstration that has them all."""
        for arrays in self.arrays.values():
            if all(key in arrays for key in keys):
                yield tuple(arrays[key] for key in keys)

    def steps(self, name: str) -> int:
        """Return the number of a demonstration's actions, 0 if they cannot be read."""
        return len(self.arrays[name].get("actions", ()))


def read_contents(
    file: DemoSource, names: list[str], convention: Convention | None
) -> tuple[DemoContents, Finding]:
    """Read all arrays but the images; the finding says which are missing or impossible."""
    arrays: dict[str, dict[str, Any]] = {name: {} for name in names}
    broken: list[Finding] = []
    missing: set[str] = set()
    for name in names:
        steps = None
        for key, row in (_NEEDED | _OPTIONAL).items():
            path = f"data/{name}/{key}"
            try:
                may_lack = key in _OPTIONAL or (key == _JOINTS and not file.needs_joints)
                if may_lack and not file.has(path):
                    missing |= {key} - {INTENDED} if file.keeps_states else set()
                    continue
                if key == "robot_states":
                    arrays[name][key] = file.robot_states(name, steps=steps)
                    missing |= set() if file.has(path) else {key}
                    continue
                arrays[name][key] = file.numbers(path, row, steps=steps)
                steps = steps or len(arrays[name][key])
            except ConfigError as error:
                broken.append(error_finding("numbers", error))
    contents = DemoContents(file=file, names=names, arrays=arrays, convention=convention)
    return contents, _numbers_finding(broken, missing)


def _numbers_finding(broken: list[Finding], missing: set[str]) -> Finding:
    status: Status = "ok"
    detail, fix = "shapes and dtypes as in LIBERO's files, all finite", ""
    if broken:
        more = f", and {len(broken) - 1} more" if len(broken) > 1 else ""
        status, detail, fix = "failed", broken[0].detail + more, broken[0].fix
    elif missing:
        status = "warning"
        detail = f"sound, but LIBERO's own files also have {', '.join(sorted(missing))}"
        fix = "Readers of official files may want them: libero-bench demos regenerate"
    return Finding(name="numbers", status=status, detail=detail, fix=fix)


def error_finding(name: str, error: ConfigError) -> Finding:
    """Return a failure whose detail is the reason alone, without the file's name."""
    finding = failure(error, name)
    reason = finding.detail.partition("cannot be used: ")[2].rstrip(".")
    return replace(finding, detail=reason or finding.detail)
