"""``libero-bench bench env``: speed against LIBERO's own code."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from rich.table import Table

    from harness.benchmarks.environment_speed import EnvironmentFigures

_STAGES = 5
_ORIGINAL = "libero_spatial,libero_object,libero_goal,libero_10,libero_90"


def bench_env_command(
    *,
    suites: str = _ORIGINAL,
    task: int = 0,
    steps: int = 300,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Compare our environment with LIBERO's own in one run.

    Stepping without pictures, an episode as a policy plays it, resets, the first observation,
    memory, single pictures; and whether both end in exactly the same state. It takes one to two
    minutes a suite, nearly all of them the official environment's.

    Parameters
    ----------
    suites
        Names with commas between them.
    task
        Index of the task, the same in each suite.
    steps
        Control steps of the episode.
    json
        Print the figures as JSON.
    """
    from harness.display import progress_bar
    from tasks.errors import ConfigError
    from tasks.suites import find_task

    if steps < 1:
        raise ConfigError(f"--steps {steps} is too few. Allowed: at least 1.")
    names = [find_task(name.strip(), task).suite for name in suites.split(",")]
    from harness.benchmarks.environment_speed import compare

    found: list[EnvironmentFigures] = []
    with progress_bar("Comparing", _STAGES * len(names), "part") as bar:
        stage = 0

        def report(what: str) -> None:
            nonlocal stage
            bar.at(stage, note=f"{name}: {what}")
            stage += 1

        for name in names:
            found.append(compare(name, task, steps, report))
        bar.at(stage)
    if json:
        from dataclasses import asdict
        from json import dumps

        print(dumps([asdict(figures) for figures in found], indent=2))
        return

    from harness.display import results_console

    console = results_console()
    console.print(_main_table(found))
    console.print(_other_table(found))


def _main_table(found: "list[EnvironmentFigures]") -> "Table":
    from rich.table import Table
    from rich.text import Text

    steps = found[0].steps
    table = Table("task", box=None, pad_edge=False, title_justify="left")
    table.title = "CPU time: official → ours (how many times less)"
    for name in (
        "steps/s without pictures",
        f"episode of {steps} steps, s",
        "reset, ms",
        "first observation, s",
        "memory, MB",
        "same states",
    ):
        table.add_column(name, justify="right")
    for each in found:
        rate = each.steps / each.stepping.official, each.steps / each.stepping.ours
        table.add_row(
            f"{each.suite} {each.task}",
            f"{rate[0]:.0f} → {rate[1]:.0f} ({each.stepping.ratio:.1f}×)",
            f"{each.episode.official:.1f} → {each.episode.ours:.1f} ({each.episode.ratio:.1f}×)",
            f"{each.reset.official * 1e3:.0f} → {each.reset.ours * 1e3:.1f}",
            f"{each.first.official:.1f} → {each.first.ours:.1f} ({each.first.ratio:.1f}×)",
            f"{each.memory.official:.0f} → {each.memory.ours:.0f}",
            "yes" if each.identical else Text("NO", style="red"),
        )
    return table


def _other_table(found: "list[EnvironmentFigures]") -> "Table":
    from rich.table import Table

    table = Table("task", box=None, pad_edge=False, title_justify="left")
    table.title = "CPU time of a picture of 256 pixels, ms: robosuite's → ours; process memory, MB"
    cameras = tuple(found[0].pictures)
    for name in (*cameras, "process"):
        table.add_column(name, justify="right")
    for each in found:
        shown = [
            f"{pair.official * 1e3:.0f} → {pair.ours * 1e3:.0f} ({pair.ratio:.1f}×)"
            for pair in each.pictures.values()
        ]
        memory = f"{each.process.official:.0f} → {each.process.ours:.0f}"
        table.add_row(f"{each.suite} {each.task}", *shown, memory)
    return table
