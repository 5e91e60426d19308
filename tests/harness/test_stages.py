"""The stages of the work, as far as they say something before they begin."""

from types import SimpleNamespace
from typing import NoReturn

import pytest

from harness import stages, warnings
from harness.evaluation.config import Grid
from tasks import versions


class Begun(Exception):  # noqa: N818 - nothing went wrong
    """Ends a stage where its work would begin."""


def test_a_mujoco_beside_the_pin_is_said_once_before_work_begins(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def begin(*_: object, **__: object) -> NoReturn:
        raise Begun

    installed = {"mujoco": "3.3.7", "robosuite": "1.4.0"}
    monkeypatch.setattr(versions, "version", installed.__getitem__)
    monkeypatch.setattr(stages, "collect", begin)
    monkeypatch.setattr(stages, "plan_sweep", begin)
    monkeypatch.setattr(stages, "plan_runs", begin)
    local = {"engine": "local", "replicas": None, "devices": ()}
    config = SimpleNamespace(demos=1, tasks=(0,), workers=1, **local)
    begun = [
        lambda: stages.collect_with_bar([config]),
        lambda: stages.evaluate_with_bars([config]),
        lambda: stages.sweep_with_bars(config, Grid()),
    ]
    for begin_stage in begun:
        warnings.warn_of_versions.cache_clear()
        for times in (1, 0):
            with pytest.raises(Begun):
                begin_stage()
            said = capsys.readouterr()
            assert said.err.count("WARNING: mujoco 3.3.7 is installed, not 3.2.3") == times
            assert not said.out
    warnings.warn_of_versions.cache_clear()
    installed["mujoco"] = "3.2.3"
    warnings.warn_of_versions()
    assert not capsys.readouterr().err
