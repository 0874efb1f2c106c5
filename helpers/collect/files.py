"""Read a client's files as they come: every record with its line, as text, and what is wrong with
it.

Nothing is interpreted here: numbers, dates and missing marks stay as written. What the file does
not say (encoding, delimiter, header, decimal mark, order of dates) is found out and told; the
settings of a source overrule it.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import pickle
import re
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache, reduce
from html import unescape
from itertools import islice, zip_longest
from pathlib import Path
from typing import IO, Any

import charset_normalizer

from helpers.client import PlaybookError, Source, readable
from helpers.collect.presets import Preset, presets, recognise

# line where it starts, cells, what is wrong with it ("" for nothing)
Record = tuple[int, list[str], str]

LONGEST_CELL = 1_000_000  # characters
# lines; a quotation mark that is not closed would swallow the rest of the file
LONGEST_RECORD = 1_000
LARGEST_SHEET = 100_000_000  # cells; calamine keeps the empty ones too
SAMPLE = 200
HEADER_WITHIN = 60  # records
STRAY = re.compile("[\x00\ud800-\udfff\ufffd]")
# Characters that cannot be seen: anywhere, joiners and marks of direction only beside plain letters
# and at the ends.
_JOINERS = r"\x{200C}-\x{200F}\x{202A}-\x{202E}\x{2066}-\x{2069}"
_AT_ENDS = rf"[ \x{{A0}}\x{{200B}}\x{{FEFF}}\x{{AD}}\x{{2060}}{_JOINERS}]*"
# RE2
UNSEEN = rf"[\x{{200B}}\x{{FEFF}}\x{{AD}}\x{{2060}}]+|^{_AT_ENDS}|{_AT_ENDS}$|([ -~])[{_JOINERS}]+"
HAS_UNSEEN = rf"[\x{{A0}}\x{{200B}}\x{{FEFF}}\x{{AD}}\x{{2060}}{_JOINERS}]"
_MARKS = [
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
]
_MARKS += [(codecs.BOM_UTF16_BE, "utf-16")]
# Bytes of the characters that most text is made of, after the charts of GB 2312, Big5 and JIS X
# 0208 (level 1, signs).
_USUAL = {
    "gb18030": re.compile(rb"[\xa1-\xa3\xb0-\xd7][\xa1-\xfe]"),
    "big5": re.compile(rb"[\xa1-\xc6][\x40-\x7e\xa1-\xfe]"),
    "shift_jis": re.compile(
        rb"\x81[\x40-\xac]|\x82[\x4f-\xf1]|\x83[\x40-\x96]|[\x88-\x98][\x40-\x7e\x80-\xfc]"
    ),
}
_ODD_LATIN = re.compile(r"[^\W\d_][¢-©«¬®-³µ¶¸¹»-¿×÷][^\W\d_]|[\x80-\x9f]")  # a sign within a word
# what Czech, Turkish and Polish are in cp1252
_EASTERN = re.compile(r"[šžýðþŠŽÝÐÞ]|[^\W\d_m][³¹¿]|£[^\W\d_]")
_OWN = (
    "line",
    "problem",
    "file",
    "repeat",
    "rank",
    "head",
    "open",
    "country",
    "decimal",
    "dates",
    "zone",
    "currency",
)
# columns that the playbook adds to a file's own
OWN = {f"source_{c}" for c in (*_OWN, "name", "order", "unreadable")}
# A protected .xlsx has this stream; an old .xls says FILEPASS right after its first record [MS-XLS
# 2.4.117].
_LOCKED = re.compile(
    "EncryptedPackage".encode("utf-16-le") + rb"|\t\x08\x10\0\0[\5\6].{14}/\0", re.DOTALL
)
_ERROR = re.compile(
    rb'<(?:\w+:)?c\b([^>]*\bt="e"[^>]*)>(?:<(?:\w+:)?f\b.*?)?<(?:\w+:)?v>([^<]*)<', re.DOTALL
)
_FORMULA = re.compile(
    rb"<(?:\w+:)?c\b([^>]*)><(?:\w+:)?f\b[^>]*>([^<]*)</(?:\w+:)?f>(?:<(?:\w+:)?v"
    rb" ?/>|<v></v>)?</(?:\w+:)?c>"
)
_NOT_TEXT = (b"%PDF", b"\x89PNG", b"\xff\xd8\xff", b"SQLite format 3")
# What packed files begin with; zip and gzip are known in other ways, a .tar by its mark further in.
_PACKED = {b"\xfd7zXZ\0": "xz", b"7z\xbc\xaf\x27\x1c": "7z", b"Rar!\x1a\x07": "rar"}
_PACKED |= {b"\x28\xb5\x2f\xfd": "zst", b"\x04\x22\x4d\x18": "lz4", b"\x1f\x9d": "z"}
_PACKED |= {b"BZh%d" % level: "bz2" for level in range(1, 10)}
# what a zip that is a document holds
_OF_BOOKS = ("xl/", "content.xml", "[Content_Types].xml", "word/")
POINT = re.compile(r"^[^\w]*(\d{1,3}(,\d{3})*|\d+)\.(\d{1,2}|\d{4,})[^\w]*$")
COMMA = re.compile(r"^[^\w]*(\d{1,3}(\.\d{3})*|\d+),(\d{1,2}|\d{4,})[^\w]*$")
THREE = re.compile(r"^([^\w.,]*)(\d{1,3})((?:\.\d{3})+|(?:,\d{3})+)(\s?(?:[^\w\s.,]|[A-Z]{3}))?$")
WHOLE = re.compile(r"^[^\w.,]*(\d+)(?:\s?(?:[^\w\s.,]|[A-Z]{3}))?$")
_DAY = re.compile(
    r"\d{4}([-/.])\d{1,2}\1\d{1,2}\b|\d{1,2}([-/.])\d{1,2}\2(\d{4}|\d{2})\b|\d{4}年\d{1,2}月\d{1,2}日"
    r"|\d{1,2}\.?[ -][^\W\d_]{3,9}\.?,?[ -]\d{2,4}\b|[^\W\d_]{3,9}\.? \d{1,2},? \d{4}\b"
)
# below an open question
OPEN = {"open-ended response", "offene antwort", "réponse ouverte", "开放式回答"}
csv.field_size_limit(LONGEST_CELL)


@dataclass
class Style:
    """How a file is written: its kind, and what was found out about it."""

    kind: str
    encoding: str = ""
    delimiter: str = ""
    header_line: int = 0
    header_rows: int = 1
    headless: bool = False  # the rows begin at once: the columns are called column 1, column 2 ...
    preset: str = ""
    columns: list[str] = field(default_factory=list)
    currency: str = ""  # named in a heading
    # columns that a second heading calls open questions
    open: list[str] = field(default_factory=list)
    # presets that the header nearly fits, with what is missing
    near: list[str] = field(default_factory=list)
    decimal: str = ""  # the mark in which a reader of typed cells wrote the numbers
    sheet: str = ""
    # other sheets of the workbook that hold something
    unread: list[str] = field(default_factory=list)


def kind_of(path: Path) -> str:
    """What a file is by its first bytes: csv, excel, html, json, json lines or parquet.

    Raises PlaybookError for a file that cannot be one of them.
    """
    with opened(path) as f:
        head = f.read(4096)
    if packed := _packed(path, head):
        away = f"the .{packed}" if path.suffix.lower() == f".{packed}" else "the packed file"
        raise PlaybookError(
            f"{path.name}: a packed folder or file ({packed}). Unpack it into raw/ and take {away}"
            " away."
        )
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(b"PK") or head.startswith(b"\xd0\xcf\x11\xe0"):
        return "excel"
    kind = "".join(s for s in path.suffixes if s.lower() != ".gz").lower().rpartition(".")[2]
    if kind in {"xlsx", "xlsm", "xlsb", "ods"}:
        raise PlaybookError(
            f"{path.name}: this is not a workbook, whatever its name says. Export it again."
        )
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if re.match(
        rb"(?i)<(!doctype html|html|table|head|meta|style)|<\?xml(?s:.*)<(html|table)\b", text
    ):
        return "html"
    if text.startswith(b"<?xml"):
        raise PlaybookError(
            f"{path.name}: an XML file, not a table. Export it as CSV or Excel (.xlsx)."
        )
    if text.startswith(b"[") and kind in {"json", ""}:
        return "json"
    if text.startswith(b"{") or kind in {"jsonl", "ndjson"}:
        return "json lines"
    if head.startswith(_NOT_TEXT):
        raise PlaybookError(
            f"{path.name}: not a table of text. Export it as CSV, Excel, JSON lines or Parquet."
        )
    return "csv"


def _packed(path: Path, head: bytes) -> str:
    """How a file is packed that has to be unpacked by hand: zip, bz2, xz, 7z, rar, tar ...; empty
    for others.
    """
    ending = path.suffix.lower().lstrip(".")
    if ending in {"zip", *_PACKED.values()}:
        return ending
    if head[257:262] == b"ustar":
        return "tar"
    if head.startswith(b"PK") and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as z:
            return "" if any(n.startswith(_OF_BOOKS) for n in z.namelist()) else "zip"
    return next((kind for mark, kind in _PACKED.items() if head.startswith(mark)), "")


def opened(path: Path, mode: str = "rb", **how: Any) -> IO:
    """Open a file, unpacking gzip; it is known by its first bytes or its ending."""
    with path.open("rb") as f:
        packed = f.read(2) == b"\x1f\x8b" or path.suffix.lower() == ".gz"
    return gzip.open(path, mode, **how) if packed else path.open(mode, **how)


def open_file(path: Path, spec: Source) -> tuple[Style, Iterator[Record]]:
    """The style of a file and its records, header and layout included.

    Raises PlaybookError for a file that cannot be read.
    """
    if spec.encoding and not _is_encoding(spec.encoding):
        raise PlaybookError(
            f'{path.name}: there is no encoding "{spec.encoding}". Try utf-8, cp1252 or gb18030.'
        )
    with readable(path.name):
        kind = kind_of(path)
        if kind == "csv":
            return _open_csv(path, spec)
        readers = {"excel": _excel, "html": _html, "json": _json, "json lines": _json_lines}
        style = Style(kind, encoding=spec.encoding, decimal=spec.decimal or ".")
        return _with_header(style, readers[kind](path, spec, style), spec, path.name)


def _is_encoding(name: str) -> bool:
    try:
        return isinstance("".encode(name), bytes)
    except LookupError:
        return False


# --- text tables ------------------------------------------------------------------------------


class _Lines:
    """The physical lines of a file; those of the record at hand can be given back."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines, self.number, self.taken, self.back = iter(lines), 0, [], []

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if len(self.taken) >= LONGEST_RECORD:
            raise csv.Error("a quotation mark is not closed")
        line = self.back.pop() if self.back else next(self.lines)
        self.number += 1
        self.taken.append(line)
        return line

    def give_back(self) -> None:
        """Keep the first line of the record and read the others again."""
        self.back += reversed(self.taken[1:])
        self.number -= len(self.taken) - 1
        del self.taken[1:]


