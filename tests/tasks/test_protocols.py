"""The protocols' scenes: each episode's fixtures are those of the peer's own script."""

import dataclasses

import pytest
from pydantic import ValidationError

from tasks.errors import ConfigError
from tasks.protocols import PROTOCOLS, SceneKey, get_protocol


@pytest.mark.parametrize(
    ("name", "first", "fourth"),
    [
        ("openvla", SceneKey(0, 0, 2), SceneKey(0, 3, 5)),
        ("openpi", SceneKey(7, 0, 2), SceneKey(7, 3, 5)),
        ("lerobot", SceneKey(1000, 0, 3), SceneKey(1003, 0, 3)),
        ("libero", SceneKey(10000, 0, 2), SceneKey(10003, 0, 2)),
    ],
)
def test_scenes_are_those_of_the_peers_episodes(
    name: str, first: SceneKey, fourth: SceneKey
) -> None:
    protocol = get_protocol(name)
    assert protocol.scene(0) == first
    assert protocol.scene(3) == fourth


def test_the_seed_changes_scenes_where_the_peers_own_option_does() -> None:
    moved = {name for name, p in PROTOCOLS.items() if p.scene(3, seed=99) != p.scene(3)}
    assert moved == {"openpi", "lerobot", "libero"}
    assert get_protocol("openpi").scene(3, seed=0) == get_protocol("openvla").scene(3)
    assert get_protocol("lerobot").scene(3, seed=99).seed == 102


def test_how_scenes_are_seeded_is_part_of_the_rules() -> None:
    protocol = get_protocol("openvla")
    hashes = {protocol.hash}
    for change in ({"seeding": "episode"}, {"scene_seed": 1}, {"scene_seed": None}, {"builds": 2}):
        hashes.add(dataclasses.replace(protocol, **change).hash)
    assert len(hashes) == 5


def test_other_starts_are_another_protocol_and_the_usual_ones_keep_their_hash() -> None:
    protocol = get_protocol("openvla", resolution=128)
    assert protocol.hash == "df6d8455025f"
    assert "starts" not in protocol.as_dict()
    other = protocol.starting_from("demos")
    assert (other.name, other.as_dict()["starts"]) == ("openvla@128px, starts of demos", "demos")
    assert other.hash != protocol.hash


def test_whose_words_policies_are_told_is_part_of_the_rules() -> None:
    for name in PROTOCOLS:
        protocol, bddl = get_protocol(name), get_protocol(name, instructions="bddl")
        assert (protocol.instructions, bddl.instructions) == ("name", "bddl")
        assert protocol.hash != bddl.hash
        assert bddl.as_dict() == protocol.as_dict() | {"instructions": "bddl"}
    # What was run before there was a choice followed these rules, and keeps their hash.
    assert get_protocol(resolution=128, instructions="bddl").hash == "d2e84c03fb2f"
    with pytest.raises(ConfigError, match="Unknown instructions 'paper'"):
        get_protocol(instructions="paper")  # type: ignore[arg-type]


@pytest.mark.parametrize("change", [{"seeding": "never"}, {"scene_seed": -1}, {"builds": 0}])
def test_impossible_seeding_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        dataclasses.replace(get_protocol("openvla"), **change)
