"""Where fixtures (cabinets, stoves, …) stand: in the model, and in the MJCF of a scene."""

from typing import Any
from xml.etree import ElementTree

import numpy as np

from tasks.errors import SpecMismatchError
from tasks.observation import FloatArray

Pose = tuple[FloatArray, FloatArray]
"""Position (3,) in metres and orientation (4,) as (w, x, y, z)."""


def stated_pose(root: Any, body: str) -> Pose:
    """Return where a MJCF has a body.

    Args:
        root: The MJCF's root element.
        body: The body's name.

    Raises:
        SpecMismatchError: It has no such body, or its pose is no numbers.
    """
    element = root.find(f".//body[@name='{body}']")
    if element is None:
        raise SpecMismatchError(
            f"The MJCF has no body '{body}', so it is another task's. Fix: give this task's own."
        )
    return _numbers(element, "pos", "0 0 0"), _numbers(element, "quat", "1 0 0 0")


def _numbers(element: Any, name: str, default: str) -> FloatArray:
    text = element.get(name, default)
    try:
        numbers = np.array(text.split(), dtype=np.float64)
    except ValueError:
        numbers = np.zeros(0)
    if len(numbers) != len(default.split()) or not np.isfinite(numbers).all():
        raise SpecMismatchError(
            f"The MJCF has {name}='{text[:80]}' at the body '{element.get('name')}'. Allowed: "
            f"{len(default.split())} finite numbers. Fix: give a scene's MJCF that is whole."
        )
    return numbers


def place_fixtures(env: Any, model_xml: str) -> None:
    """Put all fixtures where the MJCF of a scene has them.

    What depends on positions is not computed anew.

    Args:
        env: LIBERO's robosuite environment.
        model_xml: The MJCF, as robosuite or MuJoCo write it.

    Raises:
        SpecMismatchError: It cannot be read, or a fixture is missing from it.
    """
    try:
        root = ElementTree.fromstring(model_xml)
    except ElementTree.ParseError as error:
        raise SpecMismatchError(f"The scene's MJCF cannot be read ({error}).") from error
    model = env.sim.model._model
    for name, fixture in env.fixtures_dict.items():
        body = env.obj_body_id[name]
        model.body_pos[body], model.body_quat[body] = stated_pose(root, fixture.root_body)
