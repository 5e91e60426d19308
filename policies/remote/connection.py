"""A connection to a policy server: requests, time-outs and retries.

Non-obvious behaviours:

- A request without an answer in time is sent again on a new connection; on the old one the late
  answer would be taken for that of the next request.
- The client sends no WebSocket pings: openpi's server does not answer them while it computes.
- Proxies of the environment are not used.
- A message that announces more than ``_MAX_MESSAGE_BYTES``, in one frame or in many, is refused
  before it is read, and compression is not negotiated, so that a server cannot fill the memory.
"""

import http.client
import logging
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidURI
from websockets.frames import CloseCode
from websockets.sync.client import ClientConnection, connect

from policies.remote.codec import CodecError, pack, unpack
from tasks.errors import ConfigError, PrerequisiteError, SpecMismatchError

_FIRST_PAUSE_S = 0.25
_MAX_PAUSE_S = 5.0
_OPEN_S = 10.0
_CLOSE_S = 1.0
_HEALTH_S = 5.0
_MAX_MESSAGE_BYTES = 4 << 20
"""A plan of 4,096 steps has 0.2 MB as an array; the rest is room for lists instead, and for a
server's additions: times, its state, two images, metadata."""
_START_HINT = (
    "Fix: start it (openpi: uv run scripts/serve_policy.py --env LIBERO), name its place with "
    "--option.host and --option.port, or wait longer with --option.wait."
)

_log = logging.getLogger(__name__)


class ServerError(Exception):
    """The server reported that it failed on a request; another request may succeed."""