def csv_records(
    lines: Iterable[str], delimiter: str, width: int = 0, encoding: str = "utf-8"
) -> Iterator[Record]:
    """Records of a text table that is written in `encoding`.

    A record over several lines whose cells do not fit `width`, or whose quotation marks do not,
    began with a mark that is not closed: its first line is reported and the lines after it are read
    again.
    """
    source = _Lines(lines)
    reader = csv.reader(source, delimiter=delimiter, strict=True)
    while True:
        source.taken.clear()
        problem = ""
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as e:
            problem = "a quotation mark is not closed"
            if "field limit" in str(e):
                problem = f"a cell of more than {LONGEST_CELL:,} characters"
            elif "expected after" in str(e) and len(source.taken) == 1:
                problem = "a quotation mark inside a cell is not doubled"
        if (
            not problem
            and width
            and len(source.taken) > 1
            and (len(cells) != width or _swallowed(cells, delimiter))
        ):
            problem = "a quotation mark is not closed"
        if problem:
            source.give_back()
            cells = [source.taken[0].rstrip("\r\n")[:1000]]
            reader = csv.reader(source, delimiter=delimiter, strict=True)
        start = source.number - len(source.taken) + 1
        for line in source.taken:
            if wrong := _wrong_characters(line, encoding):
                problem = problem or wrong
                cells = [STRAY.sub("\ufffd", c) for c in cells]
        yield start, cells, problem


