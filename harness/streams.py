"""Standard output and error: nothing that is written there can break the work or the terminal."""

import codecs
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, TextIO

from results.formatting import escaped, visible

READER_GONE = 141
"""128 and SIGPIPE's number, as a shell reports a process whose reader went away."""

UNWRITABLE = 2

_STDOUT, _STDERR = 1, 2
_ESCAPED = "libero-bench.escaped"


class OutputLost(SystemExit):
    """Ends the process, as its output cannot be written."""


class SafeStream:
    """A standard stream whose failure ends the process in order, or is ignored.

    Args:
        raw: The stream itself.
        shown: Turns a text into what is written.
        essential: Whether a full disk ends the process. For results it does; lost messages must
            not stop the work.
    """

    def __init__(
        self, raw: TextIO, shown: Callable[[str], str] = str, *, essential: bool = True
    ) -> None:
        self.raw, self._shown, self._essential = raw, shown, essential

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)

    def write(self, text: str) -> int:
        """Write a text.

        Raises:
            OutputLost: The reader has stopped, as ``head`` does, or the disk is full.
        """
        with self._in_order():
            self.raw.write(self._shown(text))
        return len(text)

    def flush(self) -> None:
        """Hand on what was written; raises as ``write`` does."""
        with self._in_order():
            self.raw.flush()

    @contextmanager
    def _in_order(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise OutputLost(READER_GONE) from None
        except OSError as error:
            if self._essential:
                message = f"Standard output cannot be written: {error}. Fix: make room there."
                say(f"libero-bench: {message}")
                raise OutputLost(UNWRITABLE) from None


def styled_stdout() -> TextIO:
    """Return standard output for text with styles whose foreign parts are visible already."""
    raw = sys.stdout.raw if isinstance(sys.stdout, SafeStream) else sys.stdout
    return SafeStream(raw)  # type: ignore[return-value]


def say(message: str) -> None:
    """Write one line to standard error."""
    print(visible(" ".join(message.split("\n"))), file=sys.stderr, flush=True)


def with_safe_streams(work: Callable[[], int]) -> int:
    """Run a command so that its output breaks neither the command nor the terminal.

    Characters that the terminal's encoding lacks are written as escapes. A reader that goes away
    ends the work without a word, a full disk with one line. Closed streams lead nowhere.

    Args:
        work: Returns the exit code.

    Returns:
        The exit code.
    """
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_ESCAPED)
    out, err = sys.stdout, sys.stderr
    try:
        with (
            redirect_stdout(SafeStream(out, visible)),
            redirect_stderr(SafeStream(err, essential=False)),
        ):
            code = work()
            sys.stdout.flush()
        return code
    except OutputLost as lost:
        return READER_GONE if lost.code == READER_GONE else UNWRITABLE
    finally:
        _discard(out)
        _discard(err)


def _open_closed_streams() -> None:
    """Lead closed standard streams nowhere, lest the next file that is opened takes their place."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        pass
    os.close(descriptor)
    sys.stdout = sys.stdout or os.fdopen(_STDOUT, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(_STDERR, "w", encoding="utf-8", closefd=False)


def _discard(stream: TextIO) -> None:
    """Lead a stream nowhere if it cannot be written, lest Python complains of it at its end."""
    try:
        stream.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _escape(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return escaped(error.object[error.start : error.end]), error.end


codecs.register_error(_ESCAPED, _escape)
