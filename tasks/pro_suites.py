"""LIBERO-PRO's suites: which there are, what each changes, and the suite it derives from.

Offered are those whose objects, BDDL files and initial states the distribution carries. It carries
more names: suites with sticks, a red box, a green mug or a trigger lack the objects' models, and
others (``_env``, ``_temp``, ``_ood``) lack their files.
"""

BASE_SUITES = ("libero_spatial", "libero_object", "libero_goal", "libero_10")
"""The suites of LIBERO that LIBERO-PRO changes."""

PERTURBATIONS = {
    "lan": "the instruction in other words",
    "object": "objects that look different",
    "swap": "objects at other places",
    "task": "another instruction and goal in the same scene",
}
"""What LIBERO-PRO changes in all four, by the ending of the suite's name."""

ADDED_OBJECTS = {
    "with_mug": ("a mug in the way", BASE_SUITES),
    "with_yellow_book": (
        "a yellow book in the way",
        ("libero_spatial", "libero_object", "libero_goal"),
    ),
    "with_milk": ("a carton of milk in the way", ("libero_spatial", "libero_goal", "libero_10")),
}
"""What is added to the scene, and in which suites."""

SHIFT_M = 0.07
"""Metres by which a target moves per 0.1 in the name of a ``temp`` suite."""

SHIFTED_SUITES = {
    f"libero_object_temp_{axis}0.{tenths}": (axis, round(SHIFT_M * tenths, 2))
    for axis in "xy"
    for tenths in range(1, 6)
}
"""Suites in which the target stands elsewhere: the axis, and by how many metres. Along x it moves
to the free side, hence by task in the one or the other direction. From 0.2 on, objects that would
be in the way stand 10 m off. LIBERO does not list these suites: they have folders of files alone,
and here the order of the suite they derive from."""

PRO_SUITES = {
    **{f"{suite}_{ending}": suite for suite in BASE_SUITES for ending in PERTURBATIONS},
    **{
        f"{suite}_{ending}": suite
        for ending, (_, suites) in ADDED_OBJECTS.items()
        for suite in suites
    },
    **dict.fromkeys(SHIFTED_SUITES, "libero_object"),
}
"""LIBERO-PRO's suites, of 10 tasks each, with the suite each derives from. The order of the tasks
is not always the same there."""

INCOMPLETE_SUITES = ("libero_10_with_milk", "libero_object_temp_y0.5")
"""Suites in which some tasks have no initial state: the files are there, and empty."""


def pro_perturbation(suite: str) -> str | None:
    """Return what a suite does to the layout, such as ``added:mug`` or ``target:x=0.07`` (metres).

    Returns:
        None for other suites.
    """
    if suite in SHIFTED_SUITES:
        axis, metres = SHIFTED_SUITES[suite]
        return f"target:{axis}={metres:g}"
    ending = next((ending for ending in ADDED_OBJECTS if suite.endswith(f"_{ending}")), None)
    return None if ending is None else f"added:{ending.removeprefix('with_')}"
