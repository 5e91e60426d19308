"""``libero-bench bench connections`` and ``bench wall-time``: servers, workers and replicas."""

from dataclasses import asdict
from json import dumps
from typing import Annotated

from harness.benchmarks.rows import rows_shown_by
from harness.benchmarks.tables import (
    connection_table,
    duration,
    rates_in_words,
    wall_time_table,
)
from harness.benchmarks.throughput_config import ConnectionSpeedConfig, WallTimeConfig
from harness.commands import Flat, Switch
from harness.display import progress_bar, results_console


def bench_connections_command(
    config: Annotated[ConnectionSpeedConfig, Flat], *, json: Switch = False
) -> None:
    """Compare plans per second of a server over one connection and over several.

    The clients send observations of demonstrations to libero-bench serve, in a process of its own
    on this machine: first with a double in place of the network, whose batch takes the same time
    whatever its size, then with the network itself.

    Parameters
    ----------
    json
        Print the figures as JSON.
    """
    turns = len(config.servers) * len(config.connections) * config.repeats
    shown = rows_shown_by(connection_table, json=json, width=140)
    with shown as figures, progress_bar("Asking for plans", turns, "turn") as bar:
        # Importing torch takes seconds, so the bar is there first.
        from harness.benchmarks.connection_speed import compare_connections

        begun = 0

        def report(what: str) -> None:
            nonlocal begun
            bar.at(begun, note=what)
            begun += 1

        for row in compare_connections(config, report):
            figures.append(row)
        bar.at(begun)


def bench_wall_time_command(
    config: Annotated[WallTimeConfig | None, Flat] = None, *, json: Switch = False
) -> None:
    """Predict how long many episodes take with other numbers of workers and replicas.

    One worker plays some episodes here, and batches of their requests are timed. A queue of workers
    before replicas is then played through with these rates. --check plays episodes to compare the
    prediction with.

    Parameters
    ----------
    json
        Print the figures as JSON.
    """
    config = config or WallTimeConfig()  # which says what is missing
    with progress_bar("Measuring", config.measured + config.check, "episode") as bar:
        from harness.benchmarks.evaluation_rates import check, check_settings, measure_rates

        check_settings(config)
        rates = measure_rates(config, lambda what, done: bar.at(done, note=what))
        predicted = [
            config.predict(rates, config.episodes, workers, replicas)
            for workers in config.workers
            for replicas in config.replicas
        ]
        checked = None
        if config.check:
            checked = check(
                config, rates, lambda what, done: bar.at(config.measured + done, note=what)
            )
    if json:
        figures = {"rates": asdict(rates), "predicted": list(map(asdict, predicted))}
        print(dumps({**figures, "checked": checked and asdict(checked)}, indent=2))
        return
    console = results_console(160)
    console.print(wall_time_table(predicted, config.episodes))
    console.print(rates_in_words(rates))
    if checked is not None:
        console.print(
            f"{checked.episodes} episodes with {checked.predicted.workers} workers: predicted "
            f"{duration(checked.predicted.wall_s)}, measured {duration(checked.measured_s)}."
        )
