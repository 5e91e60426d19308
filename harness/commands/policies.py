"""``libero-bench policies``."""

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

if TYPE_CHECKING:
    from collections.abc import Callable

_ARRANGED = ("checkpoint", "device")


def policies_command(
    name: str | None = None, /, *, json: Annotated[bool, Parameter(negative=())] = False
) -> None:
    """List the policies of this installation, or the options of one.

    Parameters
    ----------
    name
        A policy, to see what --option.NAME VALUE of eval may say.
    json
        Print the list as JSON.
    """
    from policies.registry import find_factory, policy_names

    if name is None:
        rows = [(each, _summary(each)) for each in policy_names()]
    else:
        rows = _options(find_factory(name))
    if json:
        from json import dumps

        print(dumps(dict(rows), indent=2, ensure_ascii=False))
        return
    from rich.table import Table

    from harness.display import results_console

    console = results_console(100)
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


def _summary(name: str) -> str:
    """Say in a line what a policy is; a package that is broken says so itself."""
    from policies.registry import find_factory
    from tasks.errors import HarnessError

    try:
        words = _documented(find_factory(name))[0]
    except HarnessError as error:
        return str(error)
    return words or "another package's"


def _options(factory: "Callable[..., Any]") -> list[tuple[str, str]]:
    """Return a policy's options, each with its type, its default and what it is for."""
    import inspect

    said = _documented(factory)[1]
    rows = []
    for option, parameter in inspect.signature(factory).parameters.items():
        if option in _ARRANGED or parameter.kind is parameter.VAR_KEYWORD:
            continue
        words = said.get(option, "")
        if choices := _choices(parameter.annotation):
            words += f" [choices: {', '.join(choices)}]"
        if parameter.default is parameter.empty:
            words += " [required]"
        elif parameter.default is not None:
            words += f" [default: {parameter.default}]"
        rows.append((f"--option.{option.replace('_', '-')}", words.strip()))
    return rows


def _choices(annotation: object) -> list[str]:
    """Return the words that an annotation allows, None left out; empty if it is no choice."""
    from typing import Literal, get_args, get_origin

    if get_origin(annotation) is Literal:
        return [str(word) for word in get_args(annotation)]
    parts = [part for part in get_args(annotation) if part is not type(None)]
    return _choices(parts[0]) if len(parts) == 1 else []


def _documented(factory: "Callable[..., Any]") -> tuple[str, dict[str, str]]:
    """Return the first line of a docstring, and what is said of each argument."""
    from inspect import getdoc

    from docstring_parser import parse, parse_from_object

    parsed = parse(getdoc(factory) or "")
    said = {each.arg_name: each.description for each in parsed.params}
    for owner in reversed(getattr(factory, "__mro__", (object,))[:-1]):  # of a class of options
        said |= {each.arg_name: each.description for each in parse_from_object(owner).params}
    plain = {
        name: " ".join((words or "").replace("``", "").split()) for name, words in said.items()
    }
    return (parsed.short_description or "").replace("``", ""), plain
