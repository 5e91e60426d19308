"""A cache of tensors by key, from which those unused for longest are dropped."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

Make = Callable[[list[int]], Sequence[Tensor]]


class LRUCache:
    """The latest values by key; those unused for longest are dropped.

    Args:
        limit: Values kept between calls; all of the latest call are kept, be they more.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._kept: OrderedDict[Hashable, Tensor] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def __deepcopy__(self, memory: dict[int, Any]) -> "LRUCache":
        return LRUCache(self.limit)

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()

    def look_up(self, keys: Sequence[Hashable], make: Make) -> list[Tensor]:
        """Give the value of every key, computing each that is not there once.

        Args:
            keys: What to look up; a key may come several times.
            make: Gets positions in ``keys``, the first of each unknown key, and gives their values
                in that order.

        Returns:
            One value per key. They are shared: do not write into them.
        """
        first = {key: index for index, key in reversed(list(enumerate(keys)))}
        values = {key: self._kept[key] for key in first if key in self._kept}
        new = sorted(index for key, index in first.items() if key not in values)
        if new:
            values |= {keys[index]: made for index, made in zip(new, make(new), strict=True)}
        for key in first:
            self._kept[key] = values[key]
            self._kept.move_to_end(key)
        while len(self._kept) > max(self.limit, len(first)):
            self._kept.popitem(last=False)
        return [values[key] for key in keys]


def content_key(array: npt.NDArray[Any]) -> Hashable:
    """Give a key that two arrays share only if shape, dtype and every element are the same."""
    data = np.ascontiguousarray(array)
    return data.shape, data.dtype.str, hashlib.blake2b(data.data, digest_size=16).digest()
