"""Settings that must be there before NumPy is imported."""

import os
import platform
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

# Worker processes fix the BLAS kernels, so that results do not depend on the processor; what they
# made is repeated here bit for bit only with the same kernels.
if platform.machine() in ("x86_64", "AMD64"):
    os.environ.setdefault("OPENBLAS_CORETYPE", "Haswell")

# Test processes share the cores. Two threads of one wait for each other at each of torch's many
# small steps; where other processes take a core meanwhile, one test took 67 s instead of 4.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what needs a GPU where there is none."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="torch sees no CUDA device"))


@pytest.fixture
def signals_arrive() -> Iterator[None]:
    """A shell that starts the tests in the background has its children ignore Ctrl-C and SIGHUP."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGHUP)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def small_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of rdt-small with fresh weights and a trained one's contract."""
    from tests.small_checkpoint import save_small

    return save_small(tmp_path_factory.mktemp("small") / "checkpoint")