def _swallowed(cells: list[str], delimiter: str) -> bool:
    """Whether a cell of several lines holds rows of the table: its mark was opened in one row and
    closed in another.

    Then the row that it begins, those inside and the one that it ends have the width of the table,
    and hold numbers, days or codes of the same form in the same columns. A note of several lines
    does not.
    """
    for at, cell in enumerate(cells):
        lines = re.split(r"\r\n|\r|\n", cell)
        if len(lines) < 2:
            continue
        within = [line for line in lines[1:-1] if line.strip()]
        rows = [line.split(delimiter) for line in (lines[0], *within, lines[-1])]
        # as in a sentence
        if delimiter in ",;" and any(c.startswith(" ") for row in rows for c in row[1:]):
            continue
        rows[0], rows[-1] = cells[:at] + rows[0], rows[-1] + cells[at + 1 :]
        if all(len(row) == len(cells) for row in rows) and all(
            _alike(rows[0], row, at) for row in rows[1:]
        ):
            return True
    return False


def _alike(one: list[str], other: list[str], at: int) -> bool:
    """Whether most cells with digits, those of the column `at` left out, are of the same form in
    two rows.
    """
    pairs = [(a, b) for i, (a, b) in enumerate(zip(one, other, strict=True)) if i != at]
    same = [_form(a) == _form(b) for a, b in pairs if re.search(r"[\d@]", a + b) and a and b]
    return sum(same) > len(same) / 2


def _form(cell: str) -> str:
    """What a cell looks like: an e-mail, a number, or its runs of letters and digits.

    >>> _form("A-1001"), _form("12.50"), _form("7")
    ('a-9', '9', '9')
    """
    if "@" in cell:
        return "@"
    if re.fullmatch(r"[-+($€£¥]*\d+([.,]\d+)*[%)]?", cell.strip()):
        return "9"
    return re.sub(r"\d+", "9", re.sub(r"[^\W\d_]+", "a", cell.strip()))


