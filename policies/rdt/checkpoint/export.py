"""A checkpoint for the official code to read, from which ours loses nothing."""

import json
from pathlib import Path

from policies.rdt.checkpoint.contract import Contract
from policies.rdt.checkpoint.loading import NORMALISATION, find_parts
from policies.rdt.checkpoint.location import is_own_checkpoint
from policies.rdt.checkpoint.official import FileFormat, export_official, load_official
from policies.rdt.checkpoint.storage import (
    CONTRACT,
    ENCODERS,
    ENCODERS_CONFIG,
    load_rdt,
    read_parts,
)


def export_checkpoint(
    source: Path | str,
    out: Path | str,
    *,
    file_format: FileFormat = "pytorch",
    base: str | None = None,
) -> tuple[Path, Contract | None]:
    """Write a checkpoint in the official layout.

    Args:
        source: A checkpoint of ours or an official one, or an adapter for either.
        out: Where to; a new or an empty folder.
        file_format: See ``export_official``.
        base: What an adapter is merged into.

    Returns:
        The folder, and the contract that lies there, which an official checkpoint does not have.
        Of ours, the folder holds RDT in fp32 and what makes it a checkpoint of ours: the contract
        and the encoders. The official code pays no heed to these.

    Raises:
        ConfigError: There is no whole checkpoint there, or ``out`` holds something.
        SpecMismatchError: Its parts do not belong together, or a weight is not finite.
        PrerequisiteError: Something is on the hub and the hub cannot be reached.
    """
    place, adapter = find_parts(source, base)
    if not is_own_checkpoint(place):
        rdt = load_official(place, adapter=adapter)
        return export_official(Path(out), rdt, file_format=file_format), None
    parts = read_parts(place)
    copied = (CONTRACT, ENCODERS_CONFIG, ENCODERS)
    beside = {name: (place / name).read_bytes() for name in copied}
    if parts.contract.normalisation.method != "none":
        numbers = json.dumps(parts.contract.normalisation.as_plain(), indent=2) + "\n"
        beside[NORMALISATION] = numbers.encode()
    rdt = load_rdt(parts, adapter)
    written = export_official(Path(out), rdt, file_format=file_format, beside=beside)
    return written, parts.contract
