"""The command ``decide``."""

from json import dumps
from typing import Annotated

from harness.commands import Flat, Switch
from harness.decisions.config import DecisionConfig
from harness.decisions.run import decide
from harness.decisions.text import print_decision
from harness.display import progress_bar, results_console
from results.decisions.verdict import Judgement


def decide_command(
    arms: list[str],
    /,
    config: Annotated[DecisionConfig, Flat],
    *,
    json: Switch = False,
) -> None:
    """Evaluate policies against each other until it is decided which is better.

    The policies run the same episodes, in an order that is shuffled over tasks and initial states.
    After every pair a test that may be looked at at any time says whether they differ
    (an e-process; its error is bounded whenever one stops). The same command resumes.

    Parameters
    ----------
    arms
        Two or more, each the folder of a finished run, whose episodes are used again, or a policy
        with options of eval in quotes: 'rdt --checkpoint runs/mine --exec-horizon 16 --delay 4'.
    json
        Print the result as JSON.
    """
    with progress_bar("Deciding", None, "pair") as bar:

        def show(judgement: Judgement, since: float) -> None:
            values = ", ".join(f"E {contrast.e_value:.2g}" for contrast in judgement.contrasts[:3])
            bar.at(int(judgement.looked_at + since), note=f"{judgement.looked_at} judged, {values}")

        decision = decide(arms, config, progress=show)
    if json:
        print(dumps({"folder": str(decision.folder), **decision.as_dict()}, indent=2))
    else:
        print_decision(decision, results_console())