def _wrong_characters(line: str, encoding: str) -> str:
    """What shows that a line is not in the encoding of its file; empty where nothing does."""
    if "\x00" in line:
        return "a NUL byte"
    if line.isascii():
        return ""
    if STRAY.search(line):
        return "bytes that are not text in this encoding"
    if encoding.startswith(("utf", "UTF")):
        return ""
    try:
        other = line.encode(encoding).decode("utf-8")
    except UnicodeError:
        return ""
    # Two-byte letters of Chinese and Japanese encodings may happen to be UTF-8, several of three
    # bytes hardly ever.
    is_utf8 = encoding not in _USUAL or sum(c > "\u07ff" for c in other) > 1
    return "a line in UTF-8 in a file that is not" if is_utf8 else ""


def _open_csv(path: Path, spec: Source) -> tuple[Style, Iterator[Record]]:
    encoding = spec.encoding or find_encoding(path)
    encoding = "utf-8" if codecs.lookup(encoding).name == "utf-8" else encoding
    try:
        with _text(path, encoding) as f:
            head = [line for line, _ in zip(f, range(SAMPLE), strict=False)]
    except UnicodeError as e:
        raise PlaybookError(
            f"{path.name}: not readable as {encoding} ({e}). Set its encoding in client.yaml."
        ) from None
    delimiter = spec.delimiter or find_delimiter(head)
    style = Style("csv", encoding=encoding, delimiter=delimiter)
    style, _ = _with_header(style, csv_records(head, delimiter), spec, path.name)

    def records() -> Iterator[Record]:
        with _text(path, encoding) as f:
            yield from csv_records(f, delimiter, len(style.columns), encoding)

    return style, records()


def _text(path: Path, encoding: str) -> IO[str]:
    # a mark is no part of the first heading
    encoding = "utf-8-sig" if encoding == "utf-8" else encoding
    errors = "surrogateescape" if encoding == "utf-8-sig" else "replace"
    return opened(path, "rt", encoding=encoding, errors=errors, newline="")


def find_encoding(path: Path) -> str:
    """The encoding of a text file.

    Its mark if it has one; UTF-8 if most lines that are not ASCII fit it (a stray line is reported,
    not guessed at); else the one in which they make usual text.
    """
    with opened(path) as f:
        head = f.read(200_000)
        for mark, name in _MARKS:
            if head.startswith(mark):
                return name
        zeros = head[:2000].count(0)
        if zeros > len(head[:2000]) / 4:
            return (
                "utf-16-le" if head[1:2000:2].count(0) >= head[0:2000:2].count(0) else "utf-16-be"
            )
        f.seek(0)
        fits, strays = Counter(), b""
        for line in f:
            if not line.isascii():
                ok = _decodes(line, "utf-8")
                fits[ok] += 1
                strays += b"" if ok or len(strays) > 100_000 else line
    return "utf-8" if fits[True] >= fits[False] else _legacy(strays)


def _legacy(strays: bytes) -> str:
    """The encoding in which lines that are not UTF-8 make usual text."""
    best, share = "", 0.8
    for name, usual in _USUAL.items():
        if _decodes(strays, name):
            text = strays.decode(name)
            other = re.findall(r"[^\x00-\x7f]", text)
            # Western letters stand alone among ASCII, Chinese and Japanese ones side by side.
            beside = sum(len(run) for run in re.findall(r"[^\x00-\x7f]{2,}", text)) / len(other)
            found = sum(bool(usual.fullmatch(c.encode(name))) for c in other) / len(other)
            if beside >= 0.5 and found > share:
                best, share = name, found
    if best:
        return best
    if _is_western(strays.splitlines()):
        return "cp1252"
    found = charset_normalizer.from_bytes(strays).best()
    return found.encoding if found else "cp1252"


def _is_western(lines: list[bytes]) -> bool:
    """Whether lines are usual text of Western Europe in cp1252; one in three may be odd, where the
    others are sure.
    """
    texts = [line.decode("cp1252") for line in lines if _decodes(line, "cp1252")]
    text = "\n".join(t for t in texts if not _ODD_LATIN.search(t))
    odd = len(lines) - len(text.splitlines())
    words = re.findall(r"[^\W\d_]*[^\W\d_a-zA-Z][^\W\d_]*", text)
    plain = sum(len(re.findall("[a-zA-Z]", w)) for w in words)
    if plain < sum(map(len, words)) / 2:
        return False
    accented = re.findall(r"[^\W\d_a-zA-Z]", text)
    sure = len(_EASTERN.findall(text)) <= 0.05 * len(accented)
    return not odd or (2 * odd <= len(lines) - odd and sure)


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def find_delimiter(lines: list[str]) -> str:
    r"""The delimiter that cuts most lines into the same number of cells.

    >>> find_delimiter(["a;b;c\n", "1;2,5;3\n", "4;5,5;6\n"])
    ';'
    """
    best, score = ",", (0.0, 0)
    for mark in ",;\t|":
        rows = [cells for _, cells, _p in csv_records(lines, mark) if any(cells)]
        widths = Counter(map(len, rows))
        if not widths:
            continue
        if any(_known(cells)[0] for cells in rows[:HEADER_WITHIN]):
            return mark
        width, n = max(widths.items(), key=lambda item: (item[0] > 1, item[1]))
        if width > 1 and (n / widths.total(), width) > score:
            best, score = mark, (n / widths.total(), width)
    return best


