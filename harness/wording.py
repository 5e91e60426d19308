"""Checks that a policy gets the instructions it was trained on."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.errors import SpecMismatchError
from tasks.protocols import Protocol
from tasks.suites import Instructions, Task, same_words


@dataclass(frozen=True, kw_only=True)
class Wording:
    """Tasks whose instruction a policy was not trained on.

    Attributes:
        misworded: It was trained on the task's other instruction.
        unknown: It was trained on neither.
    """

    misworded: tuple[Task, ...] = ()
    unknown: tuple[Task, ...] = ()


def trained_sentences(demos: Mapping[str, Any]) -> frozenset[str]:
    """Return the instructions of a policy's training and of the training that it started from.

    Args:
        demos: The contract's description of the demonstrations, of any version.

    Returns:
        The instructions; none where they are not recorded.
    """
    sentences: set[str] = set()
    training: Any = demos
    while isinstance(training, Mapping):
        recorded = training.get("instructions")
        if isinstance(recorded, list | tuple):
            sentences |= {sentence for sentence in recorded if isinstance(sentence, str)}
        training = training.get("before")
    return frozenset(sentences)


def compare_wording(
    known: Collection[str], tasks: Sequence[Task], instructions: Instructions
) -> Wording:
    """Compare the instructions of tasks with those that a policy was trained on.

    Args:
        known: Instructions that the policy was trained on.
        tasks: The tasks.
        instructions: Which of a task's two instructions it is given.
    """
    misworded: list[Task] = []
    unknown: list[Task] = []
    for task in tasks:
        if not _among(task.instruction_by(instructions), known):
            other = task.instruction_by(other_instructions(instructions))
            (misworded if _among(other, known) else unknown).append(task)
    return Wording(misworded=tuple(misworded), unknown=tuple(unknown))


def other_instructions(instructions: Instructions) -> Instructions:
    """Return ``bddl`` for ``name``, and ``name`` for the others."""
    return "bddl" if instructions == "name" else "name"


def check_wording(demos: Mapping[str, Any], tasks: Sequence[Task], protocol: Protocol) -> str:
    """Refuse to evaluate a policy on a task's other instruction than it was trained on.

    Args:
        demos: See ``trained_sentences``.
        tasks: The tasks of the evaluation.
        protocol: Decides which of a task's two instructions is given.

    Returns:
        A note on instructions that are unknown to the policy or to us; empty if there is none.

    Raises:
        SpecMismatchError: It was trained on a task's other instruction.
    """
    known = trained_sentences(demos)
    if not known:
        return (
            "The checkpoint does not say which instructions it was trained on; those of the "
            f"evaluation are the ones of --instructions {protocol.instructions}, such as "
            f"“{protocol.instruction_of(tasks[0])}”."
        )
    wording = compare_wording(known, tasks, protocol.instructions)
    if wording.misworded:
        task, other = wording.misworded[0], other_instructions(protocol.instructions)
        more = f", and so in {len(wording.misworded)} tasks" if len(wording.misworded) > 1 else ""
        raise SpecMismatchError(
            f"The checkpoint was trained on “{task.instruction_by(other)}”, and "
            f"{task.suite} {task.index} would be called “{protocol.instruction_of(task)}”{more}. "
            f"Fix: give --instructions {other}."
        )
    if wording.unknown:
        sentence = protocol.instruction_of(wording.unknown[0])
        return (
            f"The checkpoint was not trained on the instructions of {len(wording.unknown)} of "
            f"{len(tasks)} tasks, such as “{sentence}”."
        )
    return ""


def note_unknown(demos: Mapping[str, Any], sentences: Sequence[str]) -> str:
    """Return a note on sentences that a policy was not trained on; empty if it knows all.

    Args:
        demos: See ``trained_sentences``.
        sentences: What it is going to be told.
    """
    known = trained_sentences(demos)
    distinct = list(dict.fromkeys(sentences))
    unknown = [sentence for sentence in distinct if not _among(sentence, known)]
    if not unknown:
        return ""
    return (
        f"The checkpoint was not trained on {len(unknown)} of {len(distinct)} sentences, such as "
        f"“{unknown[0]}”."
    )


def _among(sentence: str, known: Collection[str]) -> bool:
    return any(same_words(sentence, other) for other in known)
