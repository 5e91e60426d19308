"""Numbers in settings are what they look like, whoever fills them in."""

import math
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pytest
from pydantic import Field, TypeAdapter, ValidationError

from harness.benchmarks.config import PolicyCase
from harness.benchmarks.expert_table import ExpertTableConfig
from harness.demonstrations.config import CollectionConfig, RegenerationConfig
from harness.evaluation.config import EvaluationConfig
from harness.recipes.config import Recipe, RecipeStage
from harness.recipes.entries import RecipeEntry
from policies.fusion import FUSIONS
from policies.rdt.model.sampling import SamplingOptions
from policies.registry import PolicyConfig
from tasks.errors import ConfigError
from tasks.protocols import Protocol
from tasks.settings import read_word, settings, strict_call
from training.config import TrainingConfig

FOREIGN = (True, 1.5, 1.0, "5", "true", math.nan, math.inf)
"""Each is refused where an integer is meant."""

TYPED = (
    "tasks",
    "base_tasks",
    "init_states",
    "exec_horizons",
    "record",
    "suites",
    "devices",
    "workers",
    "max_batch",
)
"""May be given as texts such as 0-4 or auto."""

EVERY = (
    *(EvaluationConfig, CollectionConfig, RegenerationConfig, TrainingConfig, Protocol),
    *(
        Recipe,
        RecipeEntry,
        RecipeStage,
        PolicyConfig,
        SamplingOptions,
        ExpertTableConfig,
        PolicyCase,
    ),
    *FUSIONS.values(),
)


@settings
class Inner:
    size: int = 1


@settings
class Outer:
    count: int | None = None
    share: Annotated[float, Field(ge=0)] = 0.5
    on: bool = False
    several: tuple[int, ...] = ()
    place: Path | None = None
    record: int | Literal["all"] = 0
    inner: tuple[Inner, ...] = ()


@pytest.mark.parametrize("value", FOREIGN)
def test_integers_are_integers(value: object) -> None:
    for given in ({"count": value}, {"several": [0, value]}, {"record": value}):
        with pytest.raises(ValidationError):
            Outer(**given)
    with pytest.raises(ValidationError):
        TypeAdapter(Outer).validate_python({"inner": [{"size": value}]})


@pytest.mark.parametrize("value", [True, "0.5", math.nan, math.inf, -math.inf])
def test_numbers_are_finite(value: object) -> None:
    with pytest.raises(ValidationError):
        Outer(share=value)


@pytest.mark.parametrize("value", [1, 0, 1.0, "true", "yes"])
def test_switches_are_true_or_false(value: object) -> None:
    with pytest.raises(ValidationError):
        Outer(on=value)


def test_what_is_meant_is_taken() -> None:
    plain = {"count": 3, "share": 1, "on": True, "several": [1, 2], "place": "a/b"}
    read = TypeAdapter(Outer).validate_python({**plain, "record": "all", "inner": [{"size": 2}]})
    assert read == Outer(
        count=np.int64(3),
        share=1.0,
        on=True,
        several=(1, 2),
        place=Path("a/b"),
        record="all",
        inner=(Inner(size=2),),
    )
    assert type(read.share) is float
    assert type(Outer(count=np.int32(3)).count) is int


@pytest.mark.parametrize("kind", EVERY)
def test_every_settings_class_is_strict(kind: type) -> None:
    for name, about in kind.__pydantic_fields__.items():
        field = TypeAdapter(Annotated[(about.annotation, "as it is", *about.metadata)])
        for value in FOREIGN:
            try:
                read = field.validate_python(value)
            except (ValidationError, ConfigError):
                continue
            if isinstance(value, str) and name in TYPED:
                continue
            assert isinstance(read, type(value) | Path), f"{kind.__name__}.{name} makes {read!r}"
            assert str(read) == str(value), name
            assert not isinstance(value, float) or math.isfinite(value), name


def test_arguments_are_checked_likewise() -> None:
    @strict_call
    def build(*, size: int, place: Path = Path()) -> tuple[int, Path]:
        return size, place

    assert build(size=2, place="a") == (2, Path("a"))
    for value in FOREIGN:
        with pytest.raises(ValidationError):
            build(size=value)


def test_words() -> None:
    given = ("7", "-7", "1.0", "1e3", "True", "1_000", "0x10", "٣", "9" * 5000, "nan", "")
    read = [read_word(word) for word in given]
    assert [type(value) for value in read[:5]] == [int, int, float, float, bool]
    assert all(not isinstance(value, int) for value in read[5:])