# --- sheets, web pages, JSON ------------------------------------------------------------------


def _excel(path: Path, spec: Source, style: Style) -> Iterator[Record]:
    """The cells of one sheet: the one asked for, else the first with a known header, else the first
    not empty.
    """
    with opened(path) as f:
        content = f.read()
    try:
        if _is_locked(content):
            raise PlaybookError(
                f"{path.name}: protected by a password. Save it again as .xlsx without a password."
            )
        hidden, read = (_xls if content.startswith(b"\xd0") else _workbook)(content, path.name)
        names = list(hidden)
        if spec.sheet and spec.sheet not in names:
            raise PlaybookError(f'{path.name}: no sheet "{spec.sheet}". It has {", ".join(names)}.')
        if not spec.sheet:
            tops = {n: [[_cell(c) for c in row] for row in read(n, HEADER_WITHIN)] for n in names}
            tops = {n: top for n, top in tops.items() if any(map(any, top))}
            seen = {n: top for n, top in tops.items() if not hidden[n]}
            if tops and not seen:
                raise PlaybookError(
                    f"{path.name}: all its sheets with rows are hidden ({', '.join(tops)}). Show"
                    " the one to read, or name it in client.yaml (sheet:)."
                )
            known = [n for n, top in seen.items() if any(_known(row)[0] for row in top)]
            names = [*known, *seen]
            style.unread = [f"{n} (hidden)" if hidden[n] else n for n in tops if n != names[0]]
        style.sheet = spec.sheet or (names or [""])[0]
        rows = read(style.sheet, None) if style.sheet else []
    except BaseException as e:  # calamine panics on some damaged files, and a panic is no Exception
        if type(e).__name__ not in _DAMAGED:
            raise
        reason = str(e).strip().rstrip(".").splitlines()[0] if str(e) else "it is damaged"
        raise PlaybookError(
            f"{path.name}: not a readable workbook ({reason}). Save it again as .xlsx."
        ) from None
    style.decimal = spec.decimal or decimal_mark(
        c for row in rows[:500] for c in row if isinstance(c, str)
    )
    return ((i, [_cell(c, style.decimal) for c in row], "") for i, row in enumerate(rows, 1))


_DAMAGED = {"CalamineError", "WorksheetNotFound", "ZipError", "XmlError", "PanicException"}
_DAMAGED |= {
    "BadZipFile",
    "ValueError",
    "UnicodeDecodeError",
    "KeyError",
    "IndexError",
    "NotImplementedError",
    "error",
}
# name -> hidden; the first rows of a sheet
Sheets = tuple[dict[str, bool], Callable[[str, int | None], list[list]]]


def _is_locked(content: bytes) -> bool:
    if not content.startswith(b"PK"):
        return bool(_LOCKED.search(content))
    with zipfile.ZipFile(io.BytesIO(content)) as z:
        manifest = "META-INF/manifest.xml"  # of an .ods
        return manifest in z.namelist() and b"encryption-data" in z.read(manifest)


def _workbook(content: bytes, file: str) -> Sheets:
    """The sheets of an .xlsx, .xlsb or .ods."""
    # only workbooks need it
    import python_calamine as calamine

    parts = _sheet_parts(content)
    for name, data in parts.items():
        reach = re.search(rb'<(?:\w+:)?dimension ref="[A-Z]+\d+:([A-Z]+)(\d+)"', data(4096))
        if reach and _column(reach[1]) * int(reach[2]) > LARGEST_SHEET:
            last = (reach[1] + reach[2]).decode()
            raise PlaybookError(
                f"{file}, sheet {name}: its last cell is {last}, far from any table. Delete the"
                " empty rows and columns, and save it."
            )
    # by its content: an .xlsx may be called .xls
    book = calamine.load_workbook(io.BytesIO(content))
    visible = calamine.SheetVisibleEnum.Visible
    hidden = {
        s.name: s.visible != visible
        for s in book.sheets_metadata
        if s.typ == calamine.SheetTypeEnum.WorkSheet
    }

    def read(name: str, n: int | None) -> list[list]:
        rows = book.get_sheet_by_name(name).to_python(skip_empty_area=False, nrows=n)
        for row, column, text in (
            _lost_cells(parts[name](-1)) if n is None and name in parts else ()
        ):
            rows.extend([] for _ in range(row - len(rows)))
            rows[row - 1] += [""] * (column - len(rows[row - 1]))
            rows[row - 1][column - 1] = text
        return rows

    return hidden, read


