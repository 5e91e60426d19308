"""The ``libero-bench`` command."""

import os
import sys
import traceback
from pathlib import Path

from cyclopts import App, CycloptsError

from harness.display import results_console
from harness.streams import OutputLost, say, with_safe_streams
from harness.usage import misspelt_option, read_options, usage_error
from tasks.errors import HarnessError, ResultsError, first_mistake

USAGE_ERROR = 2
INTERRUPTED = 130
_SIGNALLED = 128
_KEPT = "Finished work is kept; the same command goes on."
_LOST = "The same command starts anew."
_RESUMED = (
    *(["run"], ["study"], ["collect"], ["train"], ["eval"], ["decide"], ["encode-language"]),
    *(["demos", "download"], ["demos", "regenerate"], ["bench", "expert"], ["plus", "fetch"]),
)
"""Commands that keep what they finished."""

_COMMANDS = {
    "run": ("stages", "Collect demos, fine-tune on them, evaluate: one resumable command."),
    "collect": (
        "stages",
        "Let the scripted expert demonstrate tasks; write LIBERO's HDF5 format.",
    ),
    "train": ("training", "Fine-tune RDT on demonstrations."),
    "augment-preview": ("training", "Draw what augmentation makes of demonstrations' pictures."),
    "train-report": (
        "training",
        "Plot a training run: loss, gradient, learning rate, speed, error of sampled plans.",
    ),
    "export-checkpoint": (
        "training",
        "Write the RDT of a checkpoint in the layout of the official code.",
    ),
    "eval": ("stages", "Run a policy on LIBERO tasks and print how often it succeeds."),
    "study": (
        "studies",
        "Find out which settings matter: arms from several seeds, and verdicts on claims.",
    ),
    "serve": ("serving", "Serve RDT to evaluators that speak openpi's protocol or vla-eval's."),
    "policies": ("policies", "List the policies of this installation, or the options of one."),
    "leaderboard": ("results", "Show several runs in one table."),
    "compare": ("results", "Compare runs on the episodes that all of them have."),
    "decide": (
        "decisions",
        "Evaluate policies against each other until it is decided which is better.",
    ),
    "merge": ("results", "Join the run folders of shards into one run."),
    "export": ("results", "Write a run in another project's format."),
    "report": (
        "results",
        "Write a page about runs: tables, charts and videos in one folder that needs no server.",
    ),
    "doctor": ("checks", "Examine this machine: versions, rendering, pictures, physics, speed."),
    "inspect": (
        "policies",
        "Say what an RDT checkpoint is and what it needs, without running anything in it.",
    ),
    "audit": (
        "checks",
        "Say what is wrong with how a policy is trained and evaluated, why, and what to change.",
    ),
    "parity": (
        "checks",
        "Check that training on demonstrations sees what an evaluation will show.",
    ),
    "encode-language": (
        "policies",
        "Encode instructions ahead of time, so that evaluating RDT needs no 11-billion-parameter "
        "T5.",
    ),
}
"""The module of each command, imported when the command is named, and its line of ``--help``."""

_BENCH = {
    "env": "Compare our environment with LIBERO's own in one run.",
    "eval": "Compare whole evaluations with a straightforward loop over LIBERO's own environment.",
    "expert": "Measure how often the scripted expert solves each task, judged strictly.",
    "pictures": "Compare our pictures with robosuite's own, pixel for pixel.",
    "plus": "Compare LIBERO-Plus's tasks with its own code, bit for bit.",
    "policy": "Compare how fast RDT plans with the official order of computation, in one run.",
    "reading": "Compare how long training waits for HDF5 and for lazily decoded videos, in one "
    "run.",
    "train": "Compare training of rdt-small with a straightforward loop over the same "
    "demonstrations.",
}
_DEMOS = {
    "info": "Say what demo files hold: steps, actions, gripper, pauses, pictures, who made them.",
    "check": "Check demo files: shapes, numbers, signs, flips, conventions; exit code 1 if one is "
    "broken.",
    "replay": "Execute the actions again, open loop: how many succeed, how far states stray.",
    "regenerate": "Execute the actions again and render: other resolution, no pauses, only what "
    "succeeds.",
    "export": "Write demos for others: a LeRobot data set, or HDF5 as OpenVLA's script leaves it.",
    "preview": "Draw contact sheets: pictures at regular steps and at phases, action curves, the "
    "gripper.",
    "download": "Download LIBERO's own demonstrations, made by humans, from the Hugging Face hub.",
}
_THROUGHPUT = {
    "connections": "Compare plans per second of a server over one connection and over several.",
    "wall-time": "Predict how long many episodes take with other numbers of workers and replicas.",
}
_PLUS = {
    "list": "Count LIBERO-Plus's tasks, and those that can run on this machine.",
    "fetch": "Download LIBERO-Plus's pack of assets from the Hugging Face hub.",
}

