"""Perturbations: what is changed of a task's scene, or of what is seen of it.

A perturbation belongs to the task. A scene perturbation (camera, robot, light, background, layout)
is applied once, between building the simulation and its first reset; an observation perturbation
(noise) whenever a picture is taken. LIBERO-Plus's tasks have theirs from their names and files; any
task can be given one as text, such as ``camera:h=30,v=15`` or ``robot:start=57+noise:fog=3``.
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from tasks.errors import ConfigError, unknown_name

Dimension = Literal["camera", "robot", "language", "light", "background", "noise", "layout"]
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)
"""What LIBERO-Plus perturbs, in the order of its tables."""

NoiseKind = Literal["motion", "gaussian", "zoom", "fog", "glass"]
NOISE_KINDS: tuple[NoiseKind, ...] = get_args(NoiseKind)
"""Corruptions of pictures, in the order of LIBERO-Plus's numbers."""

NOISE_LEVELS = 10

NoiseStream = Literal["upstream", "keyed"]
NOISE_STREAMS: tuple[NoiseStream, ...] = get_args(NoiseStream)

ROBOT_STARTS = 500
"""LIBERO-Plus's starts of the arm are numbered from 1 to this."""

PERTURBATION_FORMS = (
    "camera:h=DEGREES,v=DEGREES,s=PERCENT,er=DEGREES,ev=DEGREES",
    "robot:start=1..500",
    "robot:offset=RADIANS,seed=N",
    "noise:KIND=1..10[,stream=upstream|keyed] with KIND " + ", ".join(NOISE_KINDS),
    "light:diffuse=FACTOR,ambient=FACTOR,specular=FACTOR",
    "background:floor=STYLE,wall=STYLE",
    "layout:shift=METRES,seed=N",
)
"""What the text of a perturbation may be; several are joined with a plus sign."""


@dataclass(frozen=True, kw_only=True)
class CameraMove:
    """Another pose of the camera ``agentview``; see ``tasks.camera_pose``.

    Attributes:
        h: Orbit about the vertical axis through the origin, degrees.
        v: Orbit upwards about the table's centre, degrees.
        s: Distance from the table's centre, percent of the original.
        er: Turn of the camera in place about the vertical axis, degrees.
        ev: Turn of the camera in place about the y axis, degrees.
    """

    h: float = 0.0
    v: float = 0.0
    s: float = 100.0
    er: float = 0.0
    ev: float = 0.0

    @property
    def moves(self) -> bool:
        """Whether the pose changes by more than rounding."""
        return self != CameraMove()


@dataclass(frozen=True, kw_only=True)
class RobotStart:
    """Where the arm is at a reset, before an initial state overwrites it.

    What remains of it is the controller's: its goal for the first step and the pose that its null
    space pulls towards.

    Attributes:
        start: Number of LIBERO-Plus's start, 1 to 500; None with ``offset``.
        offset: Distance from the home pose in joint space, radians.
        seed: Of the direction of the offset.
    """

    start: int | None = None
    offset: float = 0.0
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Noise:
    """A corruption of the pictures of ``agentview``; see ``tasks.corruption``.

    Attributes:
        kind: Which.
        level: 1 to 10.
        stream: Where random numbers come from. ``upstream``: NumPy's generator as the reset leaves
            it, advanced for every control step, as in LIBERO-Plus's own code; ``keyed``: a
            generator of each picture's own.
    """

    kind: NoiseKind
    level: int
    stream: NoiseStream = "upstream"


@dataclass(frozen=True, kw_only=True)
class LightChange:
    """Factors on the light of all lamps and of the headlight."""

    diffuse: float = 1.0
    ambient: float = 1.0
    specular: float = 1.0


@dataclass(frozen=True, kw_only=True)
class BackgroundStyle:
    """Textures of floor and wall, by LIBERO's names of styles; None leaves one as it is."""

    floor: str | None = None
    wall: str | None = None


