"""Single episodes: heat maps of tasks and initial states, and episodes matched across runs."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from results.records import EpisodeKey, EpisodeRecord
from results.report.runs import ReportRun, suites_of, task_names, tasks_of
from results.report.success import instruction

MARKS = {"success": "✓", "failure": "✕", "error": "!"}
"""A sign for each outcome, so that colour is not all that distinguishes them."""

_LEVELS = 4


@dataclass(frozen=True, kw_only=True)
class StateCell:
    """One task and initial state."""

    kind: str
    """Class of the style sheet: an outcome, a share ``l0`` to ``l4``, or ``none``."""

    text: str
    """The sign, or how many succeeded."""

    about: str
    """The same in words."""

    anchor: str | None = None
    """Identifier of the video on the page."""


@dataclass(frozen=True, kw_only=True)
class StateLine:
    """A row of a heat map."""

    head: str
    """Index of the task, or name of the run."""

    about: str
    """A task's name."""

    tally: str
    """Successes of the episodes that count."""

    cells: tuple[StateCell, ...]
    """A cell for each initial state of the map."""


@dataclass(frozen=True, kw_only=True)
class StateMap:
    """A heat map."""

    key: str
    """Its identifier in the page."""

    name: str
    """Name of the run, or of the map."""

    suite: str
    """Name of the suite."""

    corner: str
    """Heading of the rows."""

    states: tuple[int, ...]
    """The initial states, its columns."""

    lines: tuple[StateLine, ...]
    """Its rows."""

    together: bool = False
    """Whether a cell counts the successes of several runs."""


Anchors = dict[tuple[int, int], str]
"""Identifiers of videos by the index of a run and the number of a record in it."""


def state_maps(runs: Sequence[ReportRun], anchors: Anchors) -> list[StateMap]:
    """Lay out the heat maps of all suites.

    Where a suite has several tasks there is a map of all runs together, if there are several,
    and one for each run, a row a task. Where it has one task there is one map, a row a run.

    Args:
        runs: The runs, those of most interest first.
        anchors: The videos on the page.
    """
    maps: list[StateMap] = []
    for suite in suites_of(runs):
        runs_of_suite = [run for run in runs if suite in run.info.tasks]
        states = sorted(
            {record.init_state for run in runs_of_suite for record in run.of_suite(suite)}
        )
        if not states:
            continue
        if len(tasks_of(runs_of_suite, suite)) == 1:
            maps.append(_of_one_task(runs_of_suite, suite, states, anchors))
            continue
        if len(runs_of_suite) > 1:
            maps.append(_together(runs_of_suite, suite, states))
        maps += [_of_run(run, suite, states, anchors) for run in runs_of_suite]
    return maps


def _of_run(run: ReportRun, suite: str, states: list[int], anchors: Anchors) -> StateMap:
    names = task_names([run])
    lines = [
        _line(run, suite, task, states, anchors, head=str(task), about=names.get((suite, task), ""))
        for task in tasks_of([run], suite)
    ]
    return StateMap(
        key=f"{suite}-{run.index}",
        name=run.name,
        suite=suite,
        corner="task",
        states=tuple(states),
        lines=tuple(lines),
    )


def _of_one_task(
    runs: Sequence[ReportRun], suite: str, states: list[int], anchors: Anchors
) -> StateMap:
    (task,) = tasks_of(runs, suite)
    lines = [_line(run, suite, task, states, anchors, head=run.name, about="") for run in runs]
    name = instruction(task_names(runs).get((suite, task)))
    return StateMap(
        key=f"{suite}-all",
        name=f"task {task}: {name}" if name else f"task {task}",
        suite=suite,
        corner="run",
        states=tuple(states),
        lines=tuple(lines),
    )


def _line(
    run: ReportRun,
    suite: str,
    task: int,
    states: list[int],
    anchors: Anchors,
    *,
    head: str,
    about: str,
) -> StateLine:
    by_state: dict[int, list[tuple[EpisodeRecord, str | None]]] = {}
    for number, record in enumerate(run.records):
        if record.suite == suite and record.task == task:
            anchor = anchors.get((run.index, number))
            by_state.setdefault(record.init_state, []).append((record, anchor))
    cells = tuple(_cell(task, state, by_state.get(state, [])) for state in states)
    tally = _tally([record for episodes in by_state.values() for record, _ in episodes])
    return StateLine(head=head, about=about, tally=tally, cells=cells)