app = App(
    name="libero-bench",
    help="Fine-tune RDT policies on LIBERO demonstrations and measure how good they are.",
    version="0.1.0",
    config=read_options,
    suppress_keyboard_interrupt=False,  # it would end the process without a word
)
app.register_install_completion_command(
    help="Let the shell complete commands and options; --shell bash, zsh or fish for another."
)
bench = App(name="bench", help="Measure speed against the official code's; and the expert.")
plus = App(name="plus", help="LIBERO-Plus on this machine: its tasks, its pack of assets.")
demos = App(
    name="demos", help="Look at demo files, check, replay, regenerate, export, download them."
)


def _register() -> None:
    functions = {"eval": "evaluate"}
    for name, (module, line) in _COMMANDS.items():
        function = functions.get(name, name).replace("-", "_")
        app.command(f"harness.commands.{module}:{function}_command", name=name, help=line)
    for name, line in _BENCH.items():
        bench.command(f"harness.commands.benchmarks:bench_{name}_command", name=name, help=line)
    for name, line in _THROUGHPUT.items():
        function = f"bench_{name.replace('-', '_')}_command"
        bench.command(f"harness.commands.throughput_benchmarks:{function}", name=name, help=line)
    for name, line in _DEMOS.items():
        demos.command(f"harness.commands.demos:demos_{name}_command", name=name, help=line)
    for name, line in _PLUS.items():
        plus.command(f"harness.commands.plus:plus_{name}_command", name=name, help=line)
    app.command(bench)
    app.command(plus)
    app.command(demos)


_register()


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Words after the command's name; those of the process by default.

    Returns:
        0, or what the command returns (1: doctor found something broken), or 2 for an error the
        user can mend (one line on standard error), or 130 if interrupted, or 128 and the number
        of another signal (141 if whoever reads the output stopped).
    """
    return with_safe_streams(lambda: _run(arguments))


def _run(arguments: list[str] | None) -> int:
    # OpenMP's threads spin while they wait. Beside simulations on the same cores they would spin
    # for whole time slices (a plan of 0.03 s took 3 s); asleep at once, training takes 1.6 times as
    # long. This many turns cost training 8 % and give the core back. torch reads it once.
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    try:
        names, apps, _ = app.parse_commands(arguments)
        for name, command in zip(names, apps[1:], strict=True):
            if not name.startswith("-") and command.default_command is not None:
                command.help = None  # its docstring says more than its line in the list
        code = app(
            arguments,
            console=results_console(),
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
    except KeyboardInterrupt:
        return _fail(f"Interrupted. {_outlook(arguments)}", INTERRUPTED)
    except OutputLost:
        raise
    except SystemExit as ending:
        if isinstance(ending.code, int) and ending.code > _SIGNALLED:
            number = ending.code - _SIGNALLED
            return _fail(f"Ended by signal {number}. {_outlook(arguments)}", ending.code)
        raise
    except CycloptsError as error:
        mistake = _mendable(error.__cause__) if isinstance(error.__cause__, Exception) else None
        return _fail(misspelt_option(error) or mistake or usage_error(error), USAGE_ERROR)
    except Exception as error:
        message = _mendable(error)
        if message is None:
            raise
        return _fail(message, USAGE_ERROR)
    return code if isinstance(code, int) else 0


def _outlook(arguments: list[str] | None) -> str:
    """Say what becomes of an interrupted command's work."""
    words = sys.argv[1:] if arguments is None else arguments
    return _KEPT if any(words[: len(name)] == name for name in _RESUMED) else _LOST


def _mendable(error: Exception) -> str | None:
    """Return the message for an error that a user can mend; None for our own faults."""
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        setting, why = first_mistake(error)
        return f"--{setting.replace('_', '-')}: {why}."
    if isinstance(error, (HarnessError, ResultsError)):
        return str(error)
    if _raised_in("mujoco", error):  # it cannot be imported without OpenGL
        from tasks.opengl import unavailable

        return str(unavailable(error))
    if isinstance(error, ValueError) and "codec can't encode" in str(error):
        return f"A name is no text: {error}. Fix: rename it, or set LC_ALL=C.UTF-8."
    if isinstance(error, ValueError) and str(error).startswith("embedded null"):
        return "The name of a file or folder holds the character NUL. Fix: remove it."
    if isinstance(error, MemoryError):
        return "There is not enough memory for what was asked. Fix: ask for less at once."
    if isinstance(error, OSError) and error.errno is not None:
        return f"{error}. Check that the path exists, is writable, and that the disk is not full."
    return None


def _raised_in(package: str, error: Exception) -> bool:
    """Whether an import failed in a package, or in what it imports."""
    if not isinstance(error, ImportError | AttributeError):
        return False
    frames = traceback.extract_tb(error.__traceback__)
    return any(f.name == "<module>" and package in Path(f.filename).parts for f in frames)


def _fail(message: str, code: int) -> int:
    say(f"libero-bench: {message}")
    return code


if __name__ == "__main__":
    sys.exit(main())
