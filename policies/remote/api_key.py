"""The key that a server may want of its clients."""

from pathlib import Path

from tasks.errors import ConfigError

_FEWEST_CHARACTERS = 16


def read_api_key(path: Path, option: str) -> str:
    """Read a key from its file.

    Args:
        path: The file, with the key alone.
        option: The option that named it, for errors.

    Raises:
        ConfigError: The file cannot be read or holds no key.
    """
    try:
        key = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{option} '{path}' cannot be read ({error}). Fix: write a key into it, such as that "
            "of: python -c 'import secrets; print(secrets.token_urlsafe())'"
        ) from error
    if len(key) < _FEWEST_CHARACTERS or not key.isascii() or not key.isprintable():
        raise ConfigError(
            f"{option} '{path}' holds {len(key)} characters. Allowed: one line of "
            f"{_FEWEST_CHARACTERS} or more printable ASCII characters."
        )
    return key
