"""``libero-bench bench``: speed against the official code's, and how good the expert is."""

from functools import partial
from pathlib import Path
from typing import Annotated

from harness.benchmarks.config import (
    DemoReadingConfig,
    EnvironmentSpeedConfig,
    EvaluationSpeedConfig,
    PictureConfig,
    PlusConfig,
    PolicySpeedConfig,
    TrainingSpeedConfig,
)
from harness.benchmarks.demo_reading import SOURCES, measure_reading
from harness.benchmarks.environment_speed import compare
from harness.benchmarks.evaluation_speed import (
    compare_evaluations,
    reference_configs,
)
from harness.benchmarks.expert_table import (
    ExpertEpisode,
    ExpertTableConfig,
    as_markdown,
    measure_expert,
    table_rows,
)
from harness.benchmarks.plus_identity import (
    chosen_tasks,
    compare_with_upstream,
)
from harness.benchmarks.rows import rows_shown_by, show_rows
from harness.benchmarks.tables import (
    environment_tables,
    evaluation_table,
    expert_table,
    picture_table,
    plus_table,
    policy_tables,
    reading_table,
    step_table,
    training_table,
)
from harness.benchmarks.training_speed import BACKENDS, compare_training
from harness.commands import Flat, Switch
from harness.display import progress_bar
from harness.warnings import warn_of_crowding
from tasks.suites import find_task, use_plus_assets

UNEQUAL = 1
_PARTS = 5
"""Parts that ``bench env`` reports of each suite."""


def bench_env_command(
    config: Annotated[EnvironmentSpeedConfig, Flat] = EnvironmentSpeedConfig(),
    *,
    json: Switch = False,
) -> None:
    """Compare our environment with LIBERO's own in one run.

    Stepping without images, an episode as a policy plays it, resets, the first observation,
    memory, single images; and whether both end in exactly the same state. It takes one to two
    minutes a suite, nearly all of them the official environment's.

    Parameters
    ----------
    json
        Print the figures as JSON.
    """
    suites = [find_task(name, config.task).suite for name in config.suites]
    shown = rows_shown_by(environment_tables, json=json)
    total = _PARTS * len(suites)
    with shown as figures, progress_bar("Comparing", total, "part") as bar:
        part = 0

        def report(what: str) -> None:
            nonlocal part
            bar.at(part, note=f"{suite}: {what}")
            part += 1

        for suite in suites:
            figures.append(compare(suite, config.task, config.steps, report))
        bar.at(part)


def bench_pictures_command(
    config: Annotated[PictureConfig, Flat] = PictureConfig(), *, json: Switch = False
) -> int:
    """Compare our pictures with robosuite's own, pixel for pixel.

    The expert plays one episode of each task and random actions a second one, in the scene of
    another reset; then earlier states are set again. Two simulations take turns in one process.
    Each picture is drawn by robosuite, by us without what is kept of earlier pictures, and with
    it, of the same poses. A task takes about a minute, so all of the default take an hour or two.

    Exit code 1 if a pixel differs.

    Parameters
    ----------
    json
        Print the figures as JSON.
    """
    tasks = config.pairs()
    shown = rows_shown_by(picture_table, json=json)
    with shown as figures, progress_bar("Comparing", None, "picture pair") as bar:
        # Importing the simulator takes seconds, so the bar is there first.
        from harness.benchmarks.picture_identity import compare_pictures

        done = 0

        def report(what: str) -> None:
            nonlocal done
            done += 1
            bar.at(done, note=what)

        for row in compare_pictures(tasks, config.sizes, config.steps, report):
            figures.append(row)
    return UNEQUAL if any(row.different for row in figures) else 0


def bench_plus_command(config: Annotated[PlusConfig, Flat], *, json: Switch = False) -> int:
    """Compare LIBERO-Plus's tasks with its own code, bit for bit.

    That code runs in a process of its own, from a folder that you have: it is not installed, and
    nothing is written there. Both sides play the same rough actions. Compared are the generator of
    random numbers after the reset, the simulator's states, both cameras' pictures and the sentence.
    A task takes half a minute, nearly all of it upstream's.

    Exit code 1 if anything differs; motion blur, which upstream leaves to ImageMagick, may by one
    grey level in one value of a hundred.

    Parameters
    ----------
    json
        Print the figures as JSON.
    """
    shown = rows_shown_by(plus_table, json=json, width=160)
    with shown as figures, progress_bar("Comparing", None, "task") as bar:
        use_plus_assets(config.plus_assets)
        tasks = chosen_tasks(config.dimensions, config.tasks)
        for row in compare_with_upstream(
            config.upstream,
            tasks,
            steps=config.steps,
            python=None if config.python is None else str(config.python),
            report=lambda what: bar.at(len(figures), total=len(tasks), note=what),
        ):
            figures.append(row)
        bar.at(len(figures))
    return 0 if all(row.equal for row in figures) else UNEQUAL


