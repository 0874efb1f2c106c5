"""Take a file in: its records as Parquet in private/landing, and what was found out about it.

A file that has not changed is not read again.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
import sys
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from helpers import lock
from helpers.client import Client, PlaybookError, Source, file_hash, readable
from helpers.collect import files
from helpers.collect.presets import Preset, presets

VERSION = 5  # raise it when what is stored changes
BATCH = 20_000
LARGE = 50_000_000  # bytes from which reading is announced
DATABASE_WAIT = 10  # seconds for a connection
READ_ONLY = dict.fromkeys(("mysql", "mariadb"), "SET SESSION TRANSACTION READ ONLY")
READ_ONLY |= {"postgresql": "SET TRANSACTION READ ONLY", "sqlite": "PRAGMA query_only = ON"}
_DAY = re.compile(r"^(\d{1,2})[./-](\d{1,2})[./-](\d{4}|\d{2})(?![.\d])")
_VALUE = re.compile(r"^([-+$€£¥(]*\d[\d.,\s]*[%)]?|\d{1,4}[-/.年]\d{1,2}.*)$")  # a number or a day


@dataclass
class Landed:
    """One file of a client, taken in.

    `parquet` holds its records: every column as text, `source_line` and `source_problem`. `facts`
    is what was found out: sha256, encoding, delimiter, decimal, dates, header_line, columns, lines,
    layout.
    """

    name: str
    file: str
    spec: Source
    parquet: Path
    preset: Preset | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    alone: str = ""  # the name of the source, where client.yaml maps it itself
    # decimal, dates, zone, currency, as settled for its rows
    style: dict[str, str] = field(default_factory=dict)

    @property
    def group(self) -> str:
        """The name under which its rows are read: files of one preset are read together."""
        return self.alone or (self.preset.name if self.preset else self.name)


def land(client: Client, name: str, spec: Source) -> Landed:
    """Take one source in, or give back what is stored of it.

    Raises PlaybookError for a file that is missing, locked or not readable.
    """
    if spec.database:
        return _land_database(client, name, spec)
    path = client.source_path(name, spec)
    if spec.preset and spec.preset not in presets():
        known = ", ".join(p for p in presets() if not p.startswith("playbook_"))
        where = f"data/{client.name}/client.yaml, sources.{name}.preset"
        close = difflib.get_close_matches(spec.preset, presets(), n=1)
        hint = f'Did you mean "{close[0]}"?' if close else f"Known: {known}."
        raise PlaybookError(f'{where}: there is no preset "{spec.preset}". {hint}')
    with readable(path.name):
        kind, sha = files.kind_of(path), file_hash(path)
        said = {
            "package",
            "preset",
            "encoding",
            "delimiter",
            "decimal",
            "header_line",
            "sheet",
            "dates",
        }
        asked = [
            spec.model_dump_json(include=said),
            str(VERSION),
            *(p.model_dump_json() for p in presets().values()),
        ]
        folder = client.private("landing")
        place = (
            folder
            / f"{name}-{sha[:16]}-{hashlib.sha256(''.join(asked).encode()).hexdigest()[:8]}.parquet"
        )
        facts_file = place.with_suffix(".json")
        if not facts_file.is_file():
            for old in (
                folder.glob(f"{name}-????????????????-????????.*") if not lock.taken(client) else ()
            ):
                # of two processes at once the other may have been quicker
                old.unlink(missing_ok=True)
            if path.stat().st_size > LARGE:
                print(f"reading {path.name} ({path.stat().st_size / 1e6:,.0f} MB)", file=sys.stderr)
            if kind == "parquet":
                facts = _parquet(path, spec)
            else:
                style, records = files.open_file(path, spec)
                facts = _write(place, style, records, spec, path.name)
            _keep(facts_file, facts | {"sha256": sha, "bytes": path.stat().st_size})
    facts = json.loads(facts_file.read_text(encoding="utf-8"))
    rows = path if kind == "parquet" else place
    return Landed(name, _shown(spec, path), spec, rows, presets().get(facts["preset"]), facts)


def _shown(spec: Source, path: Path) -> str:
    """The file's name under raw/; two sheets of one workbook are told apart."""
    file = path.name if spec.package else Path(os.path.normpath(spec.file)).as_posix()
    return f"{file} [{spec.sheet}]" if spec.sheet else file


