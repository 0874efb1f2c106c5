"""Papermill over the notebooks: the order, the run's own folder, the report put in place last."""

from __future__ import annotations

import difflib
import logging
import os
import shutil
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import suppress
from datetime import date
from graphlib import TopologicalSorter
from importlib.metadata import version
from pathlib import Path
from platform import python_version

import nbformat
import pandas as pd
import papermill
import yaml
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError

import helpers
from helpers import assumptions, disk, kernels, publish, store
from helpers.client import Client, PlaybookError, RunFailed, connect, empty_spills, parse_day
from helpers.collect import sources, who
from helpers.optimize.decision_log import write_decisions
from helpers.progress import Progress
from helpers.show import report, summary

# what goes wrong is said once, by RunFailed
logging.getLogger("papermill").setLevel(logging.CRITICAL)
PACKAGES = [
    "pandas",
    "ibis-framework",
    "duckdb",
    "scikit-learn",
    "statsmodels",
    "seaborn",
    "papermill",
]


def run(
    name: str, as_of: str = "", only: str = "", sets: dict[str, str] | None = None, jobs: int = 0
) -> Path:
    """Run the notebooks on a client and build the report; give back its index page.

    A whole run puts its report under reports/ and becomes `latest`, both last of all. With `only`,
    the named notebooks run on a copy of the latest run, whose report is left alone. Raises
    PlaybookError before anything is written, also where another process works on the client, and
    RunFailed where a notebook fails.
    """
    client, started = Client(name), time.perf_counter()
    with publish.at_work(client, "run"), kernels.warm(client.private()):
        empty_spills(client.private(), *(client.folder / "runs").glob("*"))
        return _run(client, as_of, only, sets or {}, jobs, started)


def _run(
    client: Client, as_of: str, only: str, sets: dict[str, str], jobs: int, started: float
) -> Path:
    names = pick(only)
    day = _as_of(client, as_of, bool(only))
    parameters = parameters_of(names, client, sets, day)
    folder = client.folder / "runs" / f"{day}-{store.now():%Y%m%dT%H%M%S%f}"[:-3]
    record = {
        "schema_version": store.SCHEMA_VERSION,
        "run_id": folder.name,
        "client": client.name,
        "as_of": str(day),
        "status": "running",
        "process": publish.this_process(),
        "only": only,
        "started_at": store.now().isoformat(timespec="seconds"),
        "parameters": parameters,
        "inputs": client.hashes(),
        "notebooks": {},
        "versions": {
            "marketing-playbook": helpers.__version__,
            "python": python_version(),
            **{p: version(p) for p in PACKAGES},
        },
    }
    jobs = jobs or min(2, os.cpu_count() or 1)
    try:
        _begin(folder, client, record)
        progress = Progress(dependencies(names), _expected(names, client), jobs)
        record["notebooks"] = _execute(names, parameters, folder, jobs, progress)
        record["kernels"] = dict(kernels.started)
        if only:
            record = _on_top_of(client.latest, record)
        assumptions.join(folder, client.settings, record["parameters"])
        record |= {"seconds": round(time.perf_counter() - started, 1)}
        publish.write_record(folder, record)
        index = report.build(folder, client)
        if only:
            publish.write_record(folder, record | {"status": "finished"})
            return index
        published = publish.publish(client, folder)
    except BaseException as e:
        _end_record(folder, record, e)
        raise
    _keep_decisions(client, folder)
    _keep_originals(client, folder)
    publish.forget_old_runs(client)
    return published / "index.html"


def in_words(index: Path, client: Client) -> str:
    """What a run came to, in some twenty lines for the terminal; `index` is what `run` gave
    back.
    """
    made_by_copy = index.is_relative_to(client.folder / "runs")
    return summary.in_words(
        index.parent.parent if made_by_copy else client.latest, client.settings.currency
    )


def pick(only: str = "") -> list[str]:
    """The notebooks meant: all, or those named by number (04), chapter (04a) or name."""
    every = store.notebooks()
    if not only:
        return every
    wanted = [w.strip() for w in only.split(",")]
    found = [n for n in every if any(w in (n, n.split("_", 1)[0]) for w in wanted)]
    if len(found) < len(wanted):
        raise PlaybookError(f"--only {only}: no such notebook. Known: {', '.join(every)}.")
    return found


def dependencies(names: list[str]) -> dict[str, set[str]]:
    """For each notebook the ones it must wait for: those that write what it reads."""
    tables = {n: store.declared(n) for n in names}
    makers = {t: n for n, (_, writes) in tables.items() for t in writes}
    return {n: {makers[t] for t in reads if t in makers} - {n} for n, (reads, _) in tables.items()}


