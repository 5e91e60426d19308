"""A checkpoint for the official code to read, from which ours loses nothing."""

import json
from pathlib import Path

from policies.rdt.checkpoint.contract import Contract
from policies.rdt.checkpoint.loading import NORMALISATION, find_parts
from policies.rdt.checkpoint.location import CONTRACT, is_own_checkpoint
from policies.rdt.checkpoint.official import FileFormat, export_official, load_official
from policies.rdt.checkpoint.storage import (
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
        out: A new or an empty folder.
        file_format: See ``export_official``.
        base: The checkpoint that an adapter is merged into.

    Returns:
        The folder, and its contract; None for an official checkpoint. A checkpoint of ours is
        written with RDT in fp32, the contract and the encoders; the official code ignores the
        last two.

    Raises:
        ConfigError: There is no whole checkpoint there, or ``out`` holds something.
        SpecMismatchError: Its parts do not belong together, or a weight is not finite.
        PrerequisiteError: Something is on the hub and the hub cannot be reached.
    """
    path, adapter = find_parts(source, base)
    if not is_own_checkpoint(path):
        rdt = load_official(path, adapter=adapter)
        return export_official(Path(out), rdt, file_format=file_format), None
    parts = read_parts(path)
    copied = (CONTRACT, ENCODERS_CONFIG, ENCODERS)
    beside = {name: (path / name).read_bytes() for name in copied}
    if parts.contract.normalisation.method != "none":
        numbers = json.dumps(parts.contract.normalisation.as_plain(), indent=2) + "\n"
        beside[NORMALISATION] = numbers.encode()
    rdt = load_rdt(parts, adapter)
    written = export_official(Path(out), rdt, file_format=file_format, beside=beside)
    return written, parts.contract
