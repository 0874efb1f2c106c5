"""What a run leaves for its readers: its record, the report in its place, `latest`; and which old
runs are due.

The report and `latest` change together. First a copy of the report is laid beside its place, then a
note says that the run is being published: from then on the change is finished, by whatever command
comes next if need be.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path

from helpers.client import Client, PlaybookError, born
from helpers.lock import alone

KEPT_OF_RUNS = ("run.json", "audiences.parquet")  # what measures effects later
MOMENT = 2.0  # seconds in which another process that publishes is done


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that it is never seen half-written."""
    part = path.with_name(f"{path.name}.part")
    with part.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


# --- the record of a run ----------------------------------------------------------------------


def write_record(folder: Path, record: dict) -> None:
    """Write `run.json` of a run."""
    write_whole(folder / "run.json", json.dumps(record, indent=1, default=str))


def read_record(folder: Path) -> dict:
    """What `run.json` of a run says; empty where there is none."""
    try:
        return json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def this_process() -> dict[str, int]:
    """The process at work, so that its record can tell later whether it is still there."""
    return {"id": os.getpid(), "born": born(os.getpid())}


def status(folder: Path) -> str:
    """How a run stands: finished, failed, stopped or running; empty where nothing tells.

    A run whose process is gone before it could write its end was stopped.
    """
    record = read_record(folder)
    said, process = record.get("status", ""), record.get("process")
    if said == "running" and not (process and born(process["id"]) == process["born"]):
        return "stopped"
    return said


# --- runs in their order ----------------------------------------------------------------------


def runs(client: Client) -> list[Path]:
    """The folders of a client's runs, the last begun first; the lab is none."""
    folder = client.folder / "runs"
    found = (
        [p for p in folder.iterdir() if p.is_dir() and p.name != "lab"] if folder.is_dir() else []
    )
    return sorted(found, key=lambda p: (_begun(p), p.name), reverse=True)


def _begun(run: Path) -> str:
    """When a run began, as its name tells after the day of the report; the time of a folder changes
    when it is emptied.

    >>> _begun(Path("2025-06-10-20250611T000000000"))
    '20250611T000000000'
    """
    return run.name[len("2025-06-10-") :]


def due(client: Client) -> list[Path]:
    """The files of runs before which stand `keep_runs` newer ones; the latest run always stays.

    Of these runs the record and who was held out of a list stay, to measure effects later.
    """
    latest = client.latest
    in_order = sorted(runs(client), key=lambda p: p != latest)
    old = in_order[client.settings.keep_runs :]
    files = [p for folder in old for p in sorted(folder.rglob("*")) if p.is_file()]
    return [p for p in files if p.name not in KEPT_OF_RUNS]


def forget_old_runs(client: Client) -> None:
    """Remove what is due of old runs."""
    for path in due(client):
        path.unlink()
        with suppress(OSError):  # others are still in it
            path.parent.rmdir()


# --- publishing -------------------------------------------------------------------------------


@contextmanager
def at_work(client: Client, doing: str) -> Iterator[None]:
    """Inside, this process alone changes the client's folders, and what a stopped one left half
    done is done.
    """
    with alone(client, doing):
        settle(client)
        yield


def at_work_for(doing: str) -> Callable:
    """Decorate a function of a client: the whole of it is done `at_work`."""

    def decorate(function: Callable) -> Callable:
        @wraps(function)
        def inside(client: Client, *args: object, **kwargs: object) -> object:
            with at_work(client, doing):
                return function(client, *args, **kwargs)

        return inside

    return decorate


def publish(client: Client, run: Path) -> Path:
    """Put the report of a run in its place and make the run `latest`, both or none; give back the
    report's folder.
    """
    new, old, place = _places(client, run.name)
    for left in (new, old):
        shutil.rmtree(left, ignore_errors=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(run / "report", new)
    write_whole(_note(client), f"{run.name}\n")
    settle(client)
    return place


def settle(client: Client) -> None:
    """Finish a publication that was begun; afterwards the report in place and `latest` are of one
    run.
    """
    note = _note(client)
    if note.is_file():
        _finish(client, note.read_text(encoding="utf-8").strip())
        note.unlink()
    for left in [*client.reports.glob(".new-*"), *client.reports.glob(".old-*")]:
        shutil.rmtree(left, ignore_errors=True)


def heal(client: Client) -> None:
    """Settle on behalf of a command that only reads; where another process is publishing, wait for
    it.
    """
    until = time.monotonic() + MOMENT
    while _note(client).is_file() and time.monotonic() < until:
        try:
            with at_work(client, "open"):
                return
        except PlaybookError:
            time.sleep(0.05)
        except OSError:  # a reader may lack the right to write
            return


def _note(client: Client) -> Path:
    return client.folder / "publishing"


def _places(client: Client, run_id: str) -> tuple[Path, Path, Path]:
    """Where a report lies before, after and while it is in place."""
    place = client.reports / run_id[: len("2025-06-10")]
    return place.with_name(f".new-{place.name}"), place.with_name(f".old-{place.name}"), place


def _finish(client: Client, run_id: str) -> None:
    new, old, place = _places(client, run_id)
    run = client.folder / "runs" / run_id
    if new.is_dir():
        if place.is_dir():
            shutil.rmtree(old, ignore_errors=True)
            os.replace(place, old)
        try:
            os.replace(new, place)
        except OSError:
            if old.is_dir() and not place.is_dir():
                os.replace(old, place)
            raise
    if place.is_dir() and run.is_dir():
        write_record(run, read_record(run) | {"status": "finished"})
        write_whole(client.folder / "latest", f"{run_id}\n")
