"""A study's tables: for a terminal, as Markdown, CSV or JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from results.formatting import (
    Format,
    check_format,
    csv_table,
    json_text,
    markdown_table,
    plain_text,
)
from results.statistics.intervals import Interval
from results.statistics.seeds import Effect
from results.studies.analysis import (
    ClaimRow,
    EffectRow,
    RateRow,
    claim_rows,
    effect_rows,
    rate_rows,
)
from results.studies.curves import ErrorRow, TrainingLogs, error_rows, read_logs
from results.studies.measurements import Measurement, read_measurements
from results.studies.records import StudyRecord, plain_changes, read_study

if TYPE_CHECKING:
    from rich.table import Table

Lines = tuple[list[str], list[list[str]]]
"""Header and rows of a table."""


class StudyTables:
    """The tables of a study's folder, finished or not.

    Args:
        folder: The study's folder, with ``study.json`` and its runs.

    Raises:
        ResultsError: It is no study, or a run is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.study: StudyRecord = read_study(folder)
        self.measured: dict[tuple[str, int], Measurement] = read_measurements(folder, self.study)
        self.rates: list[RateRow] = rate_rows(self.study, self.measured)
        self.effects: list[EffectRow] = effect_rows(self.study, self.measured)
        self.logs: TrainingLogs = read_logs(folder, self.study)
        self.errors: list[ErrorRow] = error_rows(self.logs)
        self.claims: list[ClaimRow] = claim_rows(self.study, self.measured)

    def render(self, format: Format = "table") -> str:
        """Return all tables as text, ending in a newline; CSV has the rates alone.

        Raises:
            ResultsError: The format is unknown.
        """
        check_format(format)
        if format == "json":
            return json_text(self.as_dict())
        if format == "csv":
            rows = [_rate_values(row) for row in self.rates]
            return csv_table(list(rows[0]), rows)
        if format == "markdown":
            return "\n".join(
                f"{title}:\n\n{markdown_table(*lines)}" for title, lines in self.lines() if lines[1]
            )
        return plain_text(lambda console: console.print(*self.rich_tables(), sep="\n"))

    def rich_tables(self) -> list["Table"]:
        """Return the tables for a terminal."""
        from rich import box
        from rich.table import Table

        tables = []
        for title, (header, rows) in self.lines():
            table = Table(*header, title=title, title_justify="left", box=box.SIMPLE_HEAD)
            for row in rows:
                table.add_row(*row)
            if rows:
                tables.append(table)
        return tables

    def lines(self) -> list[tuple[str, Lines]]:
        """Return the title, the header and the rows of each table."""
        return [
            ("Success over seeds, 95 % intervals", rate_lines(self.rates)),
            (f"Difference from {self.study.arms[0].name}, points", _effect_lines(self.effects)),
            ("Claims", claim_lines(self.claims)),
            ("Squared error of sampled plans on held-out demonstrations", error_lines(self.errors)),
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {
            "title": self.study.title,
            "arms": [
                {"name": arm.name, "note": arm.note, "changes": plain_changes(arm.changes)}
                for arm in self.study.arms
            ],
            "rates": [_rate_values(row) for row in self.rates],
            "effects": [_effect_values(row) for row in self.effects],
            "claims": [_claim_values(row) for row in self.claims],
            "errors": [asdict(row) for row in self.errors],
        }


def rate_lines(rows: Sequence[RateRow]) -> Lines:
    """Return the table of rates."""
    predicates = list(dict.fromkeys(name for row in rows for name in row.predicates))
    header = ["Arm", "Horizon", "Success", "95 %", "By seed", "SD of seeds", *predicates, "Left"]
    lines = []
    for row in rows:
        left = (
            ", ".join(map(str, row.unfinished)) and f"seeds {', '.join(map(str, row.unfinished))}"
        )
        if row.rates is None or row.interval is None:
            lines.append([row.arm, str(row.exec_horizon), *["–"] * (4 + len(predicates)), left])
            continue
        reached = [
            f"{100 * row.predicates[name].rate:.0f} %" if name in row.predicates else "–"
            for name in predicates
        ]
        by_seed = " ".join(map(str, row.rates.successes)) + f" of {row.rates.episodes}"
        lines.append(
            [
                *(row.arm, str(row.exec_horizon), f"{100 * row.rates.rate:.1f} %"),
                *(_percents(row.interval), by_seed, f"{100 * row.rates.spread:.1f}"),
                *reached,
                left,
            ]
        )
    return header, lines


def _effect_lines(rows: Sequence[EffectRow]) -> Lines:
    header = ["Arm", "Horizon", "Difference", "95 %", "95 % of its own seeds", ""]
    lines = [
        [
            *(row.arm, str(row.exec_horizon), f"{100 * row.effect.estimate:+.1f}"),
            _points(row.effect),
            "–" if row.own is None else _points(row.own),
            "seeds differ too much: train more" if row.varies else "",
        ]
        for row in rows
    ]
    return header, lines


def claim_lines(rows: Sequence[ClaimRow]) -> Lines:
    """Return the table of claims."""
    header = ["Claim", "B less A", "Difference", "95 %", "At least", "p (Holm)", "n", "Verdict"]
    lines = []
    for row in rows:
        claim = row.claim
        sides = f"{claim.b} − {claim.a}"
        smallest = f"{100 * claim.smallest:+.0f}"
        if row.effect is None:
            lines.append([claim.name, sides, "–", "–", smallest, "–", "–", f"undecided: {row.why}"])
            continue
        lines.append(
            [
                *(claim.name, sides, f"{100 * row.effect.estimate:+.1f}", _points(row.effect)),
                *(smallest, f"{row.p_value:.3f}", f"{row.seeds} × {row.episodes}"),
                _verdict(row),
            ]
        )
    return header, lines


def error_lines(rows: Sequence[ErrorRow]) -> Lines:
    """Return the table of errors: before and after the first predicate of the goal."""
    header = ["Arm", "Seeds", "All windows", "Before the first goal", "After it"]
    lines = [
        [
            *(row.arm, str(row.seeds), f"{row.overall:.3g}"),
            *("–" if each is None else f"{each:.3g}" for each in (row.before_goal, row.after_goal)),
        ]
        for row in rows
    ]
    return header, lines


def _verdict(row: ClaimRow) -> str:
    if row.verdict != "undecided":
        return row.verdict
    if row.why:
        return f"undecided: {row.why}"
    needed = "over 100" if row.needed is None else f"about {row.needed}"
    return f"undecided; {needed} seeds would decide"


def _percents(interval: Interval) -> str:
    return f"{100 * interval.low:.0f}–{100 * interval.high:.0f} %"


def _points(effect: Effect) -> str:
    low, high = effect.interval()
    return f"{100 * low:+.0f} to {100 * high:+.0f}"


def _rate_values(row: RateRow) -> dict[str, Any]:
    rates, interval = row.rates, row.interval
    return {
        "arm": row.arm,
        "exec_horizon": row.exec_horizon,
        "seeds": rates.seeds if rates else 0,
        "episodes": rates.episodes if rates else 0,
        "successes": list(rates.successes) if rates else [],
        "rate": rates.rate if rates else None,
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "spread": rates.spread if rates else None,
        "predicates": {name: each.rate for name, each in row.predicates.items()},
        "unfinished": list(row.unfinished),
    }


def _effect_values(row: EffectRow) -> dict[str, Any]:
    return {
        "arm": row.arm,
        "exec_horizon": row.exec_horizon,
        **_estimate(row.effect),
        "own": None if row.own is None else _estimate(row.own),
        "varies": row.varies,
    }


def _estimate(effect: Effect) -> dict[str, float]:
    low, high = effect.interval()
    return {"estimate": effect.estimate, "low": low, "high": high}


def _claim_values(row: ClaimRow) -> dict[str, Any]:
    return {
        **asdict(row.claim),
        "verdict": row.verdict,
        **({} if row.effect is None else _estimate(row.effect)),
        "p": row.p_value,
        "seeds": row.seeds,
        "episodes": row.episodes,
        "seeds_needed": row.needed,
        "paired": row.paired,
        "why": row.why,
    }
