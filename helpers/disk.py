"""A disk that is full or may not be written to is called that, wherever it strikes.

The words of the system come by many ways: as an OSError, inside an engine's own error, or as the
text of an error that happened in a kernel.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

from helpers.client import PlaybookError, home

FULL = (
    r"No space left on device|not enough space on the disk|Disk quota exceeded|\[Errno (28|122)\]"
)
READ_ONLY = r"Read-only file system|write[- ]protected|\[Errno 30\]"
DENIED = r"Permission denied|Access is denied|Operation not permitted|\[Errno (1|13)\]"
NUMBERS = {
    errno.ENOSPC: FULL,
    errno.EDQUOT: FULL,
    errno.EROFS: READ_ONLY,
    errno.EACCES: DENIED,
    errno.EPERM: DENIED,
}
# a path as systems and engines write it
QUOTED = re.compile(r"""(["'])((?:/|[A-Za-z]:\\)[^"'\n]*)\1""")


def trouble(error: BaseException, folder: Path | None = None) -> str:
    """What ails the disk, in one line, where an error or one that led to it tells of that; else
    empty.

    `folder` is named where the error tells none. An error that is already in plain words keeps
    them, unless the disk is full or read-only: then no file is at fault.
    """
    for e in _chain(error):
        kind = NUMBERS.get(e.errno) if isinstance(e, OSError) else None
        path = next(
            (p for p in (getattr(e, "filename2", None), getattr(e, "filename", None)) if p), None
        )
        line = _line(kind, path, folder) if kind else trouble_in(str(e), folder)
        if line and not (isinstance(e, PlaybookError) and re.search(DENIED, str(e))):
            return line
    return ""


def trouble_in(text: str, folder: Path | None = None) -> str:
    """As `trouble`, of the text of an error.

    >>> trouble_in("[Errno 28] No space left on device: '/data/x.part'")
    'the disk that holds / is full. Make room, for example with playbook clean-up, then try again.'
    >>> trouble_in("division by zero")
    ''
    """
    kind = next((k for k in (FULL, READ_ONLY, DENIED) if re.search(k, text)), None)
    named = QUOTED.search(text)
    return _line(kind, named[2] if named else None, folder) if kind else ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    yield error
    while not isinstance(error, PlaybookError) and (error := error.__cause__ or error.__context__):
        yield error


def _line(kind: str, path: str | bytes | int | None, folder: Path | None) -> str:
    named = Path(os.fsdecode(path)) if isinstance(path, (str, bytes)) else None
    if kind == DENIED:
        return _denied(named) if named else ""  # of what, nobody knows
    named = named or folder
    where = _shown(_folder(named)) if named else "the playbook's folder"
    if kind == FULL:
        return (
            f"the disk that holds {where} is full. Make room, for example with playbook clean-up,"
            " then try again."
        )
    return (
        f"the disk that holds {where} is read-only. Move the playbook to one that can be written,"
        " then try again."
    )


def _denied(path: Path) -> str:
    if path.is_file() and not os.access(path, os.R_OK):
        return (
            f"{_shown(path)} may not be read. Let yourself read it, or run as its owner, then try"
            " again."
        )
    folder = _folder(path)
    return (
        f"the folder {_shown(folder)} may not be written to. Let yourself write there, then try"
        " again."
    )


def _folder(path: Path) -> Path:
    """The folder that is meant: the nearest one that is there."""
    within = [path, *path.parents] if path.is_dir() else list(path.parents)
    return (
        next((p for p in within if p.is_dir()), path.parent) if path.is_absolute() else path.parent
    )


def _shown(path: Path) -> str:
    return path.relative_to(home()).as_posix() if path.is_relative_to(home()) else str(path)
