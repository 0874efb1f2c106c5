"""Guess what a file that no preset knows may be, and write the settings that would read it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

import pandas as pd
import yaml

from helpers import tables
from helpers.client import CleanStep
from helpers.collect import money
from helpers.collect.landing import Landed
from helpers.collect.people import fold
from helpers.collect.presets import presets
from helpers.collect.privacy import heading_kind
from helpers.collect.states import MANY, States, is_back, listed, pattern, read_states, words

MONEY = ["revenue", "unit_price", "order_total", "subtotal"]
ENOUGH = 5  # headings of a table that are known: however many others stand beside them
_NEEDS = {"money": "revenue or unit_price", "who": "a number, e-mail or name"}
_DAYS = "ordered_at spent_on starts_on ends_on since consent_at posted_at opened_at solved_at"
_AMOUNTS = (
    "order_total subtotal tax quantity unit_price discount revenue cost shipping_cost unit_cost"
    " list_price"
)
_AMOUNTS += " fees prepaid refunded budget rating"
_OF_ORDER = [
    "ordered_at",
    "time",
    "status",
    "channel",
    "store_id",
    "payment_method",
    "currency",
    "coupon_id",
]
_FURTHER = ["cost", "channel", "store_id", "payment_method", "currency", "coupon_id"]
WHO = ["ids", "email", "phone", "name", "last_name"]
_DATE = re.compile(
    r"\d{1,4}([./-])\d{1,2}\1\d{1,4}\b.*|\d{4}年\d{1,2}月\d{1,2}日.*|\d{4}-\d\d-\d\d.*|20\d{6}(T?\d{4}|T?\d{6})?Z?"
    r"|([^\W\d_]{2,}[.,]* )?\d{1,2}(st|nd|rd|th|er|º|\.)?[-/ ]*(de |of )?[^\W\d_]{3,}[-.,/ ]+(del?"
    r" )?\d{2,4}\b.*"
    r"|([^\W\d_]{2,}[.,]* )?[^\W\d_]{3,}\.?[- ]\d{1,2}(st|nd|rd|th)?,?[- ]\d{4}\b.*"
)
# a spreadsheet's days, or seconds since 1970
_COUNT_OF_DAYS = re.compile(r"[3-5]\d{4}([.,]\d+)?|1\d{9}(\d{3})?")
_SIGN = r"(?:[A-Z]{0,2}[€$£¥₹₩₺₽]|zł|kr\.?|Rs\.?|S?Fr\.?|руб\.?|円|元|원|EUR|USD|GBP|CHF)"
# with cents, or with the sign of a currency
_AMOUNT = re.compile(
    rf"[-+(]?({_SIGN}|[A-Z]{{3}})?\s?-?\d[\d.,'’\s]*[.,]\d{{1,2}}\s?({_SIGN}|[A-Z]{{3}})?\)?-?"
    rf"|[-+(]?({_SIGN}\s?-?\d[\d.,'’\s]*|\d[\d.,'’\s]*{_SIGN})\)?-?"
)
_NUMBER = re.compile(r"[-+]?[\d.,' ]+%?")
_CODE = re.compile(r"[^\W\d_]+[-_/.]?\d[\w-]*")  # letters, then digits, no space
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_TAX = re.compile(r"\b(tax|vat|mwst|ust|steuer|tva)\b")
_GIFT_CARD = re.compile(
    "(?i)gift ?(?:card|certificate|voucher)|geschenk(?:gutschein|karte)|cadeau|tarjeta|礼品|ギフト"
)
_YES_NO = {
    "true",
    "false",
    "t",
    "f",
    "yes",
    "no",
    "y",
    "n",
    "1",
    "0",
    "ja",
    "nein",
    "oui",
    "non",
    "是",
    "否",
}
_OFFSET = r"\d:\d\d.*(?:[+-]\d\d:?\d\d|Z| ?UTC| ?GMT)$"


Counts = Callable[[str, str], pd.Series]


@dataclass
class Suggestion:
    """The settings that may read one file: `columns` and `person` by canonical name, `notes` on
    what is not certain.

    `table` is empty where the file is like none.
    """

    name: str
    file: str
    table: str = ""
    columns: dict[str, str] = field(default_factory=dict)
    person: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    key: list[str] = field(default_factory=list)
    dated: str = ""
    timezone: str = ""
    decimal: str = "."
    more: list[Suggestion] = field(default_factory=list)  # further tables that the same file fills
    near: str = ""  # the preset that it nearly is, and what it lacks
    lacks: str = ""  # for a file like no table
    # condition, text with %s, the column shown there
    doubts: list[tuple[str, str, str]] = field(default_factory=list)
    # steps of cleaning: step, where, reason
    clean: list[dict[str, str]] = field(default_factory=list)
    rows: str = ""  # what stands after FROM, where files are joined
    beside: list[Suggestion] = field(default_factory=list)  # the files that are joined
    # of a column and of what stands after FROM: how often each text stands there in the whole file
    counts: Counts | None = field(default=None, repr=False, compare=False)

    @property
    def tables(self) -> list[str]:
        """The canonical tables that the file fills."""
        return [g.table for g in (self, *self.more) if g.table]

    def source(self) -> dict[str, object]:
        """The source's settings."""
        said = {"file": self.file, "timezone": self.timezone, "dated": self.dated, "key": self.key}
        return {k: v for k, v in said.items() if v}

    def mapping(self) -> dict[str, object]:
        """The mapping's settings."""
        said = {
            "source": self.name,
            "from": self.rows,
            "columns": self.columns,
            "person": self.person,
        }
        return {k: v for k, v in said.items() if v}

    def steps(self) -> list[CleanStep]:
        """The proposed steps of cleaning."""
        mine = f"source_name = '{self.name.replace(chr(39), chr(39) * 2)}'"
        tied = [step | {"where": f"{mine} AND ({step['where']})"} for step in self.clean]
        return [CleanStep(table=self.table, action="filter", **step) for step in tied]


