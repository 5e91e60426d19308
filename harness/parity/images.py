"""Are a demonstration's pictures those of the environment: which camera, which way up, when?"""

from collections.abc import Callable, Iterable

import numpy as np

from harness.parity.inputs import Comparison, Inputs, graded
from tasks.observation import CAMERAS, Image, Observation
from tasks.protocols import Protocol

TURNS: dict[str, Callable[[Image], Image]] = {
    "upright": lambda picture: picture,
    "rotated by 180°": lambda picture: picture[::-1, ::-1],
    "flipped vertically": lambda picture: picture[::-1],
    "flipped horizontally": lambda picture: picture[:, ::-1],
}
"""Ways in which a picture may differ from the environment's; each undoes itself."""

SLICES = {
    "rotated by 180°": "pictures[:, ::-1, ::-1]",
    "flipped vertically": "pictures[:, ::-1]",
    "flipped horizontally": "pictures[:, :, ::-1]",
}

_FINE, _BEARABLE = 3.0, 20.0
"""Mean difference, of 255: rendering again gives 0; another renderer or lossy files some."""

_CLEARLY = 0.8

Differences = dict[str, float]
"""Mean absolute difference from the environment's picture by turn, of 255."""


def image_difference(one: Image, other: Image) -> float:
    """Return the mean absolute difference of two pictures, of 255."""
    return float(np.abs(one.astype(np.int16) - other).mean())


def check_images(inputs: Inputs, protocol: Protocol) -> list[Comparison]:
    """Compare size, cameras, orientation, colours and time of the pictures."""
    pictures = inputs.recording.demo.pictures
    sizes = {camera: pictures[camera].shape[1:3] for camera in CAMERAS}
    rows = [_resolution(sizes, protocol)]
    matches = {
        camera: {other: _turned(inputs, camera, other) for other in CAMERAS} for camera in CAMERAS
    }
    shown = {
        camera: min(CAMERAS, key=lambda other: min(found[other].values()))
        for camera, found in matches.items()
    }
    rows.append(_cameras(shown, matches))
    turns: dict[str, str] = {}
    for camera, other in shown.items():
        found = matches[camera][other]
        turns[camera] = min(found, key=lambda turn: found[turn])
        rows.append(_orientation(inputs, camera, other, turns[camera], found, protocol))
    rows.append(_time(inputs, shown, turns))
    return rows


def _pairs(inputs: Inputs, camera: str, other: str) -> Iterable[tuple[Image, Image]]:
    pictures = inputs.recording.demo.pictures[camera]
    for row, seen in zip(inputs.rows, inputs.seen, strict=True):
        yield pictures[row], seen[other]  # type: ignore[literal-required]


def _turned(inputs: Inputs, camera: str, other: str) -> Differences:
    return {
        name: float(
            np.mean([image_difference(turn(a), b) for a, b in _pairs(inputs, camera, other)])
        )
        for name, turn in TURNS.items()
    }


def _resolution(sizes: dict[str, tuple[int, ...]], protocol: Protocol) -> Comparison:
    shown = ", ".join(sorted({f"{height}×{width}" for height, width in sizes.values()}))
    side = next(iter(sizes.values()))[0]
    same = protocol.resolution == side
    return Comparison(
        name="picture size",
        demo=f"{shown} pixels",
        environment=f"{protocol.resolution}×{protocol.resolution} pixels ({protocol.name})",
        status="ok" if same else "warning",
        fix="" if same else f"evaluate with --resolution {side}, or train on demos of that size",
    )


def _cameras(shown: dict[str, str], matches: dict[str, dict[str, Differences]]) -> Comparison:
    wrong = [camera for camera in CAMERAS if shown[camera] != camera]
    words = ", ".join(f"{camera} shows {shown[camera]}" for camera in wrong)
    numbers = ", ".join(
        f"{camera} {min(matches[camera][camera].values()):.1f}" for camera in CAMERAS
    )
    return Comparison(
        name="cameras",
        demo=words or f"each shows its own ({', '.join(CAMERAS)})",
        environment=", ".join(CAMERAS) + ("" if not wrong else f"; own pictures differ: {numbers}"),
        status="failed" if wrong else "ok",
        fix="exchange obs/agentview_rgb and obs/eye_in_hand_rgb in the file" if wrong else "",
    )


def _orientation(
    inputs: Inputs,
    camera: str,
    other: str,
    turn: str,
    found: Differences,
    protocol: Protocol,
) -> Comparison:
    best = found[turn]
    others = ", ".join(f"{name} {value:.1f}" for name, value in found.items() if name != turn)
    swapped = np.mean(
        [image_difference(TURNS[turn](a)[..., ::-1], b) for a, b in _pairs(inputs, camera, other)]
    )
    status, fix = graded(best, _FINE, _BEARABLE), ""
    if status != "ok" and swapped < _CLEARLY * best:
        status, fix = "failed", "exchange red and blue in the file's pictures (BGR to RGB)"
    elif turn != "upright" and status == "failed":
        fix = "the pictures show something else in every orientation; is it this task's file?"
    elif turn != "upright":
        status, fix = "failed", _turning(turn, protocol)
    elif status != "ok":
        fix = (
            "collect the demos again with this renderer and mujoco, without lossy compression, or "
            "accept that pictures differ"
        )
    return Comparison(
        name=f"pictures of {camera}",
        demo=f"{turn} matches best: {best:.2f} of 255 apart ({others})",
        environment=f"{protocol.orientation}, rendered at rows {_listed(inputs.rows)}",
        status=status,
        fix=fix,
    )


def _turning(turn: str, protocol: Protocol) -> str:
    if protocol.orientation == "raw" and turn == "rotated by 180°":
        return f"protocol {protocol.name} shows pictures as rendered; choose one with rotate180"
    return (
        f"store {SLICES[turn]} instead: LIBERO's files hold pictures as rendered, upside down, "
        "and training turns them"
    )


def _time(inputs: Inputs, shown: dict[str, str], turns: dict[str, str]) -> Comparison:
    """Compare pictures of a fast motion with those a control step earlier and later."""
    found = [
        float(np.mean([_moving_apart(inputs, seen, camera, shown, turns) for camera in CAMERAS]))
        for seen in inputs.around
    ]
    step = int(np.argmin(found)) - 1
    late = step != 0 and found[step + 1] < _CLEARLY * found[1]
    before, then, after = found
    return Comparison(
        name="pictures in time",
        demo=f"row {inputs.moving} shows row {inputs.moving + step}" if late else "in step",
        environment=f"row before {before:.2f} apart, then {then:.2f}, after {after:.2f} of 255",
        status="failed" if late else "ok",
        fix="shift the pictures by one row against states and actions" if late else "",
    )


def _moving_apart(
    inputs: Inputs,
    seen: Observation,
    camera: str,
    shown: dict[str, str],
    turns: dict[str, str],
) -> float:
    picture = inputs.recording.demo.pictures[camera][inputs.moving]
    return image_difference(TURNS[turns[camera]](picture), seen[shown[camera]])  # type: ignore[literal-required]


def _listed(rows: Iterable[int]) -> str:
    return ", ".join(map(str, rows))
