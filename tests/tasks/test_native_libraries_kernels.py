"""BLAS kernels are the same everywhere, or it is said that they are not."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from tasks import native_libraries

ROOT = Path(__file__).parents[2]
_SAYS = "from tasks.native_libraries import openblas_cores; print(*openblas_cores())"

pytestmark = pytest.mark.skipif(
    not native_libraries.REPRODUCIBLE, reason="Haswell is an x86-64 processor"
)


@pytest.fixture
def untold(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Let the user have chosen nothing, and nothing have been said yet."""
    monkeypatch.delenv(native_libraries.KERNELS_VARIABLE, raising=False)
    native_libraries.warn_of_kernels.cache_clear()
    yield monkeypatch
    native_libraries.warn_of_kernels.cache_clear()


def cores(code: str, **variables: str) -> list[str]:
    """Return the kernels that a fresh process has."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if name != native_libraries.KERNELS_VARIABLE
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=clean | variables,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


@pytest.mark.slow
def test_the_command_has_the_same_kernels_everywhere_unless_the_user_chooses() -> None:
    assert cores(f"import harness.cli; {_SAYS}") == ["Haswell"]
    assert cores(_SAYS, OPENBLAS_CORETYPE="Nehalem") == ["Nehalem"]


def test_kernels_are_fixed_only_before_numpy_is_there(untold: pytest.MonkeyPatch) -> None:
    native_libraries.fix_kernels()
    assert native_libraries.KERNELS_VARIABLE not in os.environ
    untold.delitem(sys.modules, "numpy")
    native_libraries.fix_kernels()
    assert os.environ[native_libraries.KERNELS_VARIABLE] == "Haswell"
    untold.setenv(native_libraries.KERNELS_VARIABLE, "Nehalem")
    native_libraries.fix_kernels()
    assert os.environ[native_libraries.KERNELS_VARIABLE] == "Nehalem"


@pytest.mark.parametrize(
    ("found", "asked", "said"),
    [
        ({"Haswell"}, None, False),
        (set(), None, False),
        ({"SkylakeX"}, None, True),
        ({"SkylakeX"}, "SkylakeX", False),
        ({"Haswell", "SkylakeX"}, "Haswell", True),
    ],
)
def test_other_kernels_are_said_once(
    untold: pytest.MonkeyPatch, found: set[str], asked: str | None, said: bool
) -> None:
    untold.setattr(native_libraries, "openblas_cores", lambda: found)
    if asked is not None:
        untold.setenv(native_libraries.KERNELS_VARIABLE, asked)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        native_libraries.warn_of_kernels()
        native_libraries.warn_of_kernels()
    assert ["import tasks before NumPy" in str(each.message) for each in caught] == [True] * said
