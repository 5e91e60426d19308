"""Commands about finished runs: ``leaderboard``, ``compare``, ``merge``, ``export``, ``report``."""

from json import dumps
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter, validators

from harness.commands import Switch
from harness.display import console, results_console
from harness.evaluation.config import PINNED, VOLATILE
from harness.leaderboard import print_leaderboard
from results.comparison.comparison import compare_runs
from results.comparison.text import print_comparison, render_comparison
from results.exports import export_run, write_export
from results.folder import find_runs
from results.formatting import Format
from results.merging import merge_runs
from results.report.page import write_page
from tasks.errors import ConfigError


def leaderboard_command(
    runs: list[Path],
    /,
    *,
    format: Format = "table",
    by_task: Switch = False,
    over_seeds: Switch = False,
    by_delay: Switch = False,
    published: Switch = False,
    page: Path | None = None,
    json: Switch = False,
) -> None:
    """Show several runs in one table.

    Parameters
    ----------
    runs
        Folders of runs, or folders that contain such folders at any depth.
    format
        How to print the table.
    by_task
        A row for each task.
    over_seeds
        A row for runs that differ in their checkpoint alone, as trainings from several seeds do,
        with the interval over seeds.
    by_delay
        A row for each policy, execution horizon and method, a column for each delay.
    published
        Below, the numbers others have published, with their sources; they are never ranked.
    page
        Also write a static page with the table and the videos into this folder.
    json
        The same as --format json.
    """
    folders = find_runs(runs)
    chosen = "json" if json else format
    given = {"--by-task": by_task, "--over-seeds": over_seeds, "--by-delay": by_delay}
    arrangements = [name for name, chosen_one in given.items() if chosen_one]
    if len(arrangements) > 1:
        raise ConfigError(f"Both {' and '.join(arrangements)} were given. Fix: give one of them.")
    if by_delay and published:
        raise ConfigError("--published has no table over delays. Fix: leave --by-delay out.")
    print_leaderboard(
        folders,
        format=chosen,
        by_task=by_task,
        over_seeds=over_seeds,
        by_delay=by_delay,
        published=published,
    )
    if page is not None:
        console.print(f"Page: {write_page(page, folders, title='LIBERO leaderboard')}")


def compare_command(
    runs: list[Path],
    /,
    *,
    force: Switch = False,
    flips: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 20,
    format: Format = "table",
    json: Switch = False,
) -> None:
    """Compare runs on the episodes that all of them have.

    Says whether the runs are told apart (McNemar's exact test; with more than two, Holm-corrected
    and with letters), how large the difference is, which episodes end differently, and how many
    episodes a difference needs to show.

    Parameters
    ----------
    runs
        Folders of two or more runs; the first is A.
    force
        Compare runs of different protocols too; what differs is marked.
    flips
        How many episodes that end differently are listed; JSON has all.
    format
        How to print the comparison. CSV has a line for each pair and task.
    json
        The same as --format json.
    """
    comparisons = compare_runs(runs, force=force)
    chosen = "json" if json else format
    if chosen == "table":
        print_comparison(comparisons, results_console(), flips=flips)
    else:
        print(render_comparison(comparisons, chosen, flips=flips), end="")


def merge_command(runs: list[Path], /, *, out: Path, json: Switch = False) -> None:
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
    print_leaderboard([out], format="json" if json else "table")


def export_command(
    run: Path,
    /,
    *,
    format: Literal["lerobot", "model-index"],
    out: Path | None = None,
    incomplete: Switch = False,
    overwrite: Switch = False,
) -> None:
    """Write a run in another project's format.

    Parameters
    ----------
    run
        Folder of the run.
    format
        lerobot: the eval_info.json of lerobot-eval. model-index: YAML for the head of a model card
        on the Hugging Face Hub, with interval and protocol.
    out
        The file; standard output by default. A former export is replaced.
    incomplete
        Export a run too of which episodes are missing or broke.
    overwrite
        Replace a file that is no former export.
    """
    text = export_run(run, format, incomplete=incomplete)
    if out is None:
        print(text, end="")
        return
    write_export(out, text, overwrite=overwrite)
    console.print(f"Written: {out}")


def report_command(
    runs: list[Path], /, *, out: Path, title: str = "LIBERO report", json: Switch = False
) -> None:
    """Write a page about runs: tables, charts and videos in one folder that needs no server.

    The folder holds everything the page shows and can be moved or put on any web space.

    Parameters
    ----------
    runs
        Folders of runs, finished or not, or folders that contain such folders at any depth.
    out
        Folder of the page; an older page there is replaced.
    title
        Heading of the page.
    json
        Print what was written as JSON.
    """
    folders = find_runs(runs)
    page = write_page(out, folders, title=title)
    if json:
        print(dumps({"page": str(page), "runs": [str(folder) for folder in folders]}, indent=2))
        return
    counted = f"{len(folders)} run{'' if len(folders) == 1 else 's'}"
    console.print(f"Page of {counted}: {page}", soft_wrap=True)
