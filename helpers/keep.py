"""A client from first day to last: settings to begin with, lists of people, people forgotten, old
things removed.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from importlib import resources
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from duckdb import DuckDBPyConnection
from pydantic import ValidationError

from helpers import publish, store, tables
from helpers.client import (
    Client,
    PlaybookError,
    Settings,
    check_name,
    connect,
    empty_spills,
    home,
    left_spills,
)
from helpers.collect import people, sources, who
from helpers.collect.contacts import email_of
from helpers.collect.keys import keyed
from helpers.collect.masks import (
    ANY_STREET,
    KnownNames,
    find_all,
    full_names,
    name_forms,
    street_forms,
)
from helpers.collect.opened import OWN_NUMBERS, Opened, sql_name, sql_text
from helpers.collect.spelling import Plain
from helpers.collect.tombstones import CHECK, forgotten, text_marks, traces

CHANNELS = ("email", "sms", "ads")
# columns that say who it is
WHO = ("customer_id", "unit_id", "respondent_id", "record_id", "visitor_id")
# their rows stay as sales of nobody: bookkeeping law asks for them
BOOKS = ("orders", "staged_orders")
# headings
CODES = re.compile(
    r"(?i)code|coupon|voucher|gutschein|promo|rabatt|discount|remise|cup[óo]n|优惠|折扣"
)
VOUCHERS = re.compile(
    r"(?i)coupon|voucher|gutschein|promo|rabatt|discount.?code|remise|cup[óo]n|优惠|折扣"
)
AT_WORK = 86_400  # seconds within which a half-written file or the lab may still be in use


# --- a new client -----------------------------------------------------------------------------


def new(
    name: str, title: str = "", currency: str = "EUR", zone: str = "UTC", country: str = ""
) -> Path:
    """Write a commented client.yaml and an empty raw/ for a new client; give back the settings
    file.

    Raises PlaybookError where the client is there already, or a value is not usable. Writes nothing
    then.
    """
    check_name(name)
    folder = home() / "data" / name
    if folder.exists() and any(folder.iterdir()):
        raise PlaybookError(f"data/{name} is there already. Take another name, or remove it first.")
    if not re.fullmatch("[A-Z]{3}", currency) or not re.fullmatch("[A-Z]{2}|", country):
        raise PlaybookError(
            "write the currency as three capitals (EUR), and the country as two (DE) or not at all."
        )
    text = resources.files("helpers").joinpath("new_client.yaml").read_text(encoding="utf-8")
    values = {
        "NAME": name,
        "TITLE": json.dumps(title or name, ensure_ascii=False),
        "CURRENCY": currency,
        "ZONE": zone,
    }
    for word, value in (values | {"COUNTRY": country or '""'}).items():
        text = text.replace(f"@{word}@", value)
    try:
        Settings.model_validate(yaml.safe_load(text))
    except ValidationError as e:
        raise PlaybookError(f"{e.errors()[0]['msg'].removeprefix('Value error, ')}.") from None
    (folder / "raw").mkdir(parents=True, exist_ok=True)
    (folder / "client.yaml").write_text(text, encoding="utf-8")
    return folder / "client.yaml"


# --- lists that a channel imports -------------------------------------------------------------


@dataclass(frozen=True)
class Written:
    """One list for a channel: its files, how many people are on it, and why some are left out."""

    audience: str
    files: list[Path]
    on_list: int
    written: int
    left_out: dict[str, int]


@publish.at_work_for("lists")
def lists(client: Client, channel: str) -> list[Written]:
    """Write the audiences of the latest run as files that a channel imports; give back what was
    written.

    Only people who gave consent for this channel, never those kept out to measure the effect.
    email: Email, First Name, Last Name. sms: Phone Number (international, behind an apostrophe as
    importers ask), Country and names. ads: SHA-256 of the contacts in the form that each platform
    asks for: one file for Meta, one for Google. A list of nobody is no file, and one of the same
    day is taken away.
    """
    if channel not in CHANNELS:
        raise PlaybookError(f'there is no channel "{channel}". Write --for email, sms or ads.')
    stored = client.latest and client.latest / "tables" / "audiences.parquet"
    if not stored or not stored.is_file():
        raise PlaybookError(f"there are no lists yet. Run playbook run {client.name} first.")
    contacts = client.folder / "private" / "people" / "people.parquet"
    if not contacts.is_file():
        raise PlaybookError(
            f"{client.name} has no contact data to write lists with: no source names e-mails or"
            f" phones, or they have expired (then run playbook run {client.name} again)."
        )
    known = pd.read_parquet(contacts).drop_duplicates("customer_id").set_index("customer_id")
    own = client.settings.country
    countries = [c.upper() if isinstance(c, str) and len(c) == 2 else own for c in known["country"]]
    known["phone"] = [_international(p, c) for p, c in zip(known["phone"], countries, strict=True)]
    listed = pd.read_parquet(stored)
    place = client.private("lists", f"{date.today()}")
    return [
        _list(channel, str(audience), on_it, known, place)
        for audience, on_it in listed.groupby("audience")
    ]


def _list(
    channel: str, audience: str, listed: pd.DataFrame, known: pd.DataFrame, place: Path
) -> Written:
    rows = known.reindex(listed["customer_id"]).assign(out=listed["is_holdout"].to_numpy())
    consent = rows[f"consent_{channel}"].astype("boolean")
    reach = {"email": rows["email"].notna(), "sms": rows["phone"].notna()}
    reach["ads"] = reach["email"] | reach["sms"]
    why = pd.Series("", rows.index).to_numpy(dtype=object)
    for reason, those in (
        ("no contact", ~reach[channel]),
        ("consent not known", consent.isna()),
        ("consent refused", consent.eq(False).fillna(False)),
        ("kept out to measure the effect", rows["out"].astype(bool)),
    ):
        why[those.to_numpy(dtype=bool)] = reason
    chosen, files, name = rows[why == ""].sort_index(), [], re.sub(r"\W+", "_", audience)
    for ending, table in _columns(chosen, channel).items():
        path = place / f"{channel}_{name}{ending}.csv"
        if chosen.empty:
            path.unlink(missing_ok=True)
            continue
        path.touch(mode=0o600)
        store.write_csv(table.drop_duplicates(), path)
        files.append(path)
    counts = pd.Series(why[why != ""], dtype="str").value_counts().to_dict()
    return Written(audience, files, len(rows), len(chosen), counts)


def _columns(rows: pd.DataFrame, channel: str) -> dict[str, pd.DataFrame]:
    """The file of a channel, or one for each platform, by the ending of its name."""
    names = {"First Name": rows["first_name"], "Last Name": rows["last_name"]}
    if channel == "email":
        return {"": pd.DataFrame({"Email": rows["email"]} | names)}
    if channel == "sms":
        return {
            "": pd.DataFrame({"Phone Number": rows["phone"], "Country": rows["country"]} | names)
        }
    email, phone = rows["email"].str.strip().str.lower(), rows["phone"]
    meta = {"em": email, "ph": phone.str.removeprefix("+")}
    google = {"Email": email.map(_google, na_action="ignore"), "Phone": phone}
    forms = {"_meta": meta, "_google": google}
    return {
        ending: pd.DataFrame(
            {head: cells.map(_sha, na_action="ignore") for head, cells in form.items()}
        )
        for ending, form in forms.items()
    }


def _international(phone: object, country: str) -> str | None:
    found = people._phone(phone, country) if isinstance(phone, str) and phone else None
    return found if found and found.startswith("+") else None


def _google(email: str) -> str:
    """Google asks for Gmail addresses without dots and +tags before they are hashed."""
    local, _, domain = email.partition("@")
    return (
        f"{local.split('+')[0].replace('.', '')}@{domain}"
        if domain in ("gmail.com", "googlemail.com")
        else email
    )


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


# --- a person who asks to be forgotten --------------------------------------------------------


@dataclass
class Forgotten:
    """What was done to forget somebody.

    `tables`: rows removed by file, `books`: rows of orders that now belong to nobody, `files`:
    files changed or removed, `raw`: lines that the owner must erase, by file, `notes`: what to
    know.
    """

    people: int = 0
    tables: dict[str, int] = field(default_factory=dict)
    books: dict[str, int] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    raw: dict[str, list[int]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass
class _Person:
    """What a person is known by."""

    ids: set[str]  # customer_id, record_id and the client's own numbers
    records: set[str]
    texts: set[str]  # e-mails and phones as written, in lower case, and their hashes
    names: set[str]
    numbers: set[str]  # phones in international form
    streets: set[str]  # folded
    codes: set[str] = field(default_factory=set)  # coupon codes made for them

    @cached_property
    def known(self) -> KnownNames:
        """What finds their name and streets in a text."""
        return KnownNames(
            self.names, {ANY_STREET, *self.street_forms} if self.streets else frozenset()
        )

    @cached_property
    def street_forms(self) -> set[str]:
        """Their streets as masks ask for them."""
        return set().union(*map(street_forms, self.streets))


@publish.at_work_for("forget")
def forget(client: Client, email: str = "", phone: str = "", number: str = "") -> Forgotten:
    """Remove a person from everything but raw/, and see that the next collect does not bring them
    back.

    The person is found by e-mail, phone or customer number (all that are given must fit), with all
    their matched records. Raises PlaybookError where nobody or more than one person fits. Orders
    stay in the tables as sales of nobody: tax and trade law ask for the books (GDPR Art. 17(3)(b)),
    and without a person they are not personal.
    """
    if not (email or phone or number):
        raise PlaybookError("say who: --email, --phone or --number.")
    # rows of theirs may lie there
    empty_spills(client.private(), *(client.folder / "runs").glob("*"))
    opened = sources.open_sources(connect(client.private()), client)
    done, everybody = Forgotten(), who.identify(opened).records
    records = (
        _matching(client, everybody, email, phone, number)
        if opened.has_people
        else _by_number(opened, number)
    )
    person = _person_of(client, records, email, phone)
    others = everybody[~everybody["record"].isin(records["record"])]
    done.people = len(set(records["customer_id"]))
    own = _lines_of(opened, person)
    person.codes = _own_codes(opened, person, own)
    done.raw = _raw_lines(opened, person, own, others, done)
    _tombstones(client, records, others, person, done)
    person.ids |= _visitors(client, person.ids)
    _from_tables(client, person, own, done)
    _from_private(client, person, done)
    _from_landing(opened, done)
    _from_pages(client, person, done)
    return done


def _matching(
    client: Client, records: pd.DataFrame, email: str, phone: str, number: str
) -> pd.DataFrame:
    """All records of the one person whom the words fit, among those of everybody."""
    country = client.settings.country
    fit = pd.Series(True, records.index)
    if email:
        fit &= records["email"].str.strip().str.lower().eq(email.strip().lower()).fillna(False)
    if phone:
        wanted = people._phone(phone, country)
        fit &= (
            records["phone"]
            .map(lambda p: bool(p) and people._phone(p, country) == wanted, na_action="ignore")
            .eq(True)
        )
    if number:
        fit &= (
            records["ids"]
            .fillna("")
            .str.upper()
            .str.split()
            .map(lambda ids: number.strip().upper() in ids)
        )
    found = records.loc[fit, "customer_id"].unique()
    if not len(found):
        asked = " and ".join(t for t in (email, phone, number) if t)
        raise PlaybookError(f"{client.name} knows nobody with {asked}. Look for another spelling.")
    if len(found) > 1:
        raise PlaybookError(
            f"{len(found)} people share that. Add --email, --phone or --number, so that one is"
            " left."
        )
    return records[records["customer_id"].isin(found)]


def _by_number(opened: Opened, number: str) -> pd.DataFrame:
    if not number:
        raise PlaybookError(
            f"{opened.client.name} has no e-mails and phones: say --number, the customer's number."
        )
    same = dict.fromkeys(("record", "record_id", "customer_id", "ids"), number)
    return pd.DataFrame(
        [same | dict.fromkeys(("email", "phone", "name", "first_name", "last_name", "street"))]
    )


def _person_of(client: Client, records: pd.DataFrame, email: str, phone: str) -> _Person:
    texts = {
        t.strip().lower()
        for t in [*records["email"].dropna(), *records["phone"].dropna(), email, phone]
    }
    numbers = {
        n
        for p in {*records["phone"].dropna(), phone}
        if (n := _international(p, client.settings.country))
    }
    hashed = {
        _sha(t)
        for t in (
            texts | {_google(t) for t in texts if "@" in t} | numbers | {n[1:] for n in numbers}
        )
        if t
    }
    ids = {
        *records["customer_id"],
        *records["record_id"],
        *" ".join(records["ids"].dropna()).split(),
    }
    written = {t for t in texts | numbers | hashed if len(t) > 5}
    streets = {people.fold(s) for s in records["street"].dropna() if re.search(r"\d", s)}
    return _Person(
        ids, set(records["record"]), written, full_names(records.astype("str")), numbers, streets
    )


Lines = set[tuple[str, int]]  # a file and a line of it


def _lines_of(opened: Opened, person: _Person) -> Lines:
    """The lines of raw files that are the person's own: their records, and rows with a number of
    theirs.
    """
    found: Lines = set()
    for p in (p for ps in opened.parts.values() for p in ps):
        style, group = opened.style(p.group), sql_name(p.group)
        said = (
            [p.person["record"]]
            if p.person
            else [e for c, e in p.columns.items() if c in OWN_NUMBERS]
        )
        begin = f"{sql_text(p.group + '|')} || " if p.person else ""
        ours = ", ".join(
            sql_text(r) for r in sorted(person.records if p.person else person.ids | person.records)
        )
        for by in said:
            theirs = f"{begin}CAST(({p.sql(by, style)}) AS VARCHAR) IN ({ours or 'NULL'})"
            line = f"{group}.source_file, {group}.source_line"
            query = f"SELECT DISTINCT {line} FROM {p.sql(p.rows, style)} WHERE {theirs}"
            found |= {line for line in opened.query(query, p.shown).fetchall() if None not in line}
    return found


def _own_codes(opened: Opened, person: _Person, own: Lines) -> set[str]:
    """Coupon codes on the person's lines that hold a part of their name, or were made for nobody
    else.

    ANNA10 is theirs, and so is X7K93QF where it stands on no other line; SUMMER24 is not.
    """
    parts = {w for n in person.names for w in people.fold(n).split() if len(w) > 2}
    found: set[str] = set()
    for group in opened.groups:
        columns = dict.fromkeys(
            c for f in opened.of(group) for c in f.facts["columns"] if CODES.search(c)
        )
        for c in columns:
            query = (
                f"SELECT CAST({sql_name(c)} AS VARCHAR), source_file, source_line FROM"
                f" {sql_name('all ' + group)}"
            )
            cells = opened.query(f"{query} WHERE {sql_name(c)} IS NOT NULL", group).fetchall()
            said = {cell for cell, *line in cells if tuple(line) in own}
            found |= {t for t in said if any(w in people.fold(t).replace(" ", "") for w in parts)}
            if _holds_vouchers(opened, group, c):
                found |= {
                    t
                    for t in said - {cell for cell, *line in cells if tuple(line) not in own}
                    if _is_drawn(t)
                }
    return {c for c in found if len(c) > 3}


def _holds_vouchers(opened: Opened, group: str, column: str) -> bool:
    """Whether a column's heading, or the one that it is mapped to, says that it holds vouchers."""
    mapped = [
        (place, e)
        for ps in opened.parts.values()
        for p in ps
        if p.group == group
        for place, e in p.columns.items()
    ]
    places = [place for place, e in mapped if e == column or sql_name(column) in e]
    return any(VOUCHERS.search(said) for said in (column, *places))


