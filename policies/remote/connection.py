"""A connection to a policy server: requests, time-outs and retries.

Non-obvious behaviours:

- A request without an answer in time is sent again on a new connection; on the old one the late
  answer would be taken for that of the next request.
- The client sends no WebSocket pings: openpi's and StarVLA's servers do not answer them while they
  compute. TCP's own keep-alive finds a machine that has gone, whatever its server computes.
- A server that stops reading is noticed as well: sending a request has the same time limit.
- Proxies of the environment are not used.
- A message that announces more than ``_MAX_MESSAGE_BYTES``, in one frame or in many, is refused
  before it is read, and compression is not negotiated, so that a server cannot fill the memory.
"""

import http
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidMessage,
    InvalidStatus,
    InvalidURI,
)
from websockets.frames import CloseCode
from websockets.sync.client import ClientConnection, connect

from policies.remote.codec import CodecError, pack, unpack
from policies.remote.health import ask_healthz
from policies.remote.sockets import limit_sending, probe_when_idle
from tasks.errors import ConfigError, PrerequisiteError, SpecMismatchError

_FIRST_PAUSE_S = 0.25
_MAX_PAUSE_S = 5.0
_OPEN_S = 10.0
_CLOSE_S = 1.0
_HEALTH_S = 5.0
_MAX_MESSAGE_BYTES = 4 << 20
"""A plan of 4,096 steps has 0.2 MB as an array; the rest is room for lists instead, and for a
server's additions: times, its state, two images, metadata."""

_NO_ENTRY = (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN)
_FULL = http.HTTPStatus.SERVICE_UNAVAILABLE

_log = logging.getLogger(__name__)


class ServerError(Exception):
    """The server reported that it failed on a request; another request may succeed."""


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """What the connections of one protocol differ in from those of another.

    Attributes:
        server: Whose servers speak it, such as ``openpi``.
        start: How such a server is started, such as a command.
        ping: A message that the server answers without its policy; None where ``/healthz`` is
            asked instead.
    """

    server: str
    start: str
    ping: Mapping[str, Any] | None = None


