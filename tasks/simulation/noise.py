"""The random numbers of corrupted pictures: which ones belong to which control step.

LIBERO-Plus's own code corrupts a picture in ``reset`` and one after every control step, settling
included, and draws from NumPy's global generator, from which nothing else draws meanwhile. So the
picture after step k of an episode has the generator as the reset leaves it, less the draws of k
pictures; those that nobody looks at here are drawn all the same.
"""

import hashlib
from typing import Any

import numpy as np

from tasks.corruption import check_size, corrupt, skip
from tasks.observation import Image
from tasks.perturbation import Noise


class NoiseSource:
    """Corrupts the pictures of one simulation's episodes.

    Args:
        noise: The kind, level and stream.
        size: Height and width of the pictures in pixels.

    Raises:
        ConfigError: The kind is not defined for pictures of that size.
    """

    def __init__(self, noise: Noise, size: int) -> None:
        check_size(noise, size)
        self._noise, self._size = noise, size
        self._states: list[Any] = []
        self._key = ""

    def begin(self, state: Any, key: str) -> None:
        """Begin an episode.

        Args:
            state: State of NumPy's generator after the reset.
            key: Identifies the episode, for noise that is keyed.
        """
        self._states, self._key = [state], key

    def corrupt(self, picture: Image, step: int) -> Image:
        """Return the corrupted picture of a control step.

        Args:
            picture: (size, size, 3) uint8, as OpenGL gives it.
            step: Control steps since the reset, from 1; settling counts.
        """
        return corrupt(picture, self._noise, self._generator(step))

    def _generator(self, step: int) -> np.random.RandomState:
        random = np.random.RandomState()
        if self._noise.stream == "keyed":
            digest = hashlib.sha256(f"{self._key}/{step}".encode()).digest()
            random.seed(np.frombuffer(digest, dtype=np.uint32))
            return random
        # Pictures of the same steps are asked for again, and not in their order.
        while len(self._states) <= step:
            random.set_state(self._states[-1])
            skip(self._noise, self._size, random)
            self._states.append(random.get_state(legacy=False))
        random.set_state(self._states[step])
        return random
