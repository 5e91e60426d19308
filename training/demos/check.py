"""Checking a demo file, line by line: what is right, what differs, what is broken, and the fix."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tasks.demos.file import DemoFile, open_demo_file
from tasks.demos.folders import demo_instruction, noted_otherwise
from tasks.demos.motion import noops, pauses, phases_from
from tasks.demos.schema import IMAGE_DATASETS, INTENDED, OBSERVATIONS, PHASES_ATTRIBUTE, Convention
from tasks.demos.start import read_start
from tasks.demos.timing import observation_timing
from tasks.errors import ConfigError, Finding, Status, failure
from tasks.observation import CONTROL_HZ
from training.demos.conventions import camera_view, gripper_agreement

_MANY_PAUSES = 0.05


@dataclass(kw_only=True)
class _Contents:
    """What could be read of a file, by demonstration and LIBERO's names."""

    file: DemoFile
    names: list[str]
    arrays: dict[str, dict[str, Any]]
    convention: Convention | None

    def each(self, *keys: str) -> Iterator[tuple[Any, ...]]:
        """Yield arrays of those demonstrations that have them all."""
        for found in self.arrays.values():
            if all(key in found for key in keys):
                yield tuple(found[key] for key in keys)


def check_demo_file(path: Path, *, convention: Convention | None = None) -> list[Finding]:
    """Check one file; whatever is wrong with it becomes a line.

    Args:
        path: The file.
        convention: See ``observation_timing``.
    """
    try:
        with open_demo_file(path) as file:
            names = file.demos()
            contents, problems = _read(file, names, convention)
            lines = [_line("file", "ok", f"HDF5; demonstrations: {len(names)}"), problems]
            lines += [_attempt(name, check, contents) for name, check in _CHECKS.items()]
            return lines
    except ConfigError as error:
        return [_from_error("file", error)]


def _read(
    file: DemoFile, names: list[str], convention: Convention | None
) -> tuple[_Contents, Finding]:
    """Read all but the pictures; the line says what of it is missing or impossible."""
    rows: dict[str, tuple[int, ...]] = {"actions": (7,), "robot_states": (9,)}
    optional: dict[str, tuple[int | None, ...]] = {"states": (None,), INTENDED: (7,)}
    for key, row in OBSERVATIONS.items():
        if key not in IMAGE_DATASETS.values():
            optional[f"obs/{key}"] = row
    rows["obs/joint_states"] = (7,)
    optional.pop("obs/joint_states")
    arrays: dict[str, dict[str, Any]] = {name: {} for name in names}
    broken: list[Finding] = []
    missing: set[str] = set()
    for name in names:
        steps = None
        for key, row in (rows | optional).items():
            place = f"data/{name}/{key}"
            try:
                if key in optional and not file.has(place):
                    missing |= {key} - {INTENDED}
                    continue
                if key == "robot_states":
                    arrays[name][key] = file.robot_states(name, steps=steps)
                    missing |= set() if file.has(place) else {key}
                    continue
                arrays[name][key] = file.numbers(place, row, steps=steps)
                steps = steps or len(arrays[name][key])
            except ConfigError as error:
                broken.append(_from_error("numbers", error))
    contents = _Contents(file=file, names=names, arrays=arrays, convention=convention)
    if broken:
        more = f", and {len(broken) - 1} more" if len(broken) > 1 else ""
        return contents, _line("numbers", "failed", broken[0].detail + more, broken[0].fix)
    if missing:
        return contents, _line(
            "numbers",
            "warning",
            f"sound, but LIBERO's own files also have {', '.join(sorted(missing))}",
            "Readers of official files may want them: libero-bench demos regenerate",
        )
    return contents, _line("numbers", "ok", "shapes and dtypes as in LIBERO's files, all finite")


def _attempt(name: str, check: Callable[[_Contents], Finding], contents: _Contents) -> Finding:
    try:
        return replace(check(contents), name=name)
    except ConfigError as error:
        return _from_error(name, error)


