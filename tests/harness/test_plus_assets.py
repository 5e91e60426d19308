"""The pack of LIBERO-Plus: from a hub that the real client speaks to, and from a copied archive."""

import hashlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from harness.plus_assets import ARCHIVE, REPOSITORY, fetch_assets
from tasks.errors import ConfigError

PREFIX = "inspire/hdd/someone/assets"
FILES = {
    "scenes/a.xml": b"<mujoco/>",
    "textures/wood.png": b"png" * 500,
    "new_objects/x/x.obj": b"v",
}


def pack(path: Path, extra: dict[str, bytes] | None = None) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {f"{PREFIX}/{n}": d for n, d in FILES.items()}.items():
            archive.writestr(name, data)
        for name, data in (extra or {}).items():
            archive.writestr(name, data)
    return path


def fetch(out: Path) -> list[tuple[int, int]]:
    seen: list[tuple[int, int]] = []
    assert fetch_assets(out, REPOSITORY, lambda *at: seen.append(at)) == out / "assets"
    return seen


def unpacked(out: Path) -> dict[str, bytes]:
    folder = out / "assets"
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[str]:
    """The address of a hub that has the pack in the data set of its authors, and nothing else."""
    data = pack(tmp_path / "served.zip").read_bytes()

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            if self.path != f"/datasets/{REPOSITORY}/resolve/main/{ARCHIVE}":
                self.send_response(404)
                self.send_header("X-Error-Code", "EntryNotFound")
                self.end_headers()
                return
            self.send_response(200)
            self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
            self.send_header("X-Repo-Commit", "0" * 40)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()

        def do_GET(self) -> None:
            self.do_HEAD()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.slow
def test_the_pack_is_downloaded_by_the_hubs_own_client(hub: str, tmp_path: Path) -> None:
    def command(*words: str) -> subprocess.CompletedProcess[str]:
        settings = {"HF_ENDPOINT": hub, "HF_HOME": str(tmp_path / "home"), "no_proxy": "127.0.0.1"}
        return subprocess.run(
            [sys.executable, "-m", "harness.cli", "plus", "fetch", *words],
            env={**os.environ, **settings},
            capture_output=True,
            text=True,
            check=False,
        )

    out = tmp_path / "out"
    done = command("--out", str(out))
    assert done.returncode == 0, done.stderr
    assert f"--plus-assets {out}" in done.stdout
    assert unpacked(out) == FILES
    other = command("--out", str(tmp_path / "other"), "--repository", "someone/else")
    assert other.returncode == 2
    assert f"has no {ARCHIVE}" in other.stderr and "Traceback" not in other.stderr


def test_a_copied_archive_is_unpacked_without_network_and_resumed(tmp_path: Path) -> None:
    hostile = {
        f"{PREFIX}/../../escaped.xml": b"no",
        "assets/../outside.xml": b"no",
        "elsewhere/scenes/b.xml": b"no",
        f"{PREFIX}/readme.txt": b"of no kind",
    }
    pack(tmp_path / ARCHIVE, hostile)
    assert fetch(tmp_path)[-1] == (3, 3)
    assert unpacked(tmp_path) == FILES
    assert sorted(p.name for p in tmp_path.iterdir()) == ["assets", ARCHIVE]
    texture = tmp_path / "assets" / "textures" / "wood.png"
    texture.write_bytes(b"cut off")
    scene = tmp_path / "assets" / "scenes" / "a.xml"
    before = scene.stat().st_mtime_ns
    fetch(tmp_path)
    assert unpacked(tmp_path) == FILES
    assert scene.stat().st_mtime_ns == before


def test_damaged_and_foreign_archives_are_named(tmp_path: Path) -> None:
    archive = pack(tmp_path / ARCHIVE)
    data = bytearray(archive.read_bytes())
    data[data.index(b"pngpng")] ^= 255
    archive.write_bytes(data)
    with pytest.raises(ConfigError, match=r"is damaged .* remove it"):
        fetch(tmp_path)
    assert not (tmp_path / "assets" / "textures" / "wood.png").exists()
    with zipfile.ZipFile(archive, "w") as foreign:
        foreign.writestr("photos/cat.png", b"cat")
    with pytest.raises(ConfigError, match="holds no scenes, textures, new_objects"):
        fetch(tmp_path)
