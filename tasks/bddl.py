"""What BDDL files say, read without LIBERO's parser, whose import needs the simulator."""

import re
from pathlib import Path

from tasks.errors import ConfigError


def bddl_instruction(bddl_file: Path) -> str:
    """Read the ``(:language …)`` clause of a BDDL file.

    Raises:
        ConfigError: The file has none.
    """
    match = re.search(r"\(:language\s+([^()]*?)\s*\)", bddl_file.read_text(encoding="utf-8"))
    if match is None:
        raise ConfigError(f"{bddl_file} has no (:language …) clause; is it a LIBERO BDDL file?")
    return " ".join(match.group(1).split())


def bddl_problem(bddl_file: Path) -> str:
    """Read the problem's name, such as ``libero_tabletop_manipulation``, from a BDDL file.

    LIBERO's own parser writes it in lower case, too, but importing it imports the simulator.

    Raises:
        ConfigError: The file has none.
    """
    match = re.search(r"\(define\s+\(problem\s+(\S+?)\s*\)", bddl_file.read_text(encoding="utf-8"))
    if match is None:
        raise ConfigError(f"{bddl_file} has no (problem …) clause; is it a LIBERO BDDL file?")
    return match.group(1).lower()
