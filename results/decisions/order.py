"""The order in which a sequential comparison looks at episodes.

Success must not depend on how far the comparison has come. Taken task by task, two policies that
are better at different tasks would differ at first, and the test would stop there: it would find a
difference nearly always where there is none on average. So the order is always shuffled over tasks
and initial states, by a seed that is recorded; there is no other.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence

from results.records import EpisodeKey


class ShuffledOrder(Sequence[EpisodeKey]):
    """Episodes in a random order that their keys and a seed decide.

    The order does not depend on the order in which they are given, and adding episodes leaves the
    order of the others as it is.

    Args:
        keys: The episodes.
        seed: Of the order.
    """

    def __init__(self, keys: Iterable[EpisodeKey], seed: int) -> None:
        self.seed = seed
        self._keys = sorted(set(keys), key=lambda key: _draw(key, seed))

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        """Return one episode, or several."""
        return self._keys[index]

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[EpisodeKey]:
        return iter(self._keys)


def _draw(key: EpisodeKey, seed: int) -> bytes:
    text = f"{seed}/{key.suite}/{key.task}/{key.init_state}/{key.seed}"
    return hashlib.sha256(text.encode()).digest()
