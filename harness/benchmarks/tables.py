"""Tables of what benchmarks measured."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from harness.benchmarks.connection_speed import ConnectionFigures
    from harness.benchmarks.demo_reading import ReadingFigures
    from harness.benchmarks.environment_speed import EnvironmentFigures
    from harness.benchmarks.evaluation_speed import EvaluationFigures
    from harness.benchmarks.expert_table import ExpertRow
    from harness.benchmarks.picture_identity import PictureFigures
    from harness.benchmarks.plus_identity import PlusFigures
    from harness.benchmarks.policy_speed import PolicyFigures
    from harness.benchmarks.subprocess_runner import BackendPair
    from harness.benchmarks.training_speed import TrainingFigures
    from harness.benchmarks.training_step import StepFigures
    from harness.benchmarks.wall_time import Prediction, Rates


def environment_tables(figures: "Sequence[EnvironmentFigures]") -> Group:
    """Return speed and memory of whole episodes, and of single images."""
    steps = figures[0].steps
    episodes = _table(
        "task",
        "steps/s without pictures",
        f"episode of {steps} steps, s",
        "reset, ms",
        "first observation, s",
        "memory, MB",
        "same states",
        title="CPU time: official → ours (how many times less)",
    )
    cameras = tuple(figures[0].pictures)
    pictures = _table(
        *("task", *cameras, "process"),
        title="CPU time of a picture of 256 pixels, ms: robosuite's → ours without kept layers → "
        "ours; process memory, MB",
    )
    for row in figures:
        rate = row.steps / row.stepping.official, row.steps / row.stepping.ours
        episodes.add_row(
            f"{row.suite} {row.task}",
            f"{rate[0]:.0f} → {rate[1]:.0f} ({row.stepping.ratio:.1f}×)",
            f"{row.episode.official:.1f} → {row.episode.ours:.1f} ({row.episode.ratio:.1f}×)",
            f"{row.reset.official * 1e3:.0f} → {row.reset.ours * 1e3:.1f}",
            f"{row.first.official:.1f} → {row.first.ours:.1f} ({row.first.ratio:.1f}×)",
            f"{row.memory.official:.0f} → {row.memory.ours:.0f}",
            _yes_or_no(row.identical),
        )
        pictures.add_row(
            f"{row.suite} {row.task}",
            *(
                " → ".join(f"{seconds * 1e3:.0f}" for seconds in ways.values())
                for ways in row.pictures.values()
            ),
            f"{row.process.official:.0f} → {row.process.ours:.0f}",
        )
    return Group(episodes, pictures)


def picture_table(figures: "Sequence[PictureFigures]") -> Table:
    """Return how many pictures differ and what one costs, a row for each task and one for all."""
    cameras = tuple(figures[0].seconds)
    table = _table(
        *("task", "pictures", "different", *cameras),
        title="CPU time of a picture, ms: robosuite's → ours without kept layers → ours",
    )
    for row in figures:
        table.add_row(
            f"{row.suite} {row.task}",
            str(row.pictures),
            _number_of_differences(row.different, row.first_difference),
            *(
                " → ".join(f"{seconds * 1e3:.0f}" for seconds in row.seconds[camera].values())
                for camera in cameras
            ),
        )
    pictures, different = (
        sum(getattr(f, name) for f in figures) for name in ("pictures", "different")
    )
    table.add_row("all", str(pictures), _number_of_differences(different, ""))
    return table


def plus_table(figures: "Sequence[PlusFigures]") -> Table:
    """Return what differs from LIBERO-Plus's own code, a row for each task."""
    table = _table(
        *("dimension", "task", "pictures", "generator", "states", "agentview", "wrist", "sentence"),
        title="Equal to upstream's own code?",
    )
    for row in figures:
        if row.error:
            table.add_row(row.dimension, f"{row.suite} {row.task}", Text(row.error, style="red"))
            continue
        apart = f" (≤ {row.largest} in {row.share:.2%} of values)" if row.largest else ""
        colour = "red" if not row.equal else ""
        table.add_row(
            row.dimension,
            f"{row.suite} {row.task} {row.perturbation}",
            str(row.pictures),
            _equality(not row.generator_differs),
            _differing(row.states_differ),
            Text(_differing(row.agentview_differ).plain + apart, style=colour),
            _differing(row.wrist_differ),
            _equality(not row.sentence_differs),
        )
    return table


def _equality(equal: bool) -> Text:
    return Text("equal") if equal else Text("differs", style="red")


