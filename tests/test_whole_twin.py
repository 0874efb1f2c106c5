"""The simulated client through the whole command: every line accounted for, nobody's name outside raw/ and private/."""

import re

import pandas as pd
import pytest
from conftest import ADDED

from helpers.client import Client


@pytest.fixture()
def twin(home, twin_report):
    """The folder of a small simulated client and the index page of its report."""
    return home / "data" / "twin", twin_report


def tables_of(folder):
    return Client("twin").latest / "tables"


def test_every_line_of_every_file_is_accounted_for(twin):
    folder, index = twin
    ledger = pd.read_parquet(tables_of(folder) / "ledger.parquet")
    assert set(ledger["file"]) == {p.name for p in (folder / "raw").iterdir()}
    parts = ledger[["layout", "loaded", "duplicate", "filtered", "held"]].sum(axis=1)
    assert (parts == ledger["lines"]).all()
    for file in folder.glob("raw/*.csv"):  # the records are those that a plain reader finds
        if file.name.startswith(("promotions", "messages", "choices", "market")):
            text = file.read_text(encoding="utf-8", errors="replace").splitlines()
            assert ledger.set_index("file").at[file.name, "lines"] == len(text)
    assert (ledger["table"] != "").all(), "a file of the twin is not used"
    assert "simulated" in index.read_text(encoding="utf-8")


def test_the_planted_defects_are_met_and_good_lines_stay(twin):
    folder, _ = twin
    planted = pd.read_csv(folder / "truth" / "defects.csv")
    held = pd.read_parquet(tables_of(folder) / "quarantine.parquet")
    lines = set(zip(held["source_file"], held["source_line"], strict=True))
    wanted = planted[planted["expect"] == "held"]
    met = [(f, n) in lines for f, n in zip(wanted["file"], wanted["line"], strict=True)]
    assert sum(met) / len(met) > 0.9
    known = set(zip(planted["file"], planted["line"], strict=True))
    added = {f"{table}.csv" for table in ADDED}  # what the tests lay beside the shop's own files
    assert not [line for line in lines if line not in known and line[0] not in added]


def test_held_lines_are_kept_in_private_with_every_cell(twin):
    folder, _ = twin
    kept = list((folder / "private" / "quarantine").glob("*.csv"))
    assert len(kept) == 1
    rows = pd.read_csv(kept[0])
    held = pd.read_parquet(tables_of(folder) / "quarantine.parquet")
    assert len(rows) == len(held)
    assert rows["original"].str.startswith("{").all()


def test_no_name_no_email_and_no_phone_outside_raw_and_private(twin, home):
    folder, _ = twin
    people = pd.read_parquet(folder / "private" / "people" / "records.parquet")
    both = (people["first_name"].fillna("") + " " + people["last_name"].fillna("")).str.strip()
    names = {n.casefold() for n in [*both, *people["name"].dropna()] if re.fullmatch(r"\w[\w'-]+ \w[\w'-]+", n)}
    mails = set(people["email"].dropna().str.casefold())
    phones = {re.sub(r"\D", "", p)[-9:] for p in people["phone"].dropna()} - {""}
    assert min(len(names), len(mails), len(phones)) > 100
    searched = 0
    for file in [*folder.rglob("*"), *(home / "reports" / "twin").rglob("*")]:
        inside = file.relative_to(home).parts
        if not file.is_file() or {"raw", "private", "truth"} & set(inside):
            continue
        searched += 1
        if file.suffix == ".parquet":
            frame = pd.read_parquet(file)
            cells = [c for c in frame if pd.api.types.is_string_dtype(frame[c])]
            text = "\n".join("\n".join(frame[c].dropna().unique()) for c in cells)
        else:
            text = file.read_text(encoding="utf-8")
        text = re.sub(r"base64,[A-Za-z0-9+/=]+|\"image/png\": \"[^\"]+", "", text).casefold()
        words = re.findall(r"[\w'-]+(?:[^\S\n][\w'-]+)?", text)
        pairs = {f"{a} {b}" for a, b in zip(text.split(), text.split()[1:], strict=False)} | set(words)
        assert not names & pairs, file
        assert not mails & set(re.findall(r"[^\s<>\"'(),;:]+@[^\s<>\"'(),;:]+", text)), file
        digits = {re.sub(r"\D", "", n)[-9:] for n in re.findall(r"\+?\d[\d /()-]{8,}\d", text)}
        assert not phones & digits, file
    assert searched > 60