def _attributes(contents: _Contents) -> Finding:
    file = contents.file
    wrong: list[str] = []
    if _count(file.attribute(file.data, "num_demos")) != len(contents.names):
        wrong.append(f"num_demos is {file.attribute(file.data, 'num_demos')}")
    total = 0
    for name in contents.names:
        group = file.group(f"data/{name}")
        steps = len(contents.arrays[name].get("actions", ()))
        total += steps
        if _count(said := file.attribute(group, "num_samples")) != steps:
            wrong.append(f"num_samples of {name} is {said}, not {steps}")
    if _count(file.attribute(file.data, "total")) != total:
        wrong.append(f"total is {file.attribute(file.data, 'total')}, not {total}")
    wrong += _unreadable(file)
    instruction = demo_instruction(file)
    if file.attribute(file.data, "problem_info") is None:
        wrong.append("problem_info is missing, so the task is known by name only")
    noted = noted_otherwise(file, instruction)
    said = f"; “{instruction}”" + (f", not “{noted}” as problem_info notes" if noted else "")
    if wrong:
        return _line(
            "",
            "warning",
            "; ".join(wrong[:3]) + (f"; {len(wrong) - 3} more" if len(wrong) > 3 else "") + said,
            "robomimic and LIBERO's own reader need them: libero-bench demos regenerate",
        )
    return _line("", "ok", f"complete{said}")


