"""What does not fit a GPU's memory, said in one line."""

import contextlib
from collections.abc import Iterator

import torch

from tasks.errors import HarnessError


@contextlib.contextmanager
def in_gpu_memory(what: str, *, fix: str) -> Iterator[None]:
    """Name what does not fit the GPU's memory in this block.

    Args:
        what: What is computed, in words.
        fix: What to change, in words.

    Raises:
        HarnessError: It does not fit.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise HarnessError(
            f"{what} does not fit the GPU's memory ({str(error).split('.')[0]}). Fix: {fix}."
        ) from error
