"""What is exported for the official code is still the checkpoint that it was."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.cli import main
from policies.rdt.actions.layout_file import get_layout
from policies.rdt.actions.normalisation import Normalisation, SlotScales, action_slots
from policies.rdt.checkpoint.contract import Contract
from policies.rdt.checkpoint.export import export_checkpoint
from policies.rdt.checkpoint.inspection import inspect_checkpoint
from policies.rdt.checkpoint.loading import NORMALISATION, read_older_normalisation
from policies.rdt.checkpoint.official import load_official
from policies.rdt.checkpoint.storage import save_checkpoint
from policies.rdt.model.network import RDTPolicyNetwork
from tasks.errors import ConfigError, SpecMismatchError
from tests.policies.rdt.test_policy import ask, load_policy, observe
from training.config import TrainingConfig
from training.setup import start_network


@pytest.fixture
def goals(tmp_path: Path, network: RDTPolicyNetwork) -> Path:
    """A checkpoint of goals of the hand, normalised."""
    slots = action_slots(get_layout("eef-goal"))
    scales = SlotScales(
        slots=slots,
        offset=tuple(0.01 * slot for slot in slots),
        scale=tuple(0.5 + 0.01 * slot for slot in slots),
    )
    contract = Contract.describe(
        network,
        layout="eef-goal",
        render_size=48,
        normalisation=Normalisation(method="meanstd", action=scales),
        demos={"instructions": ["open it"], "label": "3 scripted"},
    )
    return save_checkpoint(tmp_path / "goals", network, contract, extra={"update": 5})


@pytest.mark.slow
@pytest.mark.parametrize("file_format", ["pytorch", "safetensors"])
def test_an_export_is_read_back(goals: Path, tmp_path: Path, file_format: Any, capsys) -> None:
    out = tmp_path / "out"
    words = ["export-checkpoint", str(goals), "--out", str(out), "--format", file_format]
    assert main(words) == 0
    assert "normalisation.json" in "".join(capsys.readouterr().err.split())
    contract = Contract.from_json((goals / "contract.json").read_text())
    assert main(["inspect", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["kind"], said["needs"], said["notes"]) == ("libero-bench", [], [])
    assert said["contract"] == json.loads(contract.to_json())
    assert said["evaluate"].endswith("--resolution 48")
    assert main(["inspect", str(out)]) == 0
    table = " ".join(capsys.readouterr().out.split())
    assert "eef-goal, 20 Hz" in table
    assert "meanstd, 0 slots of the state and 9 of the action" in table

    before, after = (load_policy(each) for each in (goals, out))
    assert after.contract == contract
    request = ask(3, window=[observe(3), observe(4)])
    np.testing.assert_array_equal(after.plan([request]), before.plan([request]))
    start, known = start_network(
        TrainingConfig(demos=(tmp_path,), out=tmp_path / "run", checkpoint=out)
    )
    assert known == contract
    wanted = before.network.state_dict()
    assert all(torch.equal(value, wanted[key]) for key, value in start.state_dict().items())
    assert load_official(out).config == before.network.config  # as the official code sees it


def test_a_weight_file_of_ours_is_not_taken_for_an_official_one(goals: Path) -> None:
    policy = load_policy(goals / "model.safetensors")
    assert policy.contract.layout == "eef-goal"


def test_exports_of_older_versions(goals: Path, tmp_path: Path, capsys) -> None:
    out, contract = export_checkpoint(goals, tmp_path / "out")
    assert contract is not None
    for name in ("contract.json", "encoders.json", "encoders.safetensors"):
        (out / name).unlink()
    assert main(["inspect", str(out)]) == 2
    said = capsys.readouterr().err
    assert "fit eef-goal, eef-pose, hand-goal, hand-pose." in said
    assert "--layout NAME" in said
    with pytest.raises(ConfigError, match=r"normalised \(meanstd\), but not in which layout"):
        load_policy(out, siglip="x")
    with pytest.raises(SpecMismatchError, match="in the layout 'joints' are none"):
        load_policy(out, layout="joints")
    seen = inspect_checkpoint(out, layout="eef-goal")
    assert seen.contract.normalisation == contract.normalisation
    assert seen.contract.mapping == contract.mapping
    assert read_older_normalisation(out, get_layout("eef-goal")) == contract.normalisation
    (out / NORMALISATION).write_text('{"method": "meanstd"}')
    with pytest.raises(ConfigError, match=r"normalisation\.json"):
        inspect_checkpoint(out, layout="eef-goal")
