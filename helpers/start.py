"""The notebook in progress: the one place that knows which was started, and for whom."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from helpers import languages, methods
from helpers.client import Client, PlaybookError, empty_spills, quiet_ibis
from helpers.store import Store, words_file

_current: Store | None = None


def start(notebook: str, client: str, as_of: str = "") -> Store:
    """Begin a notebook: open the client and the run's tables; what it found and took for granted
    before is forgotten.

    Raises PlaybookError where there is no such notebook or client, or the settings are at fault.
    """
    global _current
    run = os.environ.get("PLAYBOOK_RUN")
    found = Client(client)
    folder = Path(run) if run else found.folder / "runs" / "lab"
    empty_spills(folder)  # of kernels that were killed; in a run its parent does it too
    _current = Store(notebook, found, folder, as_of)
    methods.choose(dict(found.settings.methods))
    # what nobody has translated is English from the first word to the last number
    own = words_file(notebook, found.settings.language).is_file()
    languages.speak(found.settings.language if own else languages.ENGLISH)
    for file, nothing in ((_current.findings_file, "[]"), (_current.assumptions_file, "{}")):
        file.parent.mkdir(exist_ok=True)
        file.write_text(nothing, encoding="utf-8")
    if os.environ.get("PLAYBOOK_WARNINGS"):  # the tests make warnings errors
        warnings.simplefilter(os.environ["PLAYBOOK_WARNINGS"])
    quiet_ibis()
    return _current


def is_started() -> bool:
    """Whether a notebook was started in this kernel."""
    return _current is not None


def current() -> Store:
    """The notebook that was started last in this kernel."""
    if _current is None:
        raise PlaybookError("no notebook has been started. Run the cell with start(...) first.")
    return _current
