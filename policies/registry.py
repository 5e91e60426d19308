"""Policies by name, and the config from which any process can build one.

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
    --option.demos FOLDER), remote (a server of openpi's protocol or StarVLA's: --option.host NAME
    --option.port 8000), or one that another package registers."""

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
        factory, parameters = self._find()
        has_kwargs = _has_kwargs(parameters)
        arguments = {
            name: value
            for name, value in {"checkpoint": self.checkpoint, "device": self.device}.items()
            if name in parameters or (has_kwargs and value is not None)
        }
        built = self._call(factory, arguments)
        return _checked(self.name, built.build() if _is_options(factory) else built)

    def check(self) -> None:
        """Refuse errors that show without building the policy.

        Raises:
            ConfigError: See ``build``; some values out of range are only refused there.
            PrerequisiteError: The package that offers the policy cannot be imported.
        """
        factory, parameters = self._find()
        for name, parameter in parameters.items():
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

    def _call(self, factory: Factory, arguments: Mapping[str, Any]) -> Any:
        try:
            return factory(**arguments, **self.options)
        except ValidationError as error:
            place, why = first_mistake(error)
            raise ConfigError(f"Policy '{self.name}': {place}: {why}.") from error

    def _find(self) -> tuple[Factory, Mapping[str, inspect.Parameter]]:
        """Return the factory and its parameters; refuse options that are not among these."""
        factory = find_factory(self.name)
        parameters = inspect.signature(factory).parameters
        has_kwargs = _has_kwargs(parameters)
        reserved = ("checkpoint", "device")
        allowed = [name for name in parameters if name not in reserved]
        for option in self.options:
            if option in reserved or (option not in parameters and not has_kwargs):
                if not allowed:
                    raise ConfigError(
                        f"Option '{option}' given to policy '{self.name}', which has none."
                    )
                raise unknown_name(f"option of policy '{self.name}'", option, allowed)
        if self.checkpoint is not None and "checkpoint" not in parameters and not has_kwargs:
            raise ConfigError(
                f"Policy '{self.name}' takes no checkpoint, but '{self.checkpoint}' was given. "
                "Fix: leave the checkpoint out, or choose policy 'rdt'."
            )
        return factory, parameters


def _is_options(factory: Factory) -> bool:
    """Whether a factory is a class of options, which are checked before a policy is built."""
    return inspect.isclass(factory) and hasattr(factory, "build") and not hasattr(factory, "plan")


def _has_kwargs(parameters: Mapping[str, inspect.Parameter]) -> bool:
    return any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())


_NAMED = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def policy_names() -> tuple[str, ...]:
    """Return the names of all policies, other packages' included."""
    return tuple(dict.fromkeys([*_BUILT_IN, *(p.name for p in entry_points(group=ENTRY_POINTS))]))


def find_factory(name: str) -> Factory:
    """Return the factory of a policy.

    Raises:
        ConfigError: No policy has that name.
        PrerequisiteError: The package that offers it cannot be imported.
    """
    if name in _BUILT_IN:
        module, _, function = _BUILT_IN[name].partition(":")
        factory: Factory = getattr(import_module(module), function)
        return strict_call(factory) if inspect.isfunction(factory) else factory
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


def policy_parameters(name: str) -> tuple[str, ...]:
    """Return the names of the options of a policy.

    Raises:
        ConfigError: No policy has that name.
        PrerequisiteError: The package that offers it cannot be imported.
    """
    return tuple(inspect.signature(find_factory(name)).parameters)


def _checked(name: str, built: Any) -> AnyPolicy:
    """Refuse an object that is no policy, and warn of misspelt members."""
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
"""Factories of this package's policies, by name; the modules are imported when used."""
