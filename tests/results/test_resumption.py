"""Which folders are free for a new run, and which run is resumed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from results.folder import load_run, read_info
from results.records import EpisodeRecord, RunInfo
from results.store import RunStore
from tasks.errors import ResultsError

Info = Callable[..., RunInfo]
Episode = Callable[..., EpisodeRecord]


def begin(folder: Path, info: RunInfo, record: EpisodeRecord, **pinned: list[str]) -> None:
    with RunStore.open(folder, info, **pinned) as store:
        store.append(record)


def test_another_configuration_is_refused_with_the_difference(
    tmp_path: Path, make_info: Info, make_episode: Episode
) -> None:
    policy = {"name": "rdt-small", "exec_horizon": 16, "fusion": "none"}
    begin(tmp_path, make_info(policy=policy), make_episode(1))
    before = (tmp_path / "run.json").read_bytes()
    with pytest.raises(ResultsError, match=r"exec_horizon: 16 here, 8 asked.*another --out"):
        RunStore.open(tmp_path, make_info())
    assert (tmp_path / "run.json").read_bytes() == before


def test_a_run_without_an_episode_that_counts_gives_way(
    tmp_path: Path, make_info: Info, make_episode: Episode
) -> None:
    folder = tmp_path / "run"
    broken = make_episode(0, outcome="error", error="no EGL", first_success_step=None)
    begin(folder, make_info(), broken)
    (folder / "logs").mkdir()
    (folder / "logs" / "worker-0.log").write_text("no EGL")
    other = make_info(policy={"name": "random"})
    RunStore.check(folder, other)
    assert load_run(folder)[1] == [broken]  # checking takes nothing
    with RunStore.open(folder, other) as store:
        assert (store.records(keep_errors=True), store.info.resumed) == ([], ())
    assert read_info(folder).policy["name"] == "random"
    assert not (folder / "logs").exists()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(ResultsError, match="another configuration"):
        RunStore.open(folder, make_info())


@pytest.mark.parametrize(
    ("name", "text", "free"),
    [
        ("train.json", '{"demos": [], "updates": 3, "batch_size": 2}', True),
        ("recipe.json", '{"title": "x", "evaluate": {}, "entries": []}', True),
        ("train.json", '{"images": []}', False),  # somebody's data set
        ("recipe.json", "not JSON", False),
        ("episodes.jsonl", "", False),
        ("train.jsonl", "", False),
    ],
)
def test_settings_of_other_work_give_way_and_what_is_not_ours_does_not(
    tmp_path: Path, make_info: Info, name: str, text: str, free: bool
) -> None:
    (tmp_path / name).write_text(text)
    if free:
        RunStore.open(tmp_path, make_info()).close()
        assert sorted(p.name for p in tmp_path.iterdir()) == [".lock", "episodes.jsonl", "run.json"]
    else:
        with pytest.raises(ResultsError, match=f"no run but holds '{name}'"):
            RunStore.open(tmp_path, make_info())
        assert (tmp_path / name).read_text() == text


def test_what_changes_no_outcome_may_differ(
    tmp_path: Path, make_info: Info, make_episode: Episode
) -> None:
    begin(tmp_path, make_info(), make_episode(1))
    other = make_info(config={"workers": 9, "seed": 7}, provenance={"git": "def", "gl": "llvmpipe"})
    with pytest.raises(ResultsError, match=r"config\.workers: 4 here, 9 asked"):
        RunStore.open(tmp_path, other)
    with RunStore.open(tmp_path, other, volatile=["config.workers"]) as store:
        assert store.info.provenance["git"] == "abc"
        assert store.info.resumed[0].changed == {"git": "def"}


def test_what_every_outcome_rests_on_must_not_differ(
    tmp_path: Path, make_info: Info, make_episode: Episode
) -> None:
    def told(mujoco: str, **more: object) -> RunInfo:
        packages = {"mujoco": mujoco, "numpy": mujoco}
        return make_info(provenance={"packages": packages, "init_states": {"1": "aa"}, **more})

    pinned = ["packages.mujoco", "packages.robosuite", "init_states"]
    begin(tmp_path, told("3.2.3"), make_episode(1), pinned=pinned)
    with pytest.raises(ResultsError, match=r'packages\.mujoco: "3\.2\.3" here, "3\.3\.0" asked'):
        RunStore.open(tmp_path, told("3.3.0"), pinned=pinned)
    with pytest.raises(ResultsError, match=r'init_states\.1: "aa" here, "bb" asked'):
        RunStore.open(tmp_path, told("3.2.3", init_states={"1": "bb"}), pinned=pinned)
    with RunStore.open(tmp_path, told("3.3.0"), pinned=["init_states"]) as store:
        assert store.info.provenance["packages"]["mujoco"] == "3.2.3"


def test_a_start_cut_short_can_be_started_again(tmp_path: Path, make_info: Info) -> None:
    (tmp_path / ".lock").touch()
    (tmp_path / "run.json.tmp").write_text("{")
    RunStore.open(tmp_path, make_info()).close()


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path, make_info: Info) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ResultsError, match=r"thesis\.tex.*new folder"):
        RunStore.open(tmp_path, make_info())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