class Connection:
    """Sends requests to a policy server, one after another.

    Args:
        uri: Such as ``ws://localhost:8000``.
        timeout: Seconds an answer may take.
        retries: Repetitions of a request after a time-out or a lost connection.
        wait: Seconds to wait for a server that is not there (yet).

    Attributes:
        metadata: The server's description of itself from the latest connection.
    """

    def __init__(self, uri: str, *, timeout: float, retries: int, wait: float) -> None:
        self.uri = uri
        self.metadata: Any = None
        self._timeout, self._retries, self._wait = timeout, retries, wait
        self._socket: ClientConnection | None = None

    def open(self) -> None:
        """Connect, unless connected, waiting for the server to start.

        Raises:
            PrerequisiteError: The server was not there in time.
            SpecMismatchError: The server does not speak this protocol.
            ConfigError: The address is invalid.
        """
        if self._socket is not None:
            return
        deadline = time.monotonic() + self._wait
        for attempt, pause in enumerate(_pauses(), start=1):
            try:
                self._connect()
                return
            except InvalidURI as error:
                raise ConfigError(f"'{self.uri}' is no address of a server ({error}).") from error
            except (OSError, InvalidHandshake, InvalidMessage, ConnectionClosed) as error:
                self._refuse_too_large(error)
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    raise self._absent(attempt, error) from error
                if attempt == 1:
                    _log.warning(
                        "The policy server at %s is not there (%s); waiting up to %g s.",
                        self.uri,
                        _reason(error),
                        self._wait,
                    )
                time.sleep(min(pause, remaining))

    def ask(self, request: dict[str, Any]) -> Any:
        """Send a request and return the answer.

        Raises:
            ServerError: The server failed on it.
            PrerequisiteError: It was not answered, retries included.
            SpecMismatchError: The answer is not of this protocol.
        """
        data = pack(request)
        failures: list[str] = []
        for pause in _pauses():
            self.open()
            assert self._socket is not None
            try:
                self._check_silent()
                self._socket.send(data)
                return self._read(self._socket.recv(timeout=self._timeout))
            except TimeoutError:
                failures.append(f"no answer within {self._timeout:g} s")
            except (ConnectionClosed, OSError) as error:
                self._refuse_too_large(error)
                failures.append(_reason(error))
            self.close()
            if len(failures) > self._retries:
                break
            time.sleep(pause)
        raise PrerequisiteError(
            f"The policy server at {self.uri} did not answer a request that was sent "
            f"{_times(len(failures))}: {'; '.join(failures)}. {self._health()} Fix: look into the "
            "server's log; where it is only slow, give --option.timeout more seconds. Finished "
            "episodes are kept, and the same command goes on."
        )

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.close()

    def _connect(self) -> None:
        socket = connect(
            self.uri,
            compression=None,
            max_size=_MAX_MESSAGE_BYTES,
            max_queue=2,
            open_timeout=_OPEN_S,
            close_timeout=_CLOSE_S,
            ping_interval=None,
            proxy=None,
        )
        try:
            self.metadata = self._read(socket.recv(timeout=_OPEN_S))
        except BaseException:
            socket.close()
            raise
        self._socket = socket

    def _check_silent(self) -> None:
        """Refuse a server that sent an extra message: its answers would be one request late."""
        assert self._socket is not None
        try:
            self._socket.recv(timeout=0)
        except TimeoutError:
            return
        self.close()
        raise SpecMismatchError(
            f"The server at {self.uri} sent a message that nobody asked for, so that its answers "
            "cannot be told apart. Fix: have it send its metadata once and one answer to each "
            "request, as openpi's servers do."
        )

    def _refuse_too_large(self, error: Exception) -> None:
        """Refuse a server whose message was so large that this side closed the connection."""
        if not isinstance(error, ConnectionClosed) or error.rcvd_then_sent:
            return
        if error.sent is not None and error.sent.code == CloseCode.MESSAGE_TOO_BIG:
            self.close()
            raise SpecMismatchError(
                f"The server at {self.uri} sent a message of more than {_MAX_MESSAGE_BYTES >> 20} "
                "MiB, far above what a plan can be. Fix: have it answer with actions alone, "
                "without images or features."
            ) from error

    def _read(self, frame: str | bytes) -> Any:
        if isinstance(frame, str):
            self.close()  # the server does so too
            if frame.lstrip().startswith(("{", "[")):
                raise SpecMismatchError(
                    f"The server at {self.uri} answers in text, it seems in JSON. Needed: "
                    "MessagePack with NumPy arrays, as openpi's protocol has it. Fix: name a "
                    "server that speaks it."
                )
            raise ServerError(f"The policy server broke: {shorten_traceback(frame)}")
        try:
            return unpack(frame)
        except CodecError as error:
            raise SpecMismatchError(
                f"The server at {self.uri} sent {len(frame)} bytes that are no message of openpi's "
                f"protocol ({error}). Fix: name a server that speaks it."
            ) from error

    def _absent(self, attempts: int, error: Exception) -> PrerequisiteError | SpecMismatchError:
        reason = _reason(error)
        if isinstance(error, InvalidHandshake | InvalidMessage):
            return SpecMismatchError(
                f"What answers at {self.uri} is no WebSocket server ({reason}). {_START_HINT}"
            )
        return PrerequisiteError(
            f"There is no policy server at {self.uri}: tried {_times(attempts)} in "
            f"{self._wait:g} s, at last: {reason}. {_START_HINT}"
        )

    def _health(self) -> str:
        """Report the answer of the server's health check."""
        address = urlsplit(self.uri)
        kind = (
            http.client.HTTPSConnection if address.scheme == "wss" else http.client.HTTPConnection
        )
        connection = kind(address.hostname or "", address.port, timeout=_HEALTH_S)
        try:
            connection.request("GET", "/healthz")
            answer = connection.getresponse().read(80).decode(errors="replace").strip()
            return f"Its /healthz answers '{answer}'."
        except (OSError, http.client.HTTPException) as error:
            return f"Its /healthz does not answer ({_reason(error)})."
        finally:
            connection.close()


def shorten_traceback(text: str) -> str:
    """Shorten a Python traceback to its message and last frame, other text to one line.

    Returns:
        Such as ``KeyError: 'state' (policy.py, line 72, in infer)``, at most 400 characters.
    """
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    if not lines:
        return "it did not say why"
    frames = [line for line in lines if line.startswith('File "')]
    if not frames:
        return " ".join(lines)[:400]
    path, _, position = frames[-1].removeprefix('File "').partition('"')
    return f"{lines[-1][:300]} ({path.rsplit('/', 1)[-1]}{position})"[:400]


def _pauses() -> Iterator[float]:
    """Yield pauses between attempts, each twice the one before, up to the longest."""
    pause = _FIRST_PAUSE_S
    while True:
        yield pause
        pause = min(2 * pause, _MAX_PAUSE_S)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _reason(error: Exception) -> str:
    """Give the reason of a failed connection on one line."""
    if isinstance(error, ConnectionClosed):
        return f"the connection was lost ({' '.join(str(error).split())})"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return " ".join(f"{type(error).__name__}: {error}".split())
