"""Entries of a recipe: policies to evaluate, and the rows of the table that each stands for."""

from collections.abc import Iterator
from dataclasses import field
from itertools import product
from typing import Any, NamedTuple

from harness.evaluation.config import AnyDelay, run_name
from harness.evaluation.grid import with_chunking
from harness.options import Label, Numbers
from policies.chunking import Chunking, parse_chunkings
from policies.fusion import Fusion, parse_fusion
from policies.registry import PolicyConfig
from tasks.errors import ConfigError
from tasks.settings import settings


@settings
class RecipeEntry:
    """A policy to evaluate; each combination of its lists is a row of the table."""

    policy: str
    """A policy's name."""
    label: Label | None = None
    """How tables call it; the policy's name by default."""
    checkpoint: str | None = None
    """A checkpoint; for ``rdt`` by default the one this recipe trains, the best one where
    ``[train]`` has ``eval_every``."""
    exec_horizons: Numbers = ()
    """Execution horizons; the policy's own by default."""
    fusion: str | None = None
    """How overlapping plans are fused, such as ``act:m=0.05``; not at all by default."""
    fusions: tuple[str, ...] = ()
    """Several of them instead."""
    delays: tuple[AnyDelay, ...] = ()
    """Control steps from an observation to the plan made from it, or ``measured``; what
    ``[evaluate]`` says by default."""
    chunkings: tuple[str, ...] = ()
    """How a plan is joined to the one before, such as ``none`` and ``rtc``."""
    perturbs: tuple[str, ...] = ()
    """What is changed of every task, such as ``camera:h=30``; what ``[evaluate]`` says by
    default."""
    options: dict[str, Any] = field(default_factory=dict)
    """The policy's own settings."""

    @property
    def name(self) -> str:
        """How tables call it."""
        return self.label or self.policy


class Row(NamedTuple):
    """What one row of an entry sets of an evaluation, and what a sweep would call its folder."""

    policy: PolicyConfig
    settings: dict[str, Any]
    folder: str


def rows(entry: RecipeEntry, policy: PolicyConfig) -> Iterator[Row]:
    """Yield the rows of an entry, first by horizon, then fusion, delay, chunking, perturbation.

    Args:
        entry: The entry.
        policy: Its policy.

    Raises:
        ConfigError: A rule or a method is not known, or cannot be one of this policy's.
    """
    chunkings = [_chunking(text) for text in entry.chunkings]
    for horizon, fusion, delay, chunking, perturb in product(
        entry.exec_horizons or (None,),
        _fusions(entry),
        entry.delays or (None,),
        chunkings or (None,),
        entry.perturbs or (None,),
    ):
        given = {"delay": delay, "perturb": perturb}
        yield Row(
            policy=with_chunking(policy, chunking),
            settings={"exec_horizon": horizon, "fusion": fusion}
            | {name: value for name, value in given.items() if value is not None},
            folder=run_name(horizon, fusion, delay or 0, chunking, perturb),
        )


def _fusions(entry: RecipeEntry) -> tuple[Fusion, ...]:
    if entry.fusion is not None and entry.fusions:
        raise ConfigError(f"Entry '{entry.name}' has both fusion and fusions. Fix: drop one.")
    return tuple(parse_fusion(text) for text in entry.fusions or (entry.fusion or "none",))


def _chunking(text: str) -> Chunking:
    chunkings = parse_chunkings(text)
    if len(chunkings) != 1:
        raise ConfigError(
            f"chunkings has '{text}'. Allowed: one method in each text, such as "
            'chunkings = ["none", "rtc:beta=10"].'
        )
    return chunkings[0]