def _is_drawn(code: str) -> bool:
    """Whether a code looks drawn by lot, not thought up for a campaign or an amount of money.

    >>> [_is_drawn(c) for c in ("X7K-93QF", "884120937", "GIFT-8842-1193", "SUMMER24", "WELCOME-10", "12.50")]
    [True, True, True, False, False, False]
    """
    plain = re.sub(r"[\s_-]", "", code)
    digits, letters = sum(c.isdigit() for c in plain), sum(c.isalpha() for c in plain)
    if len(plain) < 6 or digits + letters < len(plain):
        return False
    turns = len(re.findall(r"(?<=\d)[^\W\d]|(?<=[^\W\d])\d", plain))
    return (
        (digits > 4 and (letters > 0 or code.isdigit()))
        or turns > 1
        or not re.search(r"(?i)[aeiouy\d]", plain)
    )


def _raw_lines(
    opened: Opened, person: _Person, own: Lines, others: pd.DataFrame, done: Forgotten
) -> dict[str, list[int]]:
    """The lines of raw files that are about a person: their own, and all that name them or their
    contacts.
    """
    theirs = _theirs(person, opened.client.settings.country)
    shared = _of_others_alike(opened, person, others, done)
    found = set(own)
    for group in opened.groups:
        columns = dict.fromkeys(c for f in opened.of(group) for c in f.facts["columns"])
        row = f"concat_ws(chr(10), {', '.join(f'CAST({sql_name(c)} AS VARCHAR)' for c in columns)})"
        every = f"SELECT source_file, source_line, {row} AS row FROM {sql_name('all ' + group)}"
        rows = opened.query(f"SELECT * FROM ({every}) WHERE {_may_name('row', person)}", group)
        while some := rows.fetchmany(10_000):
            for file, line, text in some:
                kinds = theirs(text)
                if kinds & {"contact", "code"} or (kinds and (file, line) not in shared):
                    found.add((file, line))
    lines: dict[str, list[int]] = {}
    for file, line in sorted(f for f in found if None not in f):
        lines.setdefault(file, []).append(line)
    return lines


