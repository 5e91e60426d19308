"""Plays episodes in LIBERO-Plus's own code; a script for a process of its own.

``python upstream_plus.py JOB.json`` reads what to play, and writes an ``.npz`` for each task. That
code is a package ``libero`` or ``liberoplus`` in a folder, and it wants libraries of its own; so
this file imports nothing of this project, and another interpreter may run it.
"""

import importlib
import importlib.machinery
import json
import os
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np

_OPTIONAL = ("gym", "cloudpickle", "cv2", "wand", "wand.api", "wand.image", "skimage.filters")
"""What its code imports and only motion blur, Gaussian blur or nothing here uses."""


def play_all(job: dict[str, Any], report: Any) -> None:
    """Play the tasks of a job.

    Args:
        job: ``root`` (the folder of its package's files), ``package`` (its import name), ``path``
            (where it is imported from), ``config`` (a folder for its settings), ``seed``,
            ``settle`` (the action of settling), ``settle_steps``, ``size``, and ``tasks``: each
            with ``suite``, ``name``, ``actions`` and ``out``.
        report: Called with the index of each finished task and an error or nothing.
    """
    missing = _stand_in_for_missing()
    package = _import(job)
    benchmarks = {}
    for index, task in enumerate(job["tasks"]):
        suite = task["suite"]
        if suite not in benchmarks:
            listed = importlib.import_module(f"{package}.benchmark").get_benchmark(suite)()
            benchmarks[suite] = (listed, {each.name: at for at, each in enumerate(listed.tasks)})
        listed, places = benchmarks[suite]
        try:
            at = places[task["name"]]
            seen: dict[str, Any] = _play(job, package, listed, at, np.array(task["actions"]))
            np.savez(task["out"], **seen, language=np.array(listed.get_task(at).language))
            report(index, "")
        except Exception as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            lacking = f" (missing: {', '.join(missing)})" if missing else ""
            report(index, f"{reason}{lacking}")


def _play(
    job: dict[str, Any], package: str, listed: Any, at: int, actions: Any
) -> dict[str, np.ndarray]:
    environments = importlib.import_module(f"{package}.envs")
    env = environments.OffScreenRenderEnv(
        bddl_file_name=listed.get_task_bddl_file_path(at),
        camera_heights=job["size"],
        camera_widths=job["size"],
    )
    env.seed(job["seed"])
    env.reset()
    generator: Any = np.random.get_state(legacy=False)
    observation = env.set_init_state(listed.get_task_init_states(at)[0])
    for _ in range(job["settle_steps"]):
        observation = env.step(list(job["settle"]))[0]
    states, agentview, wrist = [env.get_sim_state()], [], []
    for action in actions:
        agentview.append(observation["agentview_image"])
        wrist.append(observation["robot0_eye_in_hand_image"])
        observation = env.step(list(action))[0]
        states.append(env.get_sim_state())
    agentview.append(observation["agentview_image"])
    wrist.append(observation["robot0_eye_in_hand_image"])
    env.close()
    return {
        "states": np.array(states),
        "agentview": np.array(agentview),
        "wrist": np.array(wrist),
        "words": generator["state"]["key"],
        "position": np.array(generator["state"]["pos"]),
    }


def _import(job: dict[str, Any]) -> str:
    """Make its package importable, with the paths of this job; return its name."""
    os.environ["LIBERO_CONFIG_PATH"] = job["config"]
    root = Path(job["root"])
    paths = {
        "benchmark_root": root,
        "bddl_files": root / "bddl_files",
        "init_states": root / "init_files",
        "datasets": root,
        "assets": root / "assets",
    }
    lines = [f"{name}: {path}\n" for name, path in paths.items()]
    Path(job["config"], "config.yaml").write_text("".join(lines), encoding="utf-8")
    sys.path.insert(0, job["path"])
    _allow_old_calls()
    package = str(job["package"])
    importlib.import_module(package)
    return package


def _allow_old_calls() -> None:
    """Give NumPy and torch the calls that their versions of that time had."""
    import torch

    load = torch.load

    def load_all(*args: Any, **kwargs: Any) -> Any:
        return load(*args, **{"weights_only": False} | kwargs)

    torch.load = load_all
    read_text = np.fromstring

    def read(data: Any, dtype: Any = float, **kwargs: Any) -> Any:
        return read_text(data, dtype, **kwargs) if kwargs else np.frombuffer(data, dtype)

    vars(np)["fromstring"] = read  # of binary data it is gone
    vars(np).setdefault("float_", np.float64)


def _stand_in_for_missing() -> list[str]:
    """Put empty modules in the place of libraries that are not installed; return their names."""
    missing = []
    for name in _OPTIONAL:
        try:
            importlib.import_module(name)
        except Exception:  # Wand raises whatever the dynamic linker does
            missing.append(name)
            for part in [k for k in sys.modules if k == name or k.startswith(f"{name}.")]:
                del sys.modules[part]
            sys.modules[name] = _Anything(name)
    return missing


class _Anything(types.ModuleType):
    """A module in which every name exists, and none can be used."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__: list[str] = []
        self.__spec__ = importlib.machinery.ModuleSpec(name, None)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {"argtypes": None})


def main() -> None:
    """Play the job that the first argument names; a line of JSON on standard output per task."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    out = os.fdopen(os.dup(1), "w")
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)  # its code prints

    def report(index: int, error: str) -> None:
        out.write(json.dumps([index, error]) + "\n")
        out.flush()

    play_all(job, report)
    out.flush()
    os._exit(0)  # freeing a GL context at the interpreter's exit can fail


if __name__ == "__main__":
    main()
