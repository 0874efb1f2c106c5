"""The playbook command."""

from __future__ import annotations

import os
import sys
import webbrowser
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from helpers.client import Client, PlaybookError, names

EXIT_RUN_FAILED, EXIT_MEND = 1, 2

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Data-driven marketing as seven notebooks: one settings file, one command, a report worth "
    "sending.\n\nExit codes: 0 all well, 1 a notebook failed, 2 something for you to mend.",
)
ClientName = Annotated[str, typer.Argument(help="Folder under data/, such as grocer.")]


@app.command()
def run(
    client: ClientName,
    as_of: Annotated[str, typer.Option(help="Last day included, as 2017-12-31. Default: the last full day.")] = "",
    only: Annotated[
        str,
        typer.Option(
            help="Run only these notebooks, as 04 or 04,05, on a copy of the latest "
            "run. The report in place stays as it is."
        ),
    ] = "",
    set_: Annotated[
        list[str], typer.Option("--set", help="Set a notebook's parameter, as name=value. May be given several times.")
    ] = [],  # noqa: B006
    jobs: Annotated[int, typer.Option(min=0, help="Notebooks side by side. Default: 2, or 1 on one core.")] = 0,
):
    """Run the notebooks on a client's data and build the report."""
    from helpers.run import run as run_notebooks

    sets = {}
    for pair in set_:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise PlaybookError(f"--set {pair}: write it as name=value.")
        sets[name.strip()] = value
    index = run_notebooks(client, as_of, only, sets, jobs)
    print(f"Report: {index}")
    print(
        f"Open it with: playbook open {client}"
        if not only
        else "The report in place is as it was; this one belongs to the run alone."
    )


@app.command()
def check(client: ClientName):
    """Read a client's settings and data; say which practices they can carry and what is missing. Runs nothing."""
    from helpers.practices import readiness

    found = readiness(Client(client))
    console = Console()
    console.print(
        f"{found.title}: data/{client}/client.yaml is in order; orders run from {found.first} to {found.last}."
    )
    console.print(_grid("Tables", ["table", "rows"], found.rows))
    console.print(_grid("Practices", ["no.", "practice", "notebook", "can it run?"], found.practices))


@app.command("list")
def list_():
    """List the clients and their last run."""
    rows = []
    for name in names():
        try:
            latest = Client(name).latest
            rows.append((name, latest.name[:10] if latest else "-", latest.name if latest else "not run yet"))
        except PlaybookError as e:
            rows.append((name, "-", str(e)))
    Console().print(_grid("Clients", ["client", "as of", "latest run"], rows))


@app.command("open")
def open_(client: ClientName):
    """Open a client's latest report in the browser."""
    found = Client(client)
    page = found.latest and found.reports / found.latest.name[:10] / "index.html"
    if not page or not page.is_file():
        raise PlaybookError(f"there is no report of {client} yet. Make one with: playbook run {client}")
    print(page)
    webbrowser.open(page.as_uri())


def _grid(title: str, columns: list[str], rows: list[tuple]) -> Table:
    grid = Table(*columns, title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for row in rows:
        grid.add_row(*(str(cell) for cell in row))
    return grid


def main() -> None:
    """Run the command; errors become one line, never a traceback (set PLAYBOOK_DEBUG=1 to see one)."""
    from helpers.run import RunFailed

    try:
        app()
    except PlaybookError as e:
        _say(str(e))
        sys.exit(EXIT_RUN_FAILED if isinstance(e, RunFailed) else EXIT_MEND)
    except KeyboardInterrupt:
        _say("stopped. The last good report is as it was.")
        sys.exit(130)
    except Exception as e:
        if os.environ.get("PLAYBOOK_DEBUG"):
            raise
        _say(
            f"this should not happen: {type(e).__name__}: {str(e).splitlines()[0] if str(e) else ''} "
            "Run again with PLAYBOOK_DEBUG=1 and report it."
        )
        sys.exit(EXIT_RUN_FAILED)


def _say(text: str) -> None:
    print(f"playbook: {text}", file=sys.stderr)
