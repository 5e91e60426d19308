"""One connection to a policy server: asking it, and what to do when it does not answer.

Non-obvious behaviours:

- A request that was not answered in time is sent again on a new connection; on the old one the
  late answer would be taken for that of the next request.
- The client sends no WebSocket pings: openpi's server computes in its event loop and answers none
  meanwhile.
- Proxies of the environment are not used.
- A message that announces more than ``_LARGEST_MESSAGE`` bytes, in one frame or in many, is refused
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
_LONGEST_PAUSE_S = 5.0
_OPEN_S = 10.0
_CLOSE_S = 1.0
_HEALTH_S = 5.0
_LARGEST_MESSAGE = 4 << 20
"""Bytes of a message. A plan of 4,096 steps has 0.2 MB as an array; the rest is room for lists
instead, and for what a server adds: times, its state, two images, what it says of itself."""
_START_HINT = (
    "Fix: start it (openpi: uv run scripts/serve_policy.py --env LIBERO), name its place with "
    "--option.host and --option.port, or wait longer with --option.wait."
)

_log = logging.getLogger(__name__)


class ServerError(Exception):
    """The server broke on a request and said so; another request may go well."""


class Connection:
    """Asks a policy server, one request after another.

    Args:
        uri: Such as ``ws://localhost:8000``.
        timeout: Seconds an answer may take.
        retries: How often a request is sent again after a time-out or a lost connection.
        wait: Seconds to wait for a server that is not there (yet).

    Attributes:
        metadata: What the server said of itself when it was last connected to.
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
            SpecMismatchError: Something is there that does not speak this protocol.
            ConfigError: The address is none.
        """
        if self._socket is not None:
            return
        deadline = time.monotonic() + self._wait
        for tried, pause in enumerate(_pauses(), start=1):
            try:
                self._connect()
                return
            except InvalidURI as error:
                raise ConfigError(f"'{self.uri}' is no address of a server ({error}).") from error
            except (OSError, InvalidHandshake, InvalidMessage, ConnectionClosed) as error:
                self._refuse_too_large(error)
                left = deadline - time.monotonic()
                if left <= 0:
                    raise self._absent(tried, error) from error
                if tried == 1:
                    _log.warning(
                        "The policy server at %s is not there (%s); waiting up to %g s.",
                        self.uri,
                        _why(error),
                        self._wait,
                    )
                time.sleep(min(pause, left))

    def ask(self, request: dict[str, Any]) -> Any:
        """Send a request and return the answer.

        Raises:
            ServerError: The server broke on it.
            PrerequisiteError: It was not answered, however often it was sent.
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
                failures.append(_why(error))
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
        """Let go of the connection; the next request opens another."""
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.close()

    def _connect(self) -> None:
        socket = connect(
            self.uri,
            compression=None,
            max_size=_LARGEST_MESSAGE,
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
        """Refuse a server that said something unasked: every answer would be the one before."""
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
        """End it where this side closed the connection as a message was too large."""
        if not isinstance(error, ConnectionClosed) or error.rcvd_then_sent:
            return
        if error.sent is not None and error.sent.code == CloseCode.MESSAGE_TOO_BIG:
            self.close()
            raise SpecMismatchError(
                f"The server at {self.uri} sent a message of more than {_LARGEST_MESSAGE >> 20} "
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

    def _absent(self, tried: int, error: Exception) -> PrerequisiteError | SpecMismatchError:
        if isinstance(error, InvalidHandshake | InvalidMessage):
            return SpecMismatchError(
                f"What answers at {self.uri} is no WebSocket server ({_why(error)}). {_START_HINT}"
            )
        return PrerequisiteError(
            f"There is no policy server at {self.uri}: tried {_times(tried)} in {self._wait:g} s, "
            f"at last: {_why(error)}. {_START_HINT}"
        )

    def _health(self) -> str:
        """Say what the server's health check answers."""
        address = urlsplit(self.uri)
        kind = (
            http.client.HTTPSConnection if address.scheme == "wss" else http.client.HTTPConnection
        )
        request = kind(address.hostname or "", address.port, timeout=_HEALTH_S)
        try:
            request.request("GET", "/healthz")
            answer = request.getresponse().read(80).decode(errors="replace").strip()
            return f"Its /healthz answers '{answer}'."
        except (OSError, http.client.HTTPException) as error:
            return f"Its /healthz does not answer ({_why(error)})."
        finally:
            request.close()


def shorten_traceback(text: str) -> str:
    """Return the last place and the message of a Python traceback; other text on one line.

    Args:
        text: What the server sent.

    Returns:
        Such as ``KeyError: 'state' (policy.py, line 72, in infer)``, at most 400 characters.
    """
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    if not lines:
        return "it did not say why"
    places = [line for line in lines if line.startswith('File "')]
    if not places:
        return " ".join(lines)[:400]
    path, _, rest = places[-1].removeprefix('File "').partition('"')
    return f"{lines[-1][:300]} ({path.rsplit('/', 1)[-1]}{rest})"[:400]


def _pauses() -> Iterator[float]:
    """Yield pauses between attempts, each twice the one before, up to the longest."""
    pause = _FIRST_PAUSE_S
    while True:
        yield pause
        pause = min(2 * pause, _LONGEST_PAUSE_S)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _why(error: Exception) -> str:
    """Say on one line why a connection failed."""
    if isinstance(error, ConnectionClosed):
        return f"the connection was lost ({' '.join(str(error).split())})"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return " ".join(f"{type(error).__name__}: {error}".split())
