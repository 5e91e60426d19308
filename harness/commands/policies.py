"""Commands about policies: ``policies``, ``inspect`` a checkpoint, ``encode-language``."""

import inspect
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from json import dumps
from typing import Annotated, Any, Literal, get_args, get_origin

from docstring_parser import parse, parse_from_object
from rich.table import Table
from rich.text import Text

from harness.commands import Flat, Switch
from harness.display import progress_bar, results_console
from harness.language import InstructionGroup, LanguageConfig, asked_sentences
from policies.registry import find_factory, policy_names
from tasks.errors import HarnessError

UNHEALTHY = 1
INCOMPLETE = 1

_TABLE_WIDTH = 100
_ARRANGED = ("checkpoint", "device")
"""Arguments of policies for which ``eval`` has options of its own."""


def policies_command(name: str | None = None, /, *, json: Switch = False) -> None:
    """List the policies of this installation, or the options of one.

    Parameters
    ----------
    name
        A policy, to see what --option.NAME VALUE of eval may say.
    json
        Print the list as JSON.
    """
    if name is None:
        rows = [(policy, _summary(policy)) for policy in policy_names()]
    else:
        rows = _options(find_factory(name))
    if json:
        print(dumps(dict(rows), indent=2, ensure_ascii=False))
        return
    console = results_console(_TABLE_WIDTH)
    if not rows:
        console.print(f"Policy '{name}' has no options.")
        return
    table = Table("policy" if name is None else "option", "", box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    for row in rows:
        table.add_row(*row)
    console.print(table)
    if name is None:
        console.print("\nThe options of one: libero-bench policies NAME")


def inspect_command(
    checkpoint: str,
    /,
    *,
    weights: Literal["auto", "raw", "ema"] = "auto",
    base: str | None = None,
    config: str | None = None,
    layout: str | None = None,
    check: bool = True,
    json: Switch = False,
) -> int:
    """Say what an RDT checkpoint is and what it needs, without running anything in it.

    Exit code 1 if its tensors do not fit its config, or some are NaN or infinite.

    Parameters
    ----------
    checkpoint
        A folder of ours or of the official code, a weight file, or a name on the Hugging Face hub
        such as owner/name or owner/name@revision.
    weights
        auto, raw or ema: which weights to look at.
    base
        What a LoRA adapter is merged into: a folder or a hub name.
    config
        The config.json of weights that have none beside them, or its folder.
    layout
        Mapping to RDT's vector, by its name or file, where the checkpoint does not say it.
    check
        Read all numbers once, in search of NaN and infinity.
    json
        Print the facts as JSON.
    """
    from harness.inspection import evaluation_line, inspect_checkpoint, print_inspection

    seen = inspect_checkpoint(
        checkpoint, weights=weights, check_numbers=check, base=base, config=config, layout=layout
    )
    if json:
        print(dumps(seen.as_dict() | {"evaluate": evaluation_line(seen)}, indent=2))
    else:
        print_inspection(seen, results_console())
    return 0 if seen.healthy else UNHEALTHY


def encode_language_command(
    config: Annotated[LanguageConfig, Flat], *, json: Switch = False
) -> int:
    """Encode instructions ahead of time, so that evaluating RDT needs no 11-billion-parameter T5.

    OUT gets one small file per instruction; what is there already is kept, so the same command
    resumes. Policies use it as --option.language_cache OUT.

    Exit code 1 if instructions that were asked for are missing in the end, which happens only
    without --t5.

    Parameters
    ----------
    json
        Print what became of the instructions as JSON.
    """
    sentences = asked_sentences(config)  # before torch is imported, which takes seconds
    from harness.language_encoding import describe_cache, encode, instruction_groups

    groups = instruction_groups(sentences, config)
    if config.t5 is None:
        groups = encode(groups, config)
    else:
        with _encoding_bar(groups) as show:
            groups = encode(groups, config, progress=show)
    cache = describe_cache(config.out)
    if json:
        plain = {**cache, "groups": [group.as_dict() for group in groups]}
        print(dumps(plain, indent=2, ensure_ascii=False))
    else:
        console = results_console()
        console.print(_groups_table(groups))
        for text in dict.fromkeys(text for group in groups for text in group.missing):
            console.print(f"missing: {text}", soft_wrap=True)
        console.print(
            f"{cache['files']} instructions, {cache['megabytes']} MB, from {cache['encoder']}: "
            f"--option.language_cache {config.out}",
            soft_wrap=True,
        )
    return INCOMPLETE if any(group.missing for group in groups) else 0


@contextmanager
def _encoding_bar(groups: list[InstructionGroup]) -> Iterator[Callable[[int], None]]:
    total = len({text for group in groups for text in group.texts})
    with progress_bar("Encoding instructions", total, "instruction") as bar:
        bar.at(0, note="loading T5")
        times: list[tuple[int, float]] = []

        def show(done: int) -> None:
            # The first took the loading of T5 as well.
            times.append((done, time.monotonic()))
            (first, start), (_, now) = times[0], times[-1]
            bar.at(done, rate=(done - first) / (now - start) if done > first else None)

        yield show
        bar.at(total)


def _groups_table(groups: list[InstructionGroup]) -> Table:
    table = Table("instructions of", box=None, pad_edge=False)
    for name in ("all", "new", "there before", "missing"):
        table.add_column(name, justify="right")
    for group in groups:
        missing = Text(str(len(group.missing)), style="red" if group.missing else "")
        numbers = (str(number) for number in (len(group.texts), group.added, group.present))
        table.add_row(group.name, *numbers, missing)
    return table


def _summary(name: str) -> str:
    """Return a line on a policy, or the error of a package that is broken."""
    try:
        summary = _documented(find_factory(name))[0]
    except HarnessError as error:
        return str(error)
    return summary or "another package's"


def _options(factory: Callable[..., Any]) -> list[tuple[str, str]]:
    """Return a policy's options, each with its purpose, choices and default."""
    described = _documented(factory)[1]
    rows = []
    for option, parameter in inspect.signature(factory).parameters.items():
        if option in _ARRANGED or parameter.kind is parameter.VAR_KEYWORD:
            continue
        text = described.get(option, "")
        if choices := _choices(parameter.annotation):
            text += f" [choices: {', '.join(choices)}]"
        if parameter.default is parameter.empty:
            text += " [required]"
        elif parameter.default is not None:
            text += f" [default: {parameter.default}]"
        rows.append((f"--option.{option.replace('_', '-')}", text.strip()))
    return rows


def _choices(annotation: object) -> list[str]:
    """Return the words that an annotation allows, None left out; empty if it is no choice."""
    if get_origin(annotation) is Literal:
        return [str(word) for word in get_args(annotation)]
    parts = [part for part in get_args(annotation) if part is not type(None)]
    return _choices(parts[0]) if len(parts) == 1 else []


def _documented(factory: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    """Return the first line of a docstring, and the description of each argument."""
    parsed = parse(inspect.getdoc(factory) or "")
    described = {argument.arg_name: argument.description for argument in parsed.params}
    for owner in reversed(getattr(factory, "__mro__", (object,))[:-1]):  # of a class of options
        fields = parse_from_object(owner).params
        described |= {field.arg_name: field.description for field in fields}
    plain = {
        name: " ".join((text or "").replace("``", "").split()) for name, text in described.items()
    }
    return (parsed.short_description or "").replace("``", ""), plain
