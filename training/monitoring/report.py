"""The report of a run: plots of its log."""

import json
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.errors import ConfigError
from training.run_folder import SUCCESS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Entries = list[dict[str, Any]]


def read_log(run: Path) -> Entries:
    """Read ``train.jsonl`` of a run; of an update that was repeated, the last line counts.

    Raises:
        ConfigError: There is no such log, or nothing in it.
    """
    path = run / "train.jsonl"
    if not path.is_file():
        raise ConfigError(f"'{run}' is no training run: it has no train.jsonl. Fix: give --out's.")
    latest: dict[tuple[int, str], dict[str, Any]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # cut off by a kill
        if entry.get("event") == "rollback":
            latest = {key: old for key, old in latest.items() if key[0] <= entry["update"]}
        elif "update" in entry and "event" not in entry:
            kind = next((kind for kind in ("sampled", SUCCESS) if kind in entry), "")
            latest[entry["update"], kind] = entry
    if not latest:
        raise ConfigError(f"'{path}' logs no update yet. Fix: train further, or lower --log-every.")
    return [latest[key] for key in sorted(latest)]


def draw_report(run: Path, out: Path) -> Path:
    """Plot loss, gradient, learning rate, speed, sampled error and success of a run.

    Args:
        run: Folder of the run.
        out: The PNG to write.

    Raises:
        ConfigError: There is no such run.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    entries = read_log(run)
    sampled = [entry for entry in entries if "sampled" in entry]
    evaluated = [entry for entry in entries if SUCCESS in entry]
    columns = 4 if evaluated else 3
    figure = Figure(figsize=(5 * columns, 8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, columns)
    _curve(axes[0, 0], entries, "loss", log=True)
    _curve(axes[0, 1], entries, "gradient_norm", log=True)
    _curve(axes[0, 2], entries, "lr")
    _curve(axes[1, 0], entries, "samples_per_s")
    if sampled:
        _errors(axes[1, 1], sampled)
        _horizon(axes[1, 2], sampled[-1])
    else:
        for empty in axes[1, 1:3]:
            empty.set_axis_off()
            empty.text(0.5, 0.5, "no sampled error\n(--sample-period)", ha="center", va="center")
    if evaluated:
        _success(axes[0, 3], evaluated)
        _tasks(axes[1, 3], evaluated)
    figure.suptitle(f"{run.name}: {max(entry['update'] for entry in entries)} updates")
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=110, format="png")
    return out


def _curve(axes: "Axes", entries: Entries, name: str, *, log: bool = False) -> None:
    logged = [entry for entry in entries if entry.get(name) is not None]
    axes.plot([e["update"] for e in logged], [e[name] for e in logged], linewidth=1)
    axes.set(title=name.replace("_", " "), xlabel="update")
    if log and logged:
        axes.set_yscale("log")
    axes.grid(alpha=0.3)


def _errors(axes: "Axes", sampled: Entries) -> None:
    updates = [entry["update"] for entry in sampled]
    for slot in sampled[-1]["sampled"]["per_slot"]:
        axes.plot(updates, [e["sampled"]["per_slot"].get(slot) for e in sampled], label=slot)
    overall = [entry["sampled"]["overall"] for entry in sampled]
    axes.plot(updates, overall, "k", linewidth=2.5, label="all")
    axes.set(title="squared error of sampled plans, by slot", xlabel="update", yscale="log")
    axes.legend(fontsize="small", ncols=2)
    axes.grid(alpha=0.3)


def _horizon(axes: "Axes", last: dict[str, Any]) -> None:
    steps = last["sampled"]["per_step"]
    axes.plot(range(len(steps)), steps)
    axes.set(title=f"by step of the plan, update {last['update']}", xlabel="step")
    axes.grid(alpha=0.3)


def _success(axes: "Axes", evaluated: Entries) -> None:
    """Plot success with its 95 % intervals, and a star at the best checkpoint."""
    rates = [(entry["update"], entry[SUCCESS]) for entry in evaluated if entry[SUCCESS]["n"]]
    _intervals(axes, rates, "k-", label="all")
    chosen = [(update, rate["k"] / rate["n"]) for update, rate in rates if rate["best"]]
    if chosen:
        axes.plot(*chosen[-1], "*", color="tab:red", markersize=16, label="best", zorder=3)
    label: str | None = "judged otherwise from here: not comparable"
    for before, entry in pairwise(evaluated):
        if before[SUCCESS]["conditions"] != entry[SUCCESS]["conditions"]:
            axes.axvline(entry["update"], color="0.5", linestyle=":", label=label)
            label = None
    axes.set(title="success in simulation, 95 % intervals", xlabel="update", ylim=(-0.03, 1.03))
    axes.legend(fontsize="small")
    axes.grid(alpha=0.3)


def _tasks(axes: "Axes", evaluated: Entries) -> None:
    names = dict.fromkeys(name for entry in evaluated for name in entry[SUCCESS]["per_task"])
    for name in names:
        tasks = [(e["update"], e[SUCCESS]["per_task"].get(name)) for e in evaluated]
        _intervals(axes, [(u, rate) for u, rate in tasks if rate and rate["n"]], "-", label=name)
    axes.set(title="success by task, 95 % intervals", xlabel="update", ylim=(-0.03, 1.03))
    axes.legend(fontsize="small", ncols=2, loc="upper left")
    axes.grid(alpha=0.3)


def _intervals(
    axes: "Axes", rates: list[tuple[int, dict[str, Any]]], style: str, *, label: str
) -> None:
    shares = [rate["k"] / rate["n"] for _, rate in rates]
    below = [max(s - rate["low"], 0) for s, (_, rate) in zip(shares, rates, strict=True)]
    above = [max(rate["high"] - s, 0) for s, (_, rate) in zip(shares, rates, strict=True)]
    updates = [update for update, _ in rates]
    axes.errorbar(
        updates,
        shares,
        [below, above],
        fmt=style,
        marker="o",
        markersize=4,
        capsize=3,
        alpha=0.8,
        label=label,
    )