# A damaged .xls may make calamine panic, or ask for so much memory that the process ends: so it
# gets one of its own.
_XLS = """
import io, pickle, sys
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
except ImportError:
    pass
import python_calamine as calamine
book = calamine.load_workbook(io.BytesIO(sys.stdin.buffer.read()))
work = [s for s in book.sheets_metadata if s.typ == calamine.SheetTypeEnum.WorkSheet]
hidden = {s.name: s.visible != calamine.SheetVisibleEnum.Visible for s in work}
cells = {s.name: book.get_sheet_by_name(s.name).to_python(skip_empty_area=False) for s in work}
sys.stdout.buffer.write(pickle.dumps((hidden, cells)))
"""


def _xls(content: bytes, file: str) -> Sheets:
    """The sheets of an old workbook."""
    done = subprocess.run([sys.executable, "-I", "-c", _XLS], input=content, capture_output=True)
    if done.returncode:
        raise PlaybookError(
            f"{file}: not a readable workbook (it is damaged). Save it again as .xlsx."
        )
    hidden, cells = pickle.loads(done.stdout)
    return hidden, lambda name, n: cells[name][:n]


def _sheet_parts(content: bytes) -> dict[str, Callable[[int], bytes]]:
    """The XML of each sheet of an .xlsx by its name, its first bytes or all (-1); empty for other
    kinds.
    """
    z = zipfile.ZipFile(io.BytesIO(content))
    if "xl/workbook.xml" not in z.namelist():
        return {}
    ids = {s["name"]: s["id"] for s in _tags(z.read("xl/workbook.xml"), "sheet")}
    parts = {
        r["Id"]: r["Target"] for r in _tags(z.read("xl/_rels/workbook.xml.rels"), "Relationship")
    }
    files = {
        n: parts[i].lstrip("/") if parts[i].startswith("/") else f"xl/{parts[i]}"
        for n, i in ids.items()
    }
    return {
        n: lambda size, file=file: z.open(file).read(size)
        for n, file in files.items()
        if "worksheets/" in file
    }


def _lost_cells(data: bytes) -> Iterator[tuple[int, int, str]]:
    """The cells of an .xlsx sheet that calamine gives empty, by row and column from 1.

    Those that hold an error such as #REF!, and formulas that no spreadsheet has worked out yet.
    """
    for kind in (_ERROR, _FORMULA):
        for head, text in kind.findall(data):
            letters, row = re.search(rb'\br="([A-Z]+)(\d+)"', head).groups()
            yield (
                int(row),
                _column(letters),
                unescape(("" if kind is _ERROR else "=") + text.decode()),
            )


def _column(letters: bytes) -> int:
    """The number of a column, A being 1."""
    return reduce(lambda n, letter: n * 26 + letter - 64, letters, 0)


def _tags(xml: bytes, name: str) -> list[dict[str, str]]:
    """The attributes of every tag of this name, without the prefixes of their names."""
    tags = re.findall(rf"<(?:\w+:)?{name}\b([^>]*)>", xml.decode())
    return [
        {k: unescape(v) for k, _, v in re.findall(r"""(\w+)=(["'])(.*?)\2""", tag)} for tag in tags
    ]


def _cell(value: object, mark: str = ".") -> str:
    if isinstance(value, float):
        text = str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
        return text.replace(".", mark)
    return value if isinstance(value, str) else "" if value is None else str(value)


def decimal_mark(cells: Iterable[str]) -> str:
    """The decimal mark of numbers that are written as text.

    >>> decimal_mark(["1.234,50", "n/a", "7,5", "2.50"])
    ','
    """
    votes = Counter(
        ("." if POINT.match(c) else "," if COMMA.match(c) else "")
        for c in cells
        if c and len(c) <= 30
    )
    return "," if votes[","] > votes["."] else "."


def _html(path: Path, spec: Source, style: Style) -> Iterator[Record]:
    """The rows of every table of a web page, with an empty one between two tables."""
    # only web pages need it
    from bs4 import BeautifulSoup, dammit

    with opened(path) as f:
        content = f.read()
    said = dammit.EncodingDetector.find_declared_encoding(content, is_html=True)
    style.encoding = spec.encoding or (said if said and _is_encoding(said) else find_encoding(path))
    soup = BeautifulSoup(content.decode(style.encoding, "replace"), "html.parser")
    if soup.find("table") is None:
        raise PlaybookError(f"{path.name}: a web page without a table. Export it as CSV or Excel.")
    rows, last = [], None
    for tr in soup("tr"):
        table = tr.find_parent("table")
        rows += [[]] if last is not None and table is not last else []
        rows.append(
            [c.get_text(" ", strip=True) for c in tr.find_all(["td", "th"], recursive=False)]
        )
        last = table
    style.decimal = spec.decimal or decimal_mark(c for row in rows[:500] for c in row)
    return ((i, cells, "") for i, cells in enumerate(rows, 1))


