"""Files and folders that appear under their names only when they are whole; hashes of files.

A writer fills a draft beside the target. Once the disk holds the draft, a rename gives it the
target's name, so that a reader sees the old content or the new, and a kill leaves the old.

This module needs nothing but Python's own library: everything may import it.
"""

import contextlib
import hashlib
import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def atomic_file(path: Path, *, several_writers: bool = False) -> Iterator[Path]:
    """Yield the draft of a file, which replaces the file at the end unless an error comes.

    Args:
        path: The file to write; its folder must be there.
        several_writers: Threads or processes may write it at the same time, each its own draft.
            Otherwise a writer overwrites the draft of one that was killed.

    Yields:
        The path to write to.
    """
    draft = draft_of(path, several_writers=several_writers)
    try:
        yield draft
        publish(draft, path)
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()


@contextlib.contextmanager
def atomic_folder(path: Path, *, several_writers: bool = False) -> Iterator[Path]:
    """Yield the draft of a folder, new and empty; see ``atomic_file``.

    What the folder held before is moved aside and removed after the rename: only a kill between
    the two renames leaves neither the old folder nor the new one under its name.
    """
    draft = draft_of(path, several_writers=several_writers)
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    try:
        yield draft
        publish(draft, path)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def draft_of(path: Path, *, several_writers: bool = False) -> Path:
    """Return where a file or folder is written before it has its name."""
    writer = f".{os.getpid()}-{threading.get_ident()}" if several_writers else ""
    return path.with_name(f".{path.name}{writer}.writing")


def publish(draft: Path, path: Path) -> None:
    """Give a finished draft its name, once the disk has its content."""
    if draft.is_dir():
        for part in draft.rglob("*"):
            fsync(part)
    fsync(draft)
    if draft.is_dir() and path.exists():
        old = path.with_name(f".{path.name}.{os.getpid()}.replaced")
        path.rename(old)
        draft.rename(path)
        shutil.rmtree(old, ignore_errors=True)
    else:
        draft.replace(path)
    fsync(path.parent)


def write_text(path: Path, text: str, *, several_writers: bool = False) -> None:
    """Write a text file in UTF-8, atomically."""
    with atomic_file(path, several_writers=several_writers) as draft:
        draft.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any, *, indent: int | None = 2) -> None:
    """Write JSON with a line feed at the end, atomically."""
    write_text(path, json.dumps(content, indent=indent) + "\n")


def fsync(path: Path) -> None:
    """Wait until the disk holds a file's content, or a folder's names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
