"""The order in which windows are seen: endless, shuffled, and the same after a resume."""

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler


class EndlessBatches(Sampler[list[int]]):
    """Batches of sample indices, every sample once per epoch.

    Epoch ``e`` is a permutation drawn from ``(seed, e)`` and batches run across epochs, so batch
    ``k`` is the same whether the run was interrupted before it or not.
    """

    def __init__(self, size: int, batch_size: int, *, seed: int, start: int, stop: int) -> None:
        """Choose the batches ``start`` … ``stop − 1``.

        Args:
            size: Number of samples.
            batch_size: Samples in a batch.
            seed: Of the shuffling.
            start: First batch.
            stop: One past the last batch.
        """
        self._size, self._batch_size, self._seed = size, batch_size, seed
        self._start, self._stop = start, stop

    def __len__(self) -> int:
        return self._stop - self._start

    def __iter__(self) -> Iterator[list[int]]:
        first = self._start * self._batch_size
        epoch = first // self._size
        stream = self._permutation(epoch)[first % self._size :]
        for _ in range(len(self)):
            while len(stream) < self._batch_size:
                epoch += 1
                stream = stream + self._permutation(epoch)
            yield stream[: self._batch_size]
            stream = stream[self._batch_size :]

    def _permutation(self, epoch: int) -> list[int]:
        generator = torch.Generator().manual_seed((self._seed << 20) + epoch)
        order: list[int] = torch.randperm(self._size, generator=generator).tolist()
        return order