def _of_others_alike(
    opened: Opened, person: _Person, others: pd.DataFrame, done: Forgotten
) -> Lines:
    """The own lines of other people with the same name or address: these say nothing of this
    person.
    """
    if others.empty:
        return set()
    forms = set().union(*map(name_forms, person.names))
    names = others["first_name"].fillna("") + " " + others["last_name"].fillna("")
    names = names.where(names != " ", others["name"].fillna(""))
    called = {
        n: " " in n and not {f for f in name_forms(n) if f[0] not in "^*"}.isdisjoint(forms)
        for n in set(names)
    }
    alike = names.map(called) | others["street"].fillna("").map(people.fold).isin(person.streets)
    same = others[names.map(called)]["customer_id"].nunique()
    if same:
        done.notes.append(
            f"{same} more with the same name: lines that hold only the name are listed too, but for"
            " those of their own."
        )
    alike = set(others.loc[alike, "record"])
    return _lines_of(opened, _Person(set(), alike, set(), set(), set(), set())) if alike else set()


def _theirs(person: _Person, country: str) -> Callable[[str], set[str]]:
    """A function that says what of the person stands in a text: contact, code, name, address."""
    written = [t for t in person.texts if not re.fullmatch("[0-9a-f]{64}", t)] + [
        n[3:] for n in person.numbers
    ]
    exact = re.compile(
        rf"(?<![\w.+-])(?:00|0)?(?:{'|'.join(map(re.escape, written)) or '(?!)'})(?!\w)", re.I
    )
    codes = re.compile(
        rf"(?<!\w)(?:{'|'.join(map(re.escape, person.codes)) or '(?!)'})(?!\w)", re.I
    )

    def kinds(text: str) -> set[str]:
        said = {"contact"} if exact.search(text) else set()
        said |= {"code"} if codes.search(text) else set()
        return said | {kind for *_, kind in _finds_of(text, person, country)}

    return kinds


