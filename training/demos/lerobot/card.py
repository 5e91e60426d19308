"""The card of an exported data set: ``README.md`` on the hub."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from training.demos.lerobot.schema import FPS, Schema

_HEAD = """---
license: cc-by-4.0
task_categories:
- robotics
tags:
- LeRobot
- LIBERO
- libero-bench
configs:
- config_name: default
  data_files: data/*/*.parquet
---

# {title}

{episodes} demonstrations of {tasks} LIBERO tasks, {frames:,} frames, in LeRobot's format {version}.
{made}
"""

_BODY = """
## What a row is

- Robot: Franka Panda in LIBERO's simulation, commanded at {fps} Hz by LIBERO's operational space
  controller; `fps` is the control frequency.
- A row was seen **before** its action.
- `{state}`: position of the hand (m, world), axis times angle of its orientation (rad; robosuite's
  sign is kept, so angles reach 2π), the two fingers (m).
- `{action}`: change of position and of orientation, in LIBERO's units of −1 to 1, and the gripper:
  −1 opens, +1 closes.
- Images are turned by 180° from how the simulator renders them. {codec}
{extra}
`meta/libero-bench.json` notes the conventions, the tasks and how each episode begins.

## How it was made

- Command: `{command}`
- Protocol: {protocol}
- Made by: {makers}
{left_out}
## Use it

LeRobot: `LeRobotDataset("{name}")`. libero-bench: `libero-bench train --demos {name} …`,
`libero-bench demos check {name}`.

## Licence

LIBERO's demonstrations are CC BY 4.0 (Liu et al., *LIBERO: Benchmarking Knowledge Transfer for
Lifelong Robot Learning*, 2023); this set is given under the same licence.
"""


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """What a card says.

    Attributes:
        name: The data set's name on the hub, or of its folder.
        version: Of the format.
        tasks: The tasks' sentences.
        episodes: Number of demonstrations.
        frames: Number of rows.
        command: The command that wrote the set.
        provenance: How each source was made; empty where it does not say.
        left_out: Episodes that were not written, and why.
        error: Mean absolute difference of the encoded images, grey levels, by camera.
    """

    name: str
    version: str
    tasks: Sequence[str]
    episodes: int
    frames: int
    command: str
    provenance: Sequence[Mapping[str, Any]]
    left_out: Sequence[str]
    error: Mapping[str, float]


def dataset_card(facts: CardFacts, schema: Schema, state: str, action: str) -> str:
    """Return the text of a card.

    Args:
        facts: What it says.
        schema: What the set holds.
        state: The feature of states.
        action: The feature of actions.
    """
    makers = sorted({_maker(each) for each in facts.provenance})
    protocols = sorted({str(each["protocol"]) for each in facts.provenance if "protocol" in each})
    extra = []
    if schema.joints:
        extra.append("- `observation.joints`: the seven joints (rad).")
    if schema.intended:
        extra.append("- `action.intended`: the action without the noise that was added to it.")
    if schema.exact:
        extra.append("- `libero.…`: LIBERO's own arrays in double precision.")
    error = ", ".join(f"{camera} {level:.2f}" for camera, level in facts.error.items())
    codec = "They are PNG files, without a loss."
    if schema.in_videos:
        codec = (
            f"They are {schema.codec} videos with a key frame every second frame; their mean "
            f"difference from the rendered images is {error} of 255 grey levels."
        )
    left_out = "".join(f"- Left out: {each}\n" for each in facts.left_out)
    head = _HEAD.format(
        title=facts.name,
        episodes=facts.episodes,
        tasks=len(facts.tasks),
        frames=facts.frames,
        version=facts.version,
        made="Tasks: " + "; ".join(facts.tasks[:50]) + ".",
    )
    return head + _BODY.format(
        fps=FPS,
        state=state,
        action=action,
        codec=codec,
        extra="\n".join(extra) + "\n",
        command=facts.command,
        protocol=", ".join(protocols) or "not noted by the source",
        makers="; ".join(makers),
        left_out=left_out,
        name=facts.name,
    )


def _maker(provenance: Mapping[str, Any]) -> str:
    if not provenance:
        return "not noted by the source (LIBERO's own demonstrations are of humans)"
    known = {
        key: provenance[key]
        for key in ("expert", "noise", "speed", "seed", "resolution", "start_states")
        if key in provenance
    }
    return "libero-bench, " + ", ".join(f"{key} {value}" for key, value in known.items())