class _Twice(dict):
    """A JSON object in which a name is given twice: which of the two holds cannot be known."""

    name = ""


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    thing = dict(pairs)
    if len(thing) == len(pairs):
        return thing
    thing = _Twice(thing)
    thing.name = next(name for name, n in Counter(name for name, _ in pairs).items() if n > 1)
    return thing


def _given_twice(value: object) -> str:
    """A name that is given twice somewhere in a JSON value; empty where none is."""
    if isinstance(value, _Twice):
        return value.name
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((name for v in inner if (name := _given_twice(v))), "")


def _faulty(thing: object) -> str:
    """What is wrong with the names of a JSON object; empty where nothing is."""
    if isinstance(thing, dict) and any(map(STRAY.search, thing)):
        return "characters that are not text"
    name = _given_twice(thing)
    return f'the name "{name[:100]}" is given twice' if name else ""


def _json(path: Path, spec: Source, style: Style) -> Iterator[Record]:
    try:
        with opened(path, "rt", encoding=spec.encoding or "utf-8-sig") as f:
            things = json.load(f, object_pairs_hook=_pairs)
    except (ValueError, RecursionError) as e:
        raise PlaybookError(f"{path.name}: not readable as JSON ({e}). Export it again.") from None
    return _from_dicts([(i, t, _faulty(t)) for i, t in enumerate(things, 1)], style.decimal)


def _json_lines(path: Path, spec: Source, style: Style) -> Iterator[Record]:
    def things() -> Iterator[tuple[int, object, str]]:
        with _text(path, spec.encoding or "utf-8") as f:
            for i, line in enumerate(f, 1):
                if not line.strip():
                    continue
                try:
                    thing = json.loads(line, object_pairs_hook=_pairs)
                    yield (
                        i,
                        thing,
                        "bytes that are not text" if STRAY.search(line) else _faulty(thing),
                    )
                except (ValueError, RecursionError) as e:
                    yield i, line[:1000], f"not readable as JSON ({e})"

    keys, any_line = {}, False
    for _, thing, problem in things():
        any_line = True
        # a spoilt line may have a spoilt name, which is no column
        if isinstance(thing, dict) and not problem:
            keys |= dict.fromkeys(thing)
    if any_line and not keys:
        raise PlaybookError(
            f"{path.name}: no line is a whole JSON object. Export one object a line, or CSV."
        )
    return _from_dicts(things(), style.decimal, list(keys))


def _from_dicts(
    things: Iterable[tuple[int, object, str]], mark: str, keys: list[str] | None = None
) -> Iterator[Record]:
    if keys is None:
        keys = list(
            dict.fromkeys(
                k for _, t, problem in things if isinstance(t, dict) and not problem for k in t
            )
        )
    yield 0, keys, ""
    for i, thing, problem in things:
        if not isinstance(thing, dict):
            problem = problem or "not an object with named values"
        cells = [str(thing)[:1000]] if problem else [_json_text(thing.get(k), mark) for k in keys]
        if not problem and any(map(STRAY.search, cells)):
            problem = "characters that are not text"
        yield i, [STRAY.sub("\ufffd", c) for c in cells] if problem else cells, problem


