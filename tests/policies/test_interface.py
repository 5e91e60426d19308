import logging

import pytest

from policies.baselines import NoopPolicy
from policies.registry import PolicyConfig
from tasks.errors import SpecMismatchError


class Slip(NoopPolicy):
    provenence = {"trained": "yesterday"}  # noqa: RUF012 - as a stranger writes it
    weights = "somewhere"


class Planless:
    spec = NoopPolicy().spec

    def plann(self) -> None:
        """Plan nothing."""


def test_misspelt_members_are_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("policies.registry.find_factory", lambda name: Slip)
    with caplog.at_level(logging.WARNING):
        PolicyConfig(name="mine").build()
    (said,) = [record.getMessage() for record in caplog.records]
    assert "'provenence'" in said
    assert "Did you mean 'provenance'?" in said
    monkeypatch.setattr("policies.registry.find_factory", lambda name: Planless)
    with pytest.raises(SpecMismatchError, match="Did you mean 'plan' by 'plann'"):
        PolicyConfig(name="mine").build()


@pytest.mark.parametrize("name", ["random", "noop", "expert"])
def test_no_policy_of_the_house_misspells(name: str, caplog: pytest.LogCaptureFixture) -> None:
    PolicyConfig(name=name).build()
    assert not caplog.records
