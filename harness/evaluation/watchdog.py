"""Telling workers that hang from those that work or wait."""

import time
from collections.abc import Callable

_TURN_SHARE = 0.1


class Watchdog:
    """Counts for how long each worker has owed its parent a word.

    A worker that waits for the parent owes nothing. A turn of the parent's loop counts for a tenth
    of the limit at most, however long it took: if the parent planned for minutes, or everything was
    stopped (Ctrl-Z, a suspended laptop), the worker gets the time to show that it is alive.

    Args:
        limit_s: Seconds of silence after which a worker counts as hung.
        clock: Gives the time in seconds.
    """

    def __init__(self, limit_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit_s = limit_s
        self._clock = clock
        self._silent: dict[int, float] = {}
        self._latest = clock()

    @property
    def patience_s(self) -> float:
        """Seconds that the parent's loop may wait before it looks again."""
        return min(1.0, self.limit_s * _TURN_SHARE)

    def owes(self, worker: int, *, grace_s: float = 0.0) -> None:
        """Take note that a worker has something to do and must say something in the end.

        Args:
            worker: Its number.
            grace_s: Seconds it may take beside the limit.
        """
        self._silent[worker] = -grace_s

    def quits(self, worker: int) -> None:
        """Take note that a worker owes nothing: it has spoken, or is no more."""
        self._silent.pop(worker, None)

    def turn(self) -> list[int]:
        """Count the time since the last turn; call it when all that was said has been heard.

        Returns:
            The numbers of the workers that have been silent for too long.
        """
        now = self._clock()
        passed = min(now - self._latest, self.limit_s * _TURN_SHARE)
        self._latest = now
        for worker in self._silent:
            self._silent[worker] += passed
        return [worker for worker, silent in self._silent.items() if silent > self.limit_s]
