"""The playbook command."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:  # imported when a command runs: then whatever happens meanwhile ends in one line
    from helpers.client import Client

EXIT_RUN_FAILED, EXIT_MEND, EXIT_STOPPED = 1, 2, 130  # 130 is what typer makes of an interrupt

_asked_to_stop = False

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help=(
        "Data-driven marketing in seven steps of notebooks: one settings file, one command, a"
        " report worth sending.\n\nExit codes: 0 all well, 1 a notebook failed, 2 something for you"
        " to mend."
    ),
)
demo = typer.Typer(no_args_is_help=True, help="Write the demo clients.")
app.add_typer(demo, name="demo")
ClientName = Annotated[str, typer.Argument(help="Folder under data/, such as grocer.")]


@app.command()
def run(
    client: ClientName,
    as_of: Annotated[
        str, typer.Option(help="Last day included, as 2017-12-31. Default: the last full day.")
    ] = "",
    only: Annotated[
        str,
        typer.Option(
            help="Run only these notebooks, as 04 or 04,05, on a copy of the latest "
            "run. The report in place stays as it is."
        ),
    ] = "",
    set_: Annotated[
        list[str],
        typer.Option(
            "--set", help="Set a notebook's parameter, as name=value. May be given several times."
        ),
    ] = [],  # noqa: B006
    jobs: Annotated[
        int, typer.Option(min=0, help="Notebooks side by side. Default: 2, or 1 on one core.")
    ] = 0,
):
    """Run the notebooks on a client's data and build the report."""
    from helpers import kernels
    from helpers.client import Client, PlaybookError
    from helpers.publish import at_work

    found, sets = Client(client), {}
    for pair in set_:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise PlaybookError(f"--set {pair}: write it as name=value.")
        sets[name.strip()] = value
    with at_work(found, "run"), kernels.warm(found.private()):  # it imports while we do
        from helpers.run import in_words
        from helpers.run import run as run_notebooks

        index = run_notebooks(client, as_of, only, sets, jobs)
        print(f"\n{in_words(index, found)}\n")
    print(f"Report: {index}")
    print(
        f"Open it with: playbook open {client}"
        if not only
        else "The report in place is as it was; this one belongs to the run alone."
    )


@app.command()
def check(
    client: ClientName,
    json_: Annotated[
        bool, typer.Option("--json", help="Print what would be counted, as JSON.")
    ] = False,
):
    """Read a client's settings and data; say which practices they can carry and what is missing.
    Runs nothing.
    """
    from helpers.client import Client, PlaybookError

    if json_:
        from helpers.counted import counted

        try:
            found = counted(Client(client))
        except PlaybookError as e:
            print(json.dumps({"client": client, "error": str(e)}, ensure_ascii=False))
            raise
        print(json.dumps(found, ensure_ascii=False, indent=1, default=str))
        return
    from helpers.practices import in_short, readiness

    found = readiness(Client(client))
    console = Console()
    span = (
        f"a report looks at {found.first} to {found.last}"
        if found.first
        else "there are no orders yet"
    )
    print(in_short(found))
    print(f"Next: {found.next_step}")
    console.print(f"{found.title}: data/{client}/client.yaml is in order; {span}.")
    if found.files:
        console.print(
            _grid(
                "Files",
                ["file", "what it is", "rows", "as written", "fills", "missing"],
                found.files,
            )
        )
        print(
            f"To overrule what was found out, name the file in data/{client}/client.yaml, such as:"
        )
        print(
            "  sources: {till: {file: till.csv, encoding: cp1252, delimiter: ';', decimal: ',',"
            " dates: day first}}"
        )
    if found.suggestions:
        print(
            f"Written: data/{client}/suggestions.yaml, with a guess for each file that is not"
            " known:"
        )
        print(*(f"  {line}" for line in found.guessed), sep="\n")
    console.print(_grid("Tables", ["table", "rows"], found.rows))
    console.print(
        _grid("Practices", ["no.", "practice", "notebook", "can it run?"], found.practices)
    )


