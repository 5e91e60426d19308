"""A model is written as MJCF whichever model MuJoCo compiled last."""

import mujoco
import pytest

from tasks.simulation.model_cache import forget_source, source_xml

XML = """
<mujoco model="scene">
  <worldbody>
    <body name="a" pos="1 2 3"><freejoint/><geom size="{size}"/></body>
  </worldbody>
</mujoco>"""


@pytest.fixture
def model(tmp_path) -> mujoco.MjModel:
    """A model as the cache gives it: from a binary file, of which MuJoCo knows no source."""
    compiled = mujoco.MjModel.from_xml_string(XML.format(size=0.5))
    mujoco.mj_saveModel(compiled, str(tmp_path / "model.mjb"), None)
    forget_source()
    return mujoco.MjModel.from_binary_path(str(tmp_path / "model.mjb"))


def test_it_is_what_mujoco_writes_of_the_model_it_compiled(model, tmp_path) -> None:
    for turn in range(3):
        model.body_pos[1] = [7, 8, turn]
        text = source_xml(XML.format(size=0.5), model)
        assert f'pos="7 8 {turn}"' in text
    compiled = mujoco.MjModel.from_xml_string(XML.format(size=0.5))
    compiled.body_pos[:] = model.body_pos
    mujoco.mj_saveLastXML(str(tmp_path / "last.xml"), compiled)
    assert (tmp_path / "last.xml").read_text() == text


@pytest.mark.parametrize(
    "other",
    ["<mujoco/>", XML.format(size=0.5).replace('"a"', '"b"'), XML.replace('"scene"', '"x"')],
    ids=["empty", "bodies", "head"],
)
def test_a_model_compiled_in_the_meantime_is_not_written(model, other: str) -> None:
    text = source_xml(XML.format(size=0.5), model)
    mujoco.MjModel.from_xml_string(other.format(size=0.6))
    assert source_xml(XML.format(size=0.5), model) == text


def test_each_of_two_models_gets_its_own(model) -> None:
    wide = mujoco.MjModel.from_xml_string(XML.format(size=0.75))
    for _ in range(2):
        assert 'size="0.5"' in source_xml(XML.format(size=0.5), model)
        assert 'size="0.75"' in source_xml(XML.format(size=0.75), wide)


def test_a_second_text_is_written_without_compiling(model, monkeypatch) -> None:
    text = source_xml(XML.format(size=0.5), model)
    with monkeypatch.context() as patch:
        patch.setattr("tasks.simulation.model_cache.mujoco.MjModel", None)
        assert source_xml(XML.format(size=0.5), model) == text