def _finds_of(text: str, person: _Person, country: str) -> list[tuple[int, int, str, str]]:
    """What of the person stands in a text: start, end, kind as masks call it, and contact, name or
    address.
    """
    found = []
    is_theirs = {
        "e-mail": lambda said: email_of(said) in person.texts,
        "phone": lambda said: _phone_of(said, country) in person.numbers,
        "address": lambda said: (
            not street_forms(said).isdisjoint(person.street_forms)
            or any(s in people.fold(said) for s in person.streets)
        ),
        "name": lambda said: True,
    }
    for start, end, kind in find_all(text, person.known, country=country):
        if kind in is_theirs and is_theirs[kind](text[start:end]):
            found.append((start, end, kind, "contact" if kind in ("e-mail", "phone") else kind))
    return found


def _phone_of(text: str, country: str) -> str | None:
    return _international(Plain(text).text.replace("(0)", ""), country)


def _may_name(row: str, person: _Person) -> str:
    """SQL that leaves out rows in which the person cannot stand, so that few are looked at
    closely.
    """
    words = {max(people.fold(n).split(), key=len) for n in person.names if people.fold(n)}
    words |= {t.partition("@")[0] for t in person.texts if "@" in t} | {
        c.lower() for c in person.codes
    }
    words |= {s.split()[0] for s in person.streets}
    loose = [
        re.sub("([aou])", r"\1e?", re.sub(r"(?<=\w)(?=\w)", "['-]?", re.escape(w)))
        for w in sorted(words)
    ]
    loose += [r"\D{0,4}".join(n[-4:]) for n in sorted(person.numbers)]
    written = [re.escape(t) for t in sorted(person.texts) if len(t) < 64]
    pattern = "|".join([*loose, *written])
    unusual = r"[^\x00-\x7F]|%[0-9A-Fa-f]{2}|&#"  # spelt in a way that only a closer look can read
    if not pattern:
        return "FALSE"
    return (
        f"(regexp_matches(lower({row}), {sql_text(pattern)}) OR regexp_matches({row},"
        f" {sql_text(unusual)}))"
    )


