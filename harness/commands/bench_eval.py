"""``libero-bench bench eval``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

if TYPE_CHECKING:
    from rich.table import Table

    from harness.benchmarks.evaluation_speed import EvaluationFigures

_SUITES = "libero_spatial,libero_object,libero_goal,libero_10"
_PIXELS = 128


def bench_eval_command(
    *,
    suites: str = _SUITES,
    tasks: str = "0",
    episodes: int = 1,
    policies: str = "expert,rdt",
    checkpoint: Path | None = None,
    exec_horizon: int = 16,
    instructions: Literal["name", "bddl"] | None = None,
    workers: str = "1,2",
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Compare whole evaluations with a straightforward loop over LIBERO's own environment.

    Wall time from nothing to the last record, no videos. The loop is one process that resets,
    settles, plans and steps as published scripts do, both cameras rendered at every step; it plans
    with the same policy code, so every episode must come out alike, which is checked. An episode
    takes the loop half a minute to a minute and a half.

    Parameters
    ----------
    suites
        Names with commas between them.
    tasks
        Tasks of each suite, such as 0,3 or 0-9.
    episodes
        Episodes per task, from initial states 0, 1, ...
    policies
        expert, rdt, random or noop, with commas between them.
    checkpoint
        Of policy rdt; a rdt-small that ships with libero-bench by default.
    exec_horizon
        Steps executed per plan of policies that plan ahead.
    instructions
        What policies are told: name or bddl, as eval has it.
    workers
        Numbers of workers to try.
    json
        Print the figures as JSON.
    """
    from harness.benchmarks.evaluation_speed import compare_evaluations
    from harness.benchmarks.reference_rollout import ReferenceConfig
    from harness.capacity import MOST_WORKERS
    from harness.commands.arguments import parse_indices
    from harness.display import progress_bar
    from harness.recipes.config import SHIPPED
    from harness.stages import warn_of_crowding
    from policies.registry import PolicyConfig
    from tasks.errors import ConfigError
    from tasks.settings import MOST_NUMBERS
    from tasks.suites import find_task

    counts = parse_indices(workers, "--workers")
    if not 1 <= episodes <= MOST_NUMBERS or not 1 <= min(counts) <= max(counts) <= MOST_WORKERS:
        raise ConfigError(
            f"--episodes {episodes} or --workers {workers} is not allowed. Allowed: episodes 1 to "
            f"{MOST_NUMBERS}, workers 1 to {MOST_WORKERS}."
        )
    indices = parse_indices(tasks, "--tasks")
    places = tuple(
        (find_task(suite.strip(), index).suite, index)
        for suite in suites.split(",")
        for index in indices
    )
    configs = []
    for name in policies.split(","):
        learned = name == "rdt"
        place = str(checkpoint or SHIPPED / "drawer-bowl-start") if learned else None
        recipe = PolicyConfig(name=name, checkpoint=place, device="cpu")
        spec = recipe.build().spec
        config = ReferenceConfig(
            policy=recipe,
            tasks=places,
            episodes=episodes,
            exec_horizon=min(exec_horizon, spec.horizon),
            resolution=_PIXELS if learned else None,
            instructions=instructions,
        )
        configs.append(config)
    warn_of_crowding(max(counts))
    each = len(places) * episodes * (1 + len(counts))
    found: list[EvaluationFigures] = []
    with progress_bar("Comparing", each * len(configs), "episode") as bar:

        def report(what: str, done: int) -> None:
            name = configs[len(found)].policy.name
            bar.at(each * len(found) + done, note=f"{name}: {what}")

        for config in configs:
            found.append(compare_evaluations(config, counts, report))
        bar.at(each * len(configs))
    _show(found, counts, json=json)


def _show(found: "list[EvaluationFigures]", counts: tuple[int, ...], *, json: bool) -> None:
    if json:
        from dataclasses import asdict
        from json import dumps

        print(dumps([asdict(figures) for figures in found], indent=2))
        return

    from harness.display import results_console

    console = results_console()
    console.print(_table(found, counts))


def _table(found: "list[EvaluationFigures]", counts: tuple[int, ...]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table("policy", box=None, pad_edge=False, title_justify="left")
    table.title = "Wall time, s, of the same episodes (how many times less)"
    table.add_column("episodes", justify="right")
    table.add_column("official loop", justify="right")
    for count in counts:
        table.add_column(f"{count} worker{'s' if count > 1 else ''}", justify="right")
    table.add_column("successes", justify="right")
    table.add_column("same episodes", justify="right")
    for each in found:
        table.add_row(
            each.policy,
            str(each.episodes),
            f"{each.official_s:.0f}",
            *(f"{each.ours_s[count]:.1f} ({each.ratio(count):.1f}×)" for count in counts),
            str(each.successes),
            "yes" if each.same_episodes else Text("NO", style="red"),
        )
    return table
