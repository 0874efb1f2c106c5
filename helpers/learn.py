"""Exercises that check themselves: the answer is computed from the data, the hint fits the mistake.

The exercises of 03_analyze stand in `notebooks/exercises/03_analyze.py`, one function each, named
as in the notebook and decorated with `@exercise`. It takes the run and gives the right answer and,
by hint, the answers of typical mistakes.
"""

from __future__ import annotations

import html
import inspect
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from IPython.display import HTML, Code, display

from helpers import answers
from helpers.start import current
from helpers.store import Store, notebook_file, write_csv

Answers = tuple[object, dict[str, object]]
_book: dict[str, Callable[[Store], Answers]] = {}
_read: set[str] = set()  # notebooks whose exercises are in the book


def exercise(question: Callable[[Store], Answers]) -> Callable[[Store], Answers]:
    """Register an exercise: a function of the run that gives (right answer, {hint: typical wrong
    answer}).
    """
    _book[question.__name__] = question
    return question


def check(name: str, answer: object = ...) -> None:
    """Compare an answer with the one computed from the data, and say how it went.

    Every right form is right (see `answers.same`), an Ibis expression too. With `...` still there,
    says what to do.
    """
    verdict, message = judge(name, answer)
    mark = {"right": "✓", "open": "…"}.get(verdict, "✗")
    display(HTML(f'<div class="check {verdict}"><p>{mark} {html.escape(message)}</p></div>'))


def judge(name: str, answer: object) -> tuple[str, str]:
    """The verdict on an answer: right, wrong or open, and a sentence."""
    if answer is ... or (isinstance(answer, str) and not answer.strip()):
        return (
            "open",
            "Not answered yet. Put your answer in place of the three dots and run the cell.",
        )
    right, mistakes = _load(name)(current())
    if answers.same(answer, right):
        coarse = answers.is_coarse(answer, right)
        return "right", "Right, as far as it goes. Give three digits." if coarse else "Right."
    known = (hint for hint, wrong in mistakes.items() if answers.same(answer, wrong))
    return "wrong", f"Not yet. {next(known, None) or answers.what_went_wrong(answer, right)}"


def source(helper: Callable) -> None:
    """Show a helper's own code, to be read beside the steps that it takes together."""
    display(Code(inspect.getsource(helper), language="python"))


def csv(name: str) -> Path:
    """Write a table of this notebook as a CSV file, to try things without the playbook.

    The file is private: it lies in the client's `private/` folder. Give back its path.
    """
    path = current().client.private("course") / f"{name}.csv"
    write_csv(current().frame(name), path)
    return path


def _load(name: str) -> Callable[[Store], Answers]:
    notebook = current().notebook
    if notebook not in _read:
        file = notebook_file(notebook).parent / "exercises" / f"{notebook}.py"
        spec = spec_from_file_location(f"exercises of {notebook}", file)
        spec.loader.exec_module(module_from_spec(spec))
        _read.add(notebook)
    if name not in _book:
        raise KeyError(f"there is no exercise called {name!r}")
    return _book[name]