def _tombstones(
    client: Client, theirs: pd.DataFrame, others: pd.DataFrame, person: _Person, done: Forgotten
) -> None:
    """Keyed marks of what the person is known by; what they share with others, such as a couple's
    e-mail, has none.

    Their name and codes have marks too, so that masks go on finding them in what other people
    write.
    """
    gone = set().union(*traces(client, theirs))
    if len(others):
        gone -= set().union(*traces(client, others[_shares(others, theirs)]))
    gone |= text_marks(client, person.names, person.codes, person.streets)
    file = client.private() / "forgotten.json"
    part = file.with_suffix(".part")
    part.write_text(
        json.dumps(sorted(forgotten(client) | gone | {keyed(client, CHECK)}), indent=0),
        encoding="utf-8",
    )
    os.replace(part, file)
    done.files.append(_shown(client, file))


def _shares(others: pd.DataFrame, theirs: pd.DataFrame) -> pd.Series:
    """Records that may share an e-mail or phone with the person: only these are worth the
    hashing.
    """
    mail = (
        others["email"]
        .str.strip()
        .str.lower()
        .isin(theirs["email"].dropna().str.strip().str.lower())
    )
    ends = others["phone"].str.replace(r"\D", "", regex=True).str[-6:]
    return mail | ends.isin(theirs["phone"].dropna().str.replace(r"\D", "", regex=True).str[-6:])


