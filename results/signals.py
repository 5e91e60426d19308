"""Ctrl-C and polite kills: they wait for a moment in which nothing can be lost."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any, NoReturn, Self

_POLITE = tuple(
    number for name in ("SIGINT", "SIGTERM", "SIGHUP") if (number := getattr(signal, name, None))
)
_SHOW_CURSOR = b"\x1b[?25h"


class Interruption:
    """Catches SIGINT, SIGTERM and SIGHUP in its ``with`` block.

    The first one is raised where the block allows it, inside ``allowed`` or by ``end``: an episode
    is never half-written, a message never half-read, an update never half-done. A second Ctrl-C
    ends the process at once, as a kill does. A signal that was ignored before stays ignored, and
    outside the main thread, which alone receives signals, nothing is caught. A block within another
    takes up what the outer one has caught and not raised.
    """

    def __init__(self) -> None:
        self._pending: int | None = None
        self._raised = False
        self._allowed = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in _POLITE:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._take)
            for handler in self._before.values():
                outer = getattr(handler, "__self__", None)
                if isinstance(outer, Interruption) and outer.pending:
                    self._pending = outer._pending
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
        if kind is None:
            self._raise()  # it came too late to end this block, but was not meant for it alone

    @contextlib.contextmanager
    def allowed(self) -> Iterator[None]:
        """Let a signal end the block, one that came before included.

        Raises:
            KeyboardInterrupt: Ctrl-C.
            SystemExit: Another signal; the code is 128 and its number, as shells have it.
        """
        self._allowed = True
        try:
            self._raise()
            yield
        finally:
            self._allowed = False

    @property
    def pending(self) -> bool:
        """Whether a signal came that was not raised yet."""
        return self._pending is not None and not self._raised

    def end(self) -> NoReturn:
        """End the block now.

        Raises:
            KeyboardInterrupt: Ctrl-C, or no signal came to this process but to one beside it.
            SystemExit: Another signal; see ``allowed``.
        """
        self._raise()
        raise KeyboardInterrupt

    def _take(self, number: int, _frame: FrameType | None) -> None:
        if self._pending is not None:
            if number == signal.SIGINT:
                _end_now(128 + number)
            return
        self._pending = number
        if self._allowed:
            self._raise()

    def _raise(self) -> None:
        if not self.pending:
            return
        self._raised = True
        if self._pending == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + (self._pending or 0))


def _end_now(code: int) -> NoReturn:
    """End the process; its workers end with it."""
    if sys.stderr.isatty():
        os.write(sys.stderr.fileno(), _SHOW_CURSOR)  # a progress bar hides it
    os._exit(code)
