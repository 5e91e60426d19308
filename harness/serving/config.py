"""Settings of ``libero-bench serve``."""

import ipaddress
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from pydantic import Field

from harness.capacity import MOST_THREADS
from policies.registry import PolicyConfig
from policies.remote.api_key import read_api_key
from tasks.errors import ConfigError
from tasks.settings import settings

History = Literal["repeated", "kept"]


def _flag(name: str) -> str:
    return "option" if name == "options" else name


@settings
class ServedPolicy:
    """The checkpoint to serve."""

    checkpoint: str
    """Folder of a trained RDT, or a hub name."""

    device: str = "auto"
    """Where to compute: auto (CUDA where there is one), cpu, cuda or cuda:1."""

    options: dict[str, Any] = field(default_factory=dict)
    """The policy's own settings, such as --option.solver-steps 5; libero-bench policies rdt lists
    them."""

    @property
    def policy(self) -> PolicyConfig:
        """How to build it."""
        return PolicyConfig(
            name="rdt",
            checkpoint=self.checkpoint,
            device=self.device,
            options=self.options,
        )


@settings
class ServingConfig:
    """What is served, to whom, and in what batches."""

    served: Annotated[ServedPolicy, Parameter(name="*", name_transform=_flag)]
    """The checkpoint."""

    host: str = "127.0.0.1"
    """Address to listen at; all but this machine's own need --api-key-file."""

    port: int = Field(default=8000, ge=0, le=65535)
    """Port to listen at; 0 takes a free one and says which."""

    api_key_file: Path | None = None
    """File with a key of 16 characters or more, which clients must send as openpi's do."""

    allow_unauthenticated: Annotated[bool, Parameter(negative=())] = False
    """Serve vla-eval, whose client cannot send a key, beside --api-key-file."""

    max_batch: int = Field(default=8, ge=1, le=256)
    """Plans in one forward pass."""

    max_wait_ms: float = Field(default=10.0, ge=0, le=1000)
    """Milliseconds that a request waits for those of other connected clients once the policy is
    free."""

    threads: int = Field(default=1, ge=1, le=MOST_THREADS)
    """Threads of the policy on a CPU, as for eval; others change plans in the last bits."""

    exec_horizon: int | None = Field(default=None, ge=1)
    """For vla-eval, which asks for an action at every step: steps executed per plan."""

    history: History = "repeated"
    """For openpi's clients, which send one frame: repeated, it stands for earlier ones too; kept,
    earlier ones are those of the requests before, right for clients that ask at every step."""

    max_clients: int = Field(default=256, ge=1)
    """Clients at once; one more is told to come back later (HTTP 503)."""

    max_message_mb: float = Field(default=16.0, gt=0, le=1024)
    """Mebibytes of the largest message that is read."""

    @property
    def max_message(self) -> int:
        """Bytes of the largest message that is read."""
        return int(self.max_message_mb * (1 << 20))

    def read_key(self) -> str | None:
        """Return the key that clients must send; None where none is needed.

        Raises:
            ConfigError: The file has no key, or the address is open to others without one.
        """
        if self.api_key_file is None:
            if not _is_loopback(self.host):
                raise ConfigError(
                    f"--host {self.host} lets other machines in. Fix: give --api-key-file with a "
                    "key, or listen at 127.0.0.1 and forward the port with ssh -L."
                )
            return None
        return read_api_key(self.api_key_file, "--api-key-file")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
