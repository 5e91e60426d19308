"""Names that tell runs from each other, for tables and pages."""

from collections.abc import Sequence
from pathlib import Path

from results.formatting import brief_spans
from results.leaderboard.rows import chunking_of, delay_of
from results.records import RunInfo


def distinct_names(infos: Sequence[RunInfo], folders: Sequence[Path]) -> list[str]:
    """Return each run's name, with what tells it from runs of the same name.

    Args:
        infos: The runs.
        folders: Their folders, one for each.

    Returns:
        Their labels; equal ones are followed by what differs, such as ``mine · h16 · delay 4``.
    """
    parts = [
        (
            f"h{info.policy['exec_horizon']}" if info.policy.get("exec_horizon") else "",
            str(info.policy.get("fusion") or ""),
            f"delay {late}" if (late := delay_of(info.policy)) else "",
            chunking_of(info.policy) or "",
            ", ".join(f"{suite} {brief_spans(tasks)}" for suite, tasks in info.tasks.items()),
            info.perturbation or "",
            info.protocol_name,
            folder.name,
        )
        for info, folder in zip(infos, folders, strict=True)
    ]
    names = [info.name for info in infos]
    for kind in range(len(parts[0]) if parts else 0):
        alike: dict[str, list[int]] = {}
        for index, name in enumerate(names):
            alike.setdefault(name, []).append(index)
        for indices in alike.values():
            if len({parts[index][kind] for index in indices}) > 1:
                for index in indices:
                    names[index] += f" · {parts[index][kind]}" if parts[index][kind] else ""
    counts: dict[str, int] = {}
    for index, name in enumerate(names):
        counts[name] = counts.get(name, 0) + 1
        names[index] = name if counts[name] == 1 else f"{name} ({counts[name]})"
    return names