@app.command("list")
def list_():
    """List the clients and their last run."""
    from helpers.client import Client, PlaybookError, names
    from helpers.publish import heal

    rows = []
    for name in names():
        try:
            client = Client(name)
            heal(client)
            latest = client.latest
            as_of, shown = (latest.name[:10], latest.name) if latest else ("-", "not run yet")
            rows.append((name, as_of, shown, _since(client)))
        except PlaybookError as e:
            rows.append((name, "-", str(e), ""))
    Console().print(_grid("Clients", ["client", "as of", "latest run", "since then"], rows))


@app.command("open")
def open_(client: ClientName):
    """Open a client's latest report in the browser."""
    from helpers.client import Client, PlaybookError
    from helpers.publish import heal

    found = Client(client)
    heal(found)
    page = found.latest and found.reports / found.latest.name[:10] / "index.html"
    if not page or not page.is_file():
        raise PlaybookError(
            f"there is no report of {client} yet. Make one with: playbook run {client}"
        )
    print(page)
    webbrowser.open(page.as_uri())


@app.command()
def new(
    client: Annotated[str, typer.Argument(help="Name of the new folder under data/.")],
    title: Annotated[
        str, typer.Option(help="Name shown in the report. Default: the folder's.")
    ] = "",
    currency: Annotated[str, typer.Option(help="Currency of the report, as EUR.")] = "EUR",
    timezone: Annotated[str, typer.Option(help="The shop's own clock, as Europe/Berlin.")] = "UTC",
    country: Annotated[
        str, typer.Option(help="Two letters, as DE: reads phone numbers without prefix.")
    ] = "",
):
    """Write a commented client.yaml and an empty raw/ for a new client."""
    from helpers.keep import new as begin

    print(f"Written: {_shown(begin(client, title, currency, timezone, country))}")
    print(
        f"Put your exports into data/{client}/raw/, look over the settings, then: playbook check"
        f" {client}"
    )


@app.command("lists")
def lists_(
    client: ClientName,
    for_: Annotated[
        str, typer.Option("--for", help="Channel: email, sms or ads (hashed, for Meta and Google).")
    ],
):
    """Write the latest run's lists of people as files that a channel imports; only who gave consent
    is on them.
    """
    from helpers.client import Client
    from helpers.keep import lists

    every = lists(Client(client), for_)
    for done in every:
        why = ", ".join(f"{n:,} {reason}" for reason, n in done.left_out.items()) or "nobody"
        written = (
            f"{done.written:,} written"
            if done.files
            else f"nobody to write to by {for_}, so no file"
        )
        print(f"{done.audience}: {done.on_list:,} on the list, {written}; left out: {why}")
        for file in done.files:
            print(f"  {_shown(file)}")
    if any(done.files for done in every):
        print(
            "These files hold contacts: import them, then delete them; playbook clean-up removes"
            " them when due."
        )


@app.command()
def forget(
    client: ClientName,
    email: Annotated[str, typer.Option(help="The person's e-mail.")] = "",
    phone: Annotated[str, typer.Option(help="The person's phone.")] = "",
    number: Annotated[str, typer.Option(help="The person's customer number.")] = "",
):
    """Remove a person from every table, list and old run, and keep them out of the next ones."""
    from helpers.client import Client
    from helpers.keep import forget as forget_person

    done = forget_person(Client(client), email, phone, number)
    print(
        f"Forgotten: {done.people} person. Rows removed: {sum(done.tables.values()):,} in"
        f" {len(done.tables)} tables."
    )
    print(
        "Order lines that stay for the books, now of nobody:"
        f" {max(done.books.values(), default=0):,}."
    )
    print(f"Files changed or removed: {len(done.files)}.")
    for file, lines in done.raw.items():
        print(f"Erase yourself: raw/{file}, line {', '.join(map(str, lines))}")
    if not done.raw:
        print("No line of raw/ names this person.")
    for note in done.notes:
        print(f"Note: {note}")