def bench_eval_command(
    config: Annotated[EvaluationSpeedConfig, Flat] = EvaluationSpeedConfig(),
    *,
    json: Switch = False,
) -> None:
    """Compare whole evaluations with a straightforward loop over LIBERO's own environment.

    Wall time from nothing to the last record, no videos. The loop is one process that resets,
    settles, plans and steps as published scripts do, both cameras rendered at every step; it plans
    with the same policy code, so every episode must come out alike, which is checked. An episode
    takes the loop half a minute to a minute and a half.

    Parameters
    ----------
    json
        Print the figures as JSON.
    """
    configs = reference_configs(config)
    warn_of_crowding(max(config.workers))
    episodes = len(config.pairs()) * config.episodes * (1 + len(config.workers))
    total = episodes * len(configs)
    shown = rows_shown_by(partial(evaluation_table, workers=config.workers), json=json)
    with shown as figures, progress_bar("Comparing", total, "episode") as bar:

        def report(what: str, done: int) -> None:
            name = configs[len(figures)].policy.name
            bar.at(episodes * len(figures) + done, note=f"{name}: {what}")

        for reference in configs:
            figures.append(compare_evaluations(reference, config.workers, report))
        bar.at(total)


def bench_expert_command(
    config: Annotated[ExpertTableConfig, Flat] = ExpertTableConfig(),
    *,
    markdown: Path | None = None,
    json: Switch = False,
) -> None:
    """Measure how often the scripted expert solves each task, judged strictly.

    Success must hold for 10 steps, still be true 40 steps later, and come without a failed grasp.
    Nothing is rendered. A killed measurement resumes from --out.

    Parameters
    ----------
    markdown
        Write the table to this file as well.
    json
        Print the table as JSON.
    """
    warn_of_crowding(config.workers)
    done = solved = 0
    total = len(config.pairs()) * config.episodes
    with progress_bar("Measuring the expert", total, "episode") as bar:

        def report(episode: "ExpertEpisode") -> None:
            nonlocal done, solved
            done, solved = done + 1, solved + episode.success
            bar.at(done, note=f"{episode.suite} {episode.task}: solved {solved} of {done}")

        episodes = measure_expert(config, report)
        bar.at(len(episodes))
    rows = table_rows(episodes)
    if markdown is not None:
        markdown.write_text(as_markdown(rows, config), encoding="utf-8")
    show_rows(rows, expert_table, json=json)


def bench_policy_command(
    config: Annotated[PolicySpeedConfig, Flat] = PolicySpeedConfig(), *, json: Switch = False
) -> int:
    """Compare how fast RDT plans with the official order of computation, in one run.

    Both sides have the same random weights, the same observations and the same noise, and take
    turns. Two cameras are shown; in the large presets the third slot shows the background.

    The official side plans for one episode after the other. At each plan it prepares and encodes
    every image of the history, the background included; the conditions' adaptors run once a
    plan, each block's keys and values once a denoising step.

    Ours plans for all episodes together; it encodes images that it has not seen before, and
    projects keys and values once a plan.

    Exit code 1 if plans in float32 differ by more than 1e-5.

    Parameters
    ----------
    json
        Print the figures as JSON.
    """
    shown = rows_shown_by(policy_tables, json=json, as_dict=lambda row: row.as_dict())
    with shown as figures, progress_bar("Measuring", None, "plan") as bar:
        # Importing torch takes seconds, so the bar is there first.
        from harness.benchmarks.policy_speed import measure_all

        def report(done: int, total: int, what: str) -> None:
            bar.at(done, note=what, total=total)

        for row in measure_all(config, report):
            figures.append(row)
    return 0 if all(row.equal for row in figures) else UNEQUAL


def bench_train_command(
    config: Annotated[TrainingSpeedConfig, Flat] = TrainingSpeedConfig(), *, json: Switch = False
) -> None:
    """Compare training of rdt-small with a straightforward loop over the same demonstrations.

    The loop trains the same network alike; every sample opens its HDF5 file, as in RDT's own
    loader. Sides take turns, each in a process of its own; what is read before the first update
    does not count as time, but does as memory.

    With --preset in the place of --demos, training steps of a shape with random weights on made-up
    windows: samples per second, memory, and the share of the card's most operations.

    Parameters
    ----------
    json
        Print the figures as JSON.
    """
    config.check()
    if config.preset is not None:
        from harness.benchmarks.training_step import measure_step

        figures_of_step = measure_step(config)
        show_rows([figures_of_step], lambda rows: step_table(rows[0]), json=json)
        return
    with progress_bar("Comparing", config.repeats * len(BACKENDS), "turn") as bar:
        turns: list[str] = []

        def report(side: str) -> None:
            bar.at(len(turns), note=side)
            turns.append(side)

        figures = compare_training(config, report)
        bar.at(len(turns))
    show_rows(figures, partial(training_table, batch_size=config.batch_size), json=json)


def bench_reading_command(
    config: Annotated[DemoReadingConfig, Flat], *, json: Switch = False
) -> None:
    """Compare how long training waits for HDF5 and for lazily decoded videos, in one run.

    The demonstrations are exported as LeRobot sets (H.264, AV1, PNG); rdt-small trains on each
    source in turn, each time in a process of its own.

    Parameters
    ----------
    json
        Print the figures as JSON.
    """
    total = config.repeats * len(SOURCES) + 3
    with progress_bar("Comparing", total, "turn") as bar:
        turns: list[str] = []

        def report(source: str) -> None:
            bar.at(len(turns), note=source)
            turns.append(source)

        figures = measure_reading(config, report)
        bar.at(total)
    show_rows(figures, partial(reading_table, batch_size=config.batch_size), json=json)