def parameters_of(
    names: list[str], client: Client, sets: dict[str, str], day: date
) -> dict[str, dict]:
    """The parameters of each notebook: --set beats client.yaml, which beats the notebook.

    Raises PlaybookError for a name that no notebook has, or a value of another type.
    """
    listed = {n: papermill.inspect_notebook(str(store.notebook_file(n))) for n in names}
    every = {
        p
        for n in (store.notebooks() if client.settings.parameters else names)
        for p in listed.get(n) or papermill.inspect_notebook(str(store.notebook_file(n)))
    }
    for source, given in (
        (f"data/{client.name}/client.yaml, parameters", client.settings.parameters),
        ("--set", sets),
    ):
        for p in given:
            if p in ("client", "as_of"):
                raise PlaybookError(
                    f"{source}: {p} is not set this way. Use playbook run CLIENT --as-of DATE."
                )
            if p not in every:
                hint = _hint(p, every)
                raise PlaybookError(f'{source}: no notebook has a parameter "{p}". {hint}')
    given = client.settings.parameters | {p: _value(p, v) for p, v in sets.items()}
    return {
        n: (
            {"client": client.name, "as_of": str(day)}
            | {p: _typed(p, v, ps[p]["inferred_type_name"]) for p, v in given.items() if p in ps}
        )
        for n, ps in listed.items()
    }


def _hint(parameter: str, every: set[str]) -> str:
    """What to write in place of a parameter that no notebook has."""
    if parameter in assumptions.KINDS:
        return f"Write {assumptions.KINDS[parameter]['key']} in client.yaml."
    close = difflib.get_close_matches(parameter, every, n=1)
    if close:
        return f'Did you mean "{close[0]}"?'
    return f"Known: {', '.join(sorted(every - {'client', 'as_of'})) or 'none'}."


def _value(name: str, text: str) -> object:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise PlaybookError(f"--set {name}={text}: not readable. Put text in quotes.") from None


def _typed(name: str, value: object, wanted: str) -> object:
    kinds = {"int": int, "float": (int, float), "str": str, "list": list, "bool": bool}
    if wanted in kinds and (
        not isinstance(value, kinds[wanted]) or (isinstance(value, bool) and wanted != "bool")
    ):
        raise PlaybookError(
            f"parameter {name}: {value!r} is not of type {wanted}. Write --set {name}=... with one."
        )
    return value


def _as_of(client: Client, as_of: str, copying: bool) -> date:
    if copying:
        if client.latest is None:
            raise PlaybookError(
                f"--only needs an earlier run to copy. Run playbook run {client.name} first."
            )
        day = publish.read_record(client.latest)["as_of"]
        if as_of and as_of != day:
            raise PlaybookError(
                f"--only works on the latest run, which is of {day}. Leave --as-of out, or run all."
            )
        return parse_day(day)
    opened = sources.open_sources(connect(client.private()), client)
    days = sources.days_of_orders(opened)
    if as_of:
        day = parse_day(as_of)
        first = days["ordered_on"].min().date()
        last = days["ordered_on"].max().date()
        if not first <= day <= last:
            raise PlaybookError(
                f"--as-of {day} is outside the data, which run from {first} to {last}."
            )
        return day
    return store.last_full_day(days)


def _begin(folder: Path, client: Client, record: dict) -> None:
    """Make the folder of a run, its record first: whatever ends the run, the record tells of it."""
    folder.mkdir(parents=True)
    publish.write_record(folder, record)
    if record["only"]:
        others = shutil.ignore_patterns("report", "run.json")
        shutil.copytree(client.latest, folder, ignore=others, dirs_exist_ok=True)
    for part in ("tables", "findings", "assumptions", "notebooks"):
        (folder / part).mkdir(exist_ok=True)


def _end_record(folder: Path, record: dict, error: BaseException) -> None:
    """Note how a run ended that was not published; one that was goes on being published by the next
    command.
    """
    ended = "stopped" if isinstance(error, KeyboardInterrupt) else "failed"
    # as when the disk is full: the record then still says that it ran, by a process now gone
    with suppress(OSError):
        if publish.status(folder) != "finished":
            publish.write_record(folder, record | {"status": ended})


