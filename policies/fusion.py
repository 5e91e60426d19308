"""Rules for fusing the actions of several plans for the same control step.

A plan covers more steps than are executed before the next one, so plans overlap. A rule makes one
action out of those of all plans that cover a step. To add a rule, write its weights and put it in
``FUSIONS``; its fields are its options.

Two decisions hold for every rule:

- The gripper's command is a decision, so it is never averaged but the newest plan's. A vote would
  keep a decision that the newest plan, with the latest observation, took back.
- Position and axis-angle deltas are averaged as they are. An action of 1 turns LIBERO's hand by 0.5
  rad about an axis, and for such small rotations the mean of two axis-angle vectors is the mean
  rotation to within 0.03 rad. Goals hold six numbers of an orientation's matrix, whose mean is one
  of a matrix between them.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from pydantic import Field, ValidationError

from tasks.errors import ConfigError, first_mistake, unknown_name
from tasks.observation import FloatArray
from tasks.settings import read_word, settings


@settings
class Fusion:
    """A rule: the weight of each plan."""

    name: ClassVar[str] = ""

    def weights(self, actions: FloatArray) -> FloatArray:
        """Weigh the plans.

        Args:
            actions: (k, width), actions of k ≥ 2 plans for one step, oldest plan first.

        Returns:
            (k,) weights, not negative, of any sum above 0.
        """
        raise NotImplementedError

    def fuse(self, actions: FloatArray) -> FloatArray:
        """Fuse the actions of k ≥ 1 plans for a step, (k, width), oldest first, to (width,)."""
        fused: FloatArray = actions[-1].copy()
        if len(actions) > 1:
            weights = self.weights(actions)
            fused[:-1] = weights @ actions[:, :-1] / weights.sum()
        return fused

    def __str__(self) -> str:
        """Return the rule with all its options, as ``parse_fusion`` reads it."""
        return self._text(_options(type(self)))

    @property
    def brief(self) -> str:
        """The same without options that have their default value."""
        fields = _options(type(self))
        return self._text({k: v for k, v in fields.items() if getattr(self, k) != v})

    @property
    def folder_name(self) -> str:
        """The same as part of a folder's name."""
        return self.brief.replace(":", "-").replace(",", "-")

    def _text(self, options: Sequence[str] | dict[str, Any]) -> str:
        values = ",".join(f"{option}={getattr(self, option)!r}" for option in options)
        return f"{self.name}:{values}" if values else self.name


@settings
class Newest(Fusion):
    """Follow the newest plan that covers the step.

    This equals ``none``, which executes the first ``exec_horizon`` steps of each plan. They would
    differ only in an executor that gets plans before they are due.
    """

    name = "newest"

    def fuse(self, actions: FloatArray) -> FloatArray:
        """Return the newest plan's action."""
        newest: FloatArray = actions[-1].copy()
        return newest


@settings
class Unfused(Newest):
    """Execute each plan open loop and forget it when the next one comes."""

    name = "none"


UNFUSED = Unfused()
"""The default rule."""


@settings
class Act(Fusion):
    """Temporal ensembling: w_i ∝ exp(−m·i), i = 0 being the oldest plan.

    Source: Zhao et al. 2023, "Learning Fine-Grained Bimanual Manipulation with Low-Cost Hardware",
    algorithm 2.
    """

    name = "act"

    m: float = 0.01
    """Above 0 old plans count more, so that new ones are taken up slowly; 0 is the mean; below 0
    new plans count more."""

    def weights(self, actions: FloatArray) -> FloatArray:
        """Weigh by age."""
        return _exponentials(-self.m * np.arange(len(actions)))


@settings
class Mean(Fusion):
    """All plans count the same."""

    name = "mean"

    def weights(self, actions: FloatArray) -> FloatArray:
        """Weigh all the same."""
        return np.ones(len(actions))


@settings
class Ema(Fusion):
    """Exponential moving average: each plan makes α·new + (1−α)·old of what was fused before."""

    name = "ema"

    alpha: float = Field(default=0.5, gt=0, le=1)
    """Share of the newer plan, in (0, 1]; 1 follows the newest."""

    def weights(self, actions: FloatArray) -> FloatArray:
        """Expand the recursion: (1−α)^(k−1) for the oldest plan, then α·(1−α)^(k−1−j)."""
        kept = (1 - self.alpha) ** np.arange(len(actions) - 1, -1, -1, dtype=np.float64)
        return np.append(kept[:1], self.alpha * kept[1:])