def _tables(client: Client) -> Iterator[Path]:
    yield from sorted((client.folder / "runs").glob("*/tables/*.parquet"))


def _visitors(client: Client, ids: set[str]) -> set[str]:
    """The browsers that were used by this person alone."""
    engine, found = connect(client.private()), set()
    for path in _tables(client):
        if {"visitor_id", "customer_id"} <= set(pq.read_schema(path).names):
            query = """SELECT visitor_id FROM read_parquet(?) WHERE visitor_id IS NOT NULL GROUP BY visitor_id
                HAVING bool_or(list_contains(?, customer_id)) AND count(DISTINCT customer_id) = 1"""
            found |= {v for (v,) in engine.con.execute(query, [str(path), sorted(ids)]).fetchall()}
    return found


def _from_tables(client: Client, person: _Person, own: Lines, done: Forgotten) -> None:
    """Rewrite every stored table that holds the person; lineage files stay as they are.

    Rows that are theirs go, but for orders, which stay as sales of nobody in the columns that every
    shop has. What names them in the rows of others is masked.
    """
    con = connect(client.private()).con
    con.execute("CREATE TABLE own (file VARCHAR, line BIGINT)")
    con.execute("CREATE TABLE gone (file VARCHAR, line BIGINT)")
    for table, lines in (
        ("own", own),
        ("gone", [(f, n) for f, ns in done.raw.items() for n in ns]),
    ):
        if lines:
            con.executemany(f"INSERT INTO {table} VALUES (?, ?)", sorted(lines))
    for path in _tables(client):
        rows = f"read_parquet({sql_text(str(path))})"
        theirs = _rows_of(path, person)
        words = _words_of(con, path, theirs, person, client.settings.country)
        n = con.execute(f"SELECT count(*) FROM {rows} WHERE {theirs}").fetchone()[0]
        if not n and not words:
            continue
        kept = "" if path.stem in BOOKS else f" WHERE ({theirs}) IS NOT TRUE"
        changed = (
            f" REPLACE ({', '.join(f'{e} AS {sql_name(c)}' for c, e in words.items())})"
            if words
            else ""
        )
        part = path.with_suffix(".part")
        query = f"SELECT *{changed} FROM {rows}{kept}"
        con.execute(f"COPY ({query}) TO {sql_text(str(part))} (FORMAT parquet, COMPRESSION zstd)")
        os.replace(part, path)
        (done.books if path.stem in BOOKS else done.tables)[_shown(client, path)] = n