def _execute(
    names: list[str], parameters: dict[str, dict], folder: Path, jobs: int, progress: Progress
) -> dict:
    os.environ["PLAYBOOK_RUN"] = str(folder)
    sorter, done, running, ready = TopologicalSorter(progress.needs), {}, {}, set()
    sorter.prepare()
    pool, free = ThreadPoolExecutor(jobs, thread_name_prefix="notebook"), list(range(jobs))
    try:
        while sorter.is_active():
            ready |= set(sorter.get_ready())
            while ready and len(running) < jobs:
                name = progress.most_urgent(ready)
                ready.remove(name)
                running[pool.submit(_one, name, parameters[name], folder, free, progress)] = name
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                name = running.pop(future)
                done[name] = future.result()
                progress.done(name, done[name]["seconds"])
                sorter.done(name)
    # somebody waits for the end: what notices only in a second that its kernel is gone may
    except KeyboardInterrupt:
        kernels.stop()
        empty_spills(folder)
        raise
    except BaseException:  # a notebook failed: begin no other, end those that run
        pool.shutdown(wait=False, cancel_futures=True)
        kernels.kill()
        while wait(running, timeout=0.2).not_done:  # one that was only starting has a kernel by now
            kernels.kill()
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        del os.environ["PLAYBOOK_RUN"]
    return {n: done[n] for n in names}


def _one(name: str, parameters: dict, folder: Path, free: list[int], progress: Progress) -> dict:
    place = free.pop(0)
    output = folder / "notebooks" / f"{name}.ipynb"
    started = time.perf_counter()
    nb = without_course(nbformat.read(store.notebook_file(name), as_version=4))
    nbformat.write(nb, output)
    try:
        papermill.execute_notebook(
            str(output),
            str(output),
            parameters,
            cwd=str(folder),
            progress_bar=progress.begin(name, place),
            kernel_name="python3",
            shutdown_kernel="immediate",
            extra_arguments=["--log-level=40"],
        )
    except DeadKernelError:
        raise RunFailed(
            f"{name}: its process died, most likely for lack of memory. Close other programs or run"
            f" with --jobs 1. The notebook as far as it got: {output}"
        ) from None
    except PapermillExecutionError as e:
        ails = disk.trouble_in(f"{e.ename}: {e.evalue}", folder)
        if ails:
            raise RunFailed(f"{name} failed: {ails}") from None
        heading = _heading_before(output, e.cell_index)
        raise RunFailed(
            f"{name} failed in cell {e.cell_index + 1} ({heading}): {e.ename}: "
            f"{str(e.evalue).strip().splitlines()[0] if str(e.evalue).strip() else ''} "
            f"The notebook as far as it got: {output}"
        ) from None
    finally:
        free.append(place)
        empty_spills(folder)
    return {"seconds": round(time.perf_counter() - started, 1), "cells": len(nb.cells)}


def _expected(names: list[str], client: Client) -> dict[str, float]:
    """Seconds that each notebook took in the last run of this client; its number of cells where
    there is none.
    """
    try:
        record = publish.read_record(client.latest)
        return {n: record["notebooks"][n]["seconds"] for n in names}
    except (TypeError, KeyError):
        return {
            n: float(len(nbformat.read(store.notebook_file(n), as_version=4).cells)) for n in names
        }


def without_course(nb: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook without the cells tagged `course` or `exercise`: they teach, they report nothing."""
    nb.cells = [c for c in nb.cells if not report.COURSE & set(c.metadata.get("tags", []))]
    return nb


def _heading_before(path: Path, cell: int) -> str:
    cells = nbformat.read(path, as_version=4).cells[: cell + 1]
    headings = [
        line.lstrip("# ")
        for c in cells
        if c.cell_type == "markdown"
        for line in c.source.splitlines()
        if line.startswith("#")
    ]
    return headings[-1] if headings else "first cell"


def _on_top_of(copied: Path, record: dict) -> dict:
    """The record of a run with --only: what it did, on top of the run that it copied."""
    base = publish.read_record(copied)
    merged = {k: base[k] | record[k] for k in ("parameters", "notebooks")}
    inputs = record["inputs"] if "01_collect" in record["notebooks"] else base["inputs"]
    return record | merged | {"copied_from": base["run_id"], "inputs": inputs}


def _keep_decisions(client: Client, folder: Path) -> None:
    """Write the run's decision log where people edit it; what they wrote there was read and kept by
    07.
    """
    stored = folder / "tables" / "decisions.parquet"
    if stored.is_file():
        try:
            write_decisions(
                pd.read_parquet(stored).drop(columns="outcome"), client.folder / "decisions.csv"
            )
        except PermissionError:
            raise PlaybookError(
                f"data/{client.name}/decisions.csv is open in another program. The report is in"
                " place; close the file and run again to add the new advice."
            ) from None


def _keep_originals(client: Client, folder: Path) -> None:
    """Write the held lines as the files have them into private/, for whoever mends the files."""
    held = pd.read_parquet(folder / "tables" / "quarantine.parquet")
    originals = (
        who.held_originals(sources.open_sources(connect(client.private()), client), held)
        if len(held)
        else held
    )
    if len(originals):
        store.write_csv(originals, client.private("quarantine") / f"{folder.name}.csv")
