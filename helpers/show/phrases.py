"""The words of a notebook: templates that stand beside it, filled with the numbers of a result.

The words of 04_segment stand in `notebooks/words/04_segment.yaml`, in five parts: findings, texts,
unseen, tables and charts. A cell names the template and hands over the numbers:
`show.finding("largest-type", types.iloc[0])`. The templates are Jinja's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from functools import cache
from pathlib import Path

import jinja2
import pandas as pd
import yaml

from helpers import languages
from helpers.client import PlaybookError
from helpers.show import words
from helpers.start import current, is_started
from helpers.store import words_file

NAME = r"[a-z0-9]+(-[a-z0-9]+)*"  # of a template
PARTS = ("findings", "texts", "unseen", "tables", "charts")
CELLS = "cells"  # headings and typed lines of the notebook, by cell; a second language has them


def decimal(number: float, digits: int = 1) -> str:
    """A number with so many digits after its point.

    >>> decimal(2.345), decimal(1234.5, 0)
    ('2.3', '1,234')
    """
    return f"{number:,.{digits}f}"


@jinja2.pass_context
def money(context: jinja2.runtime.Context, amount: float) -> str:
    """Money in the currency of the client."""
    return words.money(amount, context["currency"])


def environment() -> jinja2.Environment:
    """Jinja with the filters that a template may use; a name without a value is an error."""
    made = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
    made.filters |= {
        "amount": words.money,
        "count": words.count,
        "day": words.day,
        "decimal": decimal,
        "listing": words.listing,
        "money": money,
        "percent": words.percent,
    }
    return made


_environment = environment()


def say(template: str, values: Mapping[str, object]) -> str:
    """A template filled with values, on one line; counts of one are followed by the singular.

    `currency`, that of the client, may be used in every template.

    >>> say("{{ n | count }} customers bring {{ share | percent }}.", {"n": 1, "share": 0.5})
    '1 customer brings 50\\xa0%.'
    """
    currency = current().settings.currency if is_started() else ""
    filled = _compiled(template).render({"currency": currency, **values})
    return words.agree(re.sub(" +", " ", filled).strip())


@cache
def _compiled(template: str) -> jinja2.Template:
    return _environment.from_string(" ".join(template.split()))


def find(part: str, name: str) -> dict | str | None:
    """What the notebook in progress says under this name.

    None for a sentence that stands for itself, and in a notebook without words. PlaybookError for
    what can only be a name, and is none.
    """
    if not is_started():
        return None
    file = words_file(current().notebook)
    known = read(file).get(part, {})
    if name not in known and file.is_file() and re.fullmatch(NAME, name):
        raise PlaybookError(f'{file.name} has no "{name}" under {part}.')
    return _in_language(known.get(name), part, name)


def _in_language(template: dict | str | None, part: str, name: str) -> dict | str | None:
    """The template as the language that is spoken has it; English where it has none."""
    if languages.spoken() == languages.ENGLISH or template is None:
        return template
    own = read(words_file(current().notebook, languages.spoken())).get(part, {}).get(name)
    if own is None:
        return template
    return template | own if isinstance(template, dict) else own


def cells(notebook: str) -> dict[str, str]:
    """Headings and typed lines of a notebook in the language that is spoken, by cell."""
    return read(words_file(notebook, languages.spoken())).get(CELLS, {})


def read(path: Path) -> dict[str, dict]:
    """The templates of a file by part and name; none where there is no such file."""
    return _read(path, path.stat().st_mtime_ns) if path.is_file() else {}


@cache
def _read(path: Path, changed: int) -> dict[str, dict]:
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    unknown = [part for part in found if part not in (*PARTS, CELLS)]
    if unknown:
        raise PlaybookError(
            f"{path.name}: there is no part {unknown[0]}. Its parts are {', '.join(PARTS)}."
        )
    return found


def values(result: object, more: Mapping[str, object]) -> dict[str, object] | None:
    """The numbers of a result by name, with `more`; None where there is no result to speak of.

    A result is a mapping, a Series, a data class, a named tuple, or a frame with one row. An empty
    frame, None, and one whose `enough` is false, are no result. ValueError for a frame with more
    rows, and for a name that is given twice.

    >>> values(pd.DataFrame({"n": [3]}), {"days": 7}), values(None, {"days": 7})
    ({'days': 7, 'n': 3}, None)
    """
    named = _named(result)
    if named is None or named.get("enough", True) is False:
        return None
    twice = set(named) & set(more)
    if twice:
        raise ValueError(f"given twice: {', '.join(sorted(twice))}")
    return {key: _translated(value) for key, value in {**more, **named}.items()}


def _translated(value: object) -> object:
    """A name of ours, such as that of a segment, in the language that is spoken."""
    return languages.fixed(value) if isinstance(value, str) else value


def _named(result: object) -> dict[str, object] | None:
    if isinstance(result, pd.DataFrame):
        if len(result) > 1:
            raise ValueError(f"a result has one row, this frame {len(result)}")
        result = result.iloc[0] if len(result) else None
    if result is None:
        return None
    if isinstance(result, pd.Series):
        return result.to_dict()
    if is_dataclass(result):
        return asdict(result)
    if hasattr(result, "_asdict"):
        return result._asdict()
    return dict(result)
