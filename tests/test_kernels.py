"""Kernels forked from a warm server: the same results, nothing left behind by any death, plain ones when it fails."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import nbformat
import psutil
import pytest
from shop import write_shop

from helpers import kernels, warm
from helpers.client import RunFailed, connect, empty_spills
from helpers.run import run

WAITS = """\
import os, subprocess, sys, time
from pathlib import Path
from helpers.client import connect

engine = connect(Path.cwd(), memory="50MB")
engine.con.sql("CREATE TABLE t AS SELECT i, md5(i::VARCHAR) AS a FROM range(2000000) r(i)")
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
Path("ready.part").write_text(f"{os.getpid()} {child.pid}")
os.replace("ready.part", "ready")
time.sleep(600)
"""


WARM = pytest.mark.skipif(not kernels.wanted(), reason="kernels are forked on Linux alone")
KINDS = [pytest.param("warm", marks=WARM), "plain"]


@pytest.fixture()
def shop(tmp_path, monkeypatch):
    """A client in a home of its own, with one notebook whose last cell is given; gives back its folder."""

    def make(cell):
        nb = nbformat.v4.new_notebook()
        nb.metadata |= {
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}
        }
        parameters = nbformat.v4.new_code_cell(
            'client: str = "shop"  # client\nas_of: str = ""  # day'
        )
        parameters.metadata["tags"] = ["parameters"]
        nb.cells = [parameters, nbformat.v4.new_code_cell(cell)]
        (tmp_path / "notebooks").mkdir()
        nbformat.write(nb, tmp_path / "notebooks" / "01_collect.ipynb")
        monkeypatch.setenv("PLAYBOOK_HOME", str(tmp_path))
        return write_shop(tmp_path, "shop")

    return make


def spills(folder):
    return sorted(p for p in folder.rglob("spill-*") if p.is_dir())


def begin(folder):
    """Start the command and wait until its notebook is at work: the process, and those of its kernel."""
    before, said = (
        set(folder.glob("runs/*/ready")),
        folder / "said.txt",
    )  # a pipe would stay open with the child
    with said.open("w") as out:
        command = subprocess.Popen(
            [sys.executable, "-m", "helpers", "run", "shop"], stdout=out, stderr=out
        )
    until = time.monotonic() + 90
    while not (new := set(folder.glob("runs/*/ready")) - before):
        assert command.poll() is None, said.read_text()
        assert time.monotonic() < until, "no kernel began"
        time.sleep(0.05)
    return command, [psutil.Process(int(pid)) for pid in new.pop().read_text().split()]


def are_gone(processes, within=10):
    _, alive = psutil.wait_procs(processes, timeout=within)
    return not alive


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_is_killed_or_interrupted_leaves_no_process_and_no_file(shop, kind, request):
    if kind == "plain":
        request.getfixturevalue("plain")
    folder = shop(WAITS)
    command, (kernel, child) = begin(folder)
    below = psutil.Process(command.pid).children(recursive=True)
    command.kill()
    command.wait()
    assert are_gone([p for p in below if p != child or kind == "warm"])
    left = spills(folder)
    assert left, "nothing was spilled, so nothing is shown"
    if kind == "plain":
        child.kill()  # what a plain kernel started outlives a run that had no time to end it

    command, (kernel, child) = begin(folder)
    assert not set(left) & set(spills(folder)), "the next start removes them"
    below = psutil.Process(command.pid).children(recursive=True)
    command.send_signal(signal.SIGINT)
    assert (
        command.wait(timeout=5) == 130
    )  # a fifth of a second on an idle machine, and never the end of a cell
    said = (folder / "said.txt").read_text()
    assert "stopped. The last good report is as it was." in said
    assert "Traceback" not in said
    assert are_gone([*below, kernel, child])
    assert not spills(folder)


@pytest.mark.parametrize("after", [0.5, 4.0])
def test_a_stop_while_all_is_starting_ends_the_run(shop, after):
    folder = shop(WAITS)
    with (folder / "said.txt").open("w") as out:
        command = subprocess.Popen(
            [sys.executable, "-m", "helpers", "run", "shop"], stdout=out, stderr=out
        )
    time.sleep(after)
    below = psutil.Process(command.pid).children(recursive=True)
    command.send_signal(signal.SIGTERM)
    # 130, or what a shell shows as 130; SIGTERM before the command is there to hear it
    assert command.wait(timeout=20) in (130, -signal.SIGINT, -signal.SIGTERM)
    assert are_gone(below)
    assert not spills(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kernel_that_dies_ends_the_run_with_its_name_and_leaves_nothing(shop, kind, request):
    if kind == "plain":
        request.getfixturevalue("plain")
    folder = shop(WAITS.replace("time.sleep(600)\n", "os.kill(os.getpid(), 9)\n"))
    with pytest.raises(
        RunFailed, match="01_collect: its process died, most likely for lack of memory"
    ):
        run("shop")
    assert kernels.started == {kind: 1}
    pids = [int(p) for p in next(folder.glob("runs/*/ready")).read_text().split()]
    if kind == "warm":
        assert are_gone([psutil.Process(p) for p in pids if psutil.pid_exists(p)])
    else:
        os.kill(pids[1], signal.SIGKILL)
    assert not spills(folder / "runs")


def one_kernel(tmp_path, cell="import os; print(os.getpid())"):
    """Run a cell by Jupyter's own way of starting kernels; give back what it printed."""
    import papermill

    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
    nbformat.write(nb, tmp_path / "in.ipynb")
    out = papermill.execute_notebook(
        str(tmp_path / "in.ipynb"),
        str(tmp_path / "out.ipynb"),
        kernel_name="python3",
        progress_bar=False,
    )
    return out.cells[0].outputs[0].text.strip()