@app.command("clean-up")
def clean_up_(
    client: Annotated[str, typer.Argument(help="Folder under data/. Default: every client.")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what is due and remove nothing.")
    ] = False,
):
    """Remove what the life cycle says is due: expired private files, tables of old runs,
    the lab.
    """
    from helpers.client import Client, PlaybookError, names
    from helpers.keep import clean_up

    for name in [client] if client else names():
        try:
            due = clean_up(Client(name), dry_run)
        except PlaybookError as e:
            if client:
                raise
            print(f"{name}: left alone. {e}")  # the others still get their turn
            continue
        for why in dict.fromkeys(d.why for d in due):
            some = [d for d in due if d.why == why]
            print(
                f"{name}: {len(some):,} files or folders, {sum(d.bytes for d in some) / 1e6:,.1f}"
                f" MB: {why}"
            )
        print(
            f"{name}:"
            f" {'nothing is due' if not due else 'would be removed' if dry_run else 'removed'}."
        )


@demo.command()
def twin(
    customers: Annotated[
        int, typer.Option(min=1, help="How many people live in the simulated world.")
    ] = 5000,
    seed: Annotated[int, typer.Option(help="The same seed writes the same files.")] = 1,
    out: Annotated[str, typer.Option(help="Folder to write into. Default: data/twin.")] = "",
):
    """Write the raw exports of the simulated shop, whose truth is known."""
    from helpers.client import home
    from simulator import write_twin

    folder = write_twin(Path(out) if out else home() / "data" / "twin", customers, seed)
    print(f"Written: {_shown(folder)}")
    print("Next: playbook check twin" if not out else "Copy it to data/<client>/ to run it.")


def _since(client: Client) -> str:
    """What became of the last run, where it is not the one whose report is in place."""
    from helpers.publish import runs, status

    last = next(iter(runs(client)), None)
    if last is None or last == client.latest:
        return ""
    how = {"running": "is at work", "stopped": "was stopped", "failed": "failed"}.get(status(last))
    return f"run {last.name} {how}" if how else ""


def _shown(path: Path) -> str:
    from helpers.client import home

    return path.relative_to(home()).as_posix() if path.is_relative_to(home()) else str(path)


def _grid(title: str, columns: list[str], rows: list[tuple]) -> Table:
    grid = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*(str(cell) for cell in row))
    return grid


def main() -> None:
    """Run the command; errors become one line, never a traceback (set PLAYBOOK_DEBUG=1 to
    see one).
    """
    global _asked_to_stop
    _asked_to_stop = False
    try:
        _run_command()
    except KeyboardInterrupt:  # also one that comes while an error is being told
        _stopped()


def _run_command() -> None:
    # a name in a client's data never fails a run that is done
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")
    # a closed terminal or a scheduler ends a run as Ctrl-C does
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _interrupt)
    try:
        app()
    except SystemExit as e:
        if e.code == EXIT_STOPPED:
            _stopped()
        raise
    except Exception as e:
        if _asked_to_stop:  # an engine makes an error of its own of it
            _stopped()
        _failed(e)


def _failed(error: Exception) -> NoReturn:
    from helpers import disk
    from helpers.client import PlaybookError, RunFailed, home

    ails = disk.trouble(error, home())
    if isinstance(error, PlaybookError):
        _say(ails or str(error))
        sys.exit(EXIT_RUN_FAILED if isinstance(error, RunFailed) else EXIT_MEND)
    if os.environ.get("PLAYBOOK_DEBUG"):
        raise error
    if ails:
        _say(ails)
        sys.exit(EXIT_MEND)
    _say(
        f"this should not happen: {type(error).__name__}:"
        f" {str(error).splitlines()[0] if str(error) else ''} Run again with PLAYBOOK_DEBUG=1 and"
        " report it."
    )
    sys.exit(EXIT_RUN_FAILED)


def _interrupt(number: int, frame: object) -> None:
    global _asked_to_stop
    _asked_to_stop = True
    raise KeyboardInterrupt


def _stopped() -> NoReturn:
    _say("stopped. The last good report is as it was.")
    if any(t.name.startswith("notebook") for t in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        # their kernels are gone, but they would take a second more to notice
        os._exit(EXIT_STOPPED)
    sys.exit(EXIT_STOPPED)


def _say(text: str) -> None:
    print(f"playbook: {text}", file=sys.stderr)
