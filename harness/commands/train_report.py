"""``libero-bench train-report``."""

from pathlib import Path


def train_report_command(run: Path, /, *, out: Path | None = None) -> None:
    """Plot a training run: loss, gradient, learning rate, speed, error of sampled plans.

    Parameters
    ----------
    run
        Folder of the run.
    out
        The PNG to write; RUN/report.png by default.
    """
    from harness.display import console
    from training.monitoring.report import draw_report

    console.print(f"Written: {draw_report(run, out or run / 'report.png')}")
