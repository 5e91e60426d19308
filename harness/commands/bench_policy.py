"""``libero-bench bench policy``."""

from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter, validators

from harness.capacity import MOST_THREADS

if TYPE_CHECKING:
    from rich.table import Table

    from harness.benchmarks.environment_speed import BackendPair
    from harness.benchmarks.policy_speed import PolicyFigures
    from harness.benchmarks.policy_workload import PolicyCase
    from harness.display import Progressing

UNEQUAL = 1


def bench_policy_command(
    *,
    preset: str = "rdt-small",
    dtype: Literal["auto", "float32", "bfloat16"] = "auto",
    batch: str = "1,8,32",
    device: str = "auto",
    solver_steps: int | None = None,
    exec_horizon: int = 16,
    encoder: bool = True,
    compile: Annotated[bool, Parameter(negative=())] = False,
    cuda_graphs: Annotated[bool, Parameter(negative=())] = False,
    repeats: int = 7,
    threads: Annotated[int, Parameter(validator=validators.Number(gte=0, lte=MOST_THREADS))] = 0,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Compare how fast RDT plans with the official order of computation, in one run.

    Both sides have the same random weights, the same observations and the same noise, and take
    turns. Two cameras are shown; in the large presets the third slot shows the background.

    The official side plans for one episode after the other. At each plan it prepares and encodes
    every picture of the history, the background included; the conditions' adaptors run once a
    plan, each block's keys and values once a denoising step.

    Ours plans for all episodes together; it encodes pictures that it has not seen before, and
    projects keys and values once a plan.

    Exit code 1 if plans in float32 differ by more than 1e-5.

    Parameters
    ----------
    preset
        rdt-small, rdt-170m, rdt-1b, with commas between them. The large ones get a picture encoder
        of the shape of SigLIP so400m, and 32 language tokens.
    dtype
        Of all weights; auto is bfloat16 on CUDA and float32 elsewhere.
    batch
        Numbers of episodes, with commas between them.
    device
        auto, cpu or cuda.
    solver_steps
        Denoising steps; the preset's number by default.
    exec_horizon
        Control steps between plans. From 2 on, all frames of a plan are new; with 1, the previous
        frame is the current one of the plan before, which ours does not encode again.
    encoder
        Encode pictures; otherwise both sides are given their tokens.
    compile
        Compile our denoising step with torch.compile.
    cuda_graphs
        Replay our denoising step as one CUDA graph.
    repeats
        Plans that are timed on each side; the median counts.
    threads
        CPU threads; 0 leaves it to torch.
    json
        Print the figures as JSON.
    """
    from harness.commands.arguments import parse_indices
    from harness.display import progress_bar

    rows = parse_indices(batch, "--batch")
    with progress_bar("Measuring", None, "plan") as bar:
        # Importing torch takes seconds, so the bar is there first.
        import torch

        from harness.benchmarks.policy_workload import PolicyCase
        from policies.rdt.model.torch_runtime import resolve_device

        if threads:
            torch.set_num_threads(threads)
        place = resolve_device(device)
        if dtype == "auto":
            dtype = "bfloat16" if torch.device(place).type == "cuda" else "float32"
        cases = [
            PolicyCase(
                preset=name.strip(),
                dtype=dtype,
                batch=episodes,
                device=place,
                encoder=encoder,
                solver_steps=solver_steps,
                exec_horizon=exec_horizon,
                compile=compile,
                cuda_graphs=cuda_graphs,
                repeats=repeats,
            )
            for name in preset.split(",")
            for episodes in rows
        ]
        found = _measure(cases, bar)
    if json:
        from json import dumps

        print(dumps([_as_dict(figures) for figures in found], indent=2))
    else:
        _print_tables(found)
    return 0 if all(figures.equal for figures in found) else UNEQUAL


def _measure(cases: "list[PolicyCase]", bar: "Progressing") -> "list[PolicyFigures]":
    from harness.benchmarks.policy_speed import measure, turns_of
    from policies.rdt.model.presets import get_preset

    for case in cases:
        get_preset(case.preset)  # a misspelt one is refused before the first is measured
    total, done = sum(map(turns_of, cases)), 0
    found = []

    def report(what: str) -> None:
        nonlocal done
        bar.at(done, note=f"{case.preset}, {case.batch} episodes: {what}", total=total)
        done += 1

    for case in cases:
        found.append(measure(case, report))
    bar.at(total)
    return found


def _as_dict(figures: "PolicyFigures") -> dict[str, object]:
    from dataclasses import asdict

    rates = figures.plans_per_s
    return asdict(figures) | {
        "plans_per_s": asdict(rates),
        "times_faster": figures.median.ratio,
        "share_of_official": figures.median.ours / figures.median.official,
        "equal": figures.equal,
    }


def _print_tables(found: "list[PolicyFigures]") -> None:

    from harness.display import results_console

    first = found[0]
    console = results_console()
    many = "s" if first.threads > 1 else ""
    threads = f", {first.threads} thread{many}" if first.device == "CPU" else ""
    how = [word for word in ("compile", "cuda_graphs") if getattr(first.case, word)]
    console.print(
        f"{first.device}{threads}, {first.case.dtype}, {first.solver_steps} denoising steps"
        f"{''.join(f', {word}' for word in how)}; the official order of computation → ours"
    )
    console.print(_main_table(found))
    console.print(_stages_table(found))


def _main_table(found: "list[PolicyFigures]") -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table("preset", box=None, pad_edge=False)
    on_cpu = found[0].device == "CPU"
    names = ["episodes", "median, ms", "least, ms", "time", "plans/s", "memory, MB", "apart"]
    for name in [*names, *(["CPU time"] if on_cpu else [])]:
        table.add_column(name, justify="right")
    for each in found:
        apart = f"{each.difference:.0e}"
        memory = [f"{value:.0f}" for value in each.memory_mb.values()]
        table.add_row(
            each.case.preset,
            str(each.case.batch),
            _milliseconds(each.median),
            _milliseconds(each.fastest),
            f"{_share(each.median)} ({each.median.ratio:.1f}×)",
            f"{each.plans_per_s.official:.3g} → {each.plans_per_s.ours:.3g}",
            " → ".join(memory),
            Text(apart, style="" if each.equal else "red"),
            *([_share(each.cpu)] if on_cpu else []),
        )
    return table


def _stages_table(found: "list[PolicyFigures]") -> "Table":
    from rich.table import Table

    table = Table("preset", box=None, pad_edge=False, title_justify="left")
    table.title = "Where the time goes, ms"
    for name in ("episodes", *found[0].stages):
        table.add_column(name, justify="right")
    for each in found:
        shown = [_milliseconds(pair) for pair in each.stages.values()]
        table.add_row(each.case.preset, str(each.case.batch), *shown)
    return table


def _share(pair: "BackendPair") -> str:
    return f"{pair.ours / pair.official:.0%}"


def _milliseconds(pair: "BackendPair") -> str:
    return f"{_short(pair.official * 1e3)} → {_short(pair.ours * 1e3)}"


def _short(number: float) -> str:
    return f"{number:.0f}" if number >= 100 else f"{number:.1f}"