class Connection:
    """Sends requests to a policy server, one after another.

    Args:
        uri: Such as ``ws://localhost:8000``.
        dialect: The protocol's.
        timeout: Seconds an answer may take.
        retries: Repetitions of a request after a time-out or a lost connection.
        wait: Seconds to wait for a server that is not there (yet), or has no place for a client.
        key: Sent as openpi's clients do, where the server wants one.

    Attributes:
        metadata: The server's description of itself from the latest connection.
        resent: How many times a request was sent again.
    """

    def __init__(
        self,
        uri: str,
        *,
        dialect: Dialect,
        timeout: float,
        retries: int,
        wait: float,
        key: str | None = None,
    ) -> None:
        self.uri = uri
        self.metadata: Any = None
        self.resent = 0
        self._dialect = dialect
        self._timeout, self._retries, self._wait = timeout, retries, wait
        self._headers = {} if key is None else {"Authorization": f"Api-Key {key}"}
        self._socket: ClientConnection | None = None
        self._described: str | bytes | None = None

    def open(self) -> None:
        """Connect, unless connected, waiting for the server to start.

        Raises:
            PrerequisiteError: The server was not there in time.
            SpecMismatchError: The server does not speak this protocol.
            ConfigError: The address is invalid, or the server wants another key.
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
                self._refuse_without_key(error)
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
                failures.append(self._failure(error))
            self.close()
            if len(failures) > self._retries:
                break
            self.resent += 1
            time.sleep(pause)
        raise PrerequisiteError(
            f"The policy server at {self.uri} did not answer a request that was sent "
            f"{_times(len(failures))}: {'; '.join(failures)}. {self.health()} Fix: look into the "
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
            additional_headers=self._headers,
        )
        try:
            frame = socket.recv(timeout=_OPEN_S)
            self.metadata = self._read(frame)
            self._warn_of_another(frame)
            limit_sending(socket.socket, self._timeout)
            probe_when_idle(socket.socket)
        except BaseException:
            socket.close()
            raise
        self._socket = socket

    def _warn_of_another(self, frame: str | bytes) -> None:
        """Warn if what answers now describes itself otherwise than what answered before."""
        if self._described not in (None, frame):
            _log.warning(
                "WARNING: The policy server at %s describes itself otherwise than before the "
                "connection was lost: the rest of the run may be of another policy.",
                self.uri,
            )
        self._described = frame

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
            f"request, as {self._dialect.server}'s servers do."
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

    def _refuse_without_key(self, error: Exception) -> None:
        """Refuse a server that wants a key, or another one: waiting does not help."""
        if isinstance(error, InvalidStatus) and error.response.status_code in _NO_ENTRY:
            given = "another key than the given one" if self._headers else "a key"
            raise ConfigError(
                f"The server at {self.uri} wants {given}. Fix: put the server's key into a file "
                "and name it with --option.api-key-file."
            ) from error

    def _failure(self, error: Exception) -> str:
        """Say on one line why a request got no answer."""
        if isinstance(error, ConnectionClosed) and isinstance(error.__cause__, BlockingIOError):
            return f"the server read nothing for {self._timeout:g} s"
        return _reason(error)

    def _read(self, frame: str | bytes) -> Any:
        if isinstance(frame, str):
            self.close()  # the server does so too
            if frame.lstrip().startswith(("{", "[")):
                raise SpecMismatchError(
                    f"The server at {self.uri} answers in text, it seems in JSON. Needed: "
                    f"MessagePack with NumPy arrays, as {self._dialect.server}'s protocol has it. "
                    "Fix: name a server that speaks it."
                )
            raise ServerError(f"The policy server broke: {shorten_traceback(frame)}")
        try:
            return unpack(frame)
        except CodecError as error:
            raise SpecMismatchError(
                f"The server at {self.uri} sent {len(frame)} bytes that are no message of "
                f"{self._dialect.server}'s protocol ({error}). Fix: name a server that speaks it."
            ) from error

    def _absent(self, attempts: int, error: Exception) -> PrerequisiteError | SpecMismatchError:
        reason = _reason(error)
        if isinstance(error, InvalidStatus) and error.response.status_code == _FULL:
            return PrerequisiteError(
                f"The policy server at {self.uri} has no place for another client: tried "
                f"{_times(attempts)} in {self._wait:g} s. Fix: give fewer --option.connections, "
                "wait longer with --option.wait, or let the server take more."
            )
        hint = (
            f"Fix: start it ({self._dialect.server}: {self._dialect.start}), "
            "name its place with --option.host and --option.port, or wait longer with "
            "--option.wait."
        )
        if isinstance(error, InvalidHandshake | InvalidMessage):
            return SpecMismatchError(
                f"What answers at {self.uri} is no WebSocket server ({reason}). {hint}"
            )
        return PrerequisiteError(
            f"There is no policy server at {self.uri}: tried {_times(attempts)} in "
            f"{self._wait:g} s, at last: {reason}. {hint}"
        )

    def health(self) -> str:
        """Check the server's health over a connection of its own; say in a sentence how it is."""
        if self._dialect.ping is None:
            return ask_healthz(self.uri, _HEALTH_S)
        return self._ping(self._dialect.ping)

    def _ping(self, message: Mapping[str, Any]) -> str:
        try:
            with connect(
                self.uri,
                compression=None,
                max_size=_MAX_MESSAGE_BYTES,
                open_timeout=_HEALTH_S,
                close_timeout=_CLOSE_S,
                ping_interval=None,
                proxy=None,
                additional_headers=self._headers,
            ) as socket:
                socket.recv(timeout=_HEALTH_S)  # its metadata
                socket.send(pack(message))
                answer = unpack(socket.recv(timeout=_HEALTH_S, decode=False))
        except (OSError, InvalidHandshake, InvalidMessage, ConnectionClosed, CodecError) as error:
            return f"It does not answer a ping ({_reason(error)})."
        status = answer.get("status") if isinstance(answer, dict) else answer
        return f"It answers a ping with '{str(status)[:80]}'."


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
