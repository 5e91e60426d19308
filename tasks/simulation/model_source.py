"""The MJCF of compiled models, of which MuJoCo keeps the one it compiled last, and no other."""

import contextlib
import ctypes
import tempfile
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import mujoco
import numpy as np


class _Source(NamedTuple):
    """What was compiled last to be written.

    Attributes:
        xml: The MJCF.
        frame: Of what was written.
        stand_in: The compiled model, where MuJoCo writes the numbers of no other (since 3.3.3).
    """

    xml: str
    frame: tuple[str, list[str]]
    stand_in: mujoco.MjModel | None


_source: _Source | None = None


def source_xml(xml: str, model: mujoco.MjModel) -> str:
    """Write a model as MJCF, as MuJoCo does for the model it compiled last.

    The first call compiles it again, which takes seconds and half a gigabyte until
    ``forget_source``; further calls for the same model are quick.

    Args:
        xml: The MJCF the model was compiled from.
        model: The compiled model; its present numbers, such as body positions, are written.
    """
    global _source
    if _source is not None and _source.xml == xml:
        text = _write_source(model, _source.stand_in)
        # Whatever was compiled in the meantime, MuJoCo writes that in silence.
        if _frame(text) == _source.frame:
            return text
    compiled = mujoco.MjModel.from_xml_string(xml)
    stand_in = compiled if hasattr(compiled, "signature") else None
    text = _write_source(model, stand_in)
    _source = _Source(xml, _frame(text), stand_in)
    return text


def forget_source() -> None:
    """Free what MuJoCo keeps of the model it compiled last: textures and meshes once more."""
    global _source
    _source = None
    mujoco.MjModel.from_xml_string("<mujoco/>")


def _frame(text: str) -> tuple[str, list[str]]:
    """Return what an MJCF has before its bodies, such as assets and options, and their names."""
    bodies = [body.get("name", "") for body in ElementTree.fromstring(text).iter("body")]
    return text.partition("<worldbody>")[0], bodies


def _write_source(model: mujoco.MjModel, stand_in: mujoco.MjModel | None) -> str:
    if stand_in is not None:
        for name in dir(model):
            values = getattr(model, name)
            if isinstance(values, np.ndarray) and values.dtype.kind == "f":
                getattr(stand_in, name)[...] = values
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.xml"
        mujoco.mj_saveLastXML(str(path), model if stand_in is None else stand_in)
        return path.read_text(encoding="utf-8")


def return_memory() -> None:
    """Hand freed memory back to the system, where the C library can."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
