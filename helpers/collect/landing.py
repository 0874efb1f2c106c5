"""Take a file in: its records as Parquet in private/landing, and what was found out about it.

A file that has not changed is not read again.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from helpers.client import Client, PlaybookError, Source, file_hash
from helpers.collect import files
from helpers.collect.presets import Preset, presets

VERSION = 2  # raise it when what is stored changes
BATCH = 20_000
LARGE = 50_000_000  # bytes from which reading is announced
_POINT = re.compile(r"^[^\w]*\d{1,3}(,\d{3})*\.\d{1,2}[^\w]*$")
_COMMA = re.compile(r"^[^\w]*\d{1,3}(\.\d{3})*,\d{1,2}[^\w]*$")
_DAY = re.compile(r"^(\d{1,2})[./-](\d{1,2})[./-]\d{4}\b")
_NUMBER = re.compile(r"^[-+$€£¥(]*\d[\d.,\s]*[%)]?$")


@dataclass
class Landed:
    """One file of a client, taken in.

    `parquet` holds its records: every column as text, `source_line` and `source_problem`.
    `facts` is what was found out: sha256, encoding, delimiter, decimal, dates, header_line, columns, lines, layout.
    """

    name: str
    file: str
    spec: Source
    parquet: Path
    preset: Preset | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    alone: str = ""  # the name of the source, where client.yaml maps it itself
    style: dict[str, str] = field(default_factory=dict)  # decimal, dates, zone, currency, as settled for its rows

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
    if files.kind_of(path) == "parquet":
        return _parquet(client, name, spec, path)
    sha = file_hash(path)
    asked = spec.model_dump_json(
        include={"preset", "encoding", "delimiter", "decimal", "header_line", "sheet", "dates"}
    )
    known = hashlib.sha256("".join([asked, str(VERSION), *(p.model_dump_json() for p in presets().values())]).encode())
    folder = client.private("landing")
    place = folder / f"{name}-{sha[:16]}-{known.hexdigest()[:8]}.parquet"
    facts_file = place.with_suffix(".json")
    if not facts_file.is_file():
        for old in folder.glob(f"{name}-????????????????-????????.*"):
            old.unlink()
        if path.stat().st_size > LARGE:
            print(f"reading {path.name} ({path.stat().st_size / 1e6:,.0f} MB)", file=sys.stderr)
        style, records = files.open_file(path, spec)
        facts = _write(place, style, records, spec, path.name)
        _keep(facts_file, facts | {"sha256": sha, "bytes": path.stat().st_size})
    facts = json.loads(facts_file.read_text(encoding="utf-8"))
    return Landed(name, _shown(client, path), spec, place, presets().get(facts["preset"]), facts)


def _shown(client: Client, path: Path) -> str:
    raw = client.folder / "raw"
    return path.relative_to(raw.resolve()).as_posix() if path.is_relative_to(raw.resolve()) else path.name


def _keep(facts_file: Path, facts: dict[str, Any]) -> None:
    part = facts_file.with_suffix(".part")
    part.write_text(json.dumps(facts, ensure_ascii=False, indent=1), encoding="utf-8")
    os.replace(part, facts_file)


def _write(place: Path, style: files.Style, records: Iterator[files.Record], spec: Source, file: str) -> dict[str, Any]:
    """Write the data records of a file as Parquet and tell what it is like."""
    width = len(style.columns)
    schema = pa.schema(
        [*((c, pa.string()) for c in style.columns), ("source_line", pa.int64()), ("source_problem", pa.string())]
    )
    sight, rows = _Sight(), _Body(style)
    lines = 0
    part = place.with_suffix(".part")
    try:
        with pq.ParquetWriter(part, schema, compression="zstd") as out:
            data = rows.of(records)
            while batch := list(islice(data, BATCH)):
                sight.look(batch)
                lines += len(batch)
                cells = list(zip(*(_fit(r, width) for r in batch), strict=True)) if width else []
                arrays = [pa.array(c, pa.string()) for c in cells]
                arrays += [
                    pa.array([r[0] for r in batch], pa.int64()),
                    pa.array([r[2] or None for r in batch], pa.string()),
                ]
                out.write_table(pa.table(arrays, schema=schema))
    except (UnicodeError, OSError, EOFError) as e:
        part.unlink(missing_ok=True)
        raise PlaybookError(f"{file}: not readable as {style.encoding or style.kind} ({e}).") from None
    os.replace(part, place)
    return {
        "kind": style.kind,
        "encoding": style.encoding,
        "delimiter": style.delimiter,
        "header_line": style.header_line,
        "preset": style.preset,
        "near": style.near,
        "columns": style.columns,
        "currency": style.currency,
        "decimal": spec.decimal or sight.decimal,
        "dates": spec.dates or sight.dates,
        "dates_why": "said in client.yaml" if spec.dates else sight.why,
        "lines": lines,
        "layout": rows.layout.total(),
        "layout_kinds": dict(rows.layout),
        "head": "\n".join(rows.head),
    }


def _fit(record: files.Record, width: int) -> list[str]:
    _, cells, _problem = record
    return [*cells[:width], *[""] * (width - len(cells))]


class _Body:
    """The data records of a file; what is layout is counted by kind."""

    def __init__(self, style: files.Style) -> None:
        self.style, self.layout = style, Counter()
        self.head: list[str] = []  # the lines up to the first row: some exports say their period or zone there

    def of(self, records: Iterator[files.Record]) -> Iterator[files.Record]:
        width, last_header, header = len(self.style.columns), self.style.header_line, None
        apart = other = False  # a blank or comment line came before; the rows belong to another table
        to_skip = self.style.header_rows
        for line, cells, problem in records:
            if line < last_header or to_skip:
                self.head.append(" ".join(c for c in cells if c)[:1000])
            if line < last_header:
                self.layout["before the header" if any(cells) else "blank line"] += 1
            elif to_skip:
                to_skip, header = to_skip - 1, header or cells
                self.layout["header"] += self.style.kind not in ("json", "json lines")
            elif not problem and not any(c.strip() for c in cells):
                self.layout["blank line"] += 1
                apart = True
            elif not problem and cells[0].startswith("#") and not any(c.strip() for c in cells[1:]):
                self.layout["comment"] += 1
                apart = True
            elif cells == header:
                self.layout["header"] += 1
                apart = other = False
            elif other or (apart and not problem and self._is_header(cells)):
                self.layout["another table in the same file"] += 1
                other, apart = True, False
            else:
                apart = False
                extra = len(cells) - width
                if not problem and (extra < 0 or any(c.strip() for c in cells[width:])):
                    problem = f"{len(cells)} cells where the header has {width}"
                yield line, cells, problem

    def _is_header(self, cells: list[str]) -> bool:
        return len(cells) > 1 and all(c.strip() and not _NUMBER.match(c.strip()) for c in cells)


class _Sight:
    """What a look at a part of the rows shows: the decimal mark, and whether the day or the month comes first."""

    def __init__(self) -> None:
        self.point = self.comma = self.day_first = self.month_first = self.slashes = self.dots = 0

    def look(self, batch: list[files.Record]) -> None:
        for _, cells, _problem in batch[:500]:
            for cell in cells:
                if not cell or len(cell) > 30:
                    continue
                if (day := _DAY.match(cell)) is not None:
                    first, second = int(day[1]), int(day[2])
                    self.day_first += first > 12 >= second
                    self.month_first += second > 12 >= first
                    self.slashes += "/" in cell[:3]
                    self.dots += "." in cell[:3]
                elif _POINT.match(cell):
                    self.point += 1
                elif _COMMA.match(cell):
                    self.comma += 1

    @property
    def decimal(self) -> str:
        return "," if self.comma > self.point else "."

    @property
    def dates(self) -> str:
        if self.day_first or self.month_first:
            return "day first" if self.day_first >= self.month_first else "month first"
        return "day first" if self.dots else "" if self.slashes else "day first"

    @property
    def why(self) -> str:
        if self.day_first and self.month_first:
            return f"both orders are in it: {self.day_first} dates read day first, {self.month_first} month first"
        if self.day_first or self.month_first:
            return "seen in the dates"
        return "not certain: no day above 12" if self.slashes else ""


# --- files that need no reading, databases ----------------------------------------------------


def _parquet(client: Client, name: str, spec: Source, path: Path) -> Landed:
    try:
        meta = pq.ParquetFile(path)
        columns, lines = meta.schema_arrow.names, meta.metadata.num_rows
    except (pa.ArrowException, OSError) as e:
        raise PlaybookError(f"{path.name} (source {name}): not a whole Parquet file ({e}). Export it again.") from None
    facts = {"kind": "parquet", "columns": columns, "lines": lines, "layout": 0, "layout_kinds": {}, "preset": ""}
    facts |= {
        "encoding": "",
        "delimiter": "",
        "decimal": ".",
        "dates": "",
        "dates_why": "",
        "header_line": 0,
        "near": [],
    }
    facts |= {"sha256": file_hash(path), "bytes": path.stat().st_size, "currency": ""}
    preset, facts["near"] = (None, []) if spec.package else files.recognise(columns, spec.preset)
    return Landed(name, _shown(client, path), spec, path, preset, facts)


def _land_database(client: Client, name: str, spec: Source) -> Landed:
    """Rows of a query, read anew on each run; the address stands in an environment variable and nowhere else."""
    import sqlalchemy as sql

    shown = f"data/{client.name}/client.yaml, sources.{name}"
    url = os.environ.get(spec.database, "")
    if not url:
        raise PlaybookError(f"{shown}: the environment variable {spec.database} with the database's URL is not set.")
    asked = spec.query if re.search(r"\s", spec.query) else f"SELECT * FROM {spec.query}"
    place = client.private("landing") / f"{name}-database.parquet"
    try:
        engine = sql.create_engine(_driver(sql.make_url(url)))
        with engine.connect().execution_options(stream_results=True, yield_per=BATCH) as connection:
            result = connection.execute(sql.text(asked))
            keys = list(result.keys())
            rows = ((i, [_text(c) for c in row], "") for i, row in enumerate(result, 1))
            style, records = files._with_header(files.Style("database"), _headed(keys, rows), spec, name)
            facts = _write(place, style, records, spec, name)
        engine.dispose()
    except (sql.exc.SQLAlchemyError, ModuleNotFoundError, ValueError) as e:
        reason = str(getattr(e, "orig", None) or e).strip().splitlines()[0]
        secret = sql.engine.make_url(url).password if "://" in url else url
        hidden = reason.replace(str(secret), "***") if secret else reason
        raise PlaybookError(f"{shown}: the database answers: {hidden[:200]}") from None
    facts |= {"sha256": file_hash(place), "bytes": place.stat().st_size, "layout": 0, "layout_kinds": {}}
    return Landed(name, f"database ({spec.database})", spec, place, presets().get(facts["preset"]), facts)


def _driver(url):
    """The driver that the playbook brings, where the URL names none."""
    ours = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg", "mysql": "mysql+pymysql"}
    return url.set(drivername=ours.get(url.drivername, url.drivername))


def _headed(keys: list[str], rows: Iterator[files.Record]) -> Iterator[files.Record]:
    yield 0, keys, ""
    yield from rows


def _text(value: object) -> str:
    return "" if value is None else value if isinstance(value, str) else str(value)