def _keep(facts_file: Path, facts: dict[str, Any]) -> None:
    part = _part(facts_file)
    part.write_text(json.dumps(facts, ensure_ascii=False, indent=1), encoding="utf-8")
    os.replace(part, facts_file)


def _part(place: Path) -> Path:
    """Where a file is written until it is whole; two processes may take in the same one at once."""
    return place.with_name(f"{place.name}-{os.getpid()}.part")


def _write(
    place: Path, style: files.Style, records: Iterator[files.Record], spec: Source, file: str
) -> dict[str, Any]:
    """Write the data records of a file as Parquet and tell what it is like."""
    width = len(style.columns)
    schema = pa.schema(
        [
            *((c, pa.string()) for c in style.columns),
            ("source_line", pa.int64()),
            ("source_problem", pa.string()),
        ]
    )
    sight, rows = _Sight(style.delimiter, style.columns), _Body(style)
    lines, unseen, whole = 0, 0, False
    part = _part(place)
    try:
        with pq.ParquetWriter(part, schema, compression="zstd") as out:
            data = rows.of(records)
            while batch := list(islice(data, BATCH)):
                sight.look(batch)
                lines += len(batch)
                cells = list(zip(*(_fit(r, width) for r in batch), strict=True)) if width else []
                arrays = [_visible(pa.array(c, pa.string())) for c in cells]
                unseen += sum(n for _, n in arrays)
                arrays = [array for array, _ in arrays] + [
                    pa.array([r[0] for r in batch], pa.int64()),
                    pa.array([r[2] or None for r in batch], pa.string()),
                ]
                out.write_table(pa.table(arrays, schema=schema))
        whole = True
    except UnicodeError as e:
        raise PlaybookError(
            f"{file}: not readable as {style.encoding or style.kind} ({e}). Set its encoding in"
            " client.yaml."
        ) from None
    finally:
        if not whole:
            part.unlink(missing_ok=True)
    os.replace(part, place)
    decimal = spec.decimal or style.decimal or sight.decimal
    return {
        "kind": style.kind,
        "encoding": style.encoding,
        "delimiter": style.delimiter,
        "header_line": 0 if style.headless else style.header_line,
        "headless": style.headless,
        "preset": style.preset,
        "near": style.near,
        "columns": style.columns,
        "sheet": style.sheet,
        "unread": style.unread,
        "currency": style.currency,
        "open": "\n".join(style.open),
        "decimal": decimal,
        "two_ways": [] if spec.decimal or style.decimal else sight.two_ways(decimal),
        "dates": spec.dates or sight.dates,
        "dates_why": "said in client.yaml" if spec.dates else sight.why,
        "lines": lines,
        "unseen": unseen,
        "layout": rows.layout.total(),
        "layout_kinds": dict(rows.layout),
        "head": "\n".join(rows.head),
    }


def _visible(cells: pa.Array) -> tuple[pa.Array, int]:
    """Cells without characters that cannot be seen, and how many cells had one: they would make two
    keys of one.
    """
    if pc.all(pc.string_is_ascii(cells)).as_py() is not False:
        return cells, 0
    # quicker than to replace nothing
    if not pc.any(pc.match_substring_regex(cells, files.HAS_UNSEEN)).as_py():
        return cells, 0
    plain = pc.replace_substring_regex(cells, files.UNSEEN, r"\1")
    return (
        plain,
        pc.sum(pc.not_equal(pc.utf8_trim(cells, " "), pc.utf8_trim(plain, " "))).as_py() or 0,
    )


def _fit(record: files.Record, width: int) -> list[str]:
    _, cells, _problem = record
    return [*cells[:width], *[""] * (width - len(cells))]


