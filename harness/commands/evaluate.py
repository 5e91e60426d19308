"""``libero-bench eval``."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

EPISODES_BROKE = 1


def evaluate_command(
    *,
    policy: str,
    suite: str,
    out: Path,
    tasks: str | None = None,
    checkpoint: Path | None = None,
    episodes: int | None = None,
    init_states: str | None = None,
    exec_horizon: str | None = None,
    fusion: str = "none",
    protocol: str = "openvla",
    resolution: int | None = None,
    instructions: Literal["name", "bddl"] | None = None,
    seed: int | None = None,
    shard: str | None = None,
    workers: int | None = None,
    hang_after: float = 600.0,
    give_up_after: int = 5,
    threads: int = 1,
    record: str = "0",
    hold_steps: int = 0,
    label: str | None = None,
    device: str = "auto",
    option: dict[str, str] | None = None,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Run a policy on LIBERO tasks and print how often it succeeds.

    Every finished episode is kept in OUT/episodes.jsonl; the same command resumes a killed run.
    Several execution horizons or fusions are a run for each combination, in OUT/h16-act and the
    like, of one policy loaded once, and one table.

    Exit code 1 if episodes broke: they are in no rate, the table says why, and the same command
    tries them again.

    Parameters
    ----------
    policy
        random, noop, expert, rdt, replay (demonstrations, executed again from where they started:
        --option.demos FOLDER), remote (a server of openpi's protocol: --option.host NAME
        --option.port 8000), or one that another package registers.
    suite
        libero_spatial, libero_object, libero_goal, libero_10, libero_90, or one of LIBERO-PRO:
        the first four with _lan, _object, _swap or _task, such as libero_goal_task.
    out
        Folder of the run.
    tasks
        Indices or names such as 0,3 or 0-4; the whole suite by default.
    checkpoint
        Folder of a trained policy.
    episodes
        Episodes per task, from initial states 0, 1, ...; the protocol's number by default.
    init_states
        Initial states such as 0,5 or 10-19, instead of --episodes.
    exec_horizon
        Steps of a plan executed before the next plan; or several, such as 64,16,8.
    fusion
        How overlapping plans are fused: none, act (temporal ensembling), newest, mean, ema or
        adaptive; with options such as act:m=0.05, ema:alpha=0.5 or adaptive:alpha=0.1,plans=4; or
        several, such as none,act.
    protocol
        openvla, openpi, lerobot or libero: whose rules and whose scenes.
    resolution
        Pixels of the pictures, if other than the protocol's.
    instructions
        What the policy is told. name, the default: the sentence in the task's file name, and in
        LIBERO-PRO's _lan and _task the BDDL file's; bddl: the BDDL file's everywhere, as
        LIBERO-PRO's own runner has it.
    seed
        Of the policy's noise, and of scenes under openpi, lerobot and libero; under openvla scenes
        are the same for every seed. The protocol's by default.
    shard
        Part of the run, such as 2/4 for the second of four, each with an --out of its own.
    workers
        Simulations side by side; by default as many as cores and memory allow, 1.5 GB each.
    hang_after
        Seconds of silence after which a worker is taken to hang and is replaced.
    give_up_after
        Episodes after which to stop if all broke for the same reason; 0 for never.
    threads
        Threads of a policy that computes on the CPU.
    record
        Episodes per task to film, the first ones, or all.
    hold_steps
        Control steps to hold still after success, recording whether it lasts.
    label
        Name in tables.
    device
        auto, cpu or cuda.
    option
        The policy's own settings, such as --option.noise 0.15 for the expert; libero-bench
        policies NAME lists them.
    json
        Print the table as JSON.
    """
    from harness.commands.arguments import parse_indices, parse_options, parse_tasks
    from harness.commands.leaderboard import leaderboard_command
    from harness.evaluation.config import EvaluationConfig
    from harness.stages import sweep_with_bars
    from policies.fusion import parse_fusions
    from policies.registry import PolicyConfig
    from results.folder import any_broke

    config = EvaluationConfig(
        policy=PolicyConfig(
            name=policy,
            checkpoint=None if checkpoint is None else str(checkpoint),
            device=device,
            options=parse_options(option or {}),
        ),
        suite=suite,
        out=out,
        tasks=parse_tasks(suite, tasks),
        episodes=episodes,
        init_states=None if init_states is None else parse_indices(init_states, "--init-states"),
        protocol=protocol,
        resolution=resolution,
        instructions=instructions,
        seed=seed,
        shard=shard,
        workers=workers,
        hang_after=hang_after,
        give_up_after=give_up_after,
        threads=threads,
        record=parse_record(record),
        hold_steps=hold_steps,
        label=label,
    )
    horizons = () if exec_horizon is None else parse_indices(exec_horizon, "--exec-horizon")
    folders = sweep_with_bars(config, horizons, parse_fusions(fusion))
    leaderboard_command(folders, json=json)
    return EPISODES_BROKE if any(any_broke(folder) for folder in folders) else 0


def parse_record(text: str) -> int | Literal["all"]:
    """Read how many episodes to film: a number or ``all``.

    Raises:
        ConfigError: It is something else.
    """
    from tasks.errors import ConfigError
    from tasks.settings import read_word

    if text == "all":
        return "all"
    number = read_word(text)
    if type(number) is int and number >= 0:
        return number
    raise ConfigError(f"--record '{text}' cannot be read. Allowed: a number, or all.")