@cache
def _synonyms() -> dict[str, dict[str, list[str]]]:
    raw = resources.files("helpers.collect").joinpath("suggest.yaml").read_text(encoding="utf-8")
    return {
        t: {c: [s if c == "needs" else plain(s) for s in said] for c, said in columns.items()}
        for t, columns in yaml.safe_load(raw).items()
    }


def known_as(table: str, heading: str) -> str:
    """The column of a canonical table that a heading stands for; empty where none is known
    by it.
    """
    known = _synonyms()[table].items()
    return next(
        (c for words in forms(heading) for c, said in known if c != "needs" and words in said), ""
    )


_MADE_UP = "source_file || ' line ' || source_line"  # where nothing names a row


def plain(heading: str) -> str:
    """A heading without case, accents, units and marks.

    >>> plain("Umsatz (EUR)"), plain("Kunden-Nr."), plain("orderDate")
    ('umsatz', 'kunden nr', 'order date')
    """
    text = re.sub(r"[(\[（【].*?[)\]）】]", "", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", heading))
    words = fold(text).split()
    words = words[:-1] if len(words) > 1 and words[-1].isdigit() else words  # "Tax 5%", "Address 1"
    return " ".join(
        w for w in words if w not in ("eur", "usd", "gbp", "chf", "cny", "in") or len(words) == 1
    )


@cache
def forms(heading: str) -> tuple[str, ...]:
    """The ways to read a heading: as it stands or, where it is not known so, each of the names that
    it puts together.

    Marks of tax, and the "No." of an order or of an article, may be missing.

    >>> forms("PU TTC"), forms("Bon-Nr."), forms("Dont TVA")
    (('pu',), ('bon',), ('tva',))
    >>> forms("Order Date"), forms("客户 Customer"), forms("Kundin (Customer)"), forms("Datum / Date")
    (('order date',), ('客户', 'customer'), ('kundin', 'customer'), ('datum', 'date'))
    """
    whole = plain(heading)
    if any(whole in said for known in _synonyms().values() for said in known.values()):
        return (whole,)
    apart = re.sub(
        r"(?<=[\u3000-\u9fff])\s*(?=[A-Za-zÀ-ÿ])|(?<=[A-Za-zÀ-ÿ.])\s*(?=[\u3000-\u9fff])",
        "/",
        heading,
    )
    parts = [plain(p) for p in re.split(r"[/|()（）\[\]\n]+|\s[-–]\s", apart)]
    parts = [p for p in parts if len(p) > 2 or p >= "\u3000"]
    if len(parts) > 1:
        return tuple(dict.fromkeys(parts))
    base = re.sub(
        r"^(dont|davon|of which)\b|\b(ttc|ht|brutto|netto|incl|inkl|excl|exkl)\b", " ", whole
    ).strip()
    short = re.sub(r" (nr|no|num|nummer|numero|number)$", "", whole)
    is_number = any(short in _synonyms()["orders"][c] for c in ("order_id", "product_id"))
    return (short,) if is_number else (" ".join(base.split()) or whole,)


def suggest(
    file: Landed, rows: pd.DataFrame, zone: str = "UTC", counts: Counts | None = None
) -> Suggestion:
    """The likeliest mapping of a file to a canonical table, from its headings and from a sample of
    its rows.

    `rows` holds the file's columns as text; `zone` is the client's own. What few lines say, such as
    a state or a refund, is looked up with `counts` where the rows are a part of the file. Of the
    cells only the states of orders and a few names of what is no goods come back.
    """
    if rows.empty:
        return Suggestion(file.name, file.file, lacks="it has a header and no rows")
    columns = [c for c in file.facts["columns"] if c in rows]
    kinds = {c: _content(rows[c], c) for c in columns}
    nearly, of_preset = _of_preset(file, columns)
    scored = []
    for table, known in _synonyms().items():
        fixed = {c: s for c, s in of_preset.get(table, {}).items() if c in known}
        left = [c for c in columns if c not in fixed.values()]
        found = fixed | _by_heading(
            left, {c: said for c, said in known.items() if c not in fixed}, kinds
        )
        if file.facts.get("headless"):
            found = {c: s for c, s in _by_content(rows[columns], kinds).items() if c in known}
        lacking = [n for n in known["needs"] if not _has(n, found)]
        scored.append((len(lacking), -len(found) / max(len(columns), 1), table, found))
    # A file of people looks like orders to half its columns: what is needed decides before what is
    # found.
    lacking, share, table, found = min(scored, key=lambda s: s[:2])
    mark = file.facts.get("decimal") or "."
    guess = Suggestion(file.name, file.file, near=nearly, decimal=mark, counts=counts)
    if lacking or (-share < 0.3 and len(found) < ENOUGH):
        _, _, near, seen = max(scored, key=lambda s: (len(s[3]), -s[0]))
        missing = [n for n in _synonyms()[near]["needs"] if not _has(n, seen)]
        wanted = " and ".join(_NEEDS.get(m, m) for m in missing)
        tells = f"nearest is {near}" + (f", but no column looks like {wanted}" if wanted else "")
        strange = _strange_dates(near, columns, rows, missing)
        guess.lacks = strange or (tells if seen else "none of its headings is known")
        return guess
    guess.table = table
    if table == "orders" and not file.facts.get("joined"):
        rows = _carry(guess, rows, found)
    _WRITE.get(table, _simple)(guess, found, rows, kinds)
    if not guess.table:
        return guess
    _fill(guess, rows, found, zone)
    return guess


def _carried(rows: pd.DataFrame, found: dict[str, str]) -> list[str]:
    """Columns of an order that stand on the first of its lines only."""
    if "order_id" not in found:
        return []
    key = rows[found["order_id"]]
    several = key.map(key.value_counts()) > 1
    told = [c for r, c in found.items() if r in _OF_ORDER or r.startswith("person.")]
    told += [c for c in rows.columns if c not in found.values() and _is_state(c)]
    first = []
    for c in told:
        by = rows.loc[several, c].groupby(key[several])
        filled, lines = by.count(), by.size()
        once = (filled <= 1) & (filled < lines)
        first += [c] if len(lines) and (filled > 0).any() and once[filled > 0].mean() > 0.9 else []
    return first


def _texts_of(guess: Suggestion, column: str, rows: pd.DataFrame) -> pd.Series:
    """How often each text stands in a column, the most frequent first."""
    return guess.counts(column, guess.rows) if guess.counts else rows[column].value_counts()


def _carry(guess: Suggestion, rows: pd.DataFrame, found: dict[str, str]) -> pd.DataFrame:
    """The rows with what stands on an order's first line on all of them; the suggestion reads them
    so too.
    """
    columns = _carried(rows, found)
    if not columns:
        return rows
    order = _col(found["order_id"])
    cells = ", ".join(
        f"max({_col(c)}) OVER (PARTITION BY source_file, {order}) AS {_col(c)}" for c in columns
    )
    guess.rows = f"(SELECT * REPLACE ({cells}) FROM {_col(guess.name)}) AS {_col(guess.name)}"
    carried = {c: rows.groupby(found["order_id"])[c].transform("first") for c in columns}
    return rows.assign(**{c: cells.fillna(rows[c]) for c, cells in carried.items()})


def _strange_dates(table: str, columns: list[str], rows: pd.DataFrame, missing: list[str]) -> str:
    """What to say of a column whose heading is a date's and whose cells are written in a way that
    is not known.
    """
    day = next((m for m in missing if m in _DAYS.split()), "")
    named = [c for c in columns if set(forms(c)) & set(_synonyms()[table].get(day, ()))]
    some = rows[named[0]].dropna().astype("str").unique()[:3] if named else []
    if not len(some):
        return ""
    examples = ", ".join(x[:40] for x in some)
    return (
        f'it is like {table}, but the dates of "{named[0]}" are in a form that is not known:'
        f" {examples}"
    )


def _by_heading(
    columns: list[str], known: dict[str, list[str]], kinds: dict[str, str]
) -> dict[str, str]:
    """Canonical column to source column: an equal heading first, then one that holds the words;
    content must fit.
    """
    spelled, found = {c: forms(c) for c in columns}, {}
    for fits in (lambda words, said: words == said, _holds):
        for canonical, said in known.items():
            # too many headings hold these words
            loose = fits is _holds and canonical in ("person.name", "person.ids")
            for s in said if canonical not in found and canonical != "needs" and not loose else ():
                named = (
                    c for c in columns if any(fits(w, s) for w in spelled[c])
                )  # few: what they hold is looked at then
                named = (
                    c for c in named if fits is not _holds or not _speaks_of_else(canonical, c)
                )
                if hit := next(
                    (c for c in named if c not in found.values() and _suits(canonical, kinds[c])),
                    "",
                ):
                    found[canonical] = hit
                    break
    # "Kunde" may hold names or numbers: the cells tell
    if "person.ids" in known and "person.ids" not in found:
        numbers = (c for c in columns if c not in found.values() and kinds[c] in ("code", "number"))
        if hit := next(
            (c for c in numbers if set(spelled[c]) & set(known.get("person.name", ()))), ""
        ):
            found["person.ids"] = hit
    for canonical, kind in (
        ("person.email", "e-mail"),
        ("ordered_at", "date"),
        ("spent_on", "date"),
    ):
        left = [c for c in columns if kinds[c] == kind and c not in found.values()]
        sold = canonical != "ordered_at" or {
            "order_id",
            "product_id",
            "product_name",
            "quantity",
        } & set(found)
        if canonical in known and canonical not in found and len(left) == 1 and sold:
            found[canonical] = left[0]
    return found


def _by_content(rows: pd.DataFrame, kinds: dict[str, str]) -> dict[str, str]:
    """Canonical column to source column of a file without a header: what its cells can be, each the
    likeliest.
    """
    of = {
        kind: [c for c in rows if kinds[c] == kind]
        for kind in ("date", "e-mail", "money", "number", "code", "text")
    }
    numbers = rows[of["number"]].apply(lambda c: pd.to_numeric(c, errors="coerce"))
    few = [c for c in numbers if numbers[c].abs().max() < 1000 and numbers[c].median() <= 10]
    keys = [c for c in [*of["code"], *of["number"]] if c not in few]
    found = {"ordered_at": of["date"][:1], "person.email": of["e-mail"][:1], "quantity": few[:1]}
    found |= {"order_id": sorted(keys, key=list(rows).index)[:1], "product_name": of["text"][:1]}
    found |= {"revenue": of["money"][-1:], "unit_price": of["money"][:-1][-1:]}
    return {canonical: columns[0] for canonical, columns in found.items() if columns}


def _holds(words: str, said: str) -> bool:
    if "\u4e00" <= said[0] <= "\u9fff":
        return len(said) > 1 and said in words
    if len(said) <= 3 or said not in words or _TAX.search(words):
        return False
    return re.search(rf"\b{re.escape(said)}\b", words) is not None


def _speaks_of_else(canonical: str, heading: str) -> bool:
    """Whether a heading that only holds the words of a column is one of another: of a commission,
    or of a state.
    """
    spelled = " ".join(forms(heading))
    if canonical != "status" and _is_state(heading):
        return True
    every = words()["other_money"]
    found = set(spelled.split()) & set(every) or any(
        w in spelled for w in every if w[0] >= "\u3000" or " " in w
    )
    return canonical in MONEY and bool(found)


def _is_state(heading: str) -> bool:
    """Whether a heading says that its column tells how far an order is."""
    every = words()["state"]
    said = " ".join(forms(heading))
    letters = tuple(w for w in every if w[0] < "\u3000")
    return any(w.endswith(letters) for w in said.split()) or any(
        w in said for w in every if w[0] >= "\u3000"
    )


def _suits(canonical: str, kind: str) -> bool:
    """Whether cells of a kind may fill a column: no words for money, no numbers for days."""
    base = canonical.removeprefix("person.")
    if base in _DAYS.split():
        return kind in ("date", "empty")
    if base in _AMOUNTS.split():
        return kind in ("money", "number", "empty")
    if base == "email":
        return kind in ("e-mail", "empty")
    if canonical in ("person.name", "person.first_name", "person.last_name") and kind == "code":
        return False
    if base == "line_no":
        return kind in ("number", "empty")
    if base == "coupon_id" and kind == "money":
        return False
    words = base in ("name", "first_name", "last_name", "product_name")
    return kind not in ("e-mail", "date") and not (words and kind in ("number", "money"))


@cache
def _headings_of(column: str) -> set[str]:
    return {s for known in _synonyms().values() for s in known.get(column, ())}


def _content(cells: pd.Series, heading: str = "") -> str:
    """What most cells of a column are: e-mail, date, money, number, code, text, or empty."""
    some = cells.dropna().astype("str").head(500)
    if some.empty:
        return "empty"
    if set(forms(heading)) & _headings_of("ordered_at") and _share(some, _COUNT_OF_DAYS) > 0.6:
        return "date"
    for kind, form in (("e-mail", _EMAIL), ("date", _DATE), ("money", _AMOUNT)):
        if _share(some, form) > (0.6 if kind != "money" else 0.3):
            return kind
    if _share(some, _NUMBER) > 0.8:
        return "number"
    return "code" if _share(some, _CODE) > 0.8 else "text"


def _share(cells: pd.Series, pattern: re.Pattern[str]) -> float:
    """The share of cells that a pattern fits, of which there may be thousands of columns."""
    return sum(pattern.fullmatch(cell) is not None for cell in cells) / len(cells)


def _of_preset(file: Landed, columns: list[str]) -> tuple[str, dict[str, dict[str, str]]]:
    """The preset that a file nearly is, with what it lacks; by table, what that preset takes as it
    stands from it.
    """
    near = next(iter(file.facts.get("near", ())), "")
    preset = next((p for p in presets().values() if near.startswith(f"{p.title} without ")), None)
    theirs = {preset.known(c)[0]: c for c in columns} if preset else {}
    if preset is None or len(theirs.keys() & set(preset.header)) < 0.75 * len(preset.header):
        return "", {}
    found = {}
    for table, filled in preset.tables.items():
        by = filled.columns | {f"person.{c}": e for c, e in filled.person.items()}
        as_is = {c: e[1:-1] for c, e in by.items() if re.fullmatch(r'"[^"]+"', e)}
        found[table] = {c: theirs[heading] for c, heading in as_is.items() if heading in theirs}
    return near, found


def _has(need: str, found: dict[str, str]) -> bool:
    if need == "money":
        return any(m in found for m in MONEY)
    if need == "who":
        return any(f"person.{w}" in found for w in WHO) and not any(
            f in found for f in ("ordered_at", *MONEY)
        )
    return need in found


# --- one table at a time ----------------------------------------------------------------------


def _col(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _simple(
    guess: Suggestion, found: dict[str, str], rows: pd.DataFrame, kinds: dict[str, str]
) -> None:
    guess.columns = {c: _col(s) for c, s in found.items() if "." not in c}
    spec = tables.get(guess.table)
    if "customer_id" in spec.columns:
        _person(guess, found)
        if guess.person:
            guess.columns["customer_id"] = "person"
    for c in spec.columns.values():
        if c.required and c.name not in guess.columns:
            guess.columns[c.name] = _MADE_UP if c.name.endswith("_id") else f"'{guess.name}'"
            guess.notes[c.name] = "no column looks like it; this stands in"
    guess.key = [found[k] for k in spec.key if k in found]


def _orders(
    guess: Suggestion, found: dict[str, str], rows: pd.DataFrame, kinds: dict[str, str]
) -> None:
    has = {c: _col(s) for c, s in found.items() if "." not in c}
    columns, notes = guess.columns, guess.notes
    columns["order_id"] = has.get("order_id", _MADE_UP)
    if "order_id" not in has:
        notes["order_id"] = "no column looks like an order's number: each line is taken as an order"
        guess.doubts.append(
            ("TRUE", "no column looks like an order's number: each line counts as one", "")
        )
    counted = (
        f"row_number() OVER (PARTITION BY source_file, {columns['order_id']} ORDER BY source_line)"
    )
    columns["line_no"] = has.get("line_no", counted)
    _person(guess, found)
    if guess.person:
        columns["customer_id"] = "person"
    else:
        notes["line_no"] = "no column tells who bought, so nothing can be said about customers"
    columns["ordered_at"] = has["ordered_at"]
    if "time" in has and not rows[found["ordered_at"]].dropna().str.contains(":").any():
        columns["ordered_at"] = f"{has['ordered_at']} || ' ' || {has['time']}"
    columns["product_id"] = has.get("product_id") or has.get("product_name") or "'not told'"
    if "product_id" in has and "product_name" in has and rows[found["product_id"]].isna().any():
        columns["product_id"] = f"coalesce({has['product_id']}, {has['product_name']})"
    if "product_id" not in has:
        named = "product_name" in has
        notes["product_id"] = (
            "no article number: the name stands for it"
            if named
            else "no column tells what was bought"
        )
    columns["quantity"] = has.get("quantity", "1")
    if "quantity" not in has:
        notes["quantity"] = "no column looks like it: one a line"
    columns |= {c: has[c] for c in _FURTHER if c in has}
    if "currency" in has and rows[found["currency"]].str.contains("[a-z]").any():
        columns["currency"] = f"upper({has['currency']})"
    if not _money(guess, found, rows):
        return
    _returns(guess, found, rows)
    _states(guess, found, rows)
    _no_goods(guess, found, rows)
    _doubt(guess)
    # a column as it stands: what cannot be read in it is then named
    for c in ("revenue", "unit_price", "discount"):
        if c in guess.columns and (
            alone := re.fullmatch(r'amount\(("(?:[^"]|"")*")\)', guess.columns[c])
        ):
            guess.columns[c] = alone[1]
    guess.key = (
        [found[k] for k in ("order_id", "line_no") if k in found] if "line_no" in found else []
    )
    if "product_name" in has:
        guess.more = [_products_of(guess, has)]


def _money(guess: Suggestion, found: dict[str, str], rows: pd.DataFrame) -> bool:
    """Settle which column is the money of a line; False where the columns contradict one
    another.
    """
    key = (
        rows[found["order_id"]] if "order_id" in found else pd.Series(range(len(rows)), rows.index)
    )
    also = _also(found, rows)
    reading = money.settle(
        rows.assign(order_key=key), found, guess.columns["order_id"], guess.decimal, also
    )
    if reading.refused:
        guess.table, guess.lacks = "", f"it is like orders, but {reading.refused}"
        return False
    guess.columns |= {
        "revenue": reading.revenue,
        "unit_price": reading.unit_price,
        "discount": reading.discount,
    }
    for c in [c for c in ("unit_price", "discount") if not guess.columns[c]]:
        del guess.columns[c]
    guess.notes["revenue"] = reading.note
    guess.doubts += reading.doubts
    if reading.shipping:  # on the first line of the order
        guess.columns["shipping_cost"] = (
            f"CASE WHEN {guess.columns['line_no']} = 1 THEN {reading.shipping} END"
        )
    return True


def _also(found: dict[str, str], rows: pd.DataFrame) -> dict[str, list[str]]:
    """Further columns of a tax, of shipping, of fees or of a discount, which are one sum with the
    first.
    """
    more, taken = {}, set(found.values())
    no_sum = set(words()["no_sum"])
    not_of = {"discount": no_sum - {"discount"} | set(words()["no_discount_of_ours"])}
    for role, kind in (
        ("tax", "more_tax"),
        ("shipping_cost", "more_shipping"),
        ("fees", "more_fees"),
        ("discount", "more_discount"),
    ):
        for c in (c for c in rows.columns if role in found and c not in taken):
            said = set(plain(c).split())
            is_sum = said & set(words()[kind]) and not said & not_of.get(role, no_sum)
            if is_sum and _suits(role, _content(rows[c])) and not _says_rate(c, rows[c]):
                more.setdefault(role, []).append(c)
                taken.add(c)
    return more


def _says_rate(heading: str, cells: pd.Series) -> bool:
    return re.search(r"(^|[^\d\s])\s*%", heading) is not None or bool(
        cells.dropna().astype("str").str.contains("%").any()
    )


def _returns(guess: Suggestion, found: dict[str, str], rows: pd.DataFrame) -> None:
    """Lines that came back, by their kind, a credit number or their sign; their quantity and money
    count down.
    """
    said, quantity = {}, f"amount({_col(found['quantity'])})" if "quantity" in found else ""
    came_back = "(?i)" + pattern("back")
    kinds = _texts_of(guess, found["kind"], rows).index if "kind" in found else []
    if any(is_back(k) for k in kinds):
        said["the kind of line"] = f"regexp_matches({_col(found['kind'])}, '{came_back}')"
    if "order_id" in found and (
        begins := _credit_numbers(_texts_of(guess, found["order_id"], rows))
    ):
        said["a credit number"] = f"regexp_matches({_col(found['order_id'])}, '^{begins}')"
    if signs := _signs(guess, found, rows, quantity):
        said["the sign"] = signs
    if not said:
        return
    back = guess.columns["is_return"] = f"coalesce({' OR '.join(said.values())}, FALSE)"
    counted = (
        guess.columns["quantity"]
        if "0 on lines" in guess.notes.get("quantity", "")
        else quantity or "1"
    )
    guess.columns["quantity"] = f"CASE WHEN {back} THEN -abs({counted}) ELSE {counted} END"
    revenue = guess.columns["revenue"]
    guess.columns["revenue"] = f"CASE WHEN {back} THEN -abs({revenue}) ELSE {revenue} END"
    if "unit_price" in guess.columns:
        guess.columns["unit_price"] = f"abs({guess.columns['unit_price']})"
    guess.notes["is_return"] = f"known by {' or '.join(said)}"


def _signs(guess: Suggestion, found: dict[str, str], rows: pd.DataFrame, quantity: str) -> str:
    """SQL for lines that came back by the sign of their quantity or money; what takes money off an
    order is no return.

    A discount on a line of its own gets the quantity 0.
    """
    number = {
        r: money.amounts(_texts_of(guess, found[r], rows).index.to_series(), guess.decimal)
        for r in (*MONEY, "quantity")
        if r in found
    }
    said = [f"{quantity} < 0"] if quantity and (number.pop("quantity") < 0).any() else []
    if not any((n < 0).any() for n in number.values()):
        return " OR ".join(said)
    name = found.get("product_name", found.get("product_id", ""))
    less = f"(?i){pattern('reduction')}"
    if name and _texts_of(guess, name, rows).index.astype("str").str.contains(less).any():
        off = (
            f"({guess.columns['revenue']} < 0 AND coalesce(regexp_matches({_col(name)}, '{less}'),"
            " FALSE))"
        )
        guess.columns["quantity"] = f"CASE WHEN {off} THEN 0 ELSE {quantity or 1} END"
        guess.notes["quantity"] = "0 on lines that only take something off the order"
        return " OR ".join([*said, f"({guess.columns['revenue']} < 0 AND NOT {off})"])
    return " OR ".join([*said, f"{guess.columns['revenue']} < 0"])


_CREDIT = (
    # credit note, refund, return, Gutschrift, nota de crédito, avoir
    "(?:CN|CRN|CR|RF|REF|RET|GS|NC|AV)[-/ ]?\\d"
)


def _credit_numbers(lines: pd.Series) -> str:
    """The beginning of the few orders' numbers that mark a credit; empty where none do.

    A letter before a number that the others carry bare, as C536379 beside 536365, or CN-7 where all
    others are INV-6.
    """
    numbers = lines.index.to_series().astype("str")
    for begins, others in (
        (r"(?:C|CN|CR|RE?F)-?\d", r"\d+"),
        (_CREDIT, r"[A-Z]{1,4}[-/ ]?\d[\d/-]*"),
    ):
        credit = numbers.str.match(begins)
        bare = numbers[~credit]
        alike = bare.str.extract(r"^(\D*)", expand=False).nunique() == 1
        if (
            0 < lines[credit].sum() < 0.3 * lines.sum()
            and alike
            and bare.str.fullmatch(others).mean() > 0.9
        ):
            return begins
    return ""


def _states(guess: Suggestion, found: dict[str, str], rows: pd.DataFrame) -> None:
    """Which states of an order count: the others become steps of cleaning, and what is not known is
    a doubt.
    """
    said = []
    for nth, (column, way) in enumerate(_state_columns(guess, found, rows), 1):
        name = "order_status" if nth == 1 else f"order_status_{nth}"
        guess.columns[name] = _col(column)
        states = read_states(column, _texts_of(guess, column, rows), way)
        guess.notes[name] = (
            f"counted: {listed(states.counts | states.in_part | states.unknown) or 'none'}"
        )
        said.append(states)
        if states.out:
            step = "order not carried out" if nth == 1 else f"order not carried out, {column}"
            guess.clean.append(
                {
                    "step": step,
                    "where": f"{name} IN ({_texts(states.out)})",
                    "reason": listed(states.out),
                }
            )
        _doubtful_states(guess, states, way or "refunded" in found)
    for nth, column in enumerate(_flags(guess, found, rows), 1):
        name = "is_undone" if nth == 1 else f"is_undone_{nth}"
        guess.columns[name] = (
            f"{_col(column)} IS NOT NULL AND coalesce(truth_of({_col(column)}), TRUE)"
        )
        guess.clean.append({"step": plain(column), "where": name, "reason": f"{column} says so"})
    void = _undone_kinds(guess, found, rows)
    if void:
        guess.columns["line_kind"] = _col(found["kind"])
        where = f"line_kind IN ({_texts(void)}) AND revenue >= 0"
        guess.clean.append({"step": "line not carried out", "where": where, "reason": listed(void)})


def _texts(states: Iterable[str]) -> str:
    return ", ".join("'" + s.replace("'", "''") + "'" for s in states)


def _doubtful_states(guess: Suggestion, states: States, told: bool) -> None:
    """Doubts on states that are not known, today's or those of a later file, and on money that came
    back in part where no column tells how much.
    """
    column = _col(states.column)
    every = [*states.known, *states.in_part]
    if states.unknown or len(every) <= MANY:
        unknown = f"{column} NOT IN ({_texts(every)})" if every else f"{column} IS NOT NULL"
        guess.doubts.append(
            (unknown, f"{states.column} says %s, which is not known: counted", column)
        )
    if states.in_part and not told:
        said = f"{states.column} says %s: how much is not told, all of it is counted"
        guess.doubts.append((f"{column} IN ({_texts(states.in_part)})", said, column))


def _state_columns(
    guess: Suggestion, found: dict[str, str], rows: pd.DataFrame
) -> list[tuple[str, bool]]:
    """The columns that say how far an order is, the whole order's first, and whether each is of the
    goods' way only.
    """
    first, taken = found.get("status"), set(found.values())
    columns = [first] if first else []
    named = (c for c in rows.columns if c not in taken and _is_state(c))
    columns += [c for c in named if len(_texts_of(guess, c, rows))]
    return [(c, _is_way(c)) for c in columns]


def _is_way(heading: str) -> bool:
    said = plain(heading)
    return any(
        w in said if w[0] >= "\u3000" else re.search(rf"\b{w}", said) for w in words()["way"]
    )


def _flags(guess: Suggestion, found: dict[str, str], rows: pd.DataFrame) -> list[str]:
    """The columns that say by a day or a yes that an order came to nothing, as "Cancelled at" and
    "Void" do.
    """
    columns = []
    for c in (c for c in rows.columns if c not in found.values()):
        said = re.sub(r"\b(is|was|at|on|date|time|order|am|le|el)\b", " ", plain(c)).strip()
        if re.fullmatch(pattern("undone", before="", after=""), said):
            cells = _texts_of(guess, c, rows).index.to_series().astype("str")
            tells = _content(cells) == "date" or cells.str.lower().isin(_YES_NO).all()
            columns += [c] if tells and len(cells) else []
    return columns


def _undone_kinds(guess: Suggestion, found: dict[str, str], rows: pd.DataFrame) -> dict[str, int]:
    """Kinds of lines that came to nothing, such as void; what came back counts down instead."""
    if "kind" not in found:
        return {}
    states = read_states(found["kind"], _texts_of(guess, found["kind"], rows))
    return {kind: n for kind, n in states.out.items() if not is_back(kind)}


def _doubt(guess: Suggestion) -> None:
    """What is not certain of a line, for the suspicions of notebook 02: empty where all is."""
    each = []
    for where, text, shown in guess.doubts:
        before, _, after = (part.replace("'", "''") for part in text.partition("%s"))
        said = f"'{before}' || {shown} || '{after}'" if shown else f"'{before}'"
        each.append(f"CASE WHEN {where} THEN {said} END")
    if each:
        guess.columns["doubt"] = f"nullif(concat_ws(' | ', {', '.join(each)}), '')"
        guess.notes["doubt"] = "what is not certain; notebook 02 lists it with its money"


def _no_goods(guess: Suggestion, found: dict[str, str], rows: pd.DataFrame) -> None:
    """Lines that are no goods, and numbers without money, proposed as steps of cleaning."""
    name = found.get("product_name", found.get("product_id", ""))
    named = _texts_of(guess, name, rows).index if name else pd.Index([])
    named = named.to_series().astype("str")
    no_goods = f"(?i)^[\\s*-]*{pattern('no_goods', before='')}[\\s*-]*$"
    some = named[named.str.contains(no_goods)].unique()[:4]
    if len(some):
        guess.columns["line_name"] = _col(name)
        where = f"regexp_matches(line_name, '{no_goods}')"
        reason = f"postage, fees, tips and the like: {', '.join(some)}"
        guess.clean.append({"step": "no goods", "where": where, "reason": reason})
    if named.str.contains(_GIFT_CARD).any():
        guess.columns["is_gift_card"] = f"is_gift_card({_col(name)})"
        reason = "a gift card is paid in advance; the goods bought with it count"
        guess.clean.append({"step": "gift card sold", "where": "is_gift_card", "reason": reason})
    prices = _texts_of(guess, found["unit_price"], rows).index if "unit_price" in found else []
    if (money.amounts(pd.Series(prices, dtype="str"), guess.decimal) == 0).any():
        each = "abs(coalesce(revenue, 0)) + abs(coalesce(unit_price, 0))"
        where = f"max({each}) OVER (PARTITION BY source_name, order_id) = 0"
        reason = "no line of it has a price: stock moved, nothing sold"
        guess.clean.append({"step": "number without money", "where": where, "reason": reason})


def _products_of(orders: Suggestion, has: dict[str, str]) -> Suggestion:
    """The products that the lines of orders name."""
    columns = {"product_id": orders.columns["product_id"], "name": has["product_name"]}
    columns |= {
        c: has[s] for c, s in (("category", "category"), ("list_price", "unit_price")) if s in has
    }
    return Suggestion(orders.name, orders.file, "products", columns)


def _records(
    guess: Suggestion, found: dict[str, str], rows: pd.DataFrame, kinds: dict[str, str]
) -> None:
    _person(guess, found)
    guess.columns = {"record_id": "record", "customer_id": "person"}
    for c, field_ in (("since_at", "since"), ("consent_email", "consent_email")):
        if field_ in guess.person:
            guess.columns[c] = guess.person[field_]
    guess.key = [found[f"person.{k}"] for k in ("ids", "email") if f"person.{k}" in found][:1]


_WRITE: dict[str, Callable] = {"orders": _orders, "records": _records}


def _person(guess: Suggestion, found: dict[str, str]) -> None:
    """Who the row is about; its record is the number, else the e-mail, else the phone, else the
    name.
    """
    fields = {
        c.removeprefix("person."): _col(s) for c, s in found.items() if c.startswith("person.")
    }
    names = [fields[n] for n in ("first_name", "last_name") if n in fields]
    by = [
        fields[k] if k == "ids" else f"lower({fields[k]})"
        for k in ("ids", "email", "phone", "name")
        if k in fields
    ]
    if not by and names:
        by = [" || ' ' || ".join(names)]
    if not by:
        return
    guess.person = {"record": by[0] if len(by) == 1 else f"coalesce({', '.join(by)})"} | fields
    if "ids" in fields:
        guess.notes["person.ids"] = (
            "equal numbers in other files are the same person; take it out if they are not"
        )
    if "name" in fields and heading_kind(found["person.name"]) != "name":
        guess.notes["person.name"] = "taken for a person's name"


def _fill(guess: Suggestion, rows: pd.DataFrame, found: dict[str, str], zone: str) -> None:
    """What the source itself needs: the day of its rows, and the zone of times that carry none."""
    day = tables.get(guess.table).day
    moment = {"ordered_on": "ordered_at"}.get(day, day)
    if moment in found:
        guess.dated = _col(found[moment])
    dates = [found[c] for c in found if _suits(c, "date") and not _suits(c, "text")]
    if any(not rows[c].dropna().str.contains(_OFFSET).all() for c in dates):
        guess.timezone = zone


def as_yaml(guesses: list[Suggestion], client: str) -> str:
    """Suggestions as text to paste into client.yaml."""
    lines = [
        f"# Suggestions for data/{client}/client.yaml, written by: playbook check {client}",
        (
            "# Look each line over, then paste all of it at that file's end. Blocks that are there"
            " already are added to."
        ),
        (
            "# Left: our column. Right: yours, or an SQL expression over yours. data/README.md says"
            " what ours mean."
        ),
    ]
    for g in guesses:
        if g.near:
            lines.append(
                f"# {g.file} is nearly {g.near}: look whether the file has that under another"
                " heading."
            )
    usable = [g for g in guesses if g.table]
    if usable:
        lines += ["", "sources:"]
    for g in [one for u in usable for one in (u, *u.beside)]:
        lines += [f"  {_key(g.name)}:", f"    file: {_say(g.file)}"]
        lines += (
            [f"    timezone: {g.timezone}   # of times that carry no offset"] if g.timezone else []
        )
        lines += [f"    dated: {_say(g.dated)}   # the day of a row"] if g.dated else []
        lines += (
            [f"    key: [{', '.join(_say(k) for k in g.key)}]   # what names a row"]
            if g.key
            else []
        )
    lines += ["", "tables:"] if usable else []
    every = [table for g in usable for table in (g, *g.more)]
    for table in dict.fromkeys(g.table for g in every):
        lines.append(f"  {table}:")
        for g in (g for g in every if g.table == table):
            lines += [f"    - source: {_key(g.name)}"]
            lines += [f"      from: {_say(g.rows)}"] if g.rows else []
            lines += ["      columns:"]
            lines += [_line(c, e, g.notes.get(c, "")) for c, e in g.columns.items()]
            lines += (
                ["      person:   # who the row is about; stays in raw/ and private/"]
                if g.person
                else []
            )
            lines += [_line(c, e, g.notes.get(f"person.{c}", "")) for c, e in g.person.items()]
    steps = [step for g in usable for step in g.steps()]
    lines += (
        ["", "clean:   # what does not count, and why; take a line out and its rows count"]
        if steps
        else []
    )
    for step in steps:
        said = {k: getattr(step, k) for k in ("step", "table", "action", "where", "reason")}
        lines.append(f"  - {{{', '.join(f'{k}: {_quoted(v)}' for k, v in said.items())}}}")
    for g in (g for g in guesses if not g.table):
        skip = f"sources: {{{_key(g.name)}: {{file: {_say(g.file)}, skip: true}}}}"
        lines += [
            "",
            f"# {g.file}: not like any of our tables; {g.lacks}.",
            f"# To leave it out without a word: {skip}",
        ]
    return "\n".join(lines) + "\n"


def _line(column: str, expression: str, note: str) -> str:
    return f"        {column}: {_say(expression)}" + (f"   # {note}" if note else "")


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[a-z_]\w*", name, re.A) else _say(name)


def _say(text: str) -> str:
    """A text as YAML, in quotes where it needs some."""
    if re.fullmatch(r"[A-Za-z_][\w./-]*", text, re.A) and text.lower() not in (
        "true",
        "false",
        "null",
        "no",
        "off",
    ):
        return text
    if "\n" in text or ("'" in text and not re.search(r'["\\]', text)):
        return _quoted(text)
    return f"'{text.replace(chr(39), chr(39) * 2)}'"
