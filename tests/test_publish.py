"""One command at a time; the report and `latest` change together; records of runs; which old runs go."""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import psutil
import pytest

from helpers import disk, lock, publish
from helpers.client import Client, PlaybookError, born

SETTINGS = "schema_version: 1\ntitle: P\ncurrency: EUR\ntimezone: UTC\nkeep_runs: 3\n"
OLD, NEW = "2025-06-10-20250611T000000000", "2025-06-10-20250612T000000000"


@pytest.fixture()
def client(tmp_path, monkeypatch):
    """A client without files in a home of its own."""
    monkeypatch.setenv("PLAYBOOK_HOME", str(tmp_path))
    (tmp_path / "data" / "pub").mkdir(parents=True)
    (tmp_path / "data" / "pub" / "client.yaml").write_text(SETTINGS, encoding="utf-8")
    return Client("pub")


def made(client, run_id, **record):
    """A run whose report says which one it is."""
    folder = client.folder / "runs" / run_id
    for part in ("tables", "notebooks", "report"):
        (folder / part).mkdir(parents=True)
    for page in ("index.html", "01_collect.html"):
        (folder / "report" / page).write_text(run_id, encoding="utf-8")
    for table in ("orders", "audiences"):
        (folder / "tables" / f"{table}.parquet").write_text(run_id, encoding="utf-8")
    publish.write_record(folder, {"run_id": run_id, "status": "running"} | record)
    return folder


def in_place(client, day="2025-06-10"):
    return {p.read_text(encoding="utf-8") for p in (client.reports / day).iterdir()}


# --- publishing -------------------------------------------------------------------------------


class Killed(BaseException):
    """What stands for a kill: nothing catches it."""


def kill_at(patch, n, after):
    """End everything at the n-th change to the disk, before or after it is done."""
    calls = count(1)

    def watched(change):
        def call(*args, **kwargs):
            hit = next(calls) == n
            if hit and not after:
                raise Killed
            try:
                return change(*args, **kwargs)
            finally:
                if hit:
                    raise Killed

        return call

    changes = [
        (os, "replace"),
        (os, "fsync"),
        (os, "mkdir"),
        (os, "unlink"),
        (os, "rmdir"),
        (shutil, "copytree"),
    ]
    changes += [(shutil, "copy2"), (shutil, "rmtree"), (Path, "unlink"), (Path, "mkdir")]
    for place, name in changes:
        patch.setattr(place, name, watched(getattr(place, name)))


@pytest.mark.parametrize(
    ("new", "after"),
    [(NEW, False), (NEW, True), ("2025-06-11-20250612T000000000", False)],
    ids=["before a change", "after it", "another day"],
)
def test_a_kill_at_any_point_leaves_a_report_and_a_latest_that_agree(client, new, after):
    whole = 0
    for n in count(1):
        shutil.rmtree(client.reports, ignore_errors=True)
        shutil.rmtree(client.folder / "runs", ignore_errors=True)
        publish.publish(client, made(client, OLD))
        folder = made(client, new)
        with pytest.MonkeyPatch.context() as patch:
            kill_at(patch, n, after)
            try:
                publish.publish(client, folder)
                ended = True
            except Killed:
                ended = False
        publish.heal(Client("pub"))
        latest = client.latest
        assert in_place(client, latest.name[:10]) == {latest.name}, n
        assert publish.status(latest) == "finished"
        with publish.at_work(client, "run"):
            assert not [p for p in client.reports.iterdir() if p.name.startswith(".")], (
                "the next run clears up"
            )
        assert not (client.folder / "publishing").exists()
        whole += latest == folder
        if ended:
            break
    assert n > 15
    assert 1 < whole < n, "early kills leave the old one, late ones the new one"


def test_a_report_that_cannot_be_moved_leaves_the_old_one_readable(client, monkeypatch):
    publish.publish(client, made(client, OLD))
    replace = os.replace

    def refuse(source, target):
        if Path(source).name.startswith(".new-"):
            raise PermissionError(13, "Permission denied", str(target))
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        with pytest.raises(PermissionError):
            publish.publish(client, made(client, NEW))
    assert in_place(client) == {OLD}
    assert client.latest.name == OLD
    publish.heal(client)
    assert in_place(client) == {NEW}
    assert client.latest.name == NEW


