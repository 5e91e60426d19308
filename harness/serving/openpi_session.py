"""openpi's conversation: the server's metadata, then an answer to each request."""

import logging
from collections.abc import Mapping
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from harness.serving.batching import BatchPlanner
from harness.serving.config import History
from harness.serving.messages import RequestReader, unpack_map
from harness.serving.rdt_service import RDTService, open_loop_actions
from policies.remote.codec import pack
from policies.remote.mapping import HISTORY
from tasks.errors import HarnessError

IMAGE_KEYS = {"agentview": "observation/image", "wrist": "observation/wrist_image"}
"""Keys of the cameras' images; earlier ones are under ``KEY/history``."""

STATE_KEY, PROMPT_KEY, SEED_KEY = "observation/state", "prompt", "seed"

_log = logging.getLogger(__name__)


class OpenpiSession:
    """One client that speaks openpi's protocol.

    A message that cannot be answered is answered with text, as openpi's servers do, and the
    connection is closed; other clients notice nothing.

    Args:
        socket: The connection.
        service: The policy.
        planner: Plans in batches.
        client: Name of the client.
        history: Where earlier images come from if they are not sent.
        metadata: What the server says of itself.
    """

    def __init__(
        self,
        socket: ServerConnection,
        service: RDTService,
        planner: BatchPlanner,
        *,
        client: str,
        history: History,
        metadata: Mapping[str, Any],
    ) -> None:
        self._socket, self._service, self._planner = socket, service, planner
        self._reader = RequestReader(service, client, history)
        self._metadata, self._client = dict(metadata), client

    async def run(self) -> None:
        """Answer until the client leaves."""
        await self._socket.send(pack(self._metadata))
        async for frame in self._socket:
            try:
                answer = await self._answer(frame)
            except HarnessError as error:
                await self._refuse(str(error))
                return
            except ConnectionClosed:
                return
            except Exception as error:
                _log.exception("The policy failed on a request of %s.", self._client)
                await self._refuse(f"{type(error).__name__}: {error}")
                return
            await self._socket.send(answer)

    async def _answer(self, frame: str | bytes) -> bytes:
        message = unpack_map(frame)
        request = self._reader.read(
            {camera: message[key] for camera, key in IMAGE_KEYS.items() if key in message},
            message.get(STATE_KEY),
            message.get(PROMPT_KEY),
            earlier={
                camera: message[key + HISTORY]
                for camera, key in IMAGE_KEYS.items()
                if key + HISTORY in message
            },
            seed=message.get(SEED_KEY),
        )
        timed = await self._planner.plan(request)
        response = self._service.layout.response
        return pack(
            {
                "actions": open_loop_actions(timed.plan, request.window[-1], response),
                "server_timing": {
                    "infer_ms": timed.infer_ms,
                    "wait_ms": timed.wait_ms,
                    "batch": timed.batch,
                },
            }
        )

    async def _refuse(self, text: str) -> None:
        _log.warning("Refused %s: %s", self._client, text)
        await self._socket.send(text)
        await self._socket.close(CloseCode.INTERNAL_ERROR, "see the text before")
