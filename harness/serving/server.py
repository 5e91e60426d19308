"""The server: one port for openpi's clients, vla-eval's, and health checks."""

import asyncio
import hmac
import http
import logging
import signal
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version
from itertools import count
from typing import Any

import torch
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from harness.serving.batching import BatchPlanner
from harness.serving.config import ServingConfig
from harness.serving.openpi_session import OpenpiSession
from harness.serving.rdt_service import RDTService
from harness.serving.vla_eval_session import VlaEvalSession
from policies.rdt.policy import EXEC_HORIZON
from tasks.errors import ConfigError, PrerequisiteError

OPENPI_PATH, VLA_EVAL_PATH = "/", "/vla-eval"
_HEALTH_PATHS = ("/healthz", "/health")
_PING_S = 20.0
_PATIENCE_S = 60.0
"""Seconds that a client may take to read an answer or to answer a ping."""

_CLOSE_S = 2.0
_log = logging.getLogger(__name__)


class PolicyServer:
    """Serves one policy to any number of clients.

    Args:
        service: The policy.
        config: Address, batches and limits.
        checkpoint: Hashes of the checkpoint's files, for the metadata.

    Raises:
        ConfigError: Other machines are let in without a key, or the execution horizon is longer
            than a plan.
    """

    def __init__(
        self, service: RDTService, config: ServingConfig, *, checkpoint: Mapping[str, str]
    ) -> None:
        horizon = service.contract.horizon
        if config.exec_horizon is not None and config.exec_horizon > horizon:
            raise ConfigError(
                f"--exec-horizon {config.exec_horizon} given. Allowed: 1 to {horizon}, the steps "
                "in this policy's plans."
            )
        self._service, self._config = service, config
        self._key = config.read_key()
        self._exec_horizon = config.exec_horizon or min(EXEC_HORIZON, horizon)
        self._planner = BatchPlanner(
            service.plan,
            max_batch=config.max_batch,
            max_wait_s=config.max_wait_ms / 1e3,
            prepare=partial(torch.set_num_threads, config.threads),
        )
        self._version = version("libero-bench")
        self._numbers = count(1)
        self.metadata: dict[str, Any] = {
            "server": "libero-bench",
            "version": self._version,
            "checkpoint_sha256": dict(checkpoint),
            "history": "as sent under KEY/history, otherwise " + config.history,
            "seed": "as sent under 'seed', otherwise by connection and request",
            **service.metadata,
        }

    @property
    def batches(self) -> dict[int, int]:
        """How many batches of each size were planned."""
        return self._planner.batches

    async def run(self, ready: Callable[[int], None], stop: asyncio.Event) -> None:
        """Serve until told to stop.

        Args:
            ready: Called with the port once clients can connect.
            stop: Ends it.

        Raises:
            PrerequisiteError: The address cannot be listened at.
        """
        planning = asyncio.create_task(self._planner.run())
        try:
            async with await self._listen() as server:
                ready(server.sockets[0].getsockname()[1])
                await stop.wait()
        finally:
            planning.cancel()

    async def _listen(self) -> Server:
        config = self._config
        try:
            return await serve(
                self._converse,
                config.host,
                config.port,
                process_request=self._check,
                compression=None,
                max_size=config.max_message,
                max_queue=2,
                ping_interval=_PING_S,
                ping_timeout=_PATIENCE_S,
                close_timeout=_CLOSE_S,
            )
        except OSError as error:
            raise PrerequisiteError(
                f"Cannot listen at {config.host}:{config.port} ({error.strerror or error}). Fix: "
                "give another --port, or 0 for a free one."
            ) from error

    def _check(self, socket: ServerConnection, request: Request) -> Response | None:
        """Answer health checks; refuse unknown paths and clients without the key."""
        path = request.path.partition("?")[0]
        if path in _HEALTH_PATHS:
            return _respond(http.HTTPStatus.OK, "OK")
        if path not in (OPENPI_PATH, VLA_EVAL_PATH):
            known = f"{OPENPI_PATH} (openpi), {VLA_EVAL_PATH}, {', '.join(_HEALTH_PATHS)}"
            return _respond(http.HTTPStatus.NOT_FOUND, f"Nothing is served at it. Paths: {known}.")
        open_to_all = path == VLA_EVAL_PATH and self._config.allow_unauthenticated
        if self._key is not None and not open_to_all and not _has_key(request.headers, self._key):
            return _respond(
                http.HTTPStatus.UNAUTHORIZED,
                "Needed: the header 'Authorization: Api-Key KEY' with this server's key.",
            )
        if self._planner.clients >= self._config.max_clients:
            return _respond(
                http.HTTPStatus.SERVICE_UNAVAILABLE,
                f"There are {self._config.max_clients} clients, as many as are served at once.",
            )
        return None

    async def _converse(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        client = f"client {next(self._numbers)}"
        self._planner.clients += 1
        try:
            if socket.request.path.partition("?")[0] == VLA_EVAL_PATH:
                session: VlaEvalSession | OpenpiSession = VlaEvalSession(
                    socket,
                    self._service,
                    self._planner,
                    client=client,
                    exec_horizon=self._exec_horizon,
                    version=self._version,
                )
            else:
                session = OpenpiSession(
                    socket,
                    self._service,
                    self._planner,
                    client=client,
                    history=self._config.history,
                    metadata=self.metadata,
                )
            await session.run()
        except ConnectionClosed:
            _log.info("%s has gone.", client)
        finally:
            self._planner.clients -= 1


def _has_key(headers: Headers, key: str) -> bool:
    """Tell, in a time that does not depend on the key, whether a request has it."""
    scheme, _, given = headers.get("Authorization", "").partition(" ")
    same = hmac.compare_digest(given.strip().encode(), key.encode())
    return scheme.lower() == "api-key" and same


def _respond(status: http.HTTPStatus, text: str) -> Response:
    body = f"{text}\n".encode()
    headers = Headers(
        [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ]
    )
    return Response(status.value, status.phrase, headers, body)


async def serve_until_interrupted(server: PolicyServer, ready: Callable[[int], None]) -> None:
    """Serve until the process is interrupted or asked to end."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, stop.set)
    await server.run(ready, stop)