def _cell(task: int, state: int, episodes: list[tuple[EpisodeRecord, str | None]]) -> StateCell:
    where = f"Task {task}, initial state {state}"
    if not episodes:
        return StateCell(kind="none", text="", about=f"{where}: not run")
    if len(episodes) > 1:  # several seeds
        return _share(where, [record for record, _ in episodes])
    record, anchor = episodes[0]
    about = f"{where}, seed {record.seed}: {record.outcome} after {record.steps} steps"
    return StateCell(
        kind=record.outcome,
        text=MARKS[record.outcome],
        about=f"{about} ({record.error})" if record.error else about,
        anchor=anchor,
    )


def _together(runs: Sequence[ReportRun], suite: str, states: list[int]) -> StateMap:
    names = task_names(runs)
    by_task_and_state: dict[tuple[int, int], list[EpisodeRecord]] = {}
    for run in runs:
        for record in run.of_suite(suite):
            by_task_and_state.setdefault((record.task, record.init_state), []).append(record)
    lines = []
    for task in tasks_of(runs, suite):
        groups = [by_task_and_state.get((task, state), []) for state in states]
        cells = tuple(
            _share(f"Task {task}, initial state {state}", group)
            for state, group in zip(states, groups, strict=True)
        )
        tally = _tally([record for group in groups for record in group])
        name = names.get((suite, task), "")
        lines.append(StateLine(head=str(task), about=name, tally=tally, cells=cells))
    return StateMap(
        key=f"{suite}-all",
        name="all runs together",
        suite=suite,
        corner="task",
        states=tuple(states),
        lines=tuple(lines),
        together=True,
    )


def _share(where: str, records: Sequence[EpisodeRecord]) -> StateCell:
    outcomes = Counter(record.outcome for record in records)
    wins, counted = outcomes["success"], outcomes["success"] + outcomes["failure"]
    if not records:
        return StateCell(kind="none", text="", about=f"{where}: not run")
    errors = f", {outcomes['error']} broke" if outcomes["error"] else ""
    if not counted:
        return StateCell(kind="error", text=MARKS["error"], about=f"{where}: every episode broke")
    # Level 0 is none and the last one all, so that both stand out; between them, equal parts.
    level = (
        0 if not wins else _LEVELS if wins == counted else 1 + (_LEVELS - 1) * wins // (counted + 1)
    )
    about = f"{where}: {wins} of {counted} episodes succeeded{errors}"
    return StateCell(kind=f"l{level}", text=str(wins), about=about)


def _tally(records: Sequence[EpisodeRecord]) -> str:
    outcomes = Counter(record.outcome for record in records)
    return f"{outcomes['success']}/{outcomes['success'] + outcomes['failure']}"


_LETTERS = {"success": "s", "failure": "f", "error": "e"}
_ABSENT = "-"


class MatchedRun(TypedDict):
    """One run, as the page's script reads it."""

    name: str
    """Name of the run."""

    protocol: str
    """Name and hash of the protocol, and mujoco's version; episodes match under the same only."""

    outcomes: str
    """A letter for each episode of the table: ``s``, ``f``, ``e``, or ``-`` if it has none."""

    clips: dict[int, str]
    """Identifiers of the videos, by the episode's index in the table."""


class MatchedEpisodes(TypedDict):
    """Episodes and runs for the page's script."""

    episodes: list[EpisodeKey]
    """The episodes: suite, task, initial state and seed of each."""

    runs: list[MatchedRun]
    """The runs."""


def matched_episodes(runs: Sequence[ReportRun], anchors: Anchors) -> MatchedEpisodes:
    """Line up the episodes of all runs.

    Args:
        runs: The runs, those of most interest first.
        anchors: The videos on the page.
    """
    keys = sorted({record.key for run in runs for record in run.records})
    indices = {key: index for index, key in enumerate(keys)}
    versions = {run.info.mujoco for run in runs} - {None}
    paired = []
    for run in runs:
        letters = [_ABSENT] * len(keys)
        clips = {}
        for number, record in enumerate(run.records):
            letters[indices[record.key]] = _LETTERS[record.outcome]
            if (run.index, number) in anchors:
                clips[indices[record.key]] = anchors[run.index, number]
        protocol = f"{run.info.protocol_name} {run.info.protocol['hash'][:8]}"
        if len(versions) > 1 and run.info.mujoco:
            protocol += f", mujoco {run.info.mujoco}"
        paired.append(
            MatchedRun(name=run.name, protocol=protocol, outcomes="".join(letters), clips=clips)
        )
    return MatchedEpisodes(episodes=keys, runs=paired)
