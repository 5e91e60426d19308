"""A policy server in a thread of the test, and a small policy to serve."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from harness.serving.config import ServedPolicy, ServingConfig
from harness.serving.rdt_service import RDTService
from harness.serving.server import PolicyServer
from policies.rdt.checkpoint.contract import Contract
from policies.rdt.policy import RDTPolicy
from tests.training.tiny import tiny_network

SIZE = 16
"""Height and width of the tiny policy's images."""


def tiny_policy(**contract: object) -> RDTPolicy:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = tiny_network()
        for weights in network.rdt.parameters():  # fresh ones end in zeros
            torch.nn.init.normal_(weights, std=0.2)
    settings = {"render_size": SIZE, "orientation": "rotate180", **contract}
    return RDTPolicy(network, Contract.describe(network, **settings), batch_size=1)  # type: ignore[arg-type]


class Served:
    """A running server.

    Attributes:
        server: The server.
        port: Its port.
    """

    def __init__(self, server: PolicyServer, port: int) -> None:
        self.server, self.port = server, port

    def uri(self, path: str = "/") -> str:
        return f"ws://127.0.0.1:{self.port}{path}"


@contextmanager
def serving(
    policy: RDTPolicy, service: RDTService | None = None, **settings: object
) -> Iterator[Served]:
    """Serve until the block ends."""
    usual = {
        "served": ServedPolicy(checkpoint="tiny"),
        "port": 0,
        "threads": torch.get_num_threads(),
    }
    config = ServingConfig(**{**usual, **settings})  # type: ignore[arg-type]
    made = service or RDTService(policy, max_batch=config.max_batch)
    server = PolicyServer(made, config, checkpoint={})
    ports: list[int] = []
    up, loops = threading.Event(), []

    async def run() -> None:
        stop = asyncio.Event()
        loops.append((asyncio.get_running_loop(), stop))

        def ready(port: int) -> None:
            ports.append(port)
            up.set()

        await server.run(ready, stop)

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    assert up.wait(20)
    try:
        yield Served(server, ports[0])
    finally:
        loop, stop = loops[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)
        assert not thread.is_alive()
