"""Layouts in TOML files: the shipped ones, a user's own, and every way to get one wrong."""

from pathlib import Path

import pytest

import policies.rdt
from policies.rdt.actions.layout import DEFAULT_LAYOUT
from policies.rdt.actions.layout_file import get_layout, parse_layout, shipped_layouts
from tasks.errors import ConfigError

FOLDER = Path(policies.rdt.__file__).parent / "layouts"


def edited(folder: Path, *edits: tuple[str, str], name: str = "mine") -> Path:
    text = (FOLDER / f"{DEFAULT_LAYOUT}.toml").read_text(encoding="utf-8")
    for old, new in (('name = "eef-velocity"', f'name = "{name}"'), *edits):
        assert old in text
        text = text.replace(old, new, 1)
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", shipped_layouts())
def test_shipped_layouts_say_what_they_are(name: str) -> None:
    layout = get_layout(name)
    assert layout.name == name
    assert layout.description.strip()
    assert layout.origin
    assert parse_layout(layout.as_dict(), name) == layout


def test_the_hash_is_of_what_a_layout_does(tmp_path: Path) -> None:
    hashes = {get_layout(name).hash for name in shipped_layouts()}
    assert len(hashes) == len(shipped_layouts())
    default = get_layout().hash
    assert get_layout(edited(tmp_path)).hash == default, "the name does not enter"
    same = edited(
        tmp_path,
        ("Nothing is scaled", "Nothing is"),
        ('[masks]\ntraining = "union"\n', "[masks]\n"),
    )
    assert get_layout(same).hash == default
    for edit in (
        ("threshold = 0.5", "threshold = 0.6"),
        ("slots = [39, 40, 41]", "slots = [45, 46, 47]"),
        ('evaluation = "union"', 'evaluation = "action"'),
        ("slots = [30, 31, 32]", "slots = [30, 31, 32]\nscale = 2"),
    ):
        assert get_layout(edited(tmp_path, edit)).hash != default


def test_a_file_of_ones_own_is_a_layout(tmp_path: Path) -> None:
    path = edited(tmp_path, ("slots = [39, 40, 41]", "slots = [45, 46, 47]"))
    for given in (path, str(path)):
        layout = get_layout(given)
        assert layout.name == "mine"
        assert 45 in layout.action_slots


def test_a_changed_layout_may_not_pass_for_the_shipped_one(tmp_path: Path) -> None:
    assert get_layout(edited(tmp_path, name=DEFAULT_LAYOUT)).hash == get_layout().hash
    other = edited(tmp_path, ("threshold = 0.5", "threshold = 0.6"), name=DEFAULT_LAYOUT)
    with pytest.raises(ConfigError, match=r"name of its own"):
        get_layout(other)


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (("origin =", "orgin ="), "'orgin'.*Did you mean 'origin'"),
        (("threshold =", "treshold ="), "'treshold'.*Did you mean 'threshold'"),
        (("training =", "trainign ="), "'trainign'.*Did you mean 'training'"),
        (('source = "ee_rot6d"', 'source = "ee_rot6"'), "'ee_rot6'.*Did you mean 'ee_rot6d'"),
        (('source = "delta_rot"', 'source = "delta"'), "action source 'delta'"),
        (("\n\n[[state]]", "\n\n[[states]]"), "'states'.*Did you mean 'state'"),
        (('training = "union"', 'training = "both"'), "masks.training: 'both' given"),
        (("slots = [10]", "slots = [10, 11]"), "gripper_open needs 1 slots, given 2"),
        (("slots = [10]", "slots = [10.5]"), "state.1.slots.0: 10.5 given"),
        (("slots = [10]", "slots = [128]"), "128 given"),
        (("slots = [30, 31, 32]", "slots = [3, 31, 32]"), "state has slot 3 twice"),
        (("threshold = 0.5", ""), "needs a threshold"),
        (("slots = [10]", "slots = [10]\nscale = inf"), "finite number"),
        (("slots = [10]", "slots = [10"), "is not TOML"),
        (('source = "joint_pos"', "source = 7"), "state.0.source: 7 given"),
    ],
)
def test_mistakes_in_a_file_are_named(edit: tuple[str, str], why: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        get_layout(edited(tmp_path, edit))
    assert "mine.toml" in str(caught.value)
    assert len(str(caught.value)) < 500


def test_unknown_layouts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'eef-velocity'"):
        get_layout("eef-velocitty")
    with pytest.raises(ConfigError, match=r"none\.toml' cannot be read \(No such file"):
        get_layout(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        get_layout(str(tmp_path))
