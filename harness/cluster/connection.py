"""Joining a Ray cluster, or starting one on this machine, always with a token.

Ray's ports listen on all interfaces, and whoever speaks to them can run code. A token is therefore
required: a cluster that is started here has a fresh one, and one that is joined must refuse those
who have none.
"""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import ray
from ray.exceptions import RayError

from harness.engines import EngineOptions
from tasks.errors import ConfigError, PrerequisiteError
from tasks.native_libraries import environment_variables

_STORE_BYTES = 300 * 2**20
"""Object store of a cluster that is started here; a request with its images takes about 1 MB."""

_ASK = """
import sys
from ray._raylet import GcsClient
from ray.exceptions import AuthenticationError
try:
    GcsClient(address=sys.argv[1]).internal_kv_keys(b"", b"cluster", timeout=20)
except AuthenticationError:
    print("refuses")
else:
    print("answers")
"""
"""Asks a cluster something without a token."""

_ASK_S = 90
_REACH_S = 20
_STARTS = 3


@contextlib.contextmanager
def open_cluster(options: EngineOptions, *, actors: int) -> Iterator[None]:
    """Join the cluster that options name, or start one.

    Args:
        options: Which cluster.
        actors: Actors that a cluster that is started here must have room for.
    """
    if options.address is None:
        with local_cluster(actors):
            yield
    else:
        with joined_cluster(options.address, allow_unauthenticated=options.allow_unauthenticated):
            yield


@contextlib.contextmanager
def local_cluster(actors: int) -> Iterator[None]:
    """Start a cluster of this machine alone, with a fresh token; it ends with the block.

    Args:
        actors: Actors that it has room for, whatever the cores: they share these, as processes do.

    Raises:
        PrerequisiteError: It does not start.
    """
    with fresh_token():
        try:
            _start(actors)
        except Exception as error:  # Ray raises plain ones, too
            raise PrerequisiteError(
                f"Ray does not start on this machine ({_line(error)}). Fix: use --engine local, or "
                "start a cluster with 'ray start --head' and give --address auto."
            ) from error
        try:
            yield
        finally:
            ray.shutdown()


@contextlib.contextmanager
def joined_cluster(address: str, *, allow_unauthenticated: bool) -> Iterator[None]:
    """Join a cluster that runs; it is left at the end of the block.

    Args:
        address: ``auto`` for the one that this machine belongs to, or ``HOST:PORT``.
        allow_unauthenticated: Join it though it has no token.

    Raises:
        ConfigError: There is no cluster, it has another token or none.
    """
    if "://" in address or (address != "auto" and ":" not in address):
        raise ConfigError(
            f"--address {address} is not allowed. Allowed: auto, or HOST:PORT of the head node, "
            "such as 10.0.0.1:6379. Fix: run this command on a node of the cluster."
        )
    if address != "auto":
        _check_reachable(address)
    with environment_variables({"RAY_USAGE_STATS_ENABLED": "0"}):
        _forget_token()
        try:
            _connect(address=address)
        except (RayError, OSError, RuntimeError, ValueError) as error:
            if address != "auto" and _ask_without_token(address) == "refuses":
                raise ConfigError(
                    f"The Ray cluster at --address {address} has another token than this process. "
                    "Fix: set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH as where it was started."
                ) from error
            raise ConfigError(
                f"There is no Ray cluster to join at --address {address} ({_line(error)}). Fix: "
                "start one with 'ray start --head', give its token, or leave --address out."
            ) from error
    try:
        if not allow_unauthenticated and is_open(ray.get_runtime_context().gcs_address):
            raise ConfigError(
                f"The Ray cluster at --address {address} has no token, so everybody who reaches "
                "its ports can run code there. Fix: start every node with RAY_AUTH_MODE=token and "
                "the same RAY_AUTH_TOKEN_PATH, or give --allow-unauthenticated."
            )
        yield
    finally:
        ray.shutdown()


@contextlib.contextmanager
def fresh_token() -> Iterator[str]:
    """Give the block a token of its own, which Ray's processes that it starts have as well.

    Yields:
        The token, 64 hexadecimal digits.
    """
    token = secrets.token_hex(32)
    variables = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": token,
        "RAY_AUTH_TOKEN_PATH": None,
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    try:
        with environment_variables(variables):
            _forget_token()
            yield token
    finally:
        _forget_token()


def is_open(address: str) -> bool:
    """Whether a cluster may answer those who have no token: it did not refuse to.

    Args:
        address: ``HOST:PORT`` of its head.
    """
    return _ask_without_token(address) != "refuses"


def _ask_without_token(address: str) -> str:
    """Return whether a cluster ``answers`` or ``refuses``; empty if it does neither."""
    kept = {name: it for name, it in os.environ.items() if not name.startswith("RAY_AUTH")}
    try:
        asked = subprocess.run(
            [sys.executable, "-c", _ASK, address],
            env=kept | {"RAY_AUTH_MODE": "disabled"},
            capture_output=True,
            encoding="utf-8",
            timeout=_ASK_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return ""
    return asked.stdout.strip()


def _start(actors: int) -> None:
    """Start a cluster; Ray gives it half a minute, which a busy machine may exceed."""
    for tries_left in reversed(range(_STARTS)):
        try:
            _connect(address="local", num_cpus=actors, object_store_memory=_STORE_BYTES)
            return
        except Exception:
            ray.shutdown()
            if not tries_left:
                raise


def _check_reachable(address: str) -> None:
    """Refuse an address where nothing listens; Ray would try for minutes."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_REACH_S).close()
    except (OSError, ValueError, OverflowError) as error:
        raise ConfigError(
            f"Nothing listens at --address {address} ({_line(error)}). Fix: start a cluster there "
            "with 'ray start --head', or give --address auto on one of its nodes."
        ) from error


def _connect(**how: Any) -> None:
    """Connect to a cluster, or start one, without output or handlers of signals."""
    handler = signal.getsignal(signal.SIGTERM)
    ray.init(
        include_dashboard=False if how["address"] == "local" else None,
        log_to_driver=False,
        configure_logging=False,
        logging_level="error",
        **how,
    )
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)


def _forget_token() -> None:
    """Let Ray read its token and its mode from the environment again, which it keeps in memory."""
    raylet = import_module("ray._raylet")  # compiled; its stub lacks these two
    raylet.Config.initialize("")
    raylet.AuthenticationTokenLoader.instance().reset_cache()


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
