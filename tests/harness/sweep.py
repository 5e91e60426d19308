"""A small sweep as an evaluation leaves it: three runs, real videos, one error, failures' goals."""

import shutil
from pathlib import Path

import numpy as np

from harness.evaluation.rollout import StepEvent
from harness.evaluation.video import VideoWriter
from results.records import EpisodeKey, EpisodeRecord, Outcome, RunInfo
from results.store import RunStore
from tasks.observation import Observation

SUITE = "libero_10"
TASKS = ("KITCHEN_SCENE3_turn_on_the_stove_and_put_the_moka_pot_on_it", "put_both_moka_pots_on")
STATES = 6
LIMIT = 30
PREDICATES = ("On(moka_pot_1, flat_stove_1_cook_region)", "Turnon(flat_stove_1)")
ERROR = "SimulatorError: <b>the solver</b> diverged"

OUTCOMES: dict[tuple[int, str], str] = {
    (8, "none"): "ssffsf ssssff",
    (16, "none"): "sfffff sfsffe",
    (16, "act"): "ssfsss ssssss",
}
"""For each run, by exec_horizon and fusion, the outcomes of each task's initial states."""


def make_sweep(folder: Path) -> list[Path]:
    """Write the runs below a folder.

    Args:
        folder: Where; made if it is missing.

    Returns:
        Their folders.
    """
    films: dict[Outcome, Path] = {}
    return [
        _write(folder / f"h{horizon}-{fusion}", horizon, fusion, films)
        for horizon, fusion in OUTCOMES
    ]


def _write(folder: Path, horizon: int, fusion: str, films: dict[Outcome, Path]) -> Path:
    info = RunInfo(
        name="rdt",
        policy={"name": "rdt", "exec_horizon": horizon, "fusion": fusion},
        protocol={"name": "openvla", "hash": "36e472c1" * 8},
        tasks={SUITE: (0, 1)},
        episodes_per_task=STATES,
        expected_episodes=2 * STATES,
        demos="50 official",
        config={"suite": SUITE, "seed": 7, "note": "a</script>b"},
        provenance={"packages": {"mujoco": "3.2.3"}, "gl_renderer": "llvmpipe"},
    )
    words: dict[str, Outcome] = {"s": "success", "f": "failure", "e": "error"}
    with RunStore.open(folder, info) as store:
        for task, letters in enumerate(OUTCOMES[horizon, fusion].split()):
            for state, letter in enumerate(letters):
                key = EpisodeKey(SUITE, task, state, 7)
                store.append(_episode(store.folder, key, words[letter], films))
        store.finish()
    return folder


def _episode(
    folder: Path, key: EpisodeKey, outcome: Outcome, films: dict[Outcome, Path]
) -> EpisodeRecord:
    won = outcome == "success"
    steps = 12 + 2 * key.init_state if won else LIMIT
    held = {"success": (4, steps), "failure": (key.init_state * 3 or None, None)}.get(outcome)
    return EpisodeRecord(
        **key._asdict(),
        task_name=TASKS[key.task],
        outcome=outcome,
        steps=steps,
        first_success_step=steps if won else None,
        plans=steps // 8 + 1,
        wall_s=2.0,
        video=None if outcome == "error" else _film(folder, key, outcome, films),
        error=ERROR if outcome == "error" else None,
        goals_first_held=held and dict(zip(PREDICATES, held, strict=True)),
    )


def _film(folder: Path, key: EpisodeKey, outcome: Outcome, films: dict[Outcome, Path]) -> str:
    """Film an episode; as filming takes a while, further ones of the same outcome are copies."""
    writer = VideoWriter(folder, key)
    if outcome not in films:
        writer.begin(_view(0), LIMIT)
        for step in range(1, 13):
            action = np.array([0.1] * 6 + [1.0])
            writer.step(
                StepEvent(
                    step=step, plan=0, starts_plan=step == 1, action=action, observation=_view(step)
                )
            )
        films[outcome] = folder / writer.end(outcome)
    video = films[outcome].with_name(f"{key.suite}-t{key.task}-i{key.init_state}-s{key.seed}.mp4")
    target = folder / "videos" / video.name
    if target != films[outcome]:
        target.parent.mkdir(exist_ok=True)
        shutil.copy(films[outcome], target)
    return f"videos/{target.name}"


def _view(step: int) -> Observation:
    shade = np.full((64, 64, 3), (8 * step, 120, 200 - 8 * step), np.uint8)
    return Observation(
        joint_pos=np.zeros(7),
        ee_pos=np.zeros(3),
        ee_quat=np.array([0.0, 0.0, 0.0, 1.0]),
        gripper_qpos=np.array([0.02, -0.02]),
        instruction="put both moka pots on the stove",
        agentview=shade,
        wrist=shade[::-1],
    )
