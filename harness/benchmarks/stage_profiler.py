"""Timing the stages of a computation, on a CPU or from a GPU's stream."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

REST = "rest"
"""The stage outside all others."""


class StageProfiler:
    """Times stages; one inside another is not counted twice.

    On a GPU, events are recorded in its stream and read at the end, without waiting between stages.
    """

    def __init__(self, device: torch.device | str) -> None:
        self._cuda = torch.device(device).type == "cuda"
        self._open = [REST]
        self._marks: list[tuple[str, Any]] = []

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Time a stage."""
        self._marks.append((self._open[-1], self._mark()))
        self._open.append(stage)
        try:
            yield
        finally:
            self._marks.append((self._open.pop(), self._mark()))

    @contextmanager
    def profile(self) -> Iterator[dict[str, float]]:
        """Time a piece of work.

        Yields:
            Seconds by stage, ``rest`` included, filled at the end.
        """
        spent: dict[str, float] = defaultdict(float)
        before = self._mark()
        self._marks = []
        yield spent
        self._marks.append((REST, self._mark()))
        if self._cuda:
            torch.cuda.synchronize()
        for stage, mark in self._marks:
            spent[stage] += before.elapsed_time(mark) / 1e3 if self._cuda else mark - before
            before = mark

    def _mark(self) -> Any:
        if not self._cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event


def wait_for(device: torch.device | str) -> None:
    """Wait until a device has done all it was given."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