def _count(value: Any) -> Any:
    """Return the number that an attribute says; some official files have it as text."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _unreadable(file: DemoFile) -> list[str]:
    """Say what others, or nobody, will be able to read of the attributes."""
    found = []
    try:
        arguments = file.json(file.data, "env_args")
    except ConfigError:
        found.append("env_args is not JSON")
    else:
        if not isinstance(arguments, dict) or "env_kwargs" not in arguments:
            found.append("env_args has no env_kwargs")
    if file.attribute(file.data, "provenance") is not None and not file.provenance():
        found.append("provenance is not this project's, so who made the file counts as unknown")
    return found


def _actions(contents: _Contents) -> Finding:
    worst = max(
        (float(np.abs(a).max()) for (a,) in [*contents.each("actions"), *contents.each(INTENDED)]),
        default=0.0,
    )
    if worst > 1.0 + 1e-6:
        return _line("", "failed", f"reach {worst:.3f}", "Normalised ones belong in [−1, 1]")
    return _line("", "ok", f"within [−1, 1], at most {worst:.3f}")


def _gripper(contents: _Contents) -> Finding:
    pairs = list(contents.each("actions", "robot_states"))
    values = np.unique(np.concatenate([a[:, -1] for a, _ in pairs])) if pairs else np.zeros(0)
    agreement = gripper_agreement([(a[:, -1], r[:, 0] - r[:, 1]) for a, r in pairs])
    if agreement is not None and agreement < 0:
        return _line("", "failed", "the fingers part when told to close", "Negate the last action")
    if len(values) and values.min() >= 0 and values.max() > 0:
        return _line(
            "",
            "failed",
            "commands are 0 and 1, where LIBERO has −1 (open) and 1",
            "Map g to 2g − 1",
        )
    if agreement is None:
        return _line("", "warning", "the gripper never closes or opens, so its sign is unknown")
    return _line("", "ok", "−1 opens and 1 closes, as the fingers show")


def _timing(contents: _Contents) -> Finding:
    found = observation_timing(contents.file, contents.convention)
    if found.doubtful:
        return _line("", "failed", str(found), "Leave --convention out, or give the other")
    return _line("", "ok", str(found))


def _pictures(contents: _Contents) -> Finding:
    sizes: set[tuple[int, ...]] = set()
    views: list[Any] = []
    there = [c for c, key in IMAGE_DATASETS.items() if _everywhere(contents, f"obs/{key}")]
    for name in contents.names:
        steps = len(contents.arrays[name].get("actions", ())) or None
        for key in (IMAGE_DATASETS[camera] for camera in there or IMAGE_DATASETS):
            dataset = contents.file.images(f"data/{name}/obs/{key}", steps=steps)
            contents.file.refuse_blank(dataset)
            sizes.add(dataset.shape[1:3])
            if key == IMAGE_DATASETS["agentview"] and len(views) < 5:
                robot = contents.arrays[name].get("robot_states")
                if robot is not None:
                    views.append((contents.file.read(dataset), robot[:, 2:5]))
    if len(sizes) > 1:
        return _line("", "failed", f"several sizes: {sorted(sizes)}", "Render them alike")
    height, width = next(iter(sizes))
    view = camera_view(views)
    if view in (None, "raw") and len(there) < len(IMAGE_DATASETS):
        return _line(
            "",
            "warning",
            f"{height}×{width}, of {', '.join(there)} alone",
            f"Train with --cameras {' '.join(there)}, or render all: libero-bench demos regenerate",
        )
    if view is None:
        return _line(
            "", "warning", f"{height}×{width}; too little moves to tell how they are turned"
        )
    if view == "raw":
        return _line("", "ok", f"{height}×{width}, upside down as LIBERO stores them")
    return _line(
        "",
        "failed",
        f"{height}×{width}, agentview is {view}; LIBERO's files have it upside down",
        "Flip the pictures vertically" if view == "upright" else "Turn the pictures by 180°",
    )


def _everywhere(contents: _Contents, key: str) -> bool:
    return all(contents.file.has(f"data/{name}/{key}") for name in contents.names)


def _endings(contents: _Contents) -> Finding:
    wrong: list[str] = []
    for name in contents.names:
        steps = len(contents.arrays[name].get("actions", ()))
        last = np.arange(steps) == steps - 1
        for key in ("rewards", "dones"):
            place = f"data/{name}/{key}"
            if not contents.file.has(place):
                wrong.append(f"{place} is missing")
                continue
            dataset = contents.file.dataset(place, (), steps=steps)
            if not np.array_equal(contents.file.read(dataset), last):
                wrong.append(f"{place} is not 0 with a 1 at its end")
    if wrong:
        more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        return _line("", "warning", wrong[0] + more, "Readers of rewards and dones will be misled")
    return _line("", "ok", "rewards and dones are 1 at the last step only")


def _states(contents: _Contents) -> Finding:
    pairs = list(contents.each("states"))
    if not pairs:
        return _line("", "warning", "missing, so the file cannot be replayed or regenerated")
    for name in contents.names:
        if "states" in contents.arrays[name]:
            read_start(contents.file, name)
        init = contents.file.attribute(contents.file.group(f"data/{name}"), "init_state")
        states = contents.arrays[name].get("states")
        if init is not None and states is not None and not np.array_equal(init, states[0]):
            return _line("", "warning", f"init_state of {name} is not its first state")
    gaps = np.concatenate([np.diff(s[:, 0]) for (s,) in pairs])
    uneven = int((np.abs(gaps * CONTROL_HZ - 1) > 1e-3).sum())
    if uneven:
        return _line(
            "",
            "warning",
            f"{uneven} of {len(gaps)} steps do not last {1 / CONTROL_HZ} s by their clock: the "
            "first is preceded by settling, or steps were cut out",
        )
    return _line("", "ok", f"one every {1 / CONTROL_HZ} s by their clock")


def _noops(contents: _Contents) -> Finding:
    actions = [each for (each,) in contents.each("actions")]
    if not actions:
        return _line("", "warning", "there are no actions that can be read")
    idle = float(np.mean(np.concatenate([noops(each) for each in actions])))
    detail = f"{idle:.1%} of the actions do nothing"
    pairs = list(contents.each("actions", "robot_states"))
    if not pairs:
        return _line("", "ok", f"{detail}; whether the fingers rest then is not noted")
    paused = float(np.mean(np.concatenate([pauses(a, robot[:, :2]) for a, robot in pairs])))
    detail += f", {paused:.1%} while the fingers rest, too"
    if paused > _MANY_PAUSES:
        fix = "libero-bench demos regenerate leaves them out, as OpenVLA does (see its --noops)"
        return _line("", "warning", f"{detail}; policies learn to pause from them", fix)
    return _line("", "ok", detail)


def _phases(contents: _Contents) -> Finding:
    count = 0
    for name in contents.names:
        noted = contents.file.json(contents.file.group(f"data/{name}"), PHASES_ATTRIBUTE)
        if noted is None:
            return _line("", "ok", "not noted, so found from the motion alone when needed")
        try:
            count += len(phases_from(noted, len(contents.arrays[name].get("actions", ()))))
        except ValueError as error:
            words = " ".join(str(error).split())[:120]
            return _line("", "failed", f"those of {name} cannot be read ({words})", "Regenerate it")
    return _line("", "ok", f"{count} noted")


def _line(name: str, status: Status, detail: str, fix: str = "") -> Finding:
    return Finding(name=name, status=status, detail=detail, fix=fix)


def _from_error(name: str, error: ConfigError) -> Finding:
    finding = failure(error, name)
    reason = finding.detail.partition("cannot be used: ")[2].rstrip(".")
    return replace(finding, detail=reason or finding.detail)


_CHECKS: dict[str, Callable[[_Contents], Finding]] = {
    "attributes": _attributes,
    "actions": _actions,
    "gripper": _gripper,
    "observations": _timing,
    "pictures": _pictures,
    "rewards": _endings,
    "states": _states,
    "no-ops": _noops,
    "phases": _phases,
}
