"""A picture of a training run, from its log."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.errors import ConfigError

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
    found: dict[tuple[int, bool], dict[str, Any]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # cut off by a kill
        if entry.get("event") == "rollback":
            found = {key: old for key, old in found.items() if key[0] <= entry["update"]}
        elif "update" in entry and "event" not in entry:
            found[entry["update"], "sampled" in entry] = entry
    if not found:
        raise ConfigError(f"'{path}' logs no update yet. Fix: train further, or lower --log-every.")
    return [found[key] for key in sorted(found)]


def draw_report(run: Path, out: Path) -> Path:
    """Plot loss, gradient, learning rate, speed and the sampled error of a run.

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
    figure = Figure(figsize=(15, 8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 3)
    _curve(axes[0, 0], entries, "loss", log=True)
    _curve(axes[0, 1], entries, "gradient_norm", log=True)
    _curve(axes[0, 2], entries, "lr")
    _curve(axes[1, 0], entries, "samples_per_s")
    if sampled:
        _errors(axes[1, 1], sampled)
        _horizon(axes[1, 2], sampled[-1])
    else:
        for each in axes[1, 1:]:
            each.set_axis_off()
            each.text(0.5, 0.5, "no sampled error\n(--sample-period)", ha="center", va="center")
    figure.suptitle(f"{run.name}: {max(entry['update'] for entry in entries)} updates")
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=110, format="png")
    return out


def _curve(axes: "Axes", entries: Entries, name: str, *, log: bool = False) -> None:
    there = [entry for entry in entries if entry.get(name) is not None]
    axes.plot([e["update"] for e in there], [e[name] for e in there], linewidth=1)
    axes.set(title=name.replace("_", " "), xlabel="update")
    if log and there:
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