class _Body:
    """The data records of a file; what is layout is counted by kind."""

    def __init__(self, style: files.Style) -> None:
        self.style, self.layout = style, Counter()
        self.recent: deque[list[str]] = deque(maxlen=20)
        # the lines up to the first row: some exports say their period or zone there
        self.head: list[str] = []

    def of(self, records: Iterator[files.Record]) -> Iterator[files.Record]:
        width, last_header, header = len(self.style.columns), self.style.header_line, None
        # a blank or comment line came before; cells of the other table that the rows belong to
        apart, other = False, 0
        to_skip = self.style.header_rows
        for (line, cells, problem), following in _with_next(records):
            if line < last_header or to_skip:
                self.head.append(" ".join(c for c in cells if c)[:1000])
            if line < last_header:
                self.layout["before the header" if any(cells) else "blank line"] += 1
            elif to_skip:
                to_skip, header = to_skip - 1, header or _unmarked(cells)
                self.layout["header"] += self.style.kind not in ("json", "json lines", "database")
            elif not problem and not any(c.strip() for c in cells):
                self.layout["blank line"] += 1
                apart = True
            elif not problem and cells[0].startswith("#") and not any(c.strip() for c in cells[1:]):
                self.layout["comment"] += 1
                apart = True
            elif _unmarked(cells) == header:
                self.layout["header"] += 1
                apart, other = False, 0
            elif apart and not problem and self._begins_another(cells, following):
                self.layout["another table in the same file"] += 1
                apart, other = False, len(cells)
            elif other and (other == width or len(cells) != width):
                self.layout["another table in the same file"] += 1
            else:
                apart, other = False, 0
                problem = problem or self._problem(cells, width)
                if not problem:
                    self.recent.append(cells[:width])
                yield line, [c[:1000] for c in cells] if problem else cells, problem

    def _problem(self, cells: list[str], width: int) -> str:
        if len(cells) < width or any(c.strip() for c in cells[width:]):
            return f"{len(cells)} cells where the header has {width}"
        if sum(map(len, cells)) > files.LONGEST_CELL and max(map(len, cells)) > files.LONGEST_CELL:
            return f"a cell of more than {files.LONGEST_CELL:,} characters"
        strange = self.style.kind in ("excel", "html", "database") and any(
            map(files.STRAY.search, cells)
        )
        return "characters that are not text" if strange else ""

    def _begins_another(self, cells: list[str], following: files.Record | None) -> bool:
        """Whether a row after a blank or comment line is the header of another table.

        It is all words, also where our rows hold numbers or days, and no cell is one that our rows
        hold or an e-mail; or it is of another width, as the row after it.
        """
        if any("@" in c for c in cells) or any(
            c in column for c, column in zip(cells, zip(*self.recent, strict=True), strict=False)
        ):
            return False
        last = max((i for i, c in enumerate(cells) if c.strip()), default=-1)
        words = [c.strip() for c in cells[: last + 1]]
        if len(words) < 2 or not all(w and not _VALUE.match(w) for w in words):
            return False
        values = [
            [bool(_VALUE.match(c.strip())) for c in column if c.strip()]
            for column in zip(*self.recent, strict=True)
        ]
        if any(sum(v) > len(v) / 2 for v in values[: len(words)]):
            return True
        return (
            len(cells) != len(self.style.columns)
            and following is not None
            and len(following[1]) == len(cells)
        )


def _with_next(
    records: Iterator[files.Record],
) -> Iterator[tuple[files.Record, files.Record | None]]:
    records = iter(records)
    here = next(records, None)
    while here is not None:
        following = next(records, None)
        yield here, following
        here = following


def _unmarked(cells: list[str]) -> list[str]:
    """The cells without a byte order mark: files that were put together carry one in the middle."""
    return [cells[0].removeprefix("\ufeff"), *cells[1:]] if cells else cells


@dataclass
class _Marked:
    """The numbers of one column that hold one mark, `.` or `,`."""

    example: str = ""  # the first with three digits after the mark: it can be read two ways
    # a zero alone before the mark, or one, two or more than three digits after it
    decimal: bool = False
    thousands: bool = False  # the mark twice, or money with its sign
    large: bool = False  # ten thousand and more, were the mark one of thousands


class _Column:
    """What the numbers of one column say about their marks."""

    def __init__(self) -> None:
        self.by = {".": _Marked(), ",": _Marked()}
        # whole numbers without a mark: below 1,000, from 100, above
        self.small = self.hundreds = self.unmarked = False

    def look(self, cell: str) -> None:
        if (three := files.THREE.match(cell)) is not None:
            sign, before, after = three[1] + (three[4] or ""), three[2], three[3]
            marked = self.by[after[0]]
            marked.example = marked.example or cell
            marked.decimal |= before.startswith("0")
            marked.thousands |= len(after) > 4 or bool(sign.strip("-+()% "))
            marked.large |= len(before) > 1
        elif (whole := files.WHOLE.match(cell)) is not None:
            self.small |= len(whole[1]) < 4
            self.hundreds |= len(whole[1]) == 3
            self.unmarked |= len(whole[1]) > 3

    def tells(self, mark: str) -> str:
        """What a mark is by the column's own rows: decimal, thousands, or empty where they do not
        tell.
        """
        marked = self.by[mark]
        if marked.decimal:
            return "decimal"
        if not marked.example:
            return ""
        # 980 beside 1.250 and 12.400
        grown = self.small and not self.unmarked and (self.hundreds or marked.large)
        return "thousands" if marked.thousands or grown else ""


