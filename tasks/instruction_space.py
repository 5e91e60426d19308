"""The space of instructions, readable through the shared memory of asynchronous environments.

Gymnasium reads a ``Text`` from shared memory once, when the vector environment is built, so an
asynchronous environment would show the first, empty text for ever. This subclass registers a
reader that looks again at every access.
"""

import string
from collections.abc import Sequence
from typing import Any, overload

import numpy as np
from gymnasium import spaces
from gymnasium.vector.utils.shared_memory import read_from_shared_memory

_CHARACTERS = string.ascii_letters + string.digits + string.punctuation + " "


class InstructionSpace(spaces.Text):
    """Texts of up to 256 printable ASCII characters."""

    def __init__(self) -> None:
        super().__init__(min_length=0, max_length=256, charset=_CHARACTERS)


class SharedInstructions(Sequence[str]):
    """The current instructions of n environments, decoded from shared memory on access."""

    def __init__(self, space: spaces.Text, memory: Any, n: int) -> None:
        self._space, self._memory, self._n = space, memory, n

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...
    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        return self._texts()[index]

    def __len__(self) -> int:
        return self._n

    def __deepcopy__(self, memo: dict[int, Any]) -> tuple[str, ...]:
        return self._texts()

    def _texts(self) -> tuple[str, ...]:
        codes = np.frombuffer(self._memory.get_obj(), dtype=np.int32).reshape(self._n, -1)
        letters = self._space.character_list
        return tuple("".join(letters[c] for c in row if c < len(letters)) for row in codes)


@read_from_shared_memory.register(InstructionSpace)
def _read_instructions(space: InstructionSpace, shared_memory: Any, n: int = 1) -> Any:
    return SharedInstructions(space, shared_memory, n)
