"""Which worker runs which episode next."""

from collections import Counter, deque
from collections.abc import Iterable

from results.records import EpisodeKey

ATTEMPTS = 2
"""Tries at an episode before it is recorded as an error."""


class Schedule:
    """The episodes that are still to be run, by task.

    Workers stay with a task as long as they can, as building a simulation takes seconds. Tasks
    with most to do go first, and who has no task left helps with the one that has most to do for
    each of its workers, so that no long one is left for a single worker at the end. As all episodes
    of a suite have the same step limit, their number says how much there is to do.

    Args:
        episodes: What is to be run; the order within a task is kept.
    """

    def __init__(self, episodes: Iterable[EpisodeKey]) -> None:
        self._waiting: dict[int, deque[EpisodeKey]] = {}
        for key in episodes:
            self._waiting.setdefault(key.task, deque()).append(key)
        self._holders: dict[int, int] = {}  # worker: its latest task
        self._running: dict[int, EpisodeKey] = {}
        self._failures: dict[EpisodeKey, list[int]] = {}

    @property
    def finished(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return not self._running and not any(self._waiting.values())

    @property
    def waiting(self) -> int:
        """Episodes that nobody has taken."""
        return sum(len(keys) for keys in self._waiting.values())

    def take(self, worker: int, *, alone: bool = False) -> EpisodeKey | None:
        """Give a worker its next episode.

        Args:
            worker: Its number; a replaced worker has a new one.
            alone: No other worker is there, so it may try again what it failed at.

        Returns:
            The episode, or None if there is nothing for this worker now.
        """
        for task in self._preferred(worker):
            for key in self._waiting[task]:
                if alone or worker not in self._failures.get(key, ()):
                    self._waiting[task].remove(key)
                    self._holders[worker] = task
                    self._running[worker] = key
                    return key
        return None

    def running(self, worker: int) -> EpisodeKey | None:
        """Return the episode a worker is at."""
        return self._running.get(worker)

    def tries(self, key: EpisodeKey) -> int:
        """Return how often an episode broke so far."""
        return len(self._failures.get(key, ()))

    def done(self, worker: int) -> EpisodeKey:
        """Take note that a worker finished its episode."""
        return self._running.pop(worker)

    def failed(self, worker: int, *, hopeless: bool = False) -> bool:
        """Take note that a worker's episode broke.

        Args:
            worker: Its number.
            hopeless: Do not try again.

        Returns:
            Whether it will be tried again.
        """
        key = self._running.pop(worker)
        tries = self._failures.setdefault(key, [])
        tries.append(worker)
        if hopeless or len(tries) >= ATTEMPTS:
            return False
        self._waiting[key.task].append(key)
        return True

    def gone(self, worker: int) -> None:
        """Take note that a worker is no more; its episode was dealt with before."""
        self._holders.pop(worker, None)

    def _preferred(self, worker: int) -> list[int]:
        """Order the tasks for a worker: its own, then those nobody holds, then the largest."""
        held = Counter(task for other, task in self._holders.items() if other != worker)
        own = self._holders.get(worker)
        share = {task: len(keys) / (held[task] + 1) for task, keys in self._waiting.items() if keys}
        return sorted(share, key=lambda task: (task != own, task in held, -share[task], task))
