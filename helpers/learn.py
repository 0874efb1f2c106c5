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
from numbers import Number
from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import HTML, Code, display

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

    Accepts equivalent right answers: a share or a percent, a set or a list in any order, a one-cell
    frame, an Ibis expression, small rounding. With `...` still there, says what to do.
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
    if same(answer, right):
        return "right", "Right."
    hint = next((h for h, wrong in mistakes.items() if same(answer, wrong)), None)
    if hint:
        return "wrong", f"Not yet. {hint}"
    if isinstance(right, Number) and not isinstance(_plain(answer), Number):
        return "wrong", "Not yet. The answer is one number."
    return (
        "wrong",
        (
            "Not yet. Read the question once more, and look at the cell above that comes closest"
            " to it."
        ),
    )


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


def same(answer: object, right: object) -> bool:
    """Whether two answers mean the same.

    >>> same(16.6, 0.166), same(["b", "a"], {"a", "b"}), same(pd.Series([3.0]), 3), same("Friday ", "friday")
    (True, True, True, True)
    >>> same(0.17, 0.2), same("a", 1)
    (False, False)
    """
    a, b = _plain(answer), _plain(right)
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, Number) and isinstance(b, Number):
        if isinstance(b, int) and abs(b) > 1:
            return float(a) == b
        close = dict(rel_tol=0.006, abs_tol=1e-9)
        shares = 0 < abs(float(b)) <= 1
        return any(
            np.isclose(float(a) / k, float(b), rtol=close["rel_tol"], atol=close["abs_tol"])
            for k in ((1, 100) if shares else (1,))
        )
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(
            same(x, y) for x, y in zip(sorted(a, key=str), sorted(b, key=str), strict=True)
        )
    if isinstance(a, str) and isinstance(b, str):
        return a.strip().casefold() == b.strip().casefold()
    return type(a) is type(b) and a == b


def _plain(answer: object) -> object:
    if hasattr(answer, "to_pandas"):
        answer = answer.to_pandas()
    if isinstance(answer, pd.DataFrame):
        answer = answer.to_numpy().ravel().tolist()
    elif isinstance(answer, pd.Series | pd.Index | np.ndarray):
        answer = answer.tolist()
    if isinstance(answer, set | frozenset | tuple):
        answer = list(answer)
    if isinstance(answer, list):
        return _plain(answer[0]) if len(answer) == 1 else [_plain(x) for x in answer]
    if isinstance(answer, np.generic):
        answer = answer.item()
    return str(answer) if isinstance(answer, pd.Timestamp) else answer


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
