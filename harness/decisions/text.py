"""A sequential comparison for readers."""

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.decisions.run import Decision
from results.decisions.verdict import SequentialContrast


def print_decision(decision: Decision, console: Console) -> None:
    """Show a comparison: the verdict on every two arms, then how it was made."""
    table = Table("A", "B", box=None, pad_edge=False)
    for name in ("A", "B", "only A", "only B", "pairs", "B − A", "interval", "E", "p"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    for contrast in decision.judgement.contrasts:
        table.add_row(*_cells(decision, contrast))
    console.print(table)
    for line in _notes(decision):
        console.print(line, soft_wrap=True)


def _cells(decision: Decision, contrast: SequentialContrast) -> list[str | Text]:
    counts = contrast.counts
    n = max(counts.episodes, 1)
    a, b = (decision.arms[arm].name for arm in (contrast.a, contrast.b))
    undecided = contrast.verdict == "undecided"
    return [
        a,
        b,
        f"{100 * (counts.both + counts.only_a) / n:.1f} %",
        f"{100 * (counts.both + counts.only_b) / n:.1f} %",
        str(counts.only_a),
        str(counts.only_b),
        str(counts.episodes),
        f"{100 * counts.difference:+.1f}",
        f"{100 * contrast.interval.low:+.1f} to {100 * contrast.interval.high:+.1f}",
        f"{contrast.e_value:.3g}",
        f"{contrast.adjusted:.3g}",
        Text(contrast.verdict, style="yellow" if undecided else "green"),
    ]


def _notes(decision: Decision) -> Iterator[str]:
    rule, judgement = decision.rule, decision.judgement
    several = len(judgement.contrasts) > 1
    yield (
        f"Stopped: {decision.reason}, after {judgement.looked_at} of at most "
        f"{min(rule.most_pairs or len(decision.order), len(decision.order))} episodes per policy; "
        f"order seed {decision.order.seed}."
    )
    yield (
        f"A difference counts from an e-value of {1 / rule.alpha:g} on (alpha {rule.alpha:g}"
        + ("; p Holm-corrected, intervals Bonferroni-corrected)" if several else ")")
        + (f"; {100 * rule.margin:g} points do not matter" if rule.margin else "")
        + f". Intervals are {100 * (1 - rule.alpha):g} % anytime-valid, in points."
    )
    if errors := sum(contrast.errors for contrast in judgement.contrasts):
        yield f"{errors} pairs are left out, as an episode broke."
    if decision.reason == "all episodes done":
        yield "Undecided means that a difference may be there or not; more episodes may tell."