def _differing(count: int) -> Text:
    return Text(f"{count} differ", style="red") if count else Text("equal")


def _number_of_differences(count: int, where: str) -> Text:
    note = f" (first: {where})" if where else ""
    return Text(f"{count}{note}", style="red" if count else "")


def connection_table(figures: "Sequence[ConnectionFigures]") -> Table:
    """Return plans per second and latencies, a row for each server and number of connections."""
    table = _table(
        *("server", "connections", "plans/s", "mean batch", "requests", "p50, ms", "p95", "p99"),
        title="Plans per second; each client asks for the next plan when it has the last",
    )
    for row in figures:
        table.add_row(
            row.server,
            str(row.connections),
            f"{row.plans_per_s:.1f} ({row.ratio:.2f}×)",
            f"{row.batch:.1f}",
            str(row.latency.requests),
            *(f"{value:.3g}" for value in row.latency.percentiles_ms.values()),
        )
    return table


def rates_in_words(rates: "Rates") -> str:
    """Say on one line what one worker and one replica take."""
    batches = ", ".join(f"{size}: {1e3 * s:.3g}" for size, s in rates.batch_s.items())
    return (
        f"Rates: an episode has {rates.plans:.1f} plans and {rates.simulation_s:.2f} s beside "
        f"planning, {rates.start_s:.0f} s to start; batches of plans, ms: {batches}."
    )


def wall_time_table(predicted: "Sequence[Prediction]", episodes: int) -> Table:
    """Return predicted wall times, a row for each number of workers, a column for each replicas."""
    replicas = list(dict.fromkeys(row.replicas for row in predicted))
    table = _table(
        "workers",
        *(f"{count} replica{'s' if count > 1 else ''}" for count in replicas),
        title=f"Wall time of {episodes} episodes (how busy a replica is, mean batch)",
    )
    for workers in dict.fromkeys(row.workers for row in predicted):
        cells = [row for row in predicted if row.workers == workers]
        table.add_row(
            str(workers),
            *(f"{duration(r.wall_s)} ({r.busy:.0%}, {r.batch:.1f})" for r in cells),
        )
    return table