@settings
class Adaptive(Fusion):
    """Adaptive ensembling: w_k ∝ exp(α·cos(a_newest, a_k)), less for plans that disagree.

    The cosine is that of whole actions, gripper included, so a plan with the other gripper command
    counts less. It is 0 where an action is all zeros.

    Source: Li et al. 2024, "CogACT", arXiv 2411.19650.
    """

    name = "adaptive"

    alpha: float = 0.1
    """Weight of agreement; 0 is the mean of the latest plans."""

    plans: int = Field(default=7, ge=2, le=7)
    """At most so many plans are fused, 2 to 7, the newest ones."""

    def weights(self, actions: FloatArray) -> FloatArray:
        """Weigh by agreement with the newest plan; plans before the latest ones get no weight."""
        newest = actions[-1]
        lengths = np.linalg.norm(actions, axis=1) * np.linalg.norm(newest)
        cosines = np.divide(
            actions @ newest, lengths, out=np.zeros(len(actions)), where=lengths > 0
        )
        weights = _exponentials(self.alpha * cosines)
        weights[: -self.plans] = 0.0
        return weights


FUSIONS: dict[str, type[Fusion]] = {
    rule.name: rule for rule in (Unfused, Act, Newest, Mean, Ema, Adaptive)
}
"""The rules by name."""


def parse_fusion(text: str) -> Fusion:
    """Read a rule such as ``mean``, ``act:m=0.05`` or ``adaptive:alpha=0.1,plans=4``.

    Raises:
        ConfigError: There is no rule or option of that name, or a value is not allowed.
    """
    name, colon, options_text = text.strip().partition(":")
    if name not in FUSIONS:
        raise unknown_name("fusion", name, FUSIONS)
    rule = FUSIONS[name]
    allowed = _options(rule)
    options: dict[str, Any] = {}
    for part in options_text.split(",") if colon else ():
        option, equals, value = (word.strip() for word in part.partition("="))
        if not equals or not option or not value or option in options:
            raise ConfigError(
                f"Fusion '{text}' cannot be read at '{part}'. Allowed: {_example(rule)}."
            )
        if option not in allowed:
            if not allowed:
                raise ConfigError(f"Fusion '{name}' has no options, but '{option}' was given.")
            raise unknown_name(f"option of fusion '{name}'", option, allowed)
        options[option] = read_word(value)
    try:
        return rule(**options)
    except ValidationError as error:
        option, why = first_mistake(error)
        raise ConfigError(f"Fusion '{name}': {option}: {why}.") from error


def parse_fusions(text: str) -> tuple[Fusion, ...]:
    """Read several rules with commas between them, such as ``none,ema:alpha=0.3,act``.

    Text after a comma belongs to the rule before it if it has the form of an option.

    Raises:
        ConfigError: As ``parse_fusion``, or a rule comes twice.
    """
    parts: list[str] = []
    for part in text.split(","):
        head, equals, _ = part.partition("=")
        if parts and equals and ":" not in head:
            parts[-1] += f",{part}"
        else:
            parts.append(part)
    fusions = tuple(parse_fusion(part) for part in parts)
    if len(set(fusions)) != len(fusions):
        raise ConfigError(f"Fusion '{text}' names a rule twice. Fix: name each once.")
    return fusions


def _options(rule: type[Fusion]) -> dict[str, Any]:
    """Return the defaults of a rule's options by name, in order."""
    defaults = rule()
    return {field.name: getattr(defaults, field.name) for field in dataclasses.fields(rule)}


def _example(rule: type[Fusion]) -> str:
    with_options = str(rule())
    return with_options if with_options == rule.name else f"{rule.name}, or such as {with_options}"


def _exponentials(exponents: FloatArray) -> FloatArray:
    """Return numbers in the ratio of exp(exponents), the largest being 1."""
    ratios: FloatArray = np.exp(exponents - exponents.max())
    return ratios
