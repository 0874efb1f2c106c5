"""Cards that a team can hang on a wall: a name, a few figures, and short sentences under
headings.
"""

from __future__ import annotations

from html import escape
from importlib import resources

import pandas as pd
from IPython.display import HTML, display

from helpers.show import words
from helpers.show.boxes import nothing

NOTHING = "Nothing to show: there are no groups to make cards of."


def cards(
    frame: pd.DataFrame,
    title: str,
    figures: dict[str, str],
    parts: dict[str, str],
    *,
    lead: str = "",
    note: str = "",
    money: tuple = (),
    percent: tuple = (),
) -> None:
    """Show one card a row. `title`, `lead` and `note` name columns of text.

    `figures` and `parts` give the words for columns of numbers and of sentences (one a line; an
    empty one is left out). Numbers named in `percent` get a bar, those in `money` are amounts.
    """
    if not len(frame):
        return nothing(NOTHING)
    shown = []
    for row in frame.to_dict("records"):
        top = f"<h3>{escape(row[title])}</h3>" + _line("said", row.get(lead))
        numbers = "".join(
            _figure(row[c], says, c in money, c in percent) for c, says in figures.items()
        )
        text = "".join(_part(says, row.get(c)) for c, says in parts.items())
        end = _line("fine", row.get(note))
        shown.append(
            f'<div class="card">{top}<ul class="numbers">{numbers}</ul><div'
            f' class="text">{text}</div>{end}</div>'
        )
    # The report has this style in its own sheet and leaves out the one given here, which is for the
    # notebook.
    sheet = (
        resources.files("helpers.show").joinpath("templates/style.css").read_text(encoding="utf-8")
    )
    style = sheet.split("/* cards */")[1]
    display(HTML(f'<style>{style}</style><div class="cards">{"".join(shown)}</div>'))


def _figure(value: float, says: str, money: bool, percent: bool) -> str:
    written = (
        words.money(value) if money else words.percent(value) if percent else words.count(value)
    )
    known = percent and not pd.isna(value)
    bar = (
        f'<span class="bar"><span class="w{round(min(max(value, 0), 1) * 20)}"></span></span>'
        if known
        else ""
    )
    return f"<li><b>{escape(written)}</b><span>{escape(says)}</span>{bar}</li>"


def _part(says: str, sentences: object) -> str:
    lines = (
        [line for line in words.agree(sentences).split("\n") if line]
        if isinstance(sentences, str)
        else []
    )
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<div><h4>{escape(says)}</h4><ul>{items}</ul></div>" if lines else ""


def _line(kind: str, text: object) -> str:
    return (
        f'<p class="{kind}">{escape(words.agree(text))}</p>'
        if isinstance(text, str) and text
        else ""
    )
