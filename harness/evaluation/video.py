"""Videos of episodes: both cameras, and what one needs to judge what the robot does."""

import contextlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pictures
from PIL import ImageDraw, ImageFont

from harness.evaluation.rollout import StepEvent
from results.folder import VIDEOS_FOLDER
from results.records import EpisodeKey, Outcome
from tasks.files import publish
from tasks.observation import CAMERAS, CONTROL_HZ, Image, Observation

SIDE = 320
"""Height and width of each camera's image in the video, pixels."""

_WIDTH, _TOP, _BOTTOM = 2 * SIDE, 52, 52
_HEIGHT = _TOP + SIDE + _BOTTOM
_MARGIN = 12
_GROUND = (17, 20, 27)
_RAIL = (52, 58, 70)
_WORDS = (238, 240, 244)
_FAINT = (150, 158, 172)
_ACCENT = (88, 166, 255)
_PLAN = (255, 190, 76)
_HELD = (180, 110, 220)
_OUTCOMES = {"success": (46, 160, 92), "failure": (207, 68, 68), "error": (140, 140, 140)}
_FINGERS_OPEN_M = 0.08
_FLASH_STEPS = 3
_TICKS_APART = 4
_HOLD_S = 1.0


def video_name(key: EpisodeKey) -> str:
    """Return the file name of an episode's video."""
    return f"{key.suite}-t{key.task}-i{key.init_state}-s{key.seed}.mp4"


class VideoWriter:
    """Writes an episode to ``videos/`` of a run, a frame per control step at real speed.

    The file appears under its name once it is whole.

    Args:
        run: The run folder.
        key: The episode.
        upright: Whether the observations' images are; if not, they are turned by 180°.
        perturbation: What is changed of the task, to be shown; empty for nothing.
    """

    cameras: tuple[str, ...] = CAMERAS

    def __init__(
        self, run: Path, key: EpisodeKey, *, upright: bool = True, perturbation: str = ""
    ) -> None:
        self._key, self._upright, self._perturbation = key, upright, perturbation
        self._path = run / VIDEOS_FOLDER / video_name(key)
        self._part = self._path.with_name(f".{self._path.stem}.part.mp4")
        self._film: Any = None
        self._latest: Pictures.Image | None = None
        self._max_steps = 1
        self._instruction = ""
        self._plan_starts: list[int] = []
        self._held: list[int] = []
        self._delay = 0

    def begin(self, observation: Observation, max_steps: int) -> None:
        """Open the file and show the scene after settling."""
        import imageio.v3 as imageio

        self._part.parent.mkdir(parents=True, exist_ok=True)
        self._film = imageio.imopen(self._part, "w", plugin="pyav")
        self._film.init_video_stream("libx264", fps=int(CONTROL_HZ), pixel_format="yuv420p")
        self._instruction, self._max_steps = observation["instruction"], max_steps
        self._write(self._frame(observation, step=0, closing=False))

    def step(self, event: StepEvent) -> None:
        """Add one frame."""
        if event.starts_plan:
            self._plan_starts.append(event.step)
        if event.holding:
            self._held.append(event.step)
        self._delay = event.delay
        closing = bool(event.action[-1] > 0)
        self._write(self._frame(event.observation, step=event.step, closing=closing))

    def end(self, outcome: Outcome) -> str:
        """Hold the last image with the outcome on it, then put the file in its place.

        Returns:
            Its path relative to the run folder.
        """
        assert self._latest is not None
        _stamp(self._latest, outcome)
        for _ in range(round(CONTROL_HZ * _HOLD_S)):
            self._write(self._latest)
        self._film.close()
        self._film = None
        publish(self._part, self._path)
        return f"{VIDEOS_FOLDER}/{self._path.name}"

    def abort(self) -> None:
        """Give the file up."""
        if self._film is not None:
            with contextlib.suppress(Exception):  # a full disk, which is why it is given up
                self._film.close()
            self._film = None
        self._part.unlink(missing_ok=True)

    def _write(self, picture: Pictures.Image) -> None:
        self._latest = picture
        self._film.write_frame(np.asarray(picture))

    def _frame(self, observation: Observation, *, step: int, closing: bool) -> Pictures.Image:
        canvas = Pictures.new("RGB", (_WIDTH, _HEIGHT), _GROUND)
        draw = ImageDraw.Draw(canvas)
        for index, camera in enumerate(CAMERAS):
            image: Image = observation[camera]  # type: ignore[literal-required]
            picture = Pictures.fromarray(image if self._upright else image[::-1, ::-1])
            resized = picture.resize((SIDE, SIDE), Pictures.Resampling.LANCZOS)
            canvas.paste(resized, (index * SIDE, _TOP))
            _label(draw, index * SIDE + 8, _TOP + SIDE - 24, camera)
        self._draw_top(draw)
        self._draw_progress(draw, step)
        _draw_gripper(draw, observation, closing)
        return canvas

    def _draw_top(self, draw: ImageDraw.ImageDraw) -> None:
        size = 19
        while size > 11 and draw.textlength(self._instruction, _font(size)) > _WIDTH - 2 * _MARGIN:
            size -= 1
        draw.text((_MARGIN, 17), self._instruction, _WORDS, _font(size), anchor="lm")
        key = self._key
        where = f"{key.suite}   task {key.task}   init state {key.init_state}   seed {key.seed}"
        draw.text((_MARGIN, 39), where, _FAINT, _font(13), anchor="lm")
        if self._perturbation:
            room = _WIDTH - 3 * _MARGIN - draw.textlength(where, _font(13))
            words, size = self._perturbation, 13
            while size > 8 and draw.textlength(words, _font(size)) > room:
                size -= 1
            draw.text((_WIDTH - _MARGIN, 39), words, _PLAN, _font(size), anchor="rm")

    def _draw_progress(self, draw: ImageDraw.ImageDraw, step: int) -> None:
        """Draw the time line: how far the episode is, with a tick where each plan began.

        Steps at which the hand was held still have another colour.
        """
        left, right, y = _MARGIN, _WIDTH - _MARGIN, _TOP + SIDE + 13

        def place(at: int) -> float:
            return left + (right - left) * at / self._max_steps

        draw.rounded_rectangle((left, y - 3, right, y + 3), 3, _RAIL)
        if step:
            draw.rounded_rectangle((left, y - 3, max(place(step), left + 6), y + 3), 3, _ACCENT)
        for held in self._held:
            draw.rectangle((place(held - 1), y - 3, place(held), y + 3), _HELD)
        apart = (place(step) - left) / max(len(self._plan_starts), 1)
        for begun in self._plan_starts if apart >= _TICKS_APART else ():
            x = place(begun - 1)
            draw.line((x, y - 6, x, y + 6), _PLAN, 1)
        y += 23
        draw.text((left, y), f"step {step}/{self._max_steps}", _WORDS, _font(14), anchor="lm")
        if not self._plan_starts:
            return
        flash = step - self._plan_starts[-1] < _FLASH_STEPS
        words = f"plan {len(self._plan_starts)}"
        x = left + 130
        radius = 5 if flash else 3
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), _PLAN if flash else _RAIL)
        draw.text((x + 12, y), words, _PLAN if flash else _FAINT, _font(14), anchor="lm")
        if self._delay:
            holding = bool(self._held) and self._held[-1] == step
            late = "holding still" if holding else f"{self._delay} steps late"
            draw.text((x + 90, y), late, _HELD if holding else _FAINT, _font(14), anchor="lm")