@WARM
def test_a_server_that_dies_gives_way_to_plain_kernels(tmp_path, monkeypatch):
    server = kernels.ServerProcess()
    server._process.kill()
    server._process.wait()
    monkeypatch.setattr(kernels, "_server", server)
    kernels.started.clear()
    assert one_kernel(tmp_path).isdigit()
    assert kernels.started == {"plain": 1}
    server.close()


@WARM
def test_a_process_with_more_than_one_thread_does_not_fork():
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()
        with pytest.raises(SystemExit, match="threads"):
            warm.refuse_threads()


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_other_systems_get_plain_kernels(system, monkeypatch):
    monkeypatch.setattr(sys, "platform", system)
    assert not kernels.wanted()


@WARM
def test_a_forked_kernel_is_like_one_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    cell = """\
import os, threading, time, duckdb, numpy
chance = numpy.random.rand()
print(time.strftime("%Z"), os.getpgid(0) == os.getpid(), os.getcwd(), duckdb.sql("SELECT 42").fetchone()[0], chance)"""
    kernels.started.clear()
    first, second = one_kernel(tmp_path, cell).split(), one_kernel(tmp_path, cell).split()
    assert kernels.started == {"warm": 2}
    assert first[:4] == ["JST", "True", os.getcwd(), "42"]
    assert first[4] != second[4], "chance without a seed differs from kernel to kernel"


def test_what_living_processes_spill_stays(tmp_path):
    engine = connect(tmp_path, memory="50MB")
    engine.con.sql("CREATE TABLE t AS SELECT i, md5(i::VARCHAR) AS a FROM range(2000000) r(i)")
    (mine,) = spills(tmp_path)
    dead = tmp_path / "spill-999999999-1-1"
    reused = (
        tmp_path / f"spill-{os.getpid()}-1-1"
    )  # my number, but of a process that began long ago
    other = tmp_path / "spill-notes"
    for path in (dead, reused, other):
        path.mkdir()
    empty_spills(tmp_path)
    assert spills(tmp_path) == sorted([mine, other])
    del engine