def _rows_of(path: Path, person: _Person) -> str:
    """SQL for the rows of a stored table that are the person's."""
    columns = pq.read_schema(path).names
    ids = "(" + ", ".join(sql_text(i) for i in sorted(person.ids)) + ")"
    theirs = [f"CAST({c} AS VARCHAR) IN {ids}" for c in WHO if c in columns]
    if path.stem == "quarantine":
        return "(source_file, source_line) IN (SELECT file, line FROM gone)"
    staged = path.with_name("staged_reviews.parquet")
    # they hold no pseudonym
    if path.stem.removeprefix("staged_") == "reviews" and staged.is_file():
        lines = "(source_file, source_line) IN (SELECT file, line FROM own)"
        theirs.append(
            f"review_id IN (SELECT review_id FROM read_parquet({sql_text(str(staged))}) WHERE {lines})"
        )
    return f"coalesce({' OR '.join(theirs)}, FALSE)" if theirs else "FALSE"


def _words_of(
    con: DuckDBPyConnection, path: Path, theirs: str, person: _Person, country: str
) -> dict[str, str]:
    """SQL for the columns of a stored table that change: words about the person, and more of their
    orders.
    """
    rows, schema = f"read_parquet({sql_text(str(path))})", pq.read_schema(path)
    changed = {}
    for column in schema:
        c, name = sql_name(column.name), column.name
        cell = c
        is_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
        if is_text and name not in ("source_name", "source_file"):
            query = (
                f"SELECT DISTINCT {c} FROM {rows} WHERE {c} IS NOT NULL AND {_may_name(c, person)}"
            )
            said = {
                text: _without_them(text, person, country)
                for (text,) in con.execute(query).fetchall()
            }
            cases = "".join(
                f" WHEN {sql_text(a)} THEN {sql_text(b)}" for a, b in said.items() if a != b
            )
            cell = f"CASE {c}{cases} ELSE {c} END" if cases else c
        if path.stem in BOOKS and (
            name == "customer_id" or name not in tables.get(path.stem).columns
        ):
            cell = f"CASE WHEN NOT {theirs} THEN {cell} END"
        if cell != c:
            changed[name] = cell
    return changed


def _without_them(text: str, person: _Person, country: str) -> str:
    for start, end, kind, _what in reversed(_finds_of(text, person, country)):
        text = f"{text[:start]}[{kind}]{text[end:]}"
    for code in person.codes:
        text = re.sub(rf"(?i)(?<!\w){re.escape(code)}(?!\w)", "[code]", text)
    return text


def _from_private(client: Client, person: _Person, done: Forgotten) -> None:
    """Take the person out of the contact map, of every list and of what was held; drop what was
    read of their files.
    """
    private = client.folder / "private"
    for path in sorted((private / "people").glob("*.parquet")):
        rows = pd.read_parquet(path)
        theirs = pd.Series(False, rows.index)
        for c in {"record", "record_a", "record_b", "record_id", "customer_id"} & set(rows):
            theirs |= rows[c].isin(person.ids | person.records)
        if theirs.any():
            rows[~theirs].to_parquet(path, index=False)
            done.files.append(_shown(client, path))
    if done.people and (stamp := private / "people" / "fingerprint").is_file():
        stamp.unlink()
    for path in sorted(private.rglob("*.csv")):
        if _without(path, person, done.raw):
            done.files.append(_shown(client, path))


def _from_landing(opened: Opened, done: Forgotten) -> None:
    """Drop what was read of the files that hold the person: they are read anew, without what is
    erased by then.
    """
    landing = opened.client.folder / "private" / "landing"
    for path in sorted(
        f.parquet for f in opened.landed if f.file in done.raw and f.parquet.parent == landing
    ):
        path.with_suffix(".json").unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        done.files.append(_shown(opened.client, path))


def _without(path: Path, person: _Person, raw: dict[str, list[int]]) -> bool:
    """Take a person's rows out of a CSV; True where there were some."""
    with path.open(encoding="utf-8-sig", newline="") as f:
        rows = list(csv.reader(f))
    if not rows:
        return False
    head, lines = rows[0], {(f, str(n)) for f, ns in raw.items() for n in ns}
    at = [head.index(c) for c in ("file", "line", "source_file", "source_line") if c in head][:2]
    parts = {t for t in person.texts | person.records if len(t) > 5}

    def theirs(row: list[str]) -> bool:
        cells = [c.lower() for c in row]
        here = (
            len(at) == 2
            and len(row) > max(at)
            and (row[at[0]], row[at[1]].removesuffix(".0")) in lines
        )
        return (
            here
            or any(c in person.ids for c in row)
            or any(t.lower() in c for c in cells for t in parts)
        )

    kept = [r for r in rows[1:] if not theirs(r)]
    if len(kept) == len(rows) - 1:
        return False
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8-sig", newline="") as f:
        csv.writer(f).writerows([head, *kept])
    os.replace(part, path)
    return True