def duration(seconds: float) -> str:
    """Write seconds such as ``18 min 5 s`` or ``2 h 7 min``."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes else f"{rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def evaluation_table(figures: "Sequence[EvaluationFigures]", workers: Sequence[int]) -> Table:
    """Return wall times of the same episodes, a row for each policy."""
    table = _table(
        *("policy", "episodes", "official loop"),
        *(f"{count} worker{'s' if count > 1 else ''}" for count in workers),
        *("successes", "same episodes"),
        title="Wall time, s, of the same episodes (how many times less)",
    )
    for row in figures:
        table.add_row(
            row.policy,
            str(row.episodes),
            f"{row.official_s:.0f}",
            *(f"{row.ours_s[count]:.1f} ({row.ratio(count):.1f}×)" for count in workers),
            str(row.successes),
            _yes_or_no(row.same_episodes),
        )
    return table


def expert_table(rows: "Sequence[ExpertRow]") -> Table:
    """Return how often the expert solves each task, by suite."""
    table = Table(box=None, pad_edge=False)
    table.add_column("task", no_wrap=True, min_width=40, overflow="ellipsis")
    for name in ("solved", "mean steps"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("first failure", overflow="ellipsis", no_wrap=True, max_width=40)
    for suite in dict.fromkeys(row.suite for row in rows):
        group = [row for row in rows if row.suite == suite]
        solved, played = sum(r.solved for r in group), sum(r.episodes for r in group)
        share = f"{solved}/{played} = {100 * solved / played:.1f} %"
        table.add_row(Text(suite, style="bold"), share, "", "")
        for row in group:
            steps = "" if row.mean_steps is None else f"{row.mean_steps:.0f}"
            count = f"{row.solved}/{row.episodes}"
            reason = row.failures[0] if row.failures else ""
            table.add_row(f"  {row.task} {row.name[:60]}", count, steps, reason)
    return table


def policy_tables(figures: "Sequence[PolicyFigures]") -> Group:
    """Return how fast plans are made, where the time goes, and how late plans come."""
    first = figures[0]
    many = "s" if first.threads > 1 else ""
    threads = f", {first.threads} thread{many}" if first.device == "CPU" else ""
    how = [name for name in ("compile", "cuda_graphs") if getattr(first.case, name)]
    return Group(
        f"{first.device}{threads}, {first.case.dtype}, {first.solver_steps} denoising steps"
        f"{''.join(f', {name}' for name in how)}; the official order of computation → ours",
        _policy_table(figures),
        _stages_table(figures),
        _delays_table(figures),
    )


def _policy_table(figures: "Sequence[PolicyFigures]") -> Table:
    on_cpu = figures[0].device == "CPU"
    table = _table(
        *("preset", "episodes", "median, ms", "least, ms", "time", "plans/s", "memory, MB"),
        *("apart", *(["CPU time"] if on_cpu else [])),
    )
    for row in figures:
        table.add_row(
            row.case.preset,
            str(row.case.batch),
            _milliseconds(row.median),
            _milliseconds(row.fastest),
            f"{_share(row.median)} ({row.median.ratio:.1f}×)",
            f"{row.plans_per_s.official:.3g} → {row.plans_per_s.ours:.3g}",
            " → ".join(f"{value:.0f}" for value in row.memory_mb.values()),
            Text(f"{row.difference:.0e}", style="" if row.equal else "red"),
            *([_share(row.cpu)] if on_cpu else []),
        )
    return table


def _stages_table(figures: "Sequence[PolicyFigures]") -> Table:
    names = ("preset", "episodes", *figures[0].stages)
    table = _table(*names, title="Where the time goes, ms")
    for row in figures:
        stages = [_milliseconds(pair) for pair in row.stages.values()]
        table.add_row(row.case.preset, str(row.case.batch), *stages)
    return table


def _delays_table(figures: "Sequence[PolicyFigures]") -> Table:
    """Return the time of a plan by the method that joins it to the one before, and its delay."""
    names = ("preset", "episodes", *figures[0].joined)
    table = _table(*names, title="Joining a plan to the one before: ms, and steps of delay")
    for row in figures:
        cells = [
            f"{1000 * seconds:.3g} ({row.delays[method]})" for method, seconds in row.joined.items()
        ]
        table.add_row(row.case.preset, str(row.case.batch), *cells)
    return table


def training_table(figures: "Sequence[TrainingFigures]", batch_size: int) -> Table:
    """Return speed and memory of training, a row for each backend."""
    table = _table(
        *("side", "samples/s", "waiting for data", "memory, MB", "GPU memory, MB"),
        title=f"Training rdt-small, {batch_size} windows per update",
    )
    for row in figures:
        table.add_row(
            row.side,
            f"{row.samples_per_s:.1f}",
            f"{row.data_wait:.1%}",
            f"{row.memory_mb:.0f}",
            f"{row.gpu_mb:.0f}" if row.gpu_mb else "–",
        )
    return table


def step_table(row: "StepFigures") -> Table:
    """Return speed, memory and operations of a preset's training step."""
    table = _table(
        *("ms/update", "samples/s", "GPU memory, MB", "10¹² operations/update", "of the most"),
        title=f"Training {row.preset}, {row.weights / 1e6:,.0f} million weights, "
        f"{row.batch_size} windows per update, precision {row.precision}, on {row.device}",
    )
    table.add_row(
        f"{row.update_ms:.0f}",
        f"{row.samples_per_s:.1f}",
        f"{row.gpu_mb:,.0f}" if row.gpu_mb else "–",
        f"{row.tflop:.2f}",
        "–" if row.peak_share is None else f"{row.peak_share:.0%}",
    )
    return table


def reading_table(figures: "Sequence[ReadingFigures]", batch_size: int) -> Table:
    """Return how long training waits for its data, a row for each source."""
    table = _table(
        *("source", "MB", "image error", "samples/s", "waiting for data", "loss"),
        title=f"Training rdt-small, {batch_size} windows per update",
    )
    for row in figures:
        table.add_row(
            row.source,
            f"{row.megabytes:.1f}",
            f"{row.error:.2f}",
            f"{row.samples_per_s:.1f}",
            f"{row.data_wait:.1%}",
            f"{row.loss:.4f}",
        )
    return table


def _table(first: str, *others: str, title: str | None = None) -> Table:
    table = Table(first, box=None, pad_edge=False, title_justify="left")
    table.title = title
    for name in others:
        table.add_column(name, justify="right")
    return table


def _yes_or_no(same: bool) -> str | Text:
    return "yes" if same else Text("NO", style="red")


def _share(pair: "BackendPair") -> str:
    return f"{pair.ours / pair.official:.0%}"


def _milliseconds(pair: "BackendPair") -> str:
    return f"{_short(pair.official * 1e3)} → {_short(pair.ours * 1e3)}"


def _short(number: float) -> str:
    return f"{number:.0f}" if number >= 100 else f"{number:.1f}"
