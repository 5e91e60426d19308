"""``libero-bench merge``."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def merge_command(
    runs: list[Path],
    /,
    *,
    out: Path,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Join the run folders of shards into one run.

    Each episode is kept once and videos are linked; the shards stay as they are. Merging again,
    into the same folder, adds what has been finished since; so does eval with the options of the
    shards, without --shard and with the merged run as --out.

    Parameters
    ----------
    runs
        Folders of the shards, or folders that contain such folders.
    out
        Folder of the merged run.
    json
        Print the table as JSON.
    """
    from harness.commands.leaderboard import leaderboard_command
    from harness.display import console
    from harness.evaluation.config import PINNED, VOLATILE
    from results.folder import find_runs
    from results.merging import merge_runs

    # A merged run may lie beside its shards; it is no part of itself.
    folders = [folder for folder in find_runs(runs) if folder.resolve() != out.resolve()]
    merged = merge_runs(folders, out, volatile=VOLATILE, pinned=PINNED)
    lines = [f"{merged.episodes} of {merged.expected} episodes in {merged.folder}"]
    if merged.errors:
        lines.append(f"{merged.errors} broke")
    if merged.lost_videos:
        lines.append(f"{merged.lost_videos} videos not found")
    if not merged.complete:
        absent = ", ".join(merged.absent_shards)
        lines.append(f"not given: shards {absent}" if absent else "some shards are unfinished")
        lines.append("incomplete: merge again when the rest is there")
    console.print("; ".join(lines) + ".")
    leaderboard_command([out], json=json)
