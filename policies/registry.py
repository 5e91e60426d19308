"""Policies by name, and the recipe from which any process can build one.

A package adds its own by an entry point in the group ``libero_bench.policies``:

    [options.entry_points]
    libero_bench.policies =
        mine = my_package.policy:build

``build`` takes keyword arguments: ``checkpoint`` and ``device`` if it names them, and its options.
It may also be a class of options, whose ``build`` method gives the policy.
Nothing heavy is imported before ``PolicyConfig.build``.
"""

import inspect
import logging
from collections.abc import Callable, Mapping
from dataclasses import field
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Protocol, get_type_hints, runtime_checkable

from pydantic import TypeAdapter, ValidationError

from policies.interface import Policy, PolicySpec, PrivilegedPolicy, misspelt_members
from tasks.errors import (
    ConfigError,
    PrerequisiteError,
    SpecMismatchError,
    first_mistake,
    unknown_name,
)
from tasks.settings import settings, strict_call

ENTRY_POINTS = "libero_bench.policies"
"""Group of entry points in which other packages name their policies."""

_log = logging.getLogger(__name__)

AnyPolicy = Policy | PrivilegedPolicy


@runtime_checkable
class PolicyOptions(Protocol):
    """A policy's options, from which it is built."""

    def build(self) -> AnyPolicy:
        """Build the policy."""


Factory = Callable[..., AnyPolicy | PolicyOptions]


@settings
class PolicyConfig:
    """How to build a policy; small, picklable, and the same in every process."""

    name: str
    """random, noop, expert, rdt, replay (demonstrations, executed again from where they started:
    --option.demos FOLDER), remote (a server of openpi's protocol: --option.host NAME --option.port
    8000), or one that another package registers."""

    checkpoint: str | None = None
    """Folder of a trained policy."""

    device: str = "auto"
    """Where to compute: auto (CUDA where there is one), cpu, cuda or cuda:1."""

    options: dict[str, Any] = field(default_factory=dict)
    """The policy's own settings, such as --option.noise 0.15 for the expert; libero-bench policies
    NAME lists them."""

    def build(self) -> AnyPolicy:
        """Build the policy.

        Raises:
            ConfigError: No policy has that name, it does not take an option or the checkpoint, it
                needs a checkpoint and has none, or a value is not allowed.
            PrerequisiteError: A device or package is missing.
            SpecMismatchError: What was built is no policy.
        """
        factory, takes = self._find()
        anything = _takes_anything(takes)
        reserved = {"checkpoint": self.checkpoint, "device": self.device}
        given = {k: v for k, v in reserved.items() if k in takes or (anything and v is not None)}
        made = self._call(factory, given)
        return _checked(self.name, made.build() if _is_options(factory) else made)

    def check(self) -> None:
        """Refuse what is seen to be wrong without building the policy.

        Raises:
            ConfigError: See ``build``; a value out of range may only be found there.
            PrerequisiteError: The package that offers the policy cannot be imported.
        """
        factory, takes = self._find()
        for name, parameter in takes.items():
            required = parameter.default is parameter.empty and parameter.kind in _NAMED
            if required and name not in (*self.options, "checkpoint", "device"):
                raise ConfigError(f"Policy '{self.name}': {name}: it must be given.")
        if _is_options(factory):
            self._call(factory, {})
            return
        function = getattr(factory, "raw_function", factory)
        hints = (
            get_type_hints(function, include_extras=True) if inspect.isfunction(function) else {}
        )
        for name, value in self.options.items():
            if name in hints:
                try:
                    TypeAdapter(hints[name]).validate_python(value)
                except ValidationError as error:
                    why = first_mistake(error)[1]
                    raise ConfigError(f"Policy '{self.name}': {name}: {why}.") from error

    def _call(self, factory: Factory, given: Mapping[str, Any]) -> Any:
        try:
            return factory(**given, **self.options)
        except ValidationError as error:
            place, why = first_mistake(error)
            raise ConfigError(f"Policy '{self.name}': {place}: {why}.") from error

    def _find(self) -> tuple[Factory, Mapping[str, inspect.Parameter]]:
        """Return what builds the policy and what that takes; refuse names that it does not."""
        factory = find_factory(self.name)
        takes = inspect.signature(factory).parameters
        anything = _takes_anything(takes)
        reserved = ("checkpoint", "device")
        own = [name for name in takes if name not in reserved]
        for option in self.options:
            if option in reserved or (option not in takes and not anything):
                if not own:
                    raise ConfigError(
                        f"Option '{option}' given to policy '{self.name}', which has none."
                    )
                raise unknown_name(f"option of policy '{self.name}'", option, own)
        if self.checkpoint is not None and "checkpoint" not in takes and not anything:
            raise ConfigError(
                f"Policy '{self.name}' takes no checkpoint, but '{self.checkpoint}' was given. "
                "Fix: leave the checkpoint out, or choose policy 'rdt'."
            )
        return factory, takes


