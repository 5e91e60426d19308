"""Files of other words for a suite's tasks, such as LIBERO-Para's ``libero_para_metadata.csv``.

A file is CSV with a header and a sentence in each row. Columns:

- ``new_instruction``: the sentence;
- ``original_instruction``: the instruction of the task that it stands for; or ``task``, the task's
  index or name, where several tasks of a suite have the same words;
- ``keyword_similarity`` and ``structural_similarity``, both or neither: how near the sentence is to
  the original, up to 1;
- ``high``, ``mid`` and ``low``, or ``class``: what kind of paraphrase it is.

Other columns are left alone. Kim et al., "LIBERO-Para" (arXiv 2603.28301), define the distance
PD = 1 − (½·keyword similarity + ½·structural similarity).
"""

import csv
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.errors import ConfigError, one_line
from tasks.suites import Task, find_task, same_words, suite_tasks

SENTENCE = "new_instruction"
ORIGINAL = "original_instruction"
TASK = "task"
SIMILARITIES = ("keyword_similarity", "structural_similarity")
_CLASSES = ("high", "mid", "low")
_CLASS = "class"
_ROUNDING = 1e-6
"""Similarities of float32 exceed 1 by so much."""

MOST_ROWS = 100_000


@dataclass(frozen=True, kw_only=True)
class Paraphrase:
    """One row of a file.

    Attributes:
        row: Its number, from 0, the header not counted. Texts repeat; rows do not.
        task: The task it stands for.
        instruction: The sentence.
        kind: Kinds of paraphrase, from the broadest, such as ``("act", "lexical", "addition")``;
            empty where the file has none.
        distance: The paraphrase distance PD, 0 for the same words; None without similarities.
    """

    row: int
    task: Task
    instruction: str
    kind: tuple[str, ...] = ()
    distance: float | None = None

    @property
    def name(self) -> str:
        """A name that no other row has."""
        return f"{self.task.name}_paraphrase_{self.row}"


@dataclass(frozen=True, kw_only=True)
class ParaphraseFile:
    """The sentences of a file for one suite.

    Attributes:
        path: The file.
        suite: The suite's name.
        digest: The first twelve hexadecimal digits of the file's SHA-256.
        rows: Every row, in the order of the file.
    """

    path: Path
    suite: str
    digest: str
    rows: tuple[Paraphrase, ...]

    @property
    def name(self) -> str:
        """The suite with these words: what results call it."""
        return f"{self.suite}+{self.path.stem}"


def read_paraphrases(path: Path, suite: str) -> ParaphraseFile:
    """Read a file of other words for the tasks of a suite.

    Raises:
        ConfigError: There is no such file or suite, it is no CSV, a column is missing, or a row has
            no sentence, another suite's task, or a similarity that is no number up to 1.
        PrerequisiteError: LIBERO is not installed.
    """
    tasks = suite_tasks(suite)
    raw, header, lines = _read_csv(path)
    _check_header(path, header)
    rows = []
    for row, line in enumerate(lines):
        where = f"'{path}' row {row}"
        sentence = " ".join((line.get(SENTENCE) or "").split())
        if not sentence or not sentence.isprintable():
            raise ConfigError(f"{where} has no {SENTENCE} that can be read. Fix: give a sentence.")
        rows.append(
            Paraphrase(
                row=row,
                task=_task_of(where, line, tasks),
                instruction=sentence,
                kind=_kind(line),
                distance=_distance(where, line),
            )
        )
    digest = hashlib.sha256(raw).hexdigest()[:12]
    return ParaphraseFile(path=path, suite=suite, digest=digest, rows=tuple(rows))


Line = Mapping[str, str | None]
"""A row by the names of its columns; None where the row is too short."""


def _read_csv(path: Path) -> tuple[bytes, Sequence[str], list[Line]]:
    try:
        raw = path.read_bytes()
        text = raw.decode("utf-8-sig")
        reader = csv.DictReader(text.splitlines(keepends=True), strict=True)
        lines: list[Line] = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(
            f"The file of instructions '{path}' cannot be read ({reason}). Allowed: CSV in UTF-8, "
            f"with the columns {ORIGINAL} and {SENTENCE}."
        ) from error
    if not lines or len(lines) > MOST_ROWS:
        raise ConfigError(
            f"'{path}' has {len(lines)} rows. Allowed: a header, and 1 to {MOST_ROWS} rows."
        )
    return raw, reader.fieldnames or (), lines


def _check_header(path: Path, header: Sequence[str]) -> None:
    missing = [SENTENCE] if SENTENCE not in header else []
    if ORIGINAL not in header and TASK not in header:
        missing.append(f"{ORIGINAL} (or {TASK})")
    if len(set(SIMILARITIES) & set(header)) == 1:
        missing += sorted(set(SIMILARITIES) - set(header))
    if missing:
        found = ", ".join(one_line(str(name)) for name in header[:12])
        raise ConfigError(
            f"'{path}' has no column {' and no '.join(missing)}. It has: {found}. "
            f"Fix: name the columns {ORIGINAL},{SENTENCE}."
        )


def _task_of(where: str, line: Line, tasks: Sequence[Task]) -> Task:
    suite = tasks[0].suite
    if named := (line.get(TASK) or "").strip():
        try:
            return find_task(suite, named)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from error
    original = (line.get(ORIGINAL) or "").strip()
    for sentences in ([t.name_instruction for t in tasks], [t.bddl_instruction for t in tasks]):
        found = [
            task
            for task, words in zip(tasks, sentences, strict=True)
            if same_words(original, words)
        ]
        if len(found) == 1:
            return found[0]
        if found:
            indices = ", ".join(str(task.index) for task in found)
            raise ConfigError(
                f"{where}: '{one_line(original)}' is what tasks {indices} of {suite} are called. "
                f"Fix: say which in a column {TASK}, by index or name."
            )
    raise ConfigError(
        f"{where}: no task of {suite} is called '{one_line(original)}'. Allowed: its "
        f"instructions, such as '{tasks[0].name_instruction}'. Fix: give the suite that the file "
        "is about."
    )


def _kind(line: Line) -> tuple[str, ...]:
    parts = [line.get(name) for name in _CLASSES] if line.get("high") else [line.get(_CLASS)]
    return tuple(part.strip() for part in parts if part and part.strip())


def _distance(where: str, line: Line) -> float | None:
    if SIMILARITIES[0] not in line:
        return None
    values = []
    for name in SIMILARITIES:
        try:
            value = float(line[name] or "")
        except ValueError:
            value = math.nan
        if not -1 <= value <= 1 + _ROUNDING:
            raise ConfigError(
                f"{where} has {name} '{one_line(str(line[name]))}'. Allowed: a number up to 1."
            )
        values.append(value)
    # Two similarities of 1 + 1e-7 are the same words, not words nearer than these.
    return max(0.0, 1.0 - sum(values) / 2)