def _from_pages(client: Client, person: _Person, done: Forgotten) -> None:
    """Remove notebooks and pages that show the person; numbers too short to be told apart are
    skipped.
    """
    ids = [re.escape(i) for i in person.ids if len(i) > 7]
    contacts = [re.escape(t) for t in person.texts | person.codes]
    names = [r"\s+".join(map(re.escape, n.split())) for n in person.names if len(n.split()) > 1]
    if not ids:
        done.notes.append(
            "the number is too short to be looked for in executed notebooks: run again to replace"
            " them."
        )
    said = "|".join([*ids, *contacts, *names])
    if not said:
        return
    shown = re.compile(rf"(?<!\w)(?:{said})(?!\w)", re.I)
    for root in (client.folder / "runs", client.reports):
        for path in sorted(
            p for p in root.rglob("*") if p.suffix in (".ipynb", ".html", ".json", ".csv")
        ):
            if path.name != "run.json" and shown.search(
                path.read_text(encoding="utf-8", errors="replace")
            ):
                path.unlink()
                done.files.append(_shown(client, path))


def _shown(client: Client, path: Path) -> str:
    return path.relative_to(home()).as_posix()


# --- the end of the life cycle ----------------------------------------------------------------


@dataclass(frozen=True)
class Due:
    """One thing that the life cycle says is due: where, why, and how many bytes it frees."""

    path: Path
    why: str
    bytes: int


def clean_up(client: Client, dry_run: bool = False) -> list[Due]:
    """Remove what is due and say what it was; with `dry_run` say it only.

    From private/: what was written more than `private_days` ago. The key, the marks of forgotten
    people and the pairs of pseudonyms (people/ids.parquet, no contact data) stay, so that a person
    keeps their pseudonym. Lists of runs that are gone, tables of runs beyond `keep_runs` (their
    record and their lists for measuring stay), half-written files, the lab, once untouched for a
    day, and what a killed run's engine left on disk.
    """
    if dry_run:
        return list(_due(client))
    with publish.at_work(client, "clean-up"):
        due = list(_due(client))
        for d in due:
            shutil.rmtree(d.path) if d.path.is_dir() else d.path.unlink(missing_ok=True)
        for folder in sorted((client.folder / "private").rglob("*"), reverse=True):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
    return due


def _due(client: Client) -> Iterator[Due]:
    private, runs = client.folder / "private", client.folder / "runs"
    days = client.settings.private_days
    stays = {private / n for n in ("key", "lock", "forgotten.json", "people/ids.parquet")}
    taken: set[Path] = set()
    for path in sorted(p for p in private.rglob("*") if p.is_file() and p not in stays):
        run = (
            path.relative_to(private).parts[1] if path.is_relative_to(private / "audiences") else ""
        )
        if max(_age(p) for p in _together(path)) > days * 86_400:
            why = f"older than {days} days"
        elif run and not (runs / run).is_dir():
            why = "its run is gone"
        else:
            continue
        taken.add(path)
        yield Due(path, why, path.stat().st_size)
    parts = [p for folder in (runs, private) for p in folder.rglob("*.part")]  # never in raw/
    for path in sorted(p for p in parts if p.is_file() and p not in taken):
        if _age(path) > AT_WORK:
            yield Due(path, "half-written", path.stat().st_size)
    for path in left_spills(private, *runs.glob("*")):
        yield Due(path, "left behind by a run that was killed", _size(path))
    lab = runs / "lab"
    if lab.is_dir() and all(_age(p) > AT_WORK for p in [lab, *lab.rglob("*")]):
        yield Due(lab, "the lab, untouched for a day", _size(lab))
    for path in publish.due(client):
        if path.suffix != ".part":
            yield Due(path, f"{client.settings.keep_runs} newer runs exist", path.stat().st_size)


def _together(path: Path) -> list[Path]:
    """The files that are of use only with this one: all of the contact map, or the two of a landed
    file.
    """
    if path.parent.name == "people":
        return [p for p in path.parent.iterdir() if p.name != "ids.parquet"]
    return [
        p for p in (path.with_suffix(".parquet"), path.with_suffix(".json"), path) if p.is_file()
    ]


def _age(path: Path) -> float:
    return time.time() - path.stat().st_mtime


def _size(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