def test_open_and_list_finish_what_a_stopped_command_began(client, command, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    publish.publish(client, made(client, OLD))
    folder = made(client, NEW)
    shutil.copytree(folder / "report", client.reports / ".new-2025-06-10")
    os.replace(client.reports / "2025-06-10", client.reports / ".old-2025-06-10")
    publish.write_whole(client.folder / "publishing", NEW + "\n")
    code, out, _err = command("open", "pub")
    assert code == 0
    assert Path(out.strip()).read_text(encoding="utf-8") == NEW
    assert opened
    assert NEW in command("list")[1]


def test_an_empty_latest_is_no_run(client):
    made(client, OLD)
    (client.folder / "latest").write_text("", encoding="utf-8")
    assert client.latest is None


# --- a disk that is full or may not be written to ----------------------------------------------


@pytest.mark.parametrize(
    ("number", "says"),
    [(28, "is full. Make room"), (30, "is read-only"), (13, "may not be written to")],
)
def test_what_ails_the_disk_is_said_in_one_line_wherever_it_strikes(
    client, command, monkeypatch, number, says
):
    text = os.strerror(number)

    def refuse(*_):
        raise OSError(number, text, str(client.private() / "landing" / "x.part"))

    monkeypatch.setattr("helpers.practices.readiness", refuse)
    code, _out, err = command("check", "pub")
    assert (code, err.count("\n")) == (2, 1)
    assert says in err
    assert "data/pub/private" in err
    in_a_kernel = f"OSError: [Errno {number}] {text}: '{client.private() / 'x.part'}'"
    assert says in disk.trouble_in(in_a_kernel)
    from_an_engine = f'IO Error: Could not write file "{client.private()}/t": {text}'
    assert says in disk.trouble_in(from_an_engine)


def test_other_errors_keep_their_own_words():
    assert disk.trouble(ValueError("no space in a name")) == ""
    assert (
        disk.trouble(PlaybookError("till.csv: cannot be read (Permission denied). Copy it again."))
        == ""
    )
    full = PlaybookError("till.csv: cannot be read (No space left on device). Copy it again.")
    assert "till.csv" not in disk.trouble(full)


# --- records and old runs ---------------------------------------------------------------------


def test_a_killed_run_is_listed_as_stopped(client, command):
    publish.publish(client, made(client, OLD))
    gone = {"id": 2**22 + 1, "born": 1}
    folder = made(client, NEW, process=gone)
    assert publish.status(folder) == "stopped"
    assert f"{NEW} was stopped" in re.sub(r"\s+", " ", command("list")[1])
    publish.write_record(folder, {"status": "running", "process": publish.this_process()})
    assert publish.status(folder) == "running"
    reused = {"id": os.getpid(), "born": born(os.getpid()) - 100}
    publish.write_record(folder, {"status": "running", "process": reused})
    assert publish.status(folder) == "stopped"


def test_a_record_is_never_seen_half_written(client, monkeypatch):
    folder = made(client, OLD)
    before = publish.read_record(folder)
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        publish.write_record(folder, {"status": "finished"} | before)
    assert publish.read_record(folder) == before


def test_old_runs_go_in_the_order_in_which_they_began(client):
    """Of eight runs three keep their tables, as keep_runs says; emptying one renews the time of its folder."""
    ids = [
        f"2025-06-{30 - i:02}-202507{i:02}T000000000" for i in range(1, 9)
    ]  # later runs of earlier days
    for run_id in ids:
        publish.publish(client, made(client, run_id))
        publish.forget_old_runs(client)
    whole = [r for r in ids if (client.folder / "runs" / r / "tables" / "orders.parquet").is_file()]
    assert whole == ids[-3:]
    for run_id in ids[:-3]:
        left = sorted(p.name for p in (client.folder / "runs" / run_id).rglob("*") if p.is_file())
        assert left == ["audiences.parquet", "run.json"]
    assert not publish.due(client)


# --- the lock ---------------------------------------------------------------------------------

OTHERS = """\
import os, signal, sys, time
from pathlib import Path
from helpers import lock
from helpers.client import Client

def hold(doing, seconds):
    with lock.alone(Client("pub"), doing):
        print(os.getpid(), flush=True)
        time.sleep(float(seconds))

def add(number):
    for _ in range(30):
        with lock.alone(Client("pub"), "forget"):
            Path(number).write_text(str(int(Path(number).read_text()) + 1))
    print("added", flush=True)

signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever ends is gone at once
for line in sys.stdin:
    home, what, *arguments = line.rstrip().split("|")
    os.environ["PLAYBOOK_HOME"] = home
    if not os.fork():
        globals()[what](*arguments)
        os._exit(0)
"""


@pytest.fixture(scope="module")
def others():
    """Let other processes do something; gives back a function that waits for a line which one of them says."""
    command = [sys.executable, "-c", OTHERS]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:

        def do(client, *words, times=1):
            for _ in range(times):
                process.stdin.write("|".join([str(client.folder.parents[1]), *words]) + "\n")
            return [process.stdout.readline().strip() for _ in range(times)]

        yield do
        process.stdin.close()


def end(pid):
    os.kill(pid, signal.SIGKILL)
    while psutil.pid_exists(pid):
        time.sleep(0.01)


def test_a_second_command_is_told_who_works_and_a_kill_frees_the_client(client, command, others):
    first = int(others(client, "hold", "run", "60")[0])
    for arguments in (
        ["run"],
        ["clean-up"],
        ["forget", "--number", "1"],
        ["lists", "--for", "email"],
    ):
        code, _out, err = command(*arguments, "pub")
        assert (code, err.count("\n")) == (2, 1), err
        said = rf'data/pub is in use: process {first} works on "playbook run" since \d\d:\d\d:\d\d on \d{{4}}-'
        assert re.search(said, err)
        assert "Wait until it is done" in err
    assert lock.taken(client)
    assert command("check", "pub")[0] == 0, "it only takes in files, each in one move"
    assert command("clean-up", "pub", "--dry-run")[0] == 0
    end(first)
    assert not lock.taken(client)
    with lock.alone(client, "run"), lock.alone(client, "clean-up"):
        assert not lock.taken(client), "another process is meant"
    assert not (client.folder / "private" / "lock").exists()


def test_a_drive_without_locks_is_called_that(client, monkeypatch):
    def no_locks(file):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(lock, "_lock", no_locks)
    with (
        pytest.raises(PlaybookError, match=r"cannot be locked .*a drive of this computer"),
        lock.alone(client, "run"),
    ):
        pass


def test_a_short_command_is_waited_for(client, others):
    others(client, "hold", "forget", "0.3")
    with lock.alone(client, "run"):
        pass
    first = int(others(client, "hold", "forget", "60")[0])
    with (
        pytest.raises(PlaybookError, match="playbook forget"),
        lock.alone(client, "run", patience=0.2),
    ):
        pass
    end(first)


def test_a_lock_that_nobody_holds_is_taken_over_whatever_it_says(client):
    place = client.private() / "lock"
    for said in (
        "",
        "{",
        json.dumps(
            {"process": 2**22 + 1, "born": 1, "since": "2025-01-01T00:00:00+00:00", "doing": "run"}
        ),
        json.dumps(
            {
                "process": os.getpid(),
                "born": 1,
                "since": "2025-01-01T00:00:00+00:00",
                "doing": "run",
            }
        ),
    ):
        place.write_text(said, encoding="utf-8")
        assert not lock.taken(client)
        with lock.alone(client, "run"):
            assert json.loads(place.read_text(encoding="utf-8"))["process"] == os.getpid()


def test_of_many_at_once_one_works_at_a_time(client, tmp_path, others):
    number = tmp_path / "n"
    number.write_text("0")
    assert others(client, "add", str(number), times=3) == ["added"] * 3
    assert number.read_text() == "90"
