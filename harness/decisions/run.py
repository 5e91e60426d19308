"""Evaluating arms in blocks of pairs until the comparison is decided."""

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from harness.decisions.arms import Arm, resolve_arms
from harness.decisions.config import DecisionConfig
from harness.evaluation.engine import Engine, open_engine
from harness.evaluation.environments import EnvironmentSpec
from harness.evaluation.run import execute
from harness.evaluation.scheduler import EvaluationStatus
from results.decisions.order import ShuffledOrder
from results.decisions.verdict import Judgement, StoppingRule, judge
from results.records import EpisodeKey
from tasks.errors import ResultsError
from tasks.files import atomic_file

DECISION_FILE = "decision.json"

BLOCK = 20
"""Pairs that are run before the outcomes are looked at. They are looked at one by one all the same:
what was run behind the pair that decides does not count."""

Progress = Callable[[Judgement, float], None]
"""Takes the judgement so far, and the pairs done since, as a fraction of those still run."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """A comparison as it stands.

    Attributes:
        folder: Its folder.
        arms: The arms.
        order: The order of the episodes.
        rule: When it stops.
        judgement: What the outcomes say.
    """

    folder: Path
    arms: tuple[Arm, ...]
    order: ShuffledOrder
    rule: StoppingRule
    judgement: Judgement

    @property
    def reason(self) -> Literal["decided", "all episodes done", "unfinished"]:
        """Why it stopped."""
        if self.judgement.needed:
            return "unfinished"
        return "decided" if self.judgement.decided else "all episodes done"

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "arms": [{"name": arm.name, "run": str(arm.folder)} for arm in self.arms],
            "test": "beta mixture e-process on pairs that end differently, a = 1",
            "alpha": self.rule.alpha,
            "margin": self.rule.margin,
            "max_episodes": self.rule.most_pairs or len(self.order),
            "order_seed": self.order.seed,
            "pairs_looked_at": self.judgement.looked_at,
            "reason": self.reason,
            "contrasts": [contrast.as_dict() for contrast in self.judgement.contrasts],
        }


def decide(
    texts: Sequence[str],
    config: DecisionConfig,
    *,
    environments: EnvironmentSpec | None = None,
    progress: Progress | None = None,
) -> Decision:
    """Evaluate arms on the same episodes until it is decided which is better.

    A comparison that was interrupted goes on; one that is over is read.

    Args:
        texts: The arms; see ``harness.decisions.config.read_arm``.
        config: The settings.
        environments: Builds the environments; LIBERO's by default.
        progress: Called now and then.

    Raises:
        HarnessError: An arm or a setting is not allowed, or episodes break alike.
        ResultsError: A folder holds something else, or a run cannot be read.
    """
    arms, order = resolve_arms(texts, config, environments=environments)
    rule = StoppingRule(
        alpha=config.alpha,
        margin=None if config.margin is None else config.margin / 100.0,
        most_pairs=config.max_episodes,
    )
    identity = _identity(arms, order, rule)
    final = _resumed(config.out, identity)
    with _open_engine(arms) as engine:
        while True:
            judgement = judge([arm.outcomes(order, final) for arm in arms], order, rule)
            decision = Decision(
                folder=config.out, arms=tuple(arms), order=order, rule=rule, judgement=judgement
            )
            _write(config.out, identity, decision, final)
            if progress is not None:
                progress(judgement, 0.0)
            if not judgement.needed:
                return decision
            most = min(rule.most_pairs or len(order), len(order))
            end = min(judgement.looked_at + BLOCK, most)
            block = order[judgement.looked_at : end]
            for number, arm in enumerate(judgement.needed):
                _run_block(
                    arms[arm], engine, block, judgement, progress, number / len(judgement.needed)
                )
            final = max(final, end)


def _open_engine(arms: Sequence[Arm]) -> AbstractContextManager[Engine | None]:
    """Open what runs the episodes of all arms; None where they are runs that exist."""
    plan = next((arm.plan for arm in arms if arm.plan is not None), None)
    return nullcontext() if plan is None else open_engine(plan.config)


def _run_block(
    arm: Arm,
    engine: Engine | None,
    block: Sequence[EpisodeKey],
    judgement: Judgement,
    progress: Progress | None,
    before: float,
) -> None:
    """Run an arm's episodes of a block that are not on record."""
    if arm.plan is None:
        return

    def show(status: EvaluationStatus) -> None:
        if progress is not None:
            share = status.done / max(status.total, 1) / len(judgement.needed)
            progress(judgement, (before + share) * len(block))

    wanted = set(block)
    workload = arm.plan.workload
    keys = tuple(key for key in workload.planned if key in wanted)
    plan = replace(arm.plan, workload=replace(workload, episodes=keys))
    execute(plan, engine=engine, progress=show, status="interrupted")


def _identity(arms: Sequence[Arm], order: ShuffledOrder, rule: StoppingRule) -> dict[str, Any]:
    """Return what may not change when a comparison goes on: all but the episodes at most."""
    identity = {
        "arms": [
            {"run": str(arm.folder.resolve())}
            if arm.plan is None
            else {k: v for k, v in arm.info.policy.items() if k not in ("device", "checkpoint")}
            for arm in arms
        ],
        "protocol": arms[0].info.protocol["hash"],
        "episodes": [list(key) for key in sorted(order)],
        "alpha": rule.alpha,
        "margin": rule.margin,
        "order_seed": order.seed,
    }
    plain: dict[str, Any] = json.loads(json.dumps(identity))
    return plain


def _resumed(out: Path, identity: dict[str, Any]) -> int:
    """Return how many episodes of the order are not tried again if they broke.

    Raises:
        ResultsError: The folder holds another comparison or something else.
    """
    path = out / DECISION_FILE
    if out.is_file() or (out.is_dir() and not path.is_file() and any(out.iterdir())):
        raise ResultsError(f"'{out}' holds something else than a comparison: give another --out.")
    if not path.is_file():
        return 0
    try:
        earlier = json.loads(path.read_bytes())
        settled, final = earlier["settings"], int(earlier["final"])
    except (ValueError, KeyError, TypeError) as error:
        raise ResultsError(
            f"'{path}' is damaged: remove it, the same command then looks at the runs again."
        ) from error
    changed = [name for name in identity if settled.get(name) != identity[name]]
    if changed:
        raise ResultsError(
            f"'{out}' holds a comparison with other {', '.join(changed)}: give another --out."
        )
    return final


def _write(out: Path, identity: dict[str, Any], decision: Decision, final: int) -> None:
    out.mkdir(parents=True, exist_ok=True)
    content = {"settings": identity, "final": final, **decision.as_dict()}
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    path = out / DECISION_FILE
    with suppress(FileNotFoundError):
        if path.read_text(encoding="utf-8") == text:
            return
    with atomic_file(path) as draft:
        draft.write_text(text, encoding="utf-8")
