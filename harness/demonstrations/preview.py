"""Contact sheets of demonstrations: images, actions and phases."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from results.formatting import visible
from tasks.demos.motion import Phase, hand_speed
from tasks.demos.reader import Demo, read_demos
from tasks.demos.schema import Convention
from tasks.files import atomic_file
from tasks.observation import CAMERAS, CONTROL_HZ, FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = {
    "close": "#c0392b",
    "open": "#e67e22",
    "slow": "#7f8c8d",
    "goal": "#27ae60",
    "goal_lost": "#145a32",
    "touch": "#2980b9",
    "part": "#8e44ad",
}
_REGULAR = 8
_MOST_FRAMES = 16
_MOST_ROWS = 50
_APART_S = 0.25


def draw_sheets(
    path: Path,
    names: Collection[str],
    out: Path,
    *,
    overview: bool,
    convention: Convention | None = None,
) -> list[Path]:
    """Draw the sheets of a demo file.

    Args:
        path: The file.
        names: Demonstrations with a sheet of their own.
        out: Folder of the sheets.
        overview: Draw a sheet of all demonstrations, too.
        convention: See ``tasks.demos.timing.observation_timing``.

    Returns:
        The PNG files.
    """
    sheets: list[Path] = []
    rows: list[OverviewRow] = []
    task = path.stem.removesuffix("_demo")
    for demo in read_demos(path, convention=convention):
        if demo.name in names:
            sheets.append(draw_demo(demo, out / task / f"{demo.name}.png"))
        if overview and len(rows) < _MOST_ROWS:
            rows.append(overview_row(demo))
    if rows:
        sheets.append(draw_overview(rows, out / f"{task}.png"))
    return sheets


def draw_demo(demo: Demo, path: Path) -> Path:
    """Draw one demonstration: both cameras at regular steps and at its phases, and its curves.

    Args:
        demo: With images.
        path: The PNG file to write.
    """
    steps = frame_steps(demo)
    figure = _figure(1.35 * len(steps) + 0.6, 9.2)
    grid = figure.add_gridspec(
        6,
        len(steps),
        height_ratios=[1.3, 1.3, 1.3, 1.3, 0.7, 1.0],
        hspace=0.12,
        wspace=0.04,
        top=0.91,
    )
    title = visible(f"{demo.instruction} — {demo.name}, {demo.steps} steps")
    figure.suptitle(title, fontsize=12, y=0.975, parse_math=False)
    for row, camera in enumerate(CAMERAS):
        for column, step in enumerate(steps):
            axes = figure.add_subplot(grid[row, column])
            here = [p for p in demo.phases if p.step == step]
            title = "\n".join([f"{step}", *dict.fromkeys(p.kind for p in here)]) if not row else ""
            _draw_frame(axes, _shown(demo, camera, step), title, here)
            if not column:
                axes.set_ylabel(camera, fontsize=9)
    curves = [figure.add_subplot(grid[row, :]) for row in range(2, 6)]
    _draw_curves(curves, demo)
    _draw_phases(curves, demo.phases)
    return _save(figure, path)


class OverviewRow(NamedTuple):
    """A demonstration in an overview, without its other images.

    Attributes:
        name: Its name.
        instruction: The task in words.
        frames: Images at regular steps, by step.
        speed: (T,) m/s, the hand's.
        phases: Its phases.
    """

    name: str
    instruction: str
    frames: dict[int, Any]
    speed: FloatArray
    phases: tuple[Phase, ...]


def overview_row(demo: Demo) -> OverviewRow:
    """Return the row of a demonstration."""
    frames = {step: _shown(demo, CAMERAS[0], step).copy() for step in _regular(demo.steps)}
    return OverviewRow(demo.name, demo.instruction, frames, hand_speed(demo.ee_pos), demo.phases)


def draw_overview(rows: Sequence[OverviewRow], path: Path) -> Path:
    """Draw the demonstrations of one file, a row each: agentview at regular steps and the motion.

    Args:
        rows: At least one.
        path: The PNG file to write.
    """
    figure = _figure(1.2 * _REGULAR + 5.0, 1.25 * len(rows) + 0.9)
    grid = figure.add_gridspec(
        len(rows),
        _REGULAR + 2,
        width_ratios=[*[1.0] * _REGULAR, 0.35, 3.6],
        hspace=0.18,
        wspace=0.04,
    )
    title = visible(f"{rows[0].instruction} — {len(rows)} demonstrations")
    figure.suptitle(title, fontsize=12, y=0.995, parse_math=False)
    for number, row in enumerate(rows):
        for column, (step, picture) in enumerate(row.frames.items()):
            axes = figure.add_subplot(grid[number, column])
            _draw_frame(axes, picture, f"{step}", [])
            if not column:
                axes.set_ylabel(visible(row.name), fontsize=8, parse_math=False)
        axes = figure.add_subplot(grid[number, _REGULAR + 1])
        axes.plot(row.speed, color="black", linewidth=0.8)
        axes.tick_params(labelsize=6)
        axes.set_xlim(0, len(row.speed) - 1)
        if not number:
            axes.set_title("hand's speed, m/s, and phases", fontsize=8)
        for phase in row.phases:
            axes.axvline(phase.step, color=_COLOURS[phase.kind], linewidth=1.0)
    return _save(figure, path)


def frame_steps(demo: Demo) -> list[int]:
    """Return the steps a sheet shows: those of phases, and regular ones that are not near any."""
    near = round(_APART_S * CONTROL_HZ)
    chosen: list[int] = []
    for phase in demo.phases:
        if all(abs(phase.step - step) >= near for step in chosen):
            chosen.append(phase.step)
    if len(chosen) > _MOST_FRAMES - 4:
        chosen = [chosen[i] for i in np.linspace(0, len(chosen) - 1, _MOST_FRAMES - 4).astype(int)]
    for step in _regular(demo.steps):
        if len(chosen) < _MOST_FRAMES and all(abs(step - other) >= near for other in chosen):
            chosen.append(step)
    return sorted(chosen)


def _regular(steps: int) -> list[int]:
    return [int(step) for step in np.linspace(0, steps - 1, _REGULAR)]


def _shown(demo: Demo, camera: str, step: int) -> Any:
    """Return an image as one sees the scene; turned by 180° as policies get it, it is mirrored."""
    return demo.images[camera][step][:, ::-1]


def _draw_frame(axes: "Axes", picture: Any, title: str, phases: Sequence[Phase]) -> None:
    axes.imshow(picture, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    if title:
        axes.set_title(title, fontsize=7, pad=2)
    for spine in axes.spines.values():
        spine.set_color(_COLOURS[phases[0].kind] if phases else "#bbbbbb")
        spine.set_linewidth(2.5 if phases else 0.5)


def _draw_curves(curves: Sequence["Axes"], demo: Demo) -> None:
    position, rotation, gripper, speed = curves
    for axes, first, names, label in (
        (position, 0, "xyz", "position action"),
        (rotation, 3, ("roll", "pitch", "yaw"), "rotation action"),
    ):
        for offset, name in enumerate(names):
            axes.plot(demo.actions[:, first + offset], label=name, linewidth=1.0)
            if not np.array_equal(demo.intended, demo.actions):
                colour = axes.lines[-1].get_color()
                axes.plot(demo.intended[:, first + offset], color=colour, linewidth=0.7, ls=":")
        axes.set_ylim(-1.08, 1.08)
        axes.set_ylabel(label, fontsize=8)
        axes.legend(loc="upper right", fontsize=7, ncols=3, framealpha=0.7)
    gripper.step(np.arange(demo.steps), demo.actions[:, 6], where="post", color="#c0392b", lw=1.0)
    gripper.set_ylim(-1.3, 1.3)
    gripper.set_yticks([-1, 1], ["open", "close"])
    fingers = gripper.twinx()
    fingers.plot((demo.gripper_qpos[:, 0] - demo.gripper_qpos[:, 1]) * 100, color="#555555", lw=1.0)
    fingers.set_ylabel("gap, cm", fontsize=8)
    fingers.tick_params(labelsize=7)
    gripper.set_ylabel("gripper", fontsize=8)
    speed.plot(hand_speed(demo.ee_pos), color="black", linewidth=1.0)
    speed.set_ylabel("hand, m/s", fontsize=8)
    speed.set_xlabel("control step", fontsize=8)
    for axes in curves:
        axes.set_xlim(0, demo.steps - 1)
        axes.tick_params(labelsize=7)
        axes.grid(visible=True, axis="x", color="#eeeeee")
    for axes in curves[:-1]:
        axes.set_xticklabels([])


def _draw_phases(curves: Sequence["Axes"], phases: Sequence[Phase]) -> None:
    for phase in phases:
        for axes in curves:
            axes.axvline(phase.step, color=_COLOURS[phase.kind], linewidth=1.1, alpha=0.8)
    last = curves[-1]
    low = last.get_ylim()[0]
    for number, phase in enumerate(phases):
        last.annotate(
            f"{phase.step} {phase.kind} {phase.what}".strip(),
            (phase.step, low),
            xytext=(phase.step, -0.42 - 0.16 * (number % 5)),
            textcoords=("data", "axes fraction"),
            fontsize=6.5,
            color=_COLOURS[phase.kind],
            annotation_clip=False,
        )


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=100)
    FigureCanvasAgg(figure)
    return figure


def _save(figure: "Figure", path: Path) -> Path:
    """Write a figure, which appears under its name only when whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as draft:
        figure.savefig(draft, format="png", bbox_inches="tight", pad_inches=0.15)
    return path