@dataclass(frozen=True, kw_only=True)
class LayoutShift:
    """Objects that start elsewhere.

    Attributes:
        shift: The farthest that a movable object is shifted on its ground, metres.
        seed: Of the directions and distances.
    """

    shift: float
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class SceneFiles:
    """What a LIBERO-Plus task's own files change of the scene.

    Attributes:
        problem: The problem class that the BDDL file names, lower case, where LIBERO has none such.
        base_problem: LIBERO's class that stands in for it, lower case.
        scene_xml: Absolute path of the arena's MJCF; None for LIBERO's own.
        floor: File name of the floor's texture, beside those of the arena; None for LIBERO's.
        wall: Likewise for the wall.
        objects: Absolute paths of the MJCF of objects that LIBERO does not have, by category.
    """

    problem: str = ""
    base_problem: str = ""
    scene_xml: str | None = None
    floor: str | None = None
    wall: str | None = None
    objects: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Perturbation:
    """What is changed of one task.

    Attributes:
        camera: Pose of ``agentview``.
        robot: Start of the arm.
        light: Brightness.
        background: Textures of floor and wall.
        layout: Where objects start.
        noise: Corruption of pictures.
        files: What the task's own files change, such as ``language:36``; empty if nothing.
        scene: How these files change the scene; None if they do not.
        category: The dimension, where it is not that of the only part.
    """

    camera: CameraMove | None = None
    robot: RobotStart | None = None
    light: LightChange | None = None
    background: BackgroundStyle | None = None
    layout: LayoutShift | None = None
    noise: Noise | None = None
    files: str = ""
    scene: SceneFiles | None = None
    category: Dimension | None = None

    @property
    def dimension(self) -> str:
        """What is perturbed: one of ``DIMENSIONS``, or several with plus signs."""
        return self.category or "+".join(part.partition(":")[0] for part in self._parts())

    @property
    def text(self) -> str:
        """The perturbation in words that ``parse_perturbation`` reads, but for ``files``."""
        return "+".join(self._parts())

    @property
    def own_model(self) -> bool:
        """Whether the compiled model is no other task's."""
        own_layout = self.files.startswith("layout:")
        return own_layout or self.scene is not None or self.background is not None

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits that identify it, wherever its files lie."""
        plain = dataclasses.asdict(self)
        if self.scene is not None:
            plain["scene"]["scene_xml"] = (self.scene.scene_xml or "").rpartition("/")[2]
            plain["scene"]["objects"] = sorted(self.scene.objects)
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:12]

    def _parts(self) -> list[str]:
        named = {
            "robot": self.robot,
            "light": self.light,
            "background": self.background,
            "layout": self.layout,
        }
        parts = [self.files] if self.files else []
        parts += [_written(name, part) for name, part in named.items() if part is not None]
        if self.noise is not None:
            stream = "" if self.noise.stream == "upstream" else f",stream={self.noise.stream}"
            parts.append(f"noise:{self.noise.kind}={self.noise.level}{stream}")
        if self.camera is not None and (self.camera.moves or not parts):
            parts.insert(0, _written("camera", self.camera))
        return parts


_Part = CameraMove | RobotStart | Noise | LightChange | BackgroundStyle | LayoutShift


def _written(name: str, part: _Part) -> str:
    """Write a part with its values that are not the defaults; the first one if all are."""
    values = dataclasses.asdict(part)
    defaults = {entry.name: entry.default for entry in dataclasses.fields(part)}
    changed = {key: value for key, value in values.items() if value != defaults[key]}
    shown = changed or dict(list(values.items())[:1])
    numbers = {
        key: f"{value:g}" if isinstance(value, float) else str(value)
        for key, value in shown.items()
    }
    return f"{name}:" + ",".join(f"{key}={value}" for key, value in numbers.items())


def parse_perturbation(text: str) -> Perturbation | None:
    """Read a perturbation from text such as ``camera:h=30,v=15+noise:fog=5``.

    Args:
        text: One or more of ``PERTURBATION_FORMS`` joined with plus signs; or ``none``.

    Returns:
        The perturbation; None for ``none``.

    Raises:
        ConfigError: It cannot be read, or a value is out of range.
    """
    if text.strip() == "none":
        return None
    parts: dict[str, Any] = {}
    for piece in text.split("+"):
        name, _, rest = (word.strip() for word in piece.partition(":"))
        if name not in _READERS:
            raise unknown_name("perturbation", name, (*_READERS, "none"))
        if name in parts:
            raise ConfigError(f"Perturbation '{text}' has {name} twice. Fix: give each once.")
        parts[name] = _READERS[name](_options(name, rest), piece.strip())
    return Perturbation(**parts)


def _options(name: str, text: str) -> dict[str, str]:
    """Split ``h=30,v=15`` into names and values."""
    options: dict[str, str] = {}
    for item in text.split(","):
        key, equals, value = (word.strip() for word in item.partition("="))
        if not equals or not key or not value or key in options:
            raise _unreadable(name, f"{name}:{text}")
        options[key] = value
    return options


def _unreadable(name: str, given: str) -> ConfigError:
    forms = " or ".join(form for form in PERTURBATION_FORMS if form.startswith(f"{name}:"))
    return ConfigError(f"Perturbation '{given[:80]}' cannot be read. Allowed: {forms}.")


def _numbers(
    options: Mapping[str, str], given: str, bounds: Mapping[str, tuple[float, float]]
) -> dict[str, float]:
    """Read options that are numbers within bounds."""
    name = given.partition(":")[0].strip()
    read = {}
    for key, value in options.items():
        if key not in bounds:
            raise unknown_name(f"option of {name}", key, bounds)
        try:
            number = float(value)
        except ValueError:
            raise _unreadable(name, given) from None
        low, high = bounds[key]
        if not math.isfinite(number) or not low <= number <= high:
            raise ConfigError(
                f"{key}={value[:20]} in perturbation '{given[:80]}' is out of range. "
                f"Allowed: {low:g} to {high:g}."
            )
        read[key] = number
    return read


def _whole(numbers: Mapping[str, float], key: str, given: str) -> int:
    number = numbers[key]
    if number != int(number):
        raise ConfigError(f"{key}={number:g} in perturbation '{given}'. Allowed: a whole number.")
    return int(number)


_SEEDS = (0, 2**32 - 1)
_CAMERA_BOUNDS = {
    "h": (-180.0, 180.0),
    "v": (-90.0, 90.0),
    "s": (10.0, 1000.0),
    "er": (-180.0, 180.0),
    "ev": (-180.0, 180.0),
}


def _camera(options: Mapping[str, str], given: str) -> CameraMove:
    return CameraMove(**_numbers(options, given, _CAMERA_BOUNDS))


def _robot(options: Mapping[str, str], given: str) -> RobotStart:
    bounds = {"start": (1, ROBOT_STARTS), "offset": (0.0, 1.0), "seed": _SEEDS}
    numbers = _numbers(options, given, bounds)
    if "start" in numbers and len(numbers) == 1:
        return RobotStart(start=_whole(numbers, "start", given))
    if "offset" not in numbers or "start" in numbers:
        raise _unreadable("robot", given)
    seed = _whole(numbers, "seed", given) if "seed" in numbers else 0
    return RobotStart(offset=numbers["offset"], seed=seed)


def _noise(options: Mapping[str, str], given: str) -> Noise:
    options = dict(options)
    stream = options.pop("stream", "upstream")
    if stream not in NOISE_STREAMS:
        raise unknown_name("stream of noise", stream, NOISE_STREAMS)
    kind = next(iter(options), "")
    if kind not in NOISE_KINDS:
        raise unknown_name("kind of noise", kind, NOISE_KINDS)
    if len(options) > 1:
        raise _unreadable("noise", given)
    level = _whole(_numbers(options, given, {kind: (1, NOISE_LEVELS)}), kind, given)
    return Noise(kind=kind, level=level, stream=stream)


def _light(options: Mapping[str, str], given: str) -> LightChange:
    factors = dict.fromkeys(("diffuse", "ambient", "specular"), (0.0, 10.0))
    return LightChange(**_numbers(options, given, factors))


def _background(options: Mapping[str, str], given: str) -> BackgroundStyle:
    for key in options:
        if key not in ("floor", "wall"):
            raise unknown_name("option of background", key, ("floor", "wall"))
    return BackgroundStyle(**options)


def _layout(options: Mapping[str, str], given: str) -> LayoutShift:
    numbers = _numbers(options, given, {"shift": (0.0, 0.2), "seed": _SEEDS})
    if "shift" not in numbers:
        raise _unreadable("layout", given)
    seed = _whole(numbers, "seed", given) if "seed" in numbers else 0
    return LayoutShift(shift=numbers["shift"], seed=seed)


_READERS: dict[str, Any] = {
    "camera": _camera,
    "robot": _robot,
    "noise": _noise,
    "light": _light,
    "background": _background,
    "layout": _layout,
}
