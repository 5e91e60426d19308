"""``libero-bench serve``: a checkpoint as a policy server."""

from typing import Annotated

from harness.commands import Flat
from harness.serving.config import ServingConfig


def serve_command(config: Annotated[ServingConfig, Flat]) -> None:
    """Serve RDT to evaluators that speak openpi's protocol, or vla-eval's at /vla-eval.

    Requests of several clients are planned in one forward pass. /healthz answers OK. Interrupt it
    to end it.
    """
    from harness.serving.stage import serve_checkpoint

    config.read_key()
    serve_checkpoint(config)
