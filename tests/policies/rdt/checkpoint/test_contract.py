import json

import pytest

from policies.rdt.checkpoint.contract import Contract
from tasks.errors import ConfigError, HarnessError, SpecMismatchError


def test_contract_through_json(contract: Contract) -> None:
    assert Contract.from_json(contract.to_json()) == contract


def test_check_names_every_difference(contract: Contract) -> None:
    contract.check({"render_size": 48, "cameras": ["agentview", "wrist"], "control_hz": 20})
    with pytest.raises(SpecMismatchError) as caught:
        contract.check({"render_size": 256, "orientation": "raw", "history": 2})
    message = str(caught.value)
    assert "render_size is 256, needed 48" in message
    assert "orientation is 'raw', needed 'rotate180'" in message
    assert "history" not in message
    assert message.count("fix:") == 2
    assert "\n" not in message
    with pytest.raises(ConfigError, match="render_size"):
        contract.check({"rendersize": 48})


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"surprise": 1}, "surprise"),
        ({"horizon": 0}, "horizon"),
        ({"horizon": True}, "horizon: True given"),
        ({"history": 2.0}, "history: 2.0 given"),
        ({"render_size": "48"}, "render_size: .48. given"),
        ({"layout": "eef-velocit"}, "eef-velocity"),
        ({"format_version": 99}, "99"),
    ],
)
def test_bad_contracts_are_refused(
    contract: Contract, change: dict[str, object], word: str
) -> None:
    text = json.dumps(json.loads(contract.to_json()) | change)
    with pytest.raises(HarnessError, match=word):
        Contract.from_json(text)
    with pytest.raises(ConfigError, match="not JSON"):
        Contract.from_json("{")