def _is_options(factory: Factory) -> bool:
    """Whether a factory is a class of options, which are checked before a policy is built."""
    return inspect.isclass(factory) and hasattr(factory, "build") and not hasattr(factory, "plan")


def _takes_anything(takes: Mapping[str, inspect.Parameter]) -> bool:
    return any(p.kind is inspect.Parameter.VAR_KEYWORD for p in takes.values())


_NAMED = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def policy_names() -> tuple[str, ...]:
    """Return the names of all policies, other packages' included."""
    return tuple(dict.fromkeys([*_BUILT_IN, *(p.name for p in entry_points(group=ENTRY_POINTS))]))


def find_factory(name: str) -> Factory:
    """Return what builds a policy.

    Raises:
        ConfigError: No policy has that name.
        PrerequisiteError: The package that offers it cannot be imported.
    """
    if name in _BUILT_IN:
        module, _, function = _BUILT_IN[name].partition(":")
        own: Factory = getattr(import_module(module), function)
        return strict_call(own) if inspect.isfunction(own) else own
    for point in entry_points(group=ENTRY_POINTS):
        if point.name == name:
            try:
                loaded: Factory = point.load()
            except Exception as error:  # a module of others may raise anything
                by = f" by package {point.dist.name}" if point.dist else ""
                why = " ".join(f"{type(error).__name__}: {error}".split())
                raise PrerequisiteError(
                    f"Policy '{name}' is offered as {point.value}{by}, which cannot be imported "
                    f"({why}). Fix: repair or reinstall that package."
                ) from error
            return strict_call(loaded) if inspect.isfunction(loaded) else loaded
    raise unknown_name("policy", name, policy_names())


def _checked(name: str, built: Any) -> AnyPolicy:
    """Refuse what is no policy, before an evaluation stumbles over it; warn of misspelt members."""
    spec = getattr(built, "spec", None)
    misspelt = misspelt_members(built)
    if isinstance(spec, PolicySpec) and callable(getattr(built, "plan", None)):
        for member, meant in misspelt.items():
            _log.warning(
                "WARNING: Policy '%s' has a member '%s', which nothing asks for. "
                "Did you mean '%s'? policies.interface lists what is asked.",
                *(name, member, meant),
            )
        policy: AnyPolicy = built
        return policy
    lack = "no plan()" if isinstance(spec, PolicySpec) else "no spec, or none that is a PolicySpec"
    hint = "".join(f" Did you mean '{meant}' by '{other}'?" for other, meant in misspelt.items())
    raise SpecMismatchError(
        f"Policy '{name}' is a {type(built).__name__}, which has {lack}.{hint} "
        "Fix: give it what policies.interface.Policy describes."
    )


_BUILT_IN = {
    "random": "policies.baselines:build_random",
    "noop": "policies.baselines:build_noop",
    "expert": "policies.expert.policy:build_expert",
    "rdt": "policies.rdt.policy:RDTOptions",
    "replay": "policies.replay:build_replay",
    "remote": "policies.remote.policy:RemoteOptions",
}
"""What builds this package's policies, by name; the modules are imported when used."""
