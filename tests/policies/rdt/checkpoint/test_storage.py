"""Checkpoints of ours: what comes back, and what is refused."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import policies.rdt
from policies.rdt.checkpoint.contract import Contract
from policies.rdt.checkpoint.loading import LoadingOptions, load_network
from policies.rdt.checkpoint.storage import load_checkpoint, load_extra, save_checkpoint
from policies.rdt.model.network import RDTPolicyNetwork
from tasks.errors import ConfigError, HarnessError, SpecMismatchError
from tests.policies.rdt.test_policy import load_policy


@pytest.fixture
def saved(tmp_path: Path, network: RDTPolicyNetwork, contract: Contract) -> Path:
    return save_checkpoint(tmp_path / "ckpt", network, contract, extra={"step": 7})


def test_checkpoint_comes_back(saved: Path, network: RDTPolicyNetwork, contract: Contract) -> None:
    before = torch.get_rng_state()
    loaded, given = load_checkpoint(saved)
    assert torch.equal(torch.get_rng_state(), before)
    assert given == contract
    assert load_extra(saved) == {"step": 7}
    wanted = network.state_dict()
    assert loaded.state_dict().keys() == wanted.keys()
    assert all(torch.equal(value, wanted[key]) for key, value in loaded.state_dict().items())
    assert "model.x_pos_embed" in load_file(saved / "model.safetensors")
    assert sorted(p.name for p in saved.parent.iterdir()) == ["ckpt"]


def test_an_earlier_checkpoint_is_replaced_but_nothing_else(
    saved: Path, tmp_path: Path, network: RDTPolicyNetwork, contract: Contract
) -> None:
    save_checkpoint(saved, network, contract)
    assert load_extra(saved) == {}
    other = tmp_path / "precious"
    other.mkdir()
    (other / "thesis.txt").write_text("words")
    with pytest.raises(ConfigError, match="something else"):
        save_checkpoint(other, network, contract)
    assert (other / "thesis.txt").read_text() == "words"


def test_saving_needs_the_contract_of_the_network(
    tmp_path: Path, network: RDTPolicyNetwork, contract: Contract
) -> None:
    raw = json.loads(contract.to_json()) | {"horizon": 9}
    with pytest.raises(SpecMismatchError, match="horizon"):
        save_checkpoint(tmp_path / "x", network, Contract.from_json(json.dumps(raw)))


def refuse(folder: Path, kind: type[HarnessError], *words: str) -> None:
    with pytest.raises(kind) as caught:
        load_checkpoint(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert "ix:" in message
    assert len(message) < 600
    for word in words:
        assert word in message


def test_not_a_checkpoint(saved: Path, tmp_path: Path) -> None:
    refuse(tmp_path / "nowhere", ConfigError, "nowhere")
    refuse(saved / "config.json", ConfigError, "is a file")
    refuse(tmp_path, ConfigError, "model.safetensors")


@pytest.mark.parametrize(
    "name",
    ["config.json", "encoders.json", "contract.json", "model.safetensors", "encoders.safetensors"],
)
def test_each_file_missing_empty_or_cut(saved: Path, name: str) -> None:
    path = saved / name
    whole = path.read_bytes()
    for cut in (whole[: len(whole) // 2], b"", b"\x80\x02garbage"):
        path.write_bytes(cut)
        refuse(saved, ConfigError)
    path.unlink()
    refuse(saved, ConfigError, name)


def test_foreign_tensors(saved: Path) -> None:
    path = saved / "model.safetensors"
    tensors = load_file(path)
    save_file({f"policy.{key}": value for key, value in tensors.items()}, path)
    refuse(saved, SpecMismatchError, "missing", "unexpected", "in all")
    save_file(tensors | {"lang_adaptor.0.weight": torch.zeros(3, 3)}, path)
    refuse(saved, SpecMismatchError, "wrong shape", "(3, 3)")


def test_parts_of_different_checkpoints(saved: Path) -> None:
    path = saved / "encoders.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"image_token_dim": 24}))
    refuse(saved, SpecMismatchError, "img_token_dim")


def own_layout(tmp_path: Path, text: str = "threshold = 0.4") -> Path:
    shipped = (Path(policies.rdt.__file__).parent / "layouts" / "eef-velocity.toml").read_text()
    path = tmp_path / f"mine-{len(text)}.toml"
    changed = shipped.replace('name = "eef-velocity"', 'name = "mine"')
    path.write_text(changed.replace("threshold = 0.5", text))
    return path


def test_a_layout_of_ones_own_travels_with_the_checkpoint(
    tmp_path: Path, network: RDTPolicyNetwork
) -> None:
    path = own_layout(tmp_path)
    mine = Contract.describe(network, layout=path, render_size=48)
    folder = save_checkpoint(tmp_path / "ckpt", network, mine)
    other = own_layout(tmp_path, "threshold = 0.375")
    _, loaded = load_network(folder, LoadingOptions(layout=str(path)))
    path.unlink()
    policy = load_policy(folder)
    assert loaded == policy.contract == mine
    assert policy.layout.name == "mine"
    assert policy.layout.action[-1].threshold == 0.4
    with pytest.raises(SpecMismatchError, match=r"'mine' does something else.*Fix"):
        load_network(folder, LoadingOptions(layout=str(other)))
    with pytest.raises(SpecMismatchError, match="layout is 'joints', needed 'mine'"):
        load_network(folder, LoadingOptions(layout="joints"))
    raw = json.loads((folder / "contract.json").read_text())
    (folder / "contract.json").write_text(json.dumps(raw | {"layout": "joints"}))
    with pytest.raises(ConfigError, match="'joints', but its layout_rules are those of 'mine'"):
        load_checkpoint(folder)
    raw["layout_rules"]["action"][0]["slots"] = [3, 3, 3]
    (folder / "contract.json").write_text(json.dumps(raw))
    with pytest.raises(ConfigError, match="slot 3 twice"):
        load_checkpoint(folder)
