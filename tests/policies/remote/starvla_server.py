"""A server that speaks StarVLA's protocol, in a thread of the test.

Written from the description of the protocol: one asyncio loop, which the policy blocks; metadata
first; a map with ``type``, ``request_id`` and ``payload``, or a flat map as the payload; the
policy gets the payload as keyword arguments, and what it raises is an answer, not the end.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import msgpack
import numpy as np
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

CHUNK = 8
METADATA = {
    "env": "starvla_policy_server",
    "ckpt_path": "checkpoints/steps_30000_pytorch_model.pt",
    "action_chunk_size": CHUNK,
    "available_unnorm_keys": ["franka"],
    "default_unnorm_key": "franka",
    "training_data_mix": "libero_all",
    "training_obs_image_size": [224, 224],
    "action_keys": ["action.x", "action.gripper"],
    "state_keys": [],
}


def encode(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return {
            b"__ndarray__": True,
            b"data": value.tobytes(),
            b"dtype": value.dtype.str,
            b"shape": value.shape,
        }
    return value


def decode(value: dict[Any, Any]) -> Any:
    if b"__ndarray__" in value:
        return np.ndarray(value[b"shape"], np.dtype(value[b"dtype"]), value[b"data"])
    return value


def predict(examples: list[dict[str, Any]], unnorm_key: str | None = None, **_: Any) -> Any:
    """Plans that tell which example they are for: the first column is the image's brightness."""
    plans = np.zeros((len(examples), CHUNK, 7), np.float32)
    for plan, example in zip(plans, examples, strict=True):
        plan[:, 0] = example["image"][0].mean() / 255
        plan[:, 6] = 1.0  # open
    return {"actions": plans}


class StarVLAServer:
    """Serves until left.

    Attributes:
        port: Its port.
        messages: What came in, oldest first.
        predict: Given a payload as keyword arguments.
        twist: Changes an answer before it is sent.
    """

    def __init__(
        self,
        *,
        predict: Callable[..., Any] = predict,
        twist: Callable[[dict[str, Any]], Any] = lambda answer: answer,
        **metadata: Any,
    ) -> None:
        self.predict, self.twist = predict, twist
        self.metadata = {**METADATA, **metadata}
        self.messages: list[dict[str, Any]] = []
        self.port = 0
        self._up, self._stop = threading.Event(), asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._run()))

    def __enter__(self) -> "StarVLAServer":
        self._thread.start()
        assert self._up.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)

    async def _run(self) -> None:
        async with serve(self._converse, "127.0.0.1", 0, compression=None, max_size=None) as server:
            self.port = server.sockets[0].getsockname()[1]
            self._up.set()
            await self._stop.wait()

    async def _converse(self, socket: ServerConnection) -> None:
        await socket.send(msgpack.packb(self.metadata, default=encode))
        try:
            while True:
                message = msgpack.unpackb(await socket.recv(), object_hook=decode)
                answer = self.twist(self._answer(message))
                await socket.send(msgpack.packb(answer, default=encode))
        except ConnectionClosed:
            return

    def _answer(self, message: dict[str, Any]) -> dict[str, Any]:
        number, kind = message.get("request_id", "default"), message.get("type", "infer")
        if kind == "ping":
            return {"status": "ok", "ok": True, "type": "ping", "request_id": number}
        self.messages.append(message)
        head = {"type": "inference_result", "request_id": number}
        if kind not in ("infer", "predict_action"):
            return {**head, "status": "error", "ok": False, "error": {"message": "unsupported"}}
        try:
            data = self.predict(**message.get("payload", message))
        except Exception as error:
            return {**head, "status": "error", "ok": False, "error": {"message": str(error)}}
        return {**head, "status": "ok", "ok": True, "data": data}


def slow(seconds: float) -> Callable[..., Any]:
    """Plan as ``predict`` does, after so long whatever the batch."""

    def plan(**payload: Any) -> Any:
        time.sleep(seconds)
        return predict(**payload)

    return plan