class _Sight:
    """What a look at a part of the rows shows: the decimal mark, and whether the day or the month
    comes first.
    """

    def __init__(self, delimiter: str, columns: list[str]) -> None:
        self.delimiter, self.names = delimiter, columns
        self.columns = [_Column() for _ in columns]
        self.point = self.comma = self.day_first = self.month_first = self.slashes = self.dots = 0

    def look(self, batch: list[files.Record]) -> None:
        for _, cells, _problem in batch[:500]:
            for column, cell in zip(self.columns, cells, strict=False):
                if not cell or len(cell) > 30:
                    continue
                if (day := _DAY.match(cell)) is not None:
                    first, second = int(day[1]), int(day[2])
                    self.day_first += first > 12 >= second
                    self.month_first += second > 12 >= first
                    self.slashes += "/" in cell[:3]
                    self.dots += "." in cell[:3]
                elif files.POINT.match(cell):
                    self.point += 1
                    column.by["."].decimal = True
                elif files.COMMA.match(cell):
                    self.comma += 1
                    column.by[","].decimal = True
                else:
                    column.look(cell)

    @property
    def decimal(self) -> str:
        if self.comma or self.point:
            return "," if self.comma > self.point else "."
        # ; is written where the comma is the decimal mark
        return self.told or ("," if self.delimiter == ";" else ".")

    @property
    def told(self) -> str:
        """The decimal mark by columns of whole thousands; empty where none tells, or two contradict
        each other.
        """
        marks = {(c.tells("."), c.tells(",")) for c in self.columns}
        comma = any(point == "thousands" or comma == "decimal" for point, comma in marks)
        point = any(comma == "thousands" or point == "decimal" for point, comma in marks)
        return "" if comma == point else "," if comma else "."

    def two_ways(self, decimal: str) -> list[str]:
        """Columns whose numbers can be read two ways, each with an example and how it is read."""
        known, found = self.comma or self.point or self.told, []
        for name, column in zip(self.names, self.columns, strict=True):
            for mark, marked in column.by.items():
                taken = "decimal" if mark == decimal else "thousands"
                if (
                    marked.example
                    and column.tells(mark) != taken
                    and (column.tells(mark) or not known)
                ):
                    how = "with decimals" if taken == "decimal" else "as whole thousands"
                    found.append(f'"{name}" ({marked.example} is read {how})')
        return found

    @property
    def dates(self) -> str:
        if self.day_first or self.month_first:
            return "day first" if self.day_first >= self.month_first else "month first"
        return "day first" if self.dots else "" if self.slashes else "day first"

    @property
    def why(self) -> str:
        if self.day_first and self.month_first:
            return (
                f"both orders are in it: {self.day_first} dates read day first, {self.month_first}"
                " month first"
            )
        if self.day_first or self.month_first:
            return "seen in the dates"
        return "not certain: no day above 12" if self.slashes else ""


# --- files that need no reading, databases ----------------------------------------------------


def _parquet(path: Path, spec: Source) -> dict[str, Any]:
    """What a Parquet file is like; it is read through once, to find damage before the
    engine does.
    """
    try:
        with pq.ParquetFile(path) as file:
            columns, lines = file.schema_arrow.names, file.metadata.num_rows
            unseen = 0
            for batch in file.iter_batches(BATCH):
                texts = [c for c in batch.columns if c.type == pa.string() and not spec.package]
                unseen += sum(_visible(c)[1] for c in texts)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as e:
        reason = str(e).splitlines()[0].rstrip(".")
        raise PlaybookError(
            f"{path.name}: not a whole Parquet file ({reason}). Export it again."
        ) from None
    twice = [c for c, n in Counter(map(str.lower, columns)).items() if n > 1]
    if twice:
        raise PlaybookError(
            f'{path.name}: two columns are called "{twice[0]}". Rename one of them in the file.'
        )
    if taken := files.OWN.intersection(map(str.lower, columns)):
        raise PlaybookError(
            f'{path.name}: the playbook keeps the name "{min(taken)}" for itself. Rename that'
            " column in the file."
        )
    preset, near = (None, []) if spec.package else files.recognise(columns, spec.preset)
    found = {"kind": "parquet", "columns": columns, "lines": lines, "near": near, "decimal": "."}
    found |= {"unseen": unseen, "two_ways": [], "headless": False}
    found |= dict.fromkeys(
        ("encoding", "delimiter", "dates", "dates_why", "sheet", "currency", "head", "open"), ""
    )
    return found | {
        "preset": preset.name if preset else "",
        "header_line": 0,
        "unread": [],
        "layout": 0,
        "layout_kinds": {},
    }


