"""A client from first day to last: settings to begin with, lists of people, people forgotten, old things removed."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from importlib import resources
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import yaml
from pydantic import ValidationError

from helpers import publish, store
from helpers.client import Client, PlaybookError, Settings, check_name, connect, empty_spills, home, left_spills
from helpers.collect import open_sources, people
from helpers.collect.keys import keyed
from helpers.collect.sources import Opened, _q, _text
from helpers.collect.who import CHECK, forgotten, traces

CHANNELS = ("email", "sms", "ads")
WHO = ("customer_id", "unit_id", "respondent_id", "record_id", "visitor_id")  # columns that say who it is
BOOKS = ("orders", "staged_orders")  # their rows stay as sales of nobody: bookkeeping law asks for them
AT_WORK = 86_400  # seconds within which a half-written file or the lab may still be in use


# --- a new client -----------------------------------------------------------------------------


def new(name: str, title: str = "", currency: str = "EUR", zone: str = "UTC", country: str = "") -> Path:
    """Write a commented client.yaml and an empty raw/ for a new client; give back the settings file.

    Raises PlaybookError where the client is there already, or a value is not usable. Writes nothing then.
    """
    check_name(name)
    folder = home() / "data" / name
    if folder.exists() and any(folder.iterdir()):
        raise PlaybookError(f"data/{name} is there already. Take another name, or remove it first.")
    if not re.fullmatch("[A-Z]{3}", currency) or not re.fullmatch("[A-Z]{2}|", country):
        raise PlaybookError("write the currency as three capitals (EUR), and the country as two (DE) or not at all.")
    text = resources.files("helpers").joinpath("new_client.yaml").read_text(encoding="utf-8")
    values = {"NAME": name, "TITLE": json.dumps(title or name, ensure_ascii=False), "CURRENCY": currency, "ZONE": zone}
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
    """Write the audiences of the latest run as files that a channel imports; give back what was written.

    Only people who gave consent for this channel, never those kept out to measure the effect. email: Email, First
    Name, Last Name. sms: Phone Number (international, behind an apostrophe as importers ask), Country and names. ads:
    SHA-256 of the contacts in the form that each platform asks for: one file for Meta, one for Google. A list of
    nobody is no file, and one of the same day is taken away.
    """
    if channel not in CHANNELS:
        raise PlaybookError(f'there is no channel "{channel}". Write --for email, sms or ads.')
    stored = client.latest and client.latest / "tables" / "audiences.parquet"
    if not stored or not stored.is_file():
        raise PlaybookError(f"there are no lists yet. Run playbook run {client.name} first.")
    contacts = client.folder / "private" / "people" / "people.parquet"
    if not contacts.is_file():
        raise PlaybookError(
            f"{client.name} has no contact data to write lists with: no source names e-mails or phones, or they have "
            f"expired (then run playbook run {client.name} again)."
        )
    known = pd.read_parquet(contacts).drop_duplicates("customer_id").set_index("customer_id")
    own = client.settings.country
    countries = [c.upper() if isinstance(c, str) and len(c) == 2 else own for c in known["country"]]
    known["phone"] = [_international(p, c) for p, c in zip(known["phone"], countries, strict=True)]
    listed = pd.read_parquet(stored)
    place = client.private("lists", f"{date.today()}")
    return [_list(channel, str(audience), on_it, known, place) for audience, on_it in listed.groupby("audience")]


def _list(channel: str, audience: str, listed: pd.DataFrame, known: pd.DataFrame, place: Path) -> Written:
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
        return {"": pd.DataFrame({"Phone Number": rows["phone"], "Country": rows["country"]} | names)}
    email, phone = rows["email"].str.strip().str.lower(), rows["phone"]
    meta = {"em": email, "ph": phone.str.removeprefix("+")}
    google = {"Email": email.map(_google, na_action="ignore"), "Phone": phone}
    forms = {"_meta": meta, "_google": google}
    return {
        ending: pd.DataFrame({head: cells.map(_sha, na_action="ignore") for head, cells in form.items()})
        for ending, form in forms.items()
    }


def _international(phone: object, country: str) -> str | None:
    found = people._phone(phone, country) if isinstance(phone, str) and phone else None
    return found if found and found.startswith("+") else None


def _google(email: str) -> str:
    """Google asks for Gmail addresses without dots and +tags before they are hashed."""
    local, _, domain = email.partition("@")
    return f"{local.split('+')[0].replace('.', '')}@{domain}" if domain in ("gmail.com", "googlemail.com") else email


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


# --- a person who asks to be forgotten --------------------------------------------------------


@dataclass
class Forgotten:
    """What was done to forget somebody.

    `tables`: rows removed by file, `books`: rows of orders that now belong to nobody, `files`: files changed or
    removed, `raw`: lines that the owner must erase, by file, `notes`: what to know.
    """

    people: int = 0
    tables: dict[str, int] = field(default_factory=dict)
    books: dict[str, int] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    raw: dict[str, list[int]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass
class _Person:
    ids: set[str]  # customer_id, record_id and the client's own numbers
    records: set[str]
    texts: set[str]  # e-mails and phones as written, in lower case, and their hashes


@publish.at_work_for("forget")
def forget(client: Client, email: str = "", phone: str = "", number: str = "") -> Forgotten:
    """Remove a person from everything but raw/, and see that the next collect does not bring them back.

    The person is found by e-mail, phone or customer number (all that are given must fit), with all their matched
    records. Raises PlaybookError where nobody or more than one person fits. Orders stay in the tables as sales of
    nobody: tax and trade law ask for the books (GDPR Art. 17(3)(b)), and without a person they are not personal.
    """
    if not (email or phone or number):
        raise PlaybookError("say who: --email, --phone or --number.")
    empty_spills(client.private(), *(client.folder / "runs").glob("*"))  # rows of theirs may lie there
    opened = open_sources(connect(client.private()), client)
    done, known = Forgotten(), opened.has_people
    records = _matching(client, opened, email, phone, number) if known else _by_number(opened, number)
    person = _person_of(client, records, email, phone)
    done.people = len(set(records["customer_id"]))
    done.raw = _raw_lines(opened, person)
    _tombstones(opened, records, known, done)
    person.ids |= _visitors(client, person.ids)
    _from_tables(client, person, done)
    _from_private(client, person, done)
    _from_landing(opened, done)
    _from_pages(client, person, done)
    if not known:
        done.notes.append(
            f"no source of {client.name} names people, so the next collect cannot leave this number out: erase the "
            "lines first."
        )
    return done


def _matching(client: Client, opened: Opened, email: str, phone: str, number: str) -> pd.DataFrame:
    """All records of the one person whom the words fit."""
    records, country = opened.identity.records, client.settings.country
    fit = pd.Series(True, records.index)
    if email:
        fit &= records["email"].str.strip().str.lower().eq(email.strip().lower()).fillna(False)
    if phone:
        wanted = people._phone(phone, country)
        fit &= (
            records["phone"].map(lambda p: bool(p) and people._phone(p, country) == wanted, na_action="ignore").eq(True)
        )
    if number:
        fit &= records["ids"].fillna("").str.upper().str.split().map(lambda ids: number.strip().upper() in ids)
    found = records.loc[fit, "customer_id"].unique()
    if not len(found):
        asked = " and ".join(t for t in (email, phone, number) if t)
        raise PlaybookError(f"{client.name} knows nobody with {asked}. Look for another spelling.")
    if len(found) > 1:
        raise PlaybookError(f"{len(found)} people share that. Add --email, --phone or --number, so that one is left.")
    return records[records["customer_id"].isin(found)]


def _by_number(opened: Opened, number: str) -> pd.DataFrame:
    if not number:
        raise PlaybookError(f"{opened.client.name} has no e-mails and phones: say --number, the customer's number.")
    same = dict.fromkeys(("record", "record_id", "customer_id", "ids"), number)
    return pd.DataFrame([same | {"email": None, "phone": None}])


def _person_of(client: Client, records: pd.DataFrame, email: str, phone: str) -> _Person:
    texts = {t.strip().lower() for t in [*records["email"].dropna(), *records["phone"].dropna(), email, phone]}
    numbers = {n for p in {*records["phone"].dropna(), phone} if (n := _international(p, client.settings.country))}
    hashed = {
        _sha(t) for t in texts | {_google(t) for t in texts if "@" in t} | numbers | {n[1:] for n in numbers} if t
    }
    ids = {*records["customer_id"], *records["record_id"], *" ".join(records["ids"].dropna()).split()}
    return _Person(ids, set(records["record"]), {t for t in texts | numbers | hashed if len(t) > 5})


def _raw_lines(opened: Opened, person: _Person) -> dict[str, list[int]]:
    """The lines of raw files that are about a person: those of their records, and all that name their contacts."""
    found: set[tuple[str, int]] = set()
    ours = ", ".join(_text(r) for r in sorted(person.records)) or "NULL"
    for p in (p for ps in opened.parts.values() for p in ps):
        by = p.person.get("record") or next((e for c, e in p.columns.items() if c == "customer_id"), "")
        if not by:
            continue
        style, group = opened.style(p.group), _q(p.group)
        record = f"{_text(p.group + '|')} || ({p.sql(by, style)})" if p.person else f"CAST(({by}) AS VARCHAR)"
        line = f"{group}.source_file, {group}.source_line"
        query = f"SELECT DISTINCT {line} FROM {p.sql(p.rows, style)} WHERE {record} IN ({ours})"
        found |= set(opened.query(query, p.shown).fetchall())
    contacts = sorted(t for t in person.texts if not re.fullmatch("[0-9a-f]{64}", t))
    for group in opened.groups if contacts else ():
        columns = dict.fromkeys(c for f in opened.of(group) for c in f.facts["columns"])
        row = f"lower(concat_ws(' ', {', '.join(f'CAST({_q(c)} AS VARCHAR)' for c in columns)}))"
        some = " OR ".join(f"contains(row, {_text(t)})" for t in contacts)
        every = f"SELECT {row} AS row, source_file, source_line FROM {_q('all ' + group)}"
        found |= set(opened.query(f"SELECT source_file, source_line FROM ({every}) WHERE {some}", group).fetchall())
    lines: dict[str, list[int]] = {}
    for file, line in sorted(f for f in found if None not in f):
        lines.setdefault(file, []).append(line)
    return lines


def _tombstones(opened: Opened, theirs: pd.DataFrame, known: bool, done: Forgotten) -> None:
    """Keyed marks of what the person is known by; what they share with others, such as a couple's e-mail, has none."""
    client = opened.client
    gone = set().union(*traces(client, theirs))
    if known:
        others = opened.identity.records
        others = others[~others["record"].isin(theirs["record"]) & _shares(others, theirs)]
        gone -= set().union(*traces(client, others))
    file = client.private() / "forgotten.json"
    part = file.with_suffix(".part")
    part.write_text(json.dumps(sorted(forgotten(client) | gone | {keyed(client, CHECK)}), indent=0), encoding="utf-8")
    os.replace(part, file)
    done.files.append(_shown(client, file))