def _draw_gripper(draw: ImageDraw.ImageDraw, observation: Observation, closing: bool) -> None:
    """Draw how far the fingers are apart, and what they were told."""
    y, right = _TOP + SIDE + 36, _WIDTH - _MARGIN
    fingers = observation["gripper_qpos"]
    opening = float(np.clip((fingers[0] - fingers[1]) / _FINGERS_OPEN_M, 0.0, 1.0))
    colour = _PLAN if closing else _ACCENT
    left = right - 110
    draw.rounded_rectangle((left, y - 5, right, y + 5), 5, _RAIL)
    half = (right - left - 6) / 2 * opening
    middle = (left + right) / 2
    draw.line((middle, y - 3, middle, y + 3), _FAINT, 1)
    draw.rectangle((middle - half - 3, y - 5, middle - half + 1, y + 5), colour)
    draw.rectangle((middle + half - 1, y - 5, middle + half + 3, y + 5), colour)
    words = "gripper close" if closing else "gripper open"
    draw.text((left - 10, y), words, colour, _font(14), anchor="rm")


def _stamp(canvas: Pictures.Image, outcome: Outcome) -> None:
    """Put the outcome on a frame: a badge, and an edge around the images."""
    draw = ImageDraw.Draw(canvas)
    colour = _OUTCOMES[outcome]
    draw.rectangle((0, _TOP, _WIDTH - 1, _TOP + SIDE - 1), outline=colour, width=4)
    words, font = outcome.upper(), _font(22)
    half = draw.textlength(words, font) / 2 + 18
    middle, y = _WIDTH / 2, _TOP + 30
    draw.rounded_rectangle((middle - half, y - 19, middle + half, y + 19), 19, colour)
    draw.text((middle, y), words, (255, 255, 255), font, anchor="mm")


def _label(draw: ImageDraw.ImageDraw, x: float, y: float, words: str) -> None:
    width = draw.textlength(words, _font(12))
    draw.rounded_rectangle((x, y, x + width + 12, y + 18), 5, _GROUND)
    draw.text((x + 6, y + 9), words, _FAINT, _font(12), anchor="lm")


@cache
def _font(size: int) -> Any:
    return ImageFont.load_default(size)
