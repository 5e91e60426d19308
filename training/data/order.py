"""The order in which windows are seen: endless, shuffled, and the same after a resume."""

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler


class EndlessBatches(Sampler[list[int]]):
    """Batches of sample indices, every sample once per epoch.

    Epoch ``e`` is a permutation drawn from ``(seed, e)`` and batches run across epochs, so batch
    ``k`` is the same whether the run was interrupted before it or not. Of several processes each
    gets every so manieth batch: together they see what one process would.
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        *,
        seed: int,
        start: int,
        stop: int,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        """Choose the batches ``start + rank``, ``start + rank + processes``, … below ``stop``.

        Args:
            size: Number of samples.
            batch_size: Samples in a batch.
            seed: Of the shuffling.
            start: First batch of all processes.
            stop: One past the last batch.
            rank: Number of this process.
            processes: How many there are.
        """
        self._size, self._batch_size, self._seed = size, batch_size, seed
        self._mine = range(start + rank, stop, processes)

    def __len__(self) -> int:
        return len(self._mine)

    def __iter__(self) -> Iterator[list[int]]:
        orders: dict[int, list[int]] = {}
        for batch in self._mine:
            chosen: list[int] = []
            place, missing = batch * self._batch_size, self._batch_size
            while missing:
                epoch, offset = divmod(place, self._size)
                if epoch not in orders:
                    orders = {e: o for e, o in orders.items() if e == epoch - 1}
                    orders[epoch] = self._permutation(epoch)
                taken = orders[epoch][offset : offset + missing]
                chosen += taken
                place, missing = place + len(taken), missing - len(taken)
            yield chosen

    def _permutation(self, epoch: int) -> list[int]:
        generator = torch.Generator().manual_seed((self._seed << 20) + epoch)
        order: list[int] = torch.randperm(self._size, generator=generator).tolist()
        return order