def _shares(others: pd.DataFrame, theirs: pd.DataFrame) -> pd.Series:
    """Records that may share an e-mail or phone with the person: only these are worth the hashing."""
    mail = others["email"].str.strip().str.lower().isin(theirs["email"].dropna().str.strip().str.lower())
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


def _from_tables(client: Client, person: _Person, done: Forgotten) -> None:
    """Rewrite every stored table that holds the person; lineage files stay as they are."""
    engine, lines = connect(client.private()), [(f, n) for f, ns in done.raw.items() for n in ns]
    con = engine.con
    con.execute("CREATE TABLE gone (file VARCHAR, line BIGINT)")
    if lines:
        con.executemany("INSERT INTO gone VALUES (?, ?)", lines)
    ids = "(" + ", ".join(_text(i) for i in sorted(person.ids)) + ")"
    for path in _tables(client):
        name, columns = path.stem, pq.read_schema(path).names
        who = [c for c in WHO if c in columns]
        theirs = " OR ".join(f"CAST({c} AS VARCHAR) IN {ids}" for c in who)
        if name == "quarantine":
            theirs = "(source_file, source_line) IN (SELECT file, line FROM gone)"
        if not theirs:
            continue
        rows = f"read_parquet({_text(str(path))})"
        n = con.execute(f"SELECT count(*) FROM {rows} WHERE {theirs}").fetchone()[0]
        if not n:
            continue
        kept = f"SELECT * FROM {rows} WHERE ({theirs}) IS NOT TRUE"
        if name in BOOKS:
            nobody = f"CASE WHEN CAST(customer_id AS VARCHAR) IN {ids} THEN NULL ELSE customer_id END"
            kept = f"SELECT * REPLACE ({nobody} AS customer_id) FROM {rows}"
        part = path.with_suffix(".part")
        con.execute(f"COPY ({kept}) TO {_text(str(part))} (FORMAT parquet, COMPRESSION zstd)")
        os.replace(part, path)
        (done.books if name in BOOKS else done.tables)[_shown(client, path)] = n


