"""One command at a time works on a client: the lock, and who holds it.

The system ties the lock to the process that took it, so it is free again after any death of that
process. What the file says is for people: who holds it, since when, and what for.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO

from helpers.client import Client, PlaybookError, born

PATIENCE = 20.0  # seconds to wait for a short command; a run takes too long to be waited for
BEYOND = 2**30  # the byte that is locked on Windows, where a locked one cannot be read

_held: set[Path] = set()


@contextmanager
def alone(client: Client, doing: str, patience: float = PATIENCE) -> Iterator[None]:
    """Inside, no other process changes the client's private/, runs/ or reports/. May be nested.

    `doing` is the command's name. Raises PlaybookError that names the holder: at once where it is a
    run, else after `patience` seconds.
    """
    place = client.private() / "lock"
    if place in _held:
        yield
        return
    file = _wait(place, client.name, patience)
    try:
        _sign(file, doing)
        _held.add(place)
        yield
    finally:
        _held.discard(place)
        with suppress(OSError):  # Windows keeps what is open; the next holder writes over it
            place.unlink()
        file.close()


def taken(client: Client) -> bool:
    """Whether another process works on the client."""
    holder = _holder(client.folder / "private" / "lock")
    return holder is not None and holder["process"] != os.getpid()


def _wait(place: Path, name: str, patience: float) -> IO[str]:
    began = time.monotonic()
    while True:
        file = _take(place)
        if file:
            return file
        holder = _holder(place)
        waited = time.monotonic() - began
        if waited > patience or (holder and holder["doing"] == "run"):
            raise PlaybookError(_in_use(name, holder))
        time.sleep(0.05)


def _take(place: Path) -> IO[str] | None:
    """The lock file, locked; None where another process has it."""
    file = place.open("a+", encoding="utf-8")
    try:
        _lock(file)
        if os.path.samestat(os.fstat(file.fileno()), place.stat()):
            return file
    except (BlockingIOError, PermissionError, FileNotFoundError):
        pass
    except OSError as e:
        file.close()
        raise PlaybookError(
            f"{place} cannot be locked ({e.strerror or e}), as on some network drives. Put the"
            " playbook's data on a drive of this computer."
        ) from None
    except BaseException:
        file.close()
        raise
    file.close()  # taken, or removed by its last holder after it was opened here
    return None


def _lock(file: IO[str]) -> None:
    if os.name == "nt":
        import msvcrt  # there on Windows alone

        file.seek(BEYOND)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl  # there on all other systems

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _sign(file: IO[str], doing: str) -> None:
    since = datetime.now().astimezone().isoformat(timespec="seconds")
    file.truncate(0)
    file.write(
        json.dumps(
            {"process": os.getpid(), "born": born(os.getpid()), "since": since, "doing": doing}
        )
    )
    file.flush()


def _holder(place: Path) -> dict | None:
    """Who holds the lock; None while that is not written yet, or is still the word of one that is
    no more.
    """
    try:
        said = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return said if born(said["process"]) == said["born"] else None


def _in_use(name: str, holder: dict | None) -> str:
    if holder is None:
        return (
            f"data/{name} is in use by another process, perhaps on another computer. Wait until it"
            " is done."
        )
    since = datetime.fromisoformat(holder["since"])
    return (
        f'data/{name} is in use: process {holder["process"]} works on "playbook {holder["doing"]}"'
        f" since {since:%H:%M:%S on %Y-%m-%d}. Wait until it is done, or stop it there with Ctrl-C,"
        " then try again."
    )
