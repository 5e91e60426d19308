"""Windows of demo files, as a small encoder takes them."""

from pathlib import Path

from policies.rdt.actions.layout import Layout
from policies.rdt.actions.layout_file import get_layout
from policies.rdt.actions.normalisation import Normalisation
from policies.rdt.encoders.base import EncodersConfig
from policies.rdt.encoders.factory import build_encoders
from tasks.demos.reader import Demo
from training.data.demo_files import LoadedDemos, load_demos
from training.data.images import CameraSlots
from training.data.windows import DemoWindows
from training.data_settings import DataSettings

LAYOUT = get_layout("eef-velocity")


def load(
    path: Path, *, missing: tuple[str, ...] = (), image_size: int = 16, **settings: object
) -> LoadedDemos:
    encoders = build_encoders(EncodersConfig(image_size=image_size))
    slots = CameraSlots(cameras=("agentview", "wrist"), missing=missing)
    return load_demos([path], DataSettings(**settings), slots, encoders.image.prepare)


def demos_of(path: Path, **settings: object) -> list[Demo]:
    """Return the demonstrations to train on, without their images."""
    return [loaded.demo for loaded in load(path, **settings).training]


def windows_of(
    path: Path,
    *,
    horizon: int = 8,
    missing: tuple[str, ...] = (),
    layout: Layout = LAYOUT,
    normalisation: Normalisation | None = None,
    image_size: int = 16,
    of_held_out: bool = False,
    **settings: object,
) -> DemoWindows:
    demos = load(path, missing=missing, image_size=image_size, **settings)
    return DemoWindows(
        demos.held_out if of_held_out else demos.training,
        layout=layout,
        text_encoder=build_encoders(EncodersConfig(image_size=image_size)).text,
        history=2,
        horizon=horizon,
        settings=DataSettings(**settings),
        normalisation=normalisation,
        held_out=of_held_out,
    )