def _from_private(client: Client, person: _Person, done: Forgotten) -> None:
    """Take the person out of the contact map, of every list and of what was held; drop what was read of their files."""
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
    """Drop what was read of the files that hold the person: they are read anew, without what is erased by then."""
    landing = opened.client.folder / "private" / "landing"
    for path in sorted(f.parquet for f in opened.landed if f.file in done.raw and f.parquet.parent == landing):
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
        here = len(at) == 2 and len(row) > max(at) and (row[at[0]], row[at[1]].removesuffix(".0")) in lines
        return here or any(c in person.ids for c in row) or any(t.lower() in c for c in cells for t in parts)

    kept = [r for r in rows[1:] if not theirs(r)]
    if len(kept) == len(rows) - 1:
        return False
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8-sig", newline="") as f:
        csv.writer(f).writerows([head, *kept])
    os.replace(part, path)
    return True


def _from_pages(client: Client, person: _Person, done: Forgotten) -> None:
    """Remove notebooks and pages that show the person's pseudonym; numbers too short to be told apart are skipped."""
    ids = [re.escape(i) for i in person.ids if len(i) > 7]
    if not ids:
        done.notes.append("the number is too short to be looked for in executed notebooks: run again to replace them.")
        return
    shown = re.compile(r"(?<!\w)(?:" + "|".join(ids) + r")(?!\w)")
    for root in (client.folder / "runs", client.reports):
        for path in sorted(p for p in root.rglob("*") if p.suffix in (".ipynb", ".html", ".json", ".csv")):
            if path.name != "run.json" and shown.search(path.read_text(encoding="utf-8", errors="replace")):
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

    From private/: what was written more than `private_days` ago. The key, the marks of forgotten people and the pairs
    of pseudonyms (people/ids.parquet, no contact data) stay, so that a person keeps their pseudonym. Lists of runs
    that are gone, tables of runs beyond `keep_runs` (their record and their lists for measuring stay), half-written
    files, the lab, once untouched for a day, and what a killed run's engine left on disk.
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
        run = path.relative_to(private).parts[1] if path.is_relative_to(private / "audiences") else ""
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
            yield Due(path, f"more than {client.settings.keep_runs} newer runs exist", path.stat().st_size)


def _together(path: Path) -> list[Path]:
    """The files that are of use only with this one: all of the contact map, or the two of a landed file."""
    if path.parent.name == "people":
        return [p for p in path.parent.iterdir() if p.name != "ids.parquet"]
    return [p for p in (path.with_suffix(".parquet"), path.with_suffix(".json"), path) if p.is_file()]


def _age(path: Path) -> float:
    return time.time() - path.stat().st_mtime


def _size(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
