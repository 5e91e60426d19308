"""What a run keeps to where nobody says: it follows from the start, and from the layout."""

import json
from pathlib import Path

import h5py
import pytest

from policies.rdt.actions.layout_file import get_layout
from policies.rdt.checkpoint.contract import Contract
from policies.rdt.checkpoint.storage import load_contract
from tasks.errors import SpecMismatchError
from tests.training.demo_files import write_file
from training.config import TrainingConfig
from training.data_settings import DataSettings
from training.trainer import train


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with demonstrations, and runs of a fresh network: as usual, and with deltas."""
    folder = tmp_path_factory.mktemp("runs")
    write_file(folder / "demos" / "a.hdf5", size=32)
    run(folder, "goals")
    run(folder, "deltas", layout="eef-velocity")
    return folder


def run(folder: Path, name: str, **changes: object) -> Contract:
    settings = {"updates": 1, "batch_size": 2, "warmup": 0, "threads": 1}
    config = TrainingConfig(demos=(folder / "demos",), out=folder / name, **(settings | changes))
    return load_contract(train(config))


@pytest.mark.slow
def test_a_fresh_network_learns_normalised_goals(trained: Path) -> None:
    contract = load_contract(trained / "goals" / "checkpoint")
    assert contract.layout == "eef-goal"
    assert contract.normalisation.method == "meanstd"


@pytest.mark.slow
def test_a_policy_says_under_which_perturbations_it_was_trained(
    trained: Path, tmp_path: Path
) -> None:
    for name, perturbation in (("a", None), ("b", "camera:h=30"), ("c", "noise:fog=3")):
        path = write_file(tmp_path / "demos" / f"{name}.hdf5", size=32)
        with h5py.File(path, "r+") as file:
            made = {"expert": "scripted"} | ({"perturbation": perturbation} if perturbation else {})
            file["data"].attrs["provenance"] = json.dumps(made)
    start = str(trained / "goals" / "checkpoint")
    demos = run(tmp_path, "perturbed", checkpoint=start).demos
    assert demos["perturbations"] == ["camera:h=30", "noise:fog=3"]
    label = demos["label"]
    assert label.startswith("6 scripted under perturbations: camera:h=30, noise:fog=3 after 2 of")
    assert "perturbations" not in load_contract(trained / "goals" / "checkpoint").demos


@pytest.mark.slow
def test_deltas_are_normalised_if_somebody_says_so(trained: Path) -> None:
    contract = load_contract(trained / "deltas" / "checkpoint")
    assert contract.layout == "eef-velocity"
    assert contract.normalisation.method == "none"


@pytest.mark.slow
@pytest.mark.parametrize("start", ["goals", "deltas"])
def test_what_starts_from_a_checkpoint_keeps_to_its_contract(trained: Path, start: str) -> None:
    before = load_contract(trained / start / "checkpoint")
    after = run(trained, f"after-{start}", checkpoint=trained / start / "checkpoint")
    assert after.plain_layout.hash == before.plain_layout.hash
    assert after.normalisation == before.normalisation


def test_another_layout_than_the_checkpoints_is_refused(trained: Path) -> None:
    start = trained / "deltas" / "checkpoint"
    with pytest.raises(SpecMismatchError, match="layout"):
        run(trained, "refused", checkpoint=start, layout="eef-goal")


@pytest.mark.parametrize(
    ("asked", "layout", "targets", "method"),
    [
        ({}, "eef-goal", "intended", "meanstd"),
        ({}, "eef-velocity", "executed", "none"),
        ({}, "eef-pose", "executed", "none"),
        ({"targets": "executed", "normalise": "none"}, "eef-goal", "executed", "none"),
        ({"targets": "intended", "normalise": "minmax"}, "eef-velocity", "intended", "minmax"),
    ],
)
def test_targets_and_normalisation_follow_the_layout(
    asked: dict[str, str], layout: str, targets: str, method: str
) -> None:
    settings = DataSettings(**asked)
    assert settings.targets_for(get_layout(layout)) == targets
    assert settings.method_for(get_layout(layout)) == method
