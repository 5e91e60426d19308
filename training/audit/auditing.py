"""An audit: inputs to facts, facts to findings."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from policies.rdt.actions.layout_file import get_layout
from training.audit.facts import Facts
from training.audit.findings import Verdict, judge
from training.audit.rules import RULES
from training.audit.sources.inputs import read_input
from training.audit.sources.reading import Reading, combine, describe_layout


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What was audited and what came out.

    Attributes:
        sources: What was read.
        facts: What is known.
        verdict: What the rules say.
        notes: How inputs were read, and where they contradict one another.
    """

    sources: tuple[str, ...]
    facts: Facts
    verdict: Verdict
    notes: tuple[str, ...]


def audit(
    inputs: Sequence[str],
    *,
    gpus: int | None = None,
    demos: int | None = None,
    layout: str | None = None,
    environment: Mapping[str, str] | None = None,
    options: Mapping[str, Collection[str]] | None = None,
) -> Audit:
    """Audit inputs together, so that training and evaluation are compared.

    Args:
        inputs: See ``sources.reading.ALLOWED``.
        gpus: Processes of the training, where no input says it or another number is meant.
        demos: Demonstrations trained on.
        layout: Mapping to the unified vector that an official dataset script has.
        environment: Variables that scripts may use.
        options: Options of ``libero-bench train`` and ``eval`` that are no settings of a training,
            by command; without them, those of ``eval`` are not looked over.

    Raises:
        ConfigError: An input cannot be read, or there is no such layout.
        HarnessError: A checkpoint cannot be used.
    """
    readings = [reading for given in inputs for reading in read_input(given, environment, options)]
    sources = tuple(reading.source for reading in readings)
    readings += _checkpoints(readings)
    told = Reading(source="the command line")
    told.say("training", processes=gpus, demos=demos)
    if layout is not None:
        mapping = get_layout(layout)
        told.say("trained", **describe_layout(mapping, training=True))
        told.imply("evaluated", **describe_layout(mapping, training=False))
    facts, notes = combine([*readings, told])
    return Audit(sources=sources, facts=facts, verdict=judge(facts, RULES), notes=tuple(notes))


def _checkpoints(readings: Sequence[Reading]) -> list[Reading]:
    """Read checkpoints of ours that evaluations name, unless they were given themselves."""
    given = {Path(reading.source).resolve() for reading in readings}
    named = dict.fromkeys(r.checkpoint for r in readings if r.checkpoint)
    found = []
    for name in named:
        folder = Path(name)
        if (folder / "contract.json").is_file() and folder.resolve() not in given:
            found += read_input(name)
    return found
