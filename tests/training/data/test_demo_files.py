"""Loading the demo files of a run."""

from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from tasks.errors import ConfigError
from tests.training.demo_files import write_collected, write_file
from tests.training.tiny import save_tiny
from tests.training.windows import load
from training.config import TrainingConfig
from training.data.demo_files import choose_demos
from training.data_settings import DataSettings
from training.run_folder import RunFolder
from training.setup import set_up


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count how often each HDF5 file is opened."""
    counts: Counter[str] = Counter()
    start = h5py.File.__init__

    def counting(self: h5py.File, name: Any, *args: Any, **options: Any) -> None:
        if isinstance(name, str | Path):  # not an identifier of a file that is open
            counts[Path(name).name] += 1
        start(self, name, *args, **options)

    monkeypatch.setattr(h5py.File, "__init__", counting)
    return counts


@pytest.mark.parametrize("pictures", ["memory", "lazy"])
def test_a_setup_opens_each_file_once(tmp_path: Path, opened: Counter[str], pictures: str) -> None:
    for name in ("a.hdf5", "b.hdf5"):
        write_file(tmp_path / "demos" / name, demos=3)
    opened.clear()
    config = TrainingConfig(
        demos=(tmp_path / "demos",),
        out=tmp_path / "run",
        checkpoint=save_tiny(tmp_path / "tiny"),
        normalise="meanstd",
        held_out=1,
        sample_period=2,
        pictures=pictures,
    )
    setup = set_up(config, RunFolder(config.out))
    assert opened == {"a.hdf5": 1, "b.hdf5": 1}
    assert setup.held_out is not None
    assert (setup.windows.demos, setup.held_out.demos) == (4, 2)
    assert setup.contract.normalisation.method == "meanstd"


def test_a_file_is_described_as_it_is(tmp_path: Path) -> None:
    path = write_collected(tmp_path / "libero_goal" / "turn_on_the_stove_demo.hdf5", demos=3)
    demos = load(path, held_out=1)
    (file,) = demos.files
    assert demos.render_size == 16
    assert file.digest == sha256(path.read_bytes()).hexdigest()[:16]
    assert file.provenance == {"expert": "scripted"}
    assert file.timing.convention == "before_action"
    assert (file.instruction, file.noted_instruction) == ("turn on the stove", None)
    assert [loaded.demo.name for loaded in demos.training] == ["demo_0", "demo_1"]
    assert [loaded.demo.name for loaded in demos.held_out] == ["demo_2"]
    assert [(loaded.rank, loaded.of) for loaded in demos.training] == [(0, 2), (1, 2)]


def test_images_are_prepared_for_the_encoder(tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.hdf5", convention="before_action", size=16)
    demo = load(path).training[1]
    with h5py.File(path) as file:
        stored = file["data/demo_1/obs/eye_in_hand_rgb"][3]
    upright = np.ascontiguousarray(stored[::-1, ::-1]).transpose(2, 0, 1)
    assert torch.equal(demo.images.at([3])[0, 1], torch.from_numpy(upright))
    assert demo.demo.images == {}


def test_files_of_several_sizes_are_refused(tmp_path: Path) -> None:
    write_file(tmp_path / "a.hdf5", size=16)
    write_file(tmp_path / "b.hdf5", size=32)
    with pytest.raises(ConfigError, match=r"pictures of \[16, 32\] pixels"):
        load(tmp_path)


def test_held_out_demonstrations_are_the_last_ones() -> None:
    settings = DataSettings(held_out=2, demos_per_task=3)
    chosen = [choose_demos(Path("a"), 6, settings, held_out=held_out) for held_out in (False, True)]
    assert chosen == [range(3), range(4, 6)]
    with pytest.raises(ConfigError, match="'a' has 4 demonstrations; 2 held out and 3"):
        choose_demos(Path("a"), 4, settings, held_out=False)
