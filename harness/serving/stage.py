"""Serving a checkpoint from the command line until it is interrupted."""

import asyncio

from harness.display import console
from harness.provenance import checkpoint_sha256
from harness.serving.config import ServingConfig
from harness.serving.rdt_service import RDTService
from harness.serving.server import PolicyServer, serve_until_interrupted
from policies.rdt.policy import RDTPolicy


def serve_checkpoint(config: ServingConfig) -> None:
    """Load a checkpoint, say where it is served, and serve it.

    Raises:
        HarnessError: It cannot be loaded, or the address cannot be listened at.
    """
    policy = config.served.policy.build()
    assert isinstance(policy, RDTPolicy)
    service = RDTService(policy, max_batch=config.max_batch)
    files = {} if policy.files is None else checkpoint_sha256(policy.files)
    server = PolicyServer(service, config, checkpoint=files)

    def announce(port: int) -> None:
        place = f"{config.host}:{port}"
        console.print(f"Serving {config.served.checkpoint} on {policy.device}.", soft_wrap=True)
        console.print(f"openpi: ws://{place}/   vla-eval: ws://{place}/vla-eval", soft_wrap=True)
        states = "; ".join(f"{size}: {parts}" for size, parts in service.states.items())
        console.print(f"States that it reads, by length: {states}", soft_wrap=True)

    asyncio.run(serve_until_interrupted(server, announce))
    plans = sum(size * count for size, count in server.batches.items())
    console.print(f"{plans} plans in {sum(server.batches.values())} forward passes.")