def _json_text(value: object, mark: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return repr(value).replace(".", mark)
    return "" if value is None else json.dumps(value, ensure_ascii=False)


# --- header -----------------------------------------------------------------------------------


def _with_header(
    style: Style, records: Iterable[Record], spec: Source, file: str
) -> tuple[Style, Iterator[Record]]:
    """Find the header among the first records and name the columns."""
    records = iter(records)
    head = list(islice(records, SAMPLE))
    if not any(c.strip() for _, cells, _p in head for c in cells):
        raise PlaybookError(f"{file}: the file is empty. Export it again, or take it out of raw/.")
    preset, at = _header(head, spec, style, file)
    if not (preset or style.near or spec.header_line) and style.kind in ("csv", "excel", "html"):
        style.headless = _is_row(
            head[at][1], [cells for _, cells, problem in head[at + 1 : at + 31] if not problem]
        )
    if style.headless:  # a row with an empty cell may stand before the first whole one
        width = len(head[at][1])
        at = next(
            i
            for i, (_, cells, _p) in enumerate(head)
            if len(cells) == width and any(map(str.strip, cells))
        )
    style.header_line = head[at][0]
    style.header_rows = 0 if style.headless else preset.header_rows if preset else 1
    style.preset = preset.name if preset else ""
    rows = [cells for _, cells, _p in head[at : at + style.header_rows]]
    rows = [[""] * width] if style.headless else rows
    style.columns, style.currency = column_names(rows, preset, file)
    style.open = [
        c
        for c, below in zip_longest(style.columns, rows[1] if rows[1:] else [])
        if _is_open(c, below)
    ]

    def again() -> Iterator[Record]:
        yield from head
        yield from records

    return style, again()


def _header(head: list[Record], spec: Source, style: Style, file: str) -> tuple[Preset | None, int]:
    if spec.header_line:
        at = next((i for i, r in enumerate(head) if r[0] >= spec.header_line), None)
        if at is None:
            raise PlaybookError(
                f"{file}: there is no line {spec.header_line} among its first {SAMPLE} records. "
                "Correct header_line in client.yaml."
            )
        return recognise(head[at][1], spec.preset)[0], at
    near: list[str] = []
    for i, (_, cells, _p) in enumerate(head[:HEADER_WITHIN]):
        preset, missing = _known(cells, spec.preset)
        if preset:
            return preset, i
        near = near or missing
    style.near = near
    if spec.preset:
        lacks = f" It is {near[0]}." if near else ""
        raise PlaybookError(
            f"{file}: its header is not that of the preset {spec.preset}.{lacks} Correct one of the"
            " two."
        )
    widths = Counter(len([c for c in cells if c.strip()]) for _, cells, _p in head)
    usual = max(widths, key=lambda w: (w > 1, widths[w]), default=0)
    full = [
        i
        for i, (_, cells, _p) in enumerate(head[:HEADER_WITHIN])
        if sum(bool(c.strip()) for c in cells) >= usual
    ]
    return None, full[0] if full else 0


def _is_row(first: list[str], below: list[list[str]]) -> bool:
    """Whether what stands in the header's place is a row: its days, e-mails or money are like those
    below it.

    Headings of years or sizes are numbers that rise from left to right; a heading above a column of
    numbers or days is a word.
    """
    like = set()
    for i, cell in enumerate(first):
        column = [row[i].strip() for row in below if i < len(row) and row[i].strip()]
        if not cell.strip() or not column:
            continue
        (usual, n), kind = Counter(map(_kind, column)).most_common(1)[0], _kind(cell.strip())
        numbers = {usual, kind} <= {"money", "number"}  # 12 stands below 9.50
        if n >= 0.8 * len(column) and usual != "text" and kind != usual and not numbers:
            return False
        like |= {kind} if kind == usual else set()
    numbers = [_plain_number(c) for c in first if _kind(c.strip()) in ("money", "number")]
    return bool(like & {"date", "e-mail"}) or ("money" in like and sorted(numbers) != numbers)


def _plain_number(cell: str) -> float:
    """A number whose last mark is taken for the decimal one."""
    return float(re.sub(r"[.,](?=.*[.,])|[^\d.,]", "", cell).rstrip(".,").replace(",", "."))


def _kind(cell: str) -> str:
    """What a cell is: date, e-mail, money (a number with decimals or a sign of money), number or
    text.
    """
    if _DAY.match(cell):
        return "date"
    if re.fullmatch(r"[^@\s]+@[^@\s]+\.\w+", cell):
        return "e-mail"
    signed = re.fullmatch(r"[-+(]*[$€£¥]\s?\d[\d.,]*\)?|\d[\d.,]*\s?[$€£¥]", cell)
    if signed or POINT.match(cell) or COMMA.match(cell):
        return "money"
    return "number" if re.fullmatch(r"[-+]?\d[\d.,]*", cell) else "text"


def _known(cells: list[str], only: str = "") -> tuple[Preset | None, list[str]]:
    """As `recognise`, quick for the many lines that hold no known heading."""
    if not only and _headings().isdisjoint(c.strip().lstrip("\ufeff").lower() for c in cells):
        return None, []
    return recognise(cells, only)


@cache
def _headings() -> set[str]:
    return {s for p in presets().values() for s in p.spellings}


def column_names(rows: list[list[str]], preset: Preset | None, file: str) -> tuple[list[str], str]:
    """One name a column from one or more header rows, and the currency that a heading names."""
    top, names, seen, currency = "", [], Counter(OWN), ""
    for i, cell in enumerate(rows[0] if rows else []):
        below = [r[i].strip() for r in rows[1:] if i < len(r)]
        top = cell.strip().lstrip("\ufeff") or (top if any(below) else "")
        known, unit = preset.known(top) if preset else ("", "")
        currency = currency or unit
        name = known or " - ".join(
            [top or f"column {i + 1}", *(b for b in below[:1] if b and _says_more(b))]
        )
        seen[name.lower()] += 1
        if seen[name.lower()] > 1:
            if preset and known in preset.header:
                raise PlaybookError(
                    f'{file}: two columns are called "{name}". Rename one of them in the file.'
                )
            name = next(n for i in range(2, 10**6) if (n := f"{name} ({i})").lower() not in seen)
            seen[name.lower()] += 1
        names.append(name)
    return names, currency


def _says_more(text: str) -> bool:
    return text.lower() not in {"response", "antwort", *OPEN} and not text.startswith("{")


def _is_open(column: str | None, below: str | None) -> bool:
    return bool(column) and (below or "").strip().lower() in OPEN
