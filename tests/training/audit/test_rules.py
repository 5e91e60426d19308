"""Each rule has a case in which it fires and one in which it does not."""

from dataclasses import asdict
from types import SimpleNamespace

import pytest

from tasks.errors import SEVERITIES
from tests.training.audit.cases import CASES
from tests.training.audit.rule_cases import Case, facts, training
from training.audit.facts import DESCRIPTIONS, MissingFact
from training.audit.rules import RULES
from training.audit.sections import fact_names

CHECKS = {rule.name: rule.check for rule in RULES}


def test_every_rule_has_its_cases() -> None:
    assert {case.rule for case in CASES} == set(CHECKS)
    assert len(CHECKS) == len(RULES)


def test_what_rules_need_are_facts_that_the_list_of_skipped_rules_can_name() -> None:
    assert {need for rule in RULES for need in rule.needs} <= DESCRIPTIONS.keys()
    for name in DESCRIPTIONS:
        section, _, entry = name.partition(".")
        assert entry in fact_names(section)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule}-{case.severity}")
def test_a_rule_fires_and_does_not(case: Case) -> None:
    found = CHECKS[case.rule](case.fires)
    assert found is not None
    assert found.status == case.severity
    assert case.words in found.detail
    assert all(asdict(found)[name] for name in ("expected", "why", "source"))
    assert found.fix or found.status == "info"
    assert CHECKS[case.rule](case.quiet) is None


@pytest.mark.parametrize("rule", CHECKS)
def test_nothing_known_is_nothing_found(rule: str) -> None:
    try:
        assert CHECKS[rule](facts()) is None
    except MissingFact as lacking:
        assert str(lacking)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule}-{case.severity}")
def test_no_rule_stumbles_over_the_facts_of_another(case: Case) -> None:
    for given in (case.fires, case.quiet):
        for check in CHECKS.values():
            try:
                found = check(given)
            except MissingFact:
                continue
            assert found is None or found.status in SEVERITIES


def test_warmup_steps_against_accelerates_own_scheduler(monkeypatch) -> None:
    found = CHECKS["optimisation/ignored-warmup"](
        training(scheduler="constant", warmup=100, processes=8, accumulation=2)
    )
    assert found is not None
    steps = int(found.fix.split("--lr_warmup_steps=")[1].split()[0])
    assert updates_of_warmup(steps, monkeypatch, processes=8, accumulation=2) == 100
    short = CHECKS["optimisation/schedule-per-process"](
        training(scheduler="constant_with_warmup", warmup=400, processes=8, accumulation=1)
    )
    assert short is not None
    assert "last 50 updates" in short.detail
    assert updates_of_warmup(400, monkeypatch, processes=8, accumulation=1) == 50


def updates_of_warmup(steps: int, monkeypatch, *, processes: int, accumulation: int) -> int:
    """Count updates below the peak, stepping as the official train.py does."""
    import torch
    from accelerate import scheduler

    monkeypatch.setattr(
        scheduler, "AcceleratorState", lambda: SimpleNamespace(num_processes=processes)
    )
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    length = steps * accumulation  # as train.py multiplies it
    plain = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: min(1.0, n / length))
    optimizer.step_was_skipped = False  # type: ignore[attr-defined]
    prepared = scheduler.AcceleratedScheduler(plain, optimizer)
    updates = 0
    while plain.get_last_lr()[0] < 1.0:
        optimizer.step()
        prepared.step()
        updates += 1
    return updates
