"""Engines: where an evaluation's simulations and its policy run, or a collection's attempts."""

import re
from dataclasses import fields
from importlib import import_module
from typing import Annotated, Any, Literal, Self

from cyclopts import Group, Parameter
from pydantic import BeforeValidator, Field, model_validator

from tasks.errors import ConfigError, PrerequisiteError
from tasks.settings import settings

MOST_REPLICAS = 256
"""Replicas of a policy; more are a slip."""

_PANEL = Group("Engine", sort_key=1)


@settings
class EngineOptions:
    """What kind of engine, and which cluster."""

    engine: Annotated[Literal["local", "ray"], Parameter(group=_PANEL)] = "local"
    """local: processes of this machine. ray: actors on a Ray cluster, which may span many machines
    (pip install 'libero-bench[ray]'). No outcome depends on it."""

    address: Annotated[str | None, Parameter(group=_PANEL)] = None
    """With --engine ray, the cluster: auto for the one that this machine belongs to, or HOST:PORT.
    By default a cluster of this machine alone is started, and ended with the command."""

    allow_unauthenticated: Annotated[bool, Parameter(negative=(), group=_PANEL)] = False
    """With --address, use a cluster without a token, where everybody who reaches its ports can run
    code."""

    def chosen(self) -> dict[str, Any]:
        """Return the options of ``ENGINE_OPTIONS`` that are not at their defaults."""
        defaults = {option.name: option.default for option in fields(EngineOptions)}
        return {n: getattr(self, n) for n, it in defaults.items() if getattr(self, n) != it}

    def flags(self) -> list[str]:
        """Return ``chosen`` as words of a command line."""
        words: list[str] = []
        for name, value in self.chosen().items():
            words += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
        return words

    @model_validator(mode="after")
    def _check_cluster(self) -> Self:
        if self.engine == "local":
            for option in ("address", "allow_unauthenticated"):
                if getattr(self, option):
                    flag = f"--{option.replace('_', '-')}"
                    raise ConfigError(
                        f"{flag} was given with --engine local, which has no cluster. Fix: give "
                        f"--engine ray, or leave {flag} out."
                    )
        elif self.allow_unauthenticated and self.address is None:
            raise ConfigError(
                "--allow-unauthenticated was given without --address; a cluster that is started "
                "here has a token. Fix: leave it out."
            )
        return self


ENGINE_OPTIONS = tuple(option.name for option in fields(EngineOptions))
"""Names of the options that choose an engine."""


def load_engine(place: str) -> Any:
    """Import a part of an engine, whose packages are only needed where it is used.

    Args:
        place: ``module:name``.

    Raises:
        PrerequisiteError: Ray is not installed.
    """
    module, _, name = place.partition(":")
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise PrerequisiteError(
            "--engine ray needs Ray, which is not installed. Fix: pip install 'libero-bench[ray]'."
        ) from error


def _read_devices(value: Any) -> Any:
    """Read devices such as ``0,1`` or ``cuda:0,cpu``, and name each as torch does."""
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(n, str | int) for n in names):
        return value
    parts = [part.strip() for name in names for part in str(name).split(",")]
    devices = tuple(f"cuda:{part}" if part.isdecimal() else part for part in parts)
    for device in devices:
        if not re.fullmatch(r"cpu|cuda(:[0-9]{1,3})?", device):
            raise ConfigError(
                f"--devices '{device}' is not known. Allowed: numbers of GPUs such as 0,1,2,3, or "
                "names such as cuda:0 or cpu."
            )
    return devices


@settings
class ReplicaOptions(EngineOptions):
    """How many copies of a policy plan, and on which devices."""

    replicas: Annotated[
        Annotated[int, Field(ge=1, le=MOST_REPLICAS)] | None, Parameter(group=_PANEL)
    ] = None
    """Copies of the policy, each in a process of its own; episodes are spread over them. As many as
    --devices by default, or one; with --engine ray one for each GPU, or one."""

    devices: Annotated[
        tuple[str, ...], BeforeValidator(_read_devices), Parameter(group=_PANEL)
    ] = ()
    """Devices of the replicas, such as 0,1,2,3 for four GPUs; with more replicas than devices, one
    after another. Ray chooses by itself."""

    @model_validator(mode="after")
    def _check_devices(self) -> Self:
        if self.devices and self.engine == "ray":
            raise ConfigError(
                f"--devices {','.join(self.devices)} was given with --engine ray, which gives each "
                "replica a GPU by itself. Fix: leave it out."
            )
        if self.replicas is not None and self.replicas < len(set(self.devices)):
            raise ConfigError(
                f"--replicas {self.replicas} with {len(set(self.devices))} --devices. Allowed: a "
                "replica for each device, or more. Fix: name fewer devices, or leave --replicas "
                "out."
            )
        return self
