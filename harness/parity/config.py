"""Settings of ``libero-bench parity``."""

from pydantic import Field

from harness.options import Convention
from tasks.settings import settings
from tasks.suites import Instructions


@settings
class ParityConfig:
    """A demonstration of a file, and the evaluation that it is compared with."""

    demo: int = Field(default=0, ge=0)
    """Which demonstration in the file."""

    suite: str | None = None
    """Its suite; by default what the file and its folder say."""

    task: str | None = None
    """Its task, an index or name; likewise."""

    checkpoint: str | None = None
    """A checkpoint whose contract is compared too: folder or hub name."""

    layout: str | None = None
    """Mapping to RDT's vector, by name or .toml file; the checkpoint's, or eef-velocity."""

    protocol: str = "openvla"
    """openvla, openpi, lerobot or libero: the evaluation's."""

    resolution: int | None = None
    """Pixels of the evaluation's images, if other than the protocol's."""

    instructions: Instructions | None = None
    """What policies are told in training and evaluation: name or bddl, as eval has it."""

    convention: Convention | None = None
    """before_action or after_action: when observations were recorded, if other than what the file
    says."""
