"""Read a client's files as they come: every record with its line, as text, and what is wrong with it.

Nothing is interpreted here: numbers, dates and missing marks stay as written. What the file does not say (encoding,
delimiter, header, decimal mark, order of dates) is found out and told; the settings of a source overrule it.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import charset_normalizer

from helpers.client import PlaybookError, Source
from helpers.collect.presets import Preset, recognise

Record = tuple[int, list[str], str]  # line where it starts, cells, what is wrong with it ("" for nothing)

LONGEST_CELL = 1_000_000  # characters
LONGEST_RECORD = 1_000  # lines; a quotation mark that is not closed would swallow the rest of the file
SAMPLE = 200
_STRAY = re.compile("[\x00\udc80-\udcff\ufffd]")
_MARKS = [(codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16")]
_MARKS += [(codecs.BOM_UTF16_BE, "utf-16")]
_GUESSES = ["gb18030", "big5", "shift_jis", "cp1252"]
csv.field_size_limit(LONGEST_CELL)


@dataclass
class Style:
    """How a file is written: its kind, and what was found out about it."""

    kind: str
    encoding: str = ""
    delimiter: str = ""
    header_line: int = 0
    header_rows: int = 1
    preset: str = ""
    columns: list[str] = field(default_factory=list)
    currency: str = ""  # named in a heading
    near: list[str] = field(default_factory=list)  # presets that the header nearly fits, with what is missing


def kind_of(path: Path) -> str:
    """What a file is by its first bytes: csv, excel, html, json, json lines or parquet.

    Raises PlaybookError for a file that cannot be one of them.
    """
    with path.open("rb") as f:
        head = f.read(4096)
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(b"PK") or head.startswith(b"\xd0\xcf\x11\xe0"):
        if path.suffix.lower() == ".zip":
            raise PlaybookError(f"{path.name}: a packed folder. Unpack it into raw/ and take the .zip away.")
        return "excel"
    if path.suffix.lower() in {".xlsx", ".xlsm", ".xlsb", ".ods"}:
        raise PlaybookError(f"{path.name}: this is not a workbook, whatever its name says. Export it again.")
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if re.match(rb"(?i)<(!doctype html|html|table|head|meta|style)", text):
        return "html"
    if text.startswith(b"[") and path.suffix.lower() in {".json", ""}:
        return "json"
    if text.startswith(b"{") or path.suffix.lower().removesuffix(".gz") in {".jsonl", ".ndjson"}:
        return "json lines"
    if head.startswith((b"%PDF", b"\x89PNG", b"\xff\xd8\xff", b"Rar!", b"7z\xbc\xaf", b"SQLite format 3")):
        raise PlaybookError(f"{path.name}: not a table of text. Export it as CSV, Excel, JSON lines or Parquet.")
    return "csv"


def open_file(path: Path, spec: Source) -> tuple[Style, Iterator[Record]]:
    """The style of a file and its records, header and layout included.

    Raises PlaybookError for a file that cannot be read.
    """
    try:
        kind = kind_of(path)
        if kind == "csv":
            return _open_csv(path, spec)
        readers = {"excel": _excel, "html": _html, "json": _json, "json lines": _json_lines}
        return _with_header(Style(kind, encoding=spec.encoding), readers[kind](path, spec), spec, path.name)
    except PermissionError:
        raise PlaybookError(f"{path.name}: the file is locked. Close the program that has it open.") from None
    except IsADirectoryError:
        raise PlaybookError(f"{path.name}: a folder, not a file.") from None


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


def csv_records(lines: Iterable[str], delimiter: str, width: int = 0) -> Iterator[Record]:
    """Records of a text table.

    A record over several lines whose cells do not fit `width` began with a quotation mark that is not closed:
    its first line is reported and the lines after it are read again.
    """
    source = _Lines(lines)
    reader = csv.reader(source, delimiter=delimiter)
    while True:
        source.taken.clear()
        problem = ""
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as e:
            source.give_back()
            long = f"a cell of more than {LONGEST_CELL:,} characters"
            cells, problem = [source.taken[0][:1000]], long if "field limit" in str(e) else str(e)
            reader = csv.reader(source, delimiter=delimiter)
        if len(source.taken) > 1 and width and len(cells) != width:
            source.give_back()
            cells, problem = [source.taken[0]], "a quotation mark is not closed"
            reader = csv.reader(source, delimiter=delimiter)
        start = source.number - len(source.taken) + 1
        for line in source.taken:
            if ("\x00" in line or not line.isascii()) and (stray := _STRAY.search(line)):
                problem = problem or (
                    "a NUL byte" if stray[0] == "\x00" else "bytes that are not text in this encoding"
                )
                cells = [_STRAY.sub("\ufffd", c) for c in cells]
        yield start, cells, problem


def _open_csv(path: Path, spec: Source) -> tuple[Style, Iterator[Record]]:
    encoding = spec.encoding or find_encoding(path)
    try:
        codecs.lookup(encoding)
        with _text(path, encoding) as f:
            head = [line for line, _ in zip(f, range(SAMPLE), strict=False)]
    except LookupError:
        raise PlaybookError(f'{path.name}: there is no encoding "{encoding}". Try utf-8, cp1252 or gb18030.') from None
    except (UnicodeError, OSError, EOFError) as e:
        raise PlaybookError(
            f"{path.name}: not readable as {encoding} ({e}). Set its encoding in client.yaml."
        ) from None
    delimiter = spec.delimiter or find_delimiter(head)
    style = Style("csv", encoding=encoding, delimiter=delimiter)
    style, _ = _with_header(style, csv_records(head, delimiter), spec, path.name)

    def records() -> Iterator[Record]:
        with _text(path, encoding) as f:
            yield from csv_records(f, delimiter, len(style.columns))

    return style, records()


def _text(path: Path, encoding: str):
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    errors = "surrogateescape" if encoding in ("utf-8", "utf-8-sig") else "replace"
    return opened(path, "rt", encoding=encoding, errors=errors, newline="")


def find_encoding(path: Path) -> str:
    """The encoding of a text file.

    Its mark if it has one; UTF-8 if most lines that are not ASCII fit it (a stray line is reported, not guessed at);
    else the one under which the header is known; else what charset-normalizer finds.
    """
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    try:
        with opened(path, "rb") as f:
            head = f.read(200_000)
            for mark, name in _MARKS:
                if head.startswith(mark):
                    return name
            zeros = head[:2000].count(0)
            if zeros > len(head[:2000]) / 4:
                return "utf-16-le" if head[1:2000:2].count(0) >= head[0:2000:2].count(0) else "utf-16-be"
            f.seek(0)
            fits, strays = Counter(), b""
            for line in f:
                if not line.isascii():
                    ok = _decodes(line, "utf-8")
                    fits[ok] += 1
                    strays += b"" if ok or len(strays) > 100_000 else line
    except (OSError, EOFError) as e:
        raise PlaybookError(f"{path.name}: cannot be read ({e}).") from None
    if fits[True] >= fits[False]:
        return "utf-8"
    for guess in _GUESSES:
        if _decodes(head, guess, final=False):
            lines = head.decode(guess, "ignore").splitlines()[:40]
            if any(recognise(cells)[0] for _, cells, _p in csv_records(lines, find_delimiter(lines))):
                return guess
    best = charset_normalizer.from_bytes(strays).best()
    found = best.encoding if best else "cp1252"
    return "gb18030" if found in ("gbk", "gb2312", "hz") else found


def _decodes(data: bytes, encoding: str, final: bool = True) -> bool:
    try:
        codecs.getincrementaldecoder(encoding)().decode(data, final)
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
        widths = Counter(len(cells) for _, cells, _p in csv_records(lines, mark) if any(cells))
        if not widths:
            continue
        if any(recognise(cells)[0] for _, cells, _p in csv_records(lines, mark)):
            return mark
        width, n = max(widths.items(), key=lambda item: (item[0] > 1, item[1]))
        if width > 1 and (n / widths.total(), width) > score:
            best, score = mark, (n / widths.total(), width)
    return best


# --- sheets, web pages, JSON ------------------------------------------------------------------


def _excel(path: Path, spec: Source) -> Iterator[Record]:
    import python_calamine as calamine

    try:
        book = calamine.load_workbook(str(path))
        wanted = [spec.sheet] if spec.sheet else book.sheet_names
        if spec.sheet and spec.sheet not in book.sheet_names:
            raise PlaybookError(f'{path.name}: no sheet "{spec.sheet}". It has {", ".join(book.sheet_names)}.')
        sheets = ((name, book.get_sheet_by_name(name).to_python(skip_empty_area=False)) for name in wanted)
        rows = next((rows for _, rows in sheets if len(rows) > 0), [])
    except calamine.PasswordError:
        raise PlaybookError(f"{path.name}: protected by a password. Save it without one.") from None
    except calamine.CalamineError as e:
        what = "protected by a password, or damaged" if _encrypted(path) else f"not a readable workbook ({e})"
        raise PlaybookError(f"{path.name}: {what}. Save it again as .xlsx without a password.") from None
    return ((i, [_cell(c) for c in row], "") for i, row in enumerate(rows, 1))


def _encrypted(path: Path) -> bool:
    return "EncryptedPackage".encode("utf-16-le") in path.read_bytes()


def _cell(value: object) -> str:
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return value if isinstance(value, str) else "" if value is None else str(value)


def _html(path: Path, spec: Source) -> Iterator[Record]:
    from bs4 import BeautifulSoup

    encoding = spec.encoding or None
    table = BeautifulSoup(path.read_bytes(), "html.parser", from_encoding=encoding).find("table")
    if table is None:
        raise PlaybookError(f"{path.name}: a web page without a table. Export it as CSV or Excel.")
    rows = ([c.get_text(" ", strip=True) for c in tr(["td", "th"])] for tr in table("tr"))
    return ((i, cells, "") for i, cells in enumerate(rows, 1))


def _json(path: Path, spec: Source) -> Iterator[Record]:
    try:
        things = json.loads(path.read_text(encoding=spec.encoding or "utf-8-sig"))
    except (json.JSONDecodeError, UnicodeDecodeError) as e:
        raise PlaybookError(f"{path.name}: not readable as JSON ({e}). Export it again.") from None
    return _from_dicts((i, t, "") for i, t in enumerate(things, 1))


def _json_lines(path: Path, spec: Source) -> Iterator[Record]:
    def things() -> Iterator[tuple[int, object, str]]:
        with _text(path, spec.encoding or "utf-8-sig") as f:
            for i, line in enumerate(f, 1):
                if not line.strip():
                    continue
                try:
                    yield i, json.loads(line), "bytes that are not text" if _STRAY.search(line) else ""
                except ValueError as e:
                    yield i, {"line": line[:1000]}, f"not readable as JSON ({e})"

    try:
        keys = dict.fromkeys(k for _, t, p in things() if isinstance(t, dict) and not p for k in t)
    except (OSError, EOFError) as e:
        raise PlaybookError(f"{path.name}: cannot be read ({e}).") from None
    return _from_dicts(things(), list(keys))


def _from_dicts(things: Iterable[tuple[int, object, str]], keys: list[str] | None = None) -> Iterator[Record]:
    if keys is None:
        things = list(things)
        keys = list(dict.fromkeys(k for _, t, _p in things if isinstance(t, dict) for k in t))
    yield 0, keys, ""
    for i, thing, problem in things:
        if not isinstance(thing, dict):
            thing, problem = {}, problem or "not an object with named values"
        yield (
            i,
            [_STRAY.sub("\ufffd", _json_text(thing.get(k))) for k in keys]
            if not problem
            else [_STRAY.sub("\ufffd", str(thing))[:1000]],
            problem,
        )


def _json_text(value: object) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)


# --- header -----------------------------------------------------------------------------------


def _with_header(style: Style, records: Iterable[Record], spec: Source, file: str) -> tuple[Style, Iterator[Record]]:
    """Find the header among the first records and name the columns."""
    records = iter(records)
    head = [r for r, _ in zip(records, range(SAMPLE), strict=False)]
    preset, at = _header(head, spec, style)
    if head:
        style.header_line = head[at][0]
        style.header_rows = preset.header_rows if preset else 1
        style.preset = preset.name if preset else ""
        rows = [cells for _, cells, _p in head[at : at + style.header_rows]]
        style.columns, style.currency = column_names(rows, preset, file)

    def again() -> Iterator[Record]:
        yield from head
        yield from records

    return style, again()


def _header(head: list[Record], spec: Source, style: Style) -> tuple[Preset | None, int]:
    if spec.header_line:
        at = next((i for i, r in enumerate(head) if r[0] >= spec.header_line), 0)
        return recognise(head[at][1] if head else [], spec.preset)[0], at
    near: list[str] = []
    for i, (_, cells, _p) in enumerate(head[:60]):
        preset, missing = recognise(cells, spec.preset)
        if preset:
            return preset, i
        near = near or missing
    style.near = near
    widths = Counter(len([c for c in cells if c.strip()]) for _, cells, _p in head)
    usual = max(widths, key=lambda w: (w > 1, widths[w]), default=0)
    full = [i for i, (_, cells, _p) in enumerate(head[:60]) if sum(bool(c.strip()) for c in cells) >= usual]
    return None, full[0] if full else 0


def column_names(rows: list[list[str]], preset: Preset | None, file: str) -> tuple[list[str], str]:
    """One name a column from one or more header rows, and the currency that a heading names."""
    top, names, seen, currency = "", [], Counter(), ""
    for i, cell in enumerate(rows[0] if rows else []):
        below = [r[i].strip() for r in rows[1:] if i < len(r)]
        top = cell.strip().lstrip("\ufeff") or (top if any(below) else "")
        known, unit = preset.known(top) if preset else ("", "")
        currency = currency or unit
        name = known or " - ".join([top or f"column {i + 1}", *(b for b in below[:1] if b and _says_more(b))])
        seen[name.lower()] += 1
        if seen[name.lower()] > 1:
            if preset and known in preset.header:
                raise PlaybookError(f'{file}: two columns are called "{name}". Rename one of them in the file.')
            name = f"{name} ({seen[name.lower()]})"
        names.append(name)
    return names, currency


def _says_more(text: str) -> bool:
    return text.lower() not in {"response", "open-ended response", "antwort"} and not text.startswith("{")
