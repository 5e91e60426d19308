"""Perturbations as text."""

import pytest

from tasks.errors import ConfigError
from tasks.perturbation import CameraMove, Noise, RobotStart, parse_perturbation


@pytest.mark.parametrize(
    ("text", "dimension"),
    [
        ("camera:h=30,v=15", "camera"),
        ("camera:s=152.5", "camera"),
        ("camera:h=0", "camera"),
        ("robot:start=57", "robot"),
        ("robot:offset=0.3,seed=4", "robot"),
        ("noise:fog=5", "noise"),
        ("noise:glass=10,stream=keyed", "noise"),
        ("light:diffuse=0.5", "light"),
        ("background:floor=dark,wall=white", "background"),
        ("layout:shift=0.03,seed=2", "layout"),
        ("camera:er=-4+robot:start=500+noise:zoom=1", "camera+robot+noise"),
    ],
)
def test_a_perturbation_is_read_and_written_alike(text: str, dimension: str) -> None:
    read = parse_perturbation(text)
    assert read is not None
    again = parse_perturbation(read.text)
    assert again == read and again.hash == read.hash
    assert set(read.dimension.split("+")) == set(dimension.split("+"))


def test_parts_are_objects_with_numbers() -> None:
    read = parse_perturbation(" camera: h = 30 , v=15 + robot:start=57+noise:motion=2 ")
    assert read is not None
    assert read.camera == CameraMove(h=30.0, v=15.0)
    assert read.robot == RobotStart(start=57)
    assert read.noise == Noise(kind="motion", level=2)
    assert parse_perturbation("none") is None


def test_hashes_differ_where_anything_does() -> None:
    texts = ("noise:fog=5", "noise:fog=6", "noise:fog=5,stream=keyed", "camera:h=5", "camera:v=5")
    hashes = {parse_perturbation(text).hash for text in texts}  # type: ignore[union-attr]
    assert len(hashes) == len(texts)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Unknown perturbation ''"),
        ("camra:h=30", "Did you mean 'camera'"),
        ("camera", "cannot be read"),
        ("camera:h", "cannot be read"),
        ("camera:h=30,h=40", "cannot be read"),
        ("camera:h=thirty", "cannot be read"),
        ("camera:h=nan", "out of range"),
        ("camera:h=200", "Allowed: -180 to 180"),
        ("camera:x=3", "Unknown option of camera 'x'"),
        ("camera:h=3+camera:v=3", "has camera twice"),
        ("robot:start=0", "Allowed: 1 to 500"),
        ("robot:start=501", "Allowed: 1 to 500"),
        ("robot:start=1.5", "a whole number"),
        ("robot:start=3,seed=1", "cannot be read"),
        ("robot:seed=1", "cannot be read"),
        ("noise:fog=11", "Allowed: 1 to 10"),
        ("noise:rain=3", "Unknown kind of noise 'rain'"),
        ("noise:fog=3,zoom=2", "cannot be read"),
        ("noise:fog=3,stream=mine", "Unknown stream of noise"),
        ("light:diffuse=-1", "out of range"),
        ("background:table=oak", "Unknown option of background"),
        ("layout:seed=3", "cannot be read"),
        ("layout:shift=5", "Allowed: 0 to 0.2"),
    ],
)
def test_what_cannot_be_meant_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_perturbation(text)
