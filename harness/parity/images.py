"""Are a demonstration's images those of the environment: which camera, which way up, when?"""

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
"""Ways in which an image may differ from the environment's; each undoes itself."""

SLICES = {
    "rotated by 180°": "pictures[:, ::-1, ::-1]",
    "flipped vertically": "pictures[:, ::-1]",
    "flipped horizontally": "pictures[:, :, ::-1]",
}

_FINE, _BEARABLE = 3.0, 20.0
"""Mean difference, of 255: rendering again gives 0; another renderer or lossy files some."""

_CLEARLY = 0.8

Differences = dict[str, float]
"""Mean absolute difference from the environment's image by turn, of 255."""


def image_difference(one: Image, other: Image) -> float:
    """Return the mean absolute difference of two images, of 255."""
    return float(np.abs(one.astype(np.int16) - other).mean())


def check_images(inputs: Inputs, protocol: Protocol) -> list[Comparison]:
    """Compare size, cameras, orientation, colours and time of the images."""
    pictures = inputs.recording.demo.images
    sizes = {camera: pictures[camera].shape[1:3] for camera in CAMERAS}
    rows = [_resolution(sizes, protocol)]
    matches = {
        camera: {other: _turned(inputs, camera, other) for other in CAMERAS} for camera in CAMERAS
    }
    matched = {
        camera: min(CAMERAS, key=lambda other: min(differences[other].values()))
        for camera, differences in matches.items()
    }
    rows.append(_cameras(matched, matches))
    turns: dict[str, str] = {}
    for camera, other in matched.items():
        by_turn = matches[camera][other]
        turns[camera] = min(by_turn, key=lambda turn: by_turn[turn])
        rows.append(_orientation(inputs, camera, other, turns[camera], by_turn, protocol))
    rows.append(_time(inputs, matched, turns))
    return rows


def _pairs(inputs: Inputs, camera: str, other: str) -> Iterable[tuple[Image, Image]]:
    pictures = inputs.recording.demo.images[camera]
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
    listed = ", ".join(sorted({f"{height}×{width}" for height, width in sizes.values()}))
    pixels = next(iter(sizes.values()))[0]
    same = protocol.resolution == pixels
    return Comparison(
        name="picture size",
        demo=f"{listed} pixels",
        environment=f"{protocol.resolution}×{protocol.resolution} pixels ({protocol.name})",
        status="ok" if same else "warning",
        fix="" if same else f"evaluate with --resolution {pixels}, or train on demos of that size",
    )


def _cameras(matched: dict[str, str], matches: dict[str, dict[str, Differences]]) -> Comparison:
    wrong = [camera for camera in CAMERAS if matched[camera] != camera]
    exchanged = ", ".join(f"{camera} shows {matched[camera]}" for camera in wrong)
    numbers = ", ".join(
        f"{camera} {min(matches[camera][camera].values()):.1f}" for camera in CAMERAS
    )
    return Comparison(
        name="cameras",
        demo=exchanged or f"each shows its own ({', '.join(CAMERAS)})",
        environment=", ".join(CAMERAS) + ("" if not wrong else f"; own pictures differ: {numbers}"),
        status="failed" if wrong else "ok",
        fix="exchange obs/agentview_rgb and obs/eye_in_hand_rgb in the file" if wrong else "",
    )


def _orientation(
    inputs: Inputs,
    camera: str,
    other: str,
    turn: str,
    by_turn: Differences,
    protocol: Protocol,
) -> Comparison:
    best = by_turn[turn]
    others = ", ".join(f"{name} {value:.1f}" for name, value in by_turn.items() if name != turn)
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


def _time(inputs: Inputs, matched: dict[str, str], turns: dict[str, str]) -> Comparison:
    """Compare images of a fast motion with those a control step earlier and later."""
    differences = [
        float(np.mean([_moving_apart(inputs, seen, camera, matched, turns) for camera in CAMERAS]))
        for seen in inputs.around
    ]
    step = int(np.argmin(differences)) - 1
    late = step != 0 and differences[step + 1] < _CLEARLY * differences[1]
    before, then, after = differences
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
    matched: dict[str, str],
    turns: dict[str, str],
) -> float:
    picture = inputs.recording.demo.images[camera][inputs.moving]
    return image_difference(TURNS[turns[camera]](picture), seen[matched[camera]])  # type: ignore[literal-required]


def _listed(rows: Iterable[int]) -> str:
    return ", ".join(map(str, rows))
