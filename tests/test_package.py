"""What an installation gets: every module and data file, on an interpreter that can run it."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("harness", "policies", "results", "tasks", "training")

IMPORT_ALL = """
import importlib, sys
for name in sys.argv[2:]:
    module = importlib.import_module(name)
    assert module.__file__.startswith(sys.argv[1]), module.__file__
"""


def sources() -> list[Path]:
    """Return every file of the packages that git does not ignore, relative to the root."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *PACKAGES]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for line in done.stdout.splitlines() if (ROOT / (path := Path(line))).is_file()]


def module_name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.slow
def test_a_wheel_holds_all_and_every_module_can_be_imported(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    wheel = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path)]
    copy = tmp_path / "source"
    for path in (*sources(), *(Path(n) for n in ("setup.cfg", "pyproject.toml", "README.md"))):
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        (copy / path).write_bytes((ROOT / path).read_bytes())
    subprocess.run([*wheel, str(copy)], check=True)
    (built,) = tmp_path.glob("*.whl")
    # A fresh environment that has this one's packages, but not its editable installation.
    fresh = tmp_path / "fresh"
    venv.create(fresh, with_pip=False)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(fresh)}))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    subprocess.run(
        [*pip, "install", "--no-deps", "--no-compile", "--target", str(site), str(built)],
        check=True,
    )
    missing = [path for path in sources() if not (site / path).is_file()]
    assert not missing
    names = [module_name(path) for path in sources() if path.suffix == ".py"]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"MUJOCO_GL": "egl"}
    python = str(fresh / "bin" / "python")
    done = subprocess.run(
        [python, "-c", IMPORT_ALL, str(site), *names],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def stub(path: Path, version: str, fits: bool) -> None:
    """Make an interpreter that knows its version, and can make a virtual environment."""
    path.write_text(
        "#!/bin/sh\n"
        f'case "$1" in -c) exit {int(not fits)};; --version) echo Python {version};; '
        f'-m) mkdir -p "$3" && echo {version} > "$3/made";; esac\n'
    )
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("there", "made", "words"),
    [
        ({"python3": ("3.12.1", True)}, "3.12.1", ""),
        ({"python3": ("3.13.0", False), "python3.12": ("3.12.1", True)}, "3.12.1", "3.13.0"),
        ({"python3": ("3.14.0", False), "python3.11": ("3.11.9", True)}, "3.11.9", "3.14.0"),
        ({"python3.11": ("3.11.9", True)}, "3.11.9", "not installed"),
    ],
)
def test_make_takes_an_interpreter_that_fits(
    tmp_path: Path, there: dict[str, tuple[str, bool]], made: str, words: str
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, (version, fits) in there.items():
        stub(programs / name, version, fits)
    for tool in ("bash", "mkdir", "tail"):
        (programs / tool).symlink_to(
            next(p for p in map(Path, ("/bin", "/usr/bin")) if (p / tool).exists()) / tool
        )
    done = subprocess.run(
        [str(ROOT / ".ci" / "venv"), str(tmp_path / "venv")],
        env={"PATH": str(programs), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "venv" / "made").read_text().strip() == made
    assert words in done.stdout
