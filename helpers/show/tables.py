"""Tables with a caption, units, a source, and every cell escaped."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
from great_tables import GT
from IPython.display import HTML, display

from helpers.languages import fixed
from helpers.show import findings, phrases, words
from helpers.show.boxes import nothing


def table(
    frame: pd.DataFrame,
    caption: str,
    *,
    money: tuple = (),
    percent: tuple = (),
    source: str = "",
    rename: dict[str, str] | None = None,
    most: int = 10,
    **more: object,
) -> None:
    """Show the first rows of a frame as a table.

    `caption` names an entry of the notebook's words, which gives the caption and all that follows;
    `more` fills it. `money` and `percent` name columns to format; other numbers get thousands
    separators. `source` lists tables; those without rows are left out. `rename` gives headings; by
    default underscores become spaces.
    """
    given = phrases.find("tables", caption)
    if given:
        if money or percent or source or rename or most != 10:
            raise TypeError(f"how {caption} looks stands in the words of the notebook")
        return table(frame, **_filled(given, more))
    if not len(frame):
        return nothing(fixed("{caption}: no rows.", caption=caption))
    shown = frame.head(most).reset_index(drop=True)
    formats = {c: _formatter(frame[c], c in money, c in percent) for c in shown.columns}
    cells = pd.DataFrame({_heading(c, rename): shown[c].map(formats[c]) for c in shown.columns})
    numeric = [
        _heading(c, rename)
        for c in shown.columns
        if pd.api.types.is_numeric_dtype(frame[c]) and not pd.api.types.is_bool_dtype(frame[c])
    ]
    caption = words.agree(caption)
    left = ""
    if len(frame) > most:
        left = fixed("The first {most} of {all} rows.", most=most, all=words.count(len(frame)))
    gt = GT(cells).tab_header(title=caption).cols_align("left").cols_align("right", columns=numeric)
    source = findings.sources(source)
    note = " ".join(
        filter(None, [fixed("Source: {source}.", source=source) if source else "", left])
    )
    gt = gt.tab_source_note(note) if note else gt
    display(HTML(gt.as_raw_html()))


def _filled(given: dict, values: dict[str, object]) -> dict[str, object]:
    headings = given.get("rename", {})
    return given | {
        "caption": phrases.say(given["caption"], values),
        "rename": {column: phrases.say(text, values) for column, text in headings.items()},
    }


def _formatter(column: pd.Series, money: bool, percent: bool):
    largest = column.abs().max() if pd.api.types.is_numeric_dtype(column) else 0
    if money and largest >= 1000:  # beside thousands, cents are noise
        return lambda v: f"{round(v):,}" if abs(v) < 10 else words.money(v)
    if money:
        return words.money
    if percent:
        return lambda v: words.percent(v, 1)
    if pd.api.types.is_bool_dtype(column):
        return lambda v: fixed("yes") if v else fixed("no")
    if pd.api.types.is_datetime64_any_dtype(column):
        return lambda v: "" if pd.isna(v) else words.day(v)
    if pd.api.types.is_numeric_dtype(column):
        mostly_whole = (column.dropna() % 1 == 0).mean() > 0.5
        tenths = np.allclose(
            column.dropna().astype(float), column.dropna().astype(float).round(1), rtol=0
        )
        places = 0 if largest >= 1000 else 1 if largest >= 100 or tenths else 2
        return lambda v: (
            ""
            if pd.isna(v)
            else f"{v + 0.0:,.0f}"
            if mostly_whole and v % 1 == 0
            else f"{v:,.{places}f}"
        )
    return lambda v: (
        words.day(v)
        if isinstance(v, date)
        else ""
        if v is None or v != v
        else words.agree(fixed(str(v)))
    )


def _heading(name: str, rename: dict[str, str] | None) -> str:
    return (rename or {}).get(name, fixed(str(name).replace("_", " ")))