def _land_database(client: Client, name: str, spec: Source) -> Landed:
    """Rows of a query, read anew on each run; the address stands in an environment variable and
    nowhere else.
    """
    # only databases need it
    import sqlalchemy as sql

    shown = f"data/{client.name}/client.yaml, sources.{name}"
    url = os.environ.get(spec.database, "")
    if not url:
        raise PlaybookError(
            f"{shown}: the environment variable {spec.database} with the database's URL is not set."
            " Set it and run again."
        )
    asked = spec.query if re.search(r"\s", spec.query) else f"SELECT * FROM {spec.query}"
    if not re.match(r"(?i)[\s(]*(SELECT|WITH|VALUES|TABLE)\b", asked):
        raise PlaybookError(
            f"{shown}.query: a query only reads: begin it with SELECT or WITH, or name a table."
        )
    place = client.private("landing") / f"{name}-database.parquet"
    try:
        address = _driver(sql.make_url(url))
        # it would make an empty one
        if address.drivername == "sqlite" and not Path(address.database or "").is_file():
            raise PlaybookError(
                f"{shown}: the SQLite file that {spec.database} names is not there. Correct its"
                " URL."
            )
        engine = sql.create_engine(address, poolclass=sql.NullPool)
        with engine.connect() as connection:
            if address.get_backend_name() in READ_ONLY:
                connection.exec_driver_sql(READ_ONLY[address.get_backend_name()])
            # in parts, never all at once
            connection.execution_options(stream_results=True, yield_per=BATCH)
            # a colon names no parameter here
            result = connection.execute(sql.text(asked.replace(":", r"\:")))
            keys, mark = list(result.keys()), spec.decimal or "."
            rows = ((i, [_text(c, mark) for c in row], "") for i, row in enumerate(result, 1))
            style = files.Style("database", decimal=mark)
            style, records = files._with_header(style, _headed(keys, rows), spec, name)
            facts = _write(place, style, records, spec, name)
    except (sql.exc.SQLAlchemyError, ModuleNotFoundError, ValueError) as e:
        reason = _without_secrets(str(getattr(e, "orig", None) or e).strip().splitlines()[0], url)
        raise PlaybookError(
            f"{shown}: the database answers: {reason[:200].rstrip('.')}. Check that it runs, the"
            f" URL in {spec.database} and the query."
        ) from None
    facts |= {"sha256": file_hash(place), "bytes": place.stat().st_size}
    return Landed(
        name,
        f"{name} (database {spec.database})",
        spec,
        place,
        presets().get(facts["preset"]),
        facts,
    )


def _without_secrets(text: str, url: str) -> str:
    """A message without the URL, its password and its keys, as they are written or meant."""
    said = re.findall(r"://[^:@/]*:(.*)@", url) + re.findall(
        r"(?i)(?:pass|pwd|secret|token|key)[^=&]*=([^&]+)", url
    )
    secrets = {url, *said, *map(unquote, said)}
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***") if secret else text
    return text


def _driver(url):
    """The driver that the playbook brings, where the URL names none; PostgreSQL would wait for
    minutes.
    """
    ours = {
        "postgresql": "postgresql+psycopg",
        "postgres": "postgresql+psycopg",
        "mysql": "mysql+pymysql",
    }
    url = url.set(drivername=ours.get(url.drivername, url.drivername))
    waits = url.drivername != "postgresql+psycopg" or "connect_timeout" in url.query
    return url if waits else url.update_query_dict({"connect_timeout": str(DATABASE_WAIT)})


def _headed(keys: list[str], rows: Iterator[files.Record]) -> Iterator[files.Record]:
    yield 0, keys, ""
    yield from rows


def _text(value: object, mark: str) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, (float, Decimal)):
        return str(value).replace(".", mark)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).decode("utf-8", "replace")
    return (
        json.dumps(value, ensure_ascii=False, default=str)
        if isinstance(value, (dict, list))
        else str(value)
    )
