"""A client: the settings file, checked; the paths; the sources; the engine."""

from __future__ import annotations

import difflib
import gzip
import hashlib
import importlib.util
import itertools
import math
import os
import re
import shutil
import tempfile
import warnings
import weakref
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

import ibis
import pandas as pd
import psutil
import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
    model_validator,
)

from helpers import methods
from helpers.tables import CANONICAL


class PlaybookError(Exception):
    """A mistake that the user can mend. Its text is one line: what is wrong, where, what to do."""

    def _render_traceback_(self) -> list[str]:  # what Jupyter shows instead of a traceback
        return [f"{type(self).__name__}: {self}"]


class RunFailed(PlaybookError):
    """A notebook failed; the text names it, the cell and the kept notebook."""


class _Model(BaseModel):
    model_config = ConfigDict(
        extra="forbid", populate_by_name=True, allow_inf_nan=False, coerce_numbers_to_str=True
    )


class _Yaml(yaml.SafeLoader):
    """YAML in which only true and false are truth values, so a column may be called `off`
    or `no`.
    """


_Yaml.yaml_implicit_resolvers = {
    first: [(tag, rule) for tag, rule in rules if tag != "tag:yaml.org,2002:bool"]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Yaml.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(true|false)$"), ["t", "f"])


@cache
def _zones() -> set[str]:
    """All time zones; looked up once, since that opens hundreds of files."""
    return available_timezones()


def _known_zone(zone: str) -> str:
    if zone not in _zones():
        raise ValueError(f'"{zone}" is no time zone; write one such as Europe/Berlin')
    return zone


Zone = Annotated[str, AfterValidator(_known_zone)]
# ISO 4217: the money in use, and what was in use within the last ten years.
_CODES = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP"
    " BYN BYR BZD CAD CDF CHF CLF CLP CNY COP CRC CUC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR"
    " FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HRK HTG HUF IDR ILS INR IQD IRR ISK JMD JOD"
    " JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP"
    " MRO MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR"
    " RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP STD STN SVC SYP SZL THB TJS"
    " TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VED VEF VES VND VUV WST XAF XCD XCG XOF XPF"
    " YER ZAR ZMW ZWG ZWL"
)
CURRENCIES = set(_CODES.split())


def _known_currency(code: str) -> str:
    if code not in CURRENCIES:
        close = f"; did you mean {code.upper()}?" if code.upper() in CURRENCIES else ""
        hint = close or " of three letters such as EUR or USD"
        raise ValueError(f"this is no currency code (ISO 4217){hint}")
    return code


Currency = Annotated[str, AfterValidator(_known_currency)]


def _one_character(mark: str) -> str:
    mark = "\t" if mark in ("tab", r"\t") else mark
    if len(mark) > 1 or mark in ('"', "\r", "\n"):
        raise ValueError("write one character, or tab")
    return mark


class Source(_Model):
    """One file under raw/ or inside an installed package, or the rows of a database.

    Files under raw/ that no source names are found by themselves; name one to overrule what was
    found out about it.
    """

    file: str = ""  # under raw/; several with *, as till-*.csv
    package: str = ""
    database: str = ""  # name of the environment variable that holds its URL
    query: str = ""  # SQL, or the name of a table
    skip: bool = False
    preset: str = ""  # the next six: empty means found out
    encoding: str = ""
    delimiter: Annotated[str, AfterValidator(_one_character)] = ""
    decimal: Literal["", ".", ","] = ""
    dates: Literal["", "day first", "month first"] = ""
    header_line: int = Field(0, ge=0)
    sheet: str = ""
    missing: list[str] = []  # marks of a missing value, such as n/a
    origin: Literal["", "online", "offline", "outside"] = ""
    owner: str = "not known"
    timezone: Zone | None = None  # of times without an offset; empty: the preset's, else UTC
    dated: str = ""  # column (or SQL expression) with the day of a row; empty: no dates
    key: list[str] = []
    note: str = ""


class Mapping(_Model):
    """One canonical table: SQL expressions over a source, by canonical column."""

    source: str
    from_: str = Field("", alias="from")  # SQL FROM clause over sources; empty: the source alone
    columns: dict[str, str]  # a column set to "person" is filled with the number of the person
    # who the row is about: record, email, phone, name ...; see the README
    person: dict[str, str] = {}


def _listed(given: object) -> object:
    return given if isinstance(given, list) else [given]


class Control(_Model):
    """One figure that the source system gives, to compare with ours."""

    table: str
    value: str  # SQL aggregate over the staged table
    expected: float


class CleanStep(_Model):
    """One step of cleaning that this client needs, with its reason."""

    step: str
    table: str
    action: Literal["filter", "hold", "duplicate", "correct", "fill", "normalise"]
    where: str  # SQL over the table (orders also see product_name, category, subcategory)
    set: dict[str, str] = {}
    reason: str
    value: str = ""  # SQL for the value at fault, shown beside a held row


class RuleChange(_Model):
    """A change to a rule of cleaning: switched off, or tuned."""

    on: bool = True
    where: str = ""
    action: Literal["", "filter", "hold", "duplicate"] = ""
    reason: str = ""


class Matching(_Model):
    """What decides who is who; every number that is not a count is a probability."""

    same: float = Field(0.95, gt=0, le=1)  # from here on, two records are one person
    # as `same`, for a record without a name and the one owner of its phone
    nameless: float = Field(0.9, gt=0, le=1)
    # from here on to `same`: listed for review, not merged
    doubtful: float = Field(0.5, gt=0, le=1)
    crowd: int = Field(20, ge=2)  # an e-mail or phone that more names share is nobody's own
    learn_from: int = Field(200, ge=50)  # with fewer records the fixed weights are used


def _two_steps(steps: list[str]) -> list[str]:
    if len(set(steps)) < max(len(steps), 2):
        raise ValueError("write two acts or more, each once")
    return steps


class Economics(_Model):
    """What an order leaves and what customers cost, in the client's currency. A cost of 0 counts as
    free.
    """

    # share of sales left after the goods; empty: from costs in the data
    margin: float | None = Field(None, gt=0, le=1)
    discount_rate: float = Field(0.10, ge=0, lt=1)  # a year
    order_cost: float = Field(0.0, ge=0)  # to pick, pack and ship one order
    # one message to one person; left out, every page takes this and says that it is assumed
    contact_cost: float = Field(0.5, ge=0)
    case_cost: float = Field(0.0, ge=0)  # one service case, where tickets carry no cost
    # one new customer, by acquisition channel ("all": on average); without, advertising over new
    # customers
    acquisition_cost: dict[str, Annotated[float, Field(ge=0)]] = {}


class Tier(_Model):
    """One member tier: who reaches it, and what it gives. Amounts in the client's currency,
    a year.
    """

    name: str = Field(min_length=1)
    # sales less returns in a year from which a customer is in it
    sales: float = Field(0.0, ge=0, alias="from")
    benefit: float = Field(0.0, ge=0, le=1)  # share of sales given back
    fixed: float = Field(0.0, ge=0)  # cost of its other benefits, a member
    perks: str = ""  # what it gives, in words


def _rising(tiers: list[Tier]) -> list[Tier]:
    lower = [t.sales for t in tiers]
    if sorted(set(lower)) != lower or len({t.name for t in tiers}) < len(tiers):
        raise ValueError(
            "write the lowest tier first, each with a name of its own and a higher `from` than the"
            " last"
        )
    return tiers


class Threshold(_Model):
    """A key indicator of leaving: a measure of the customer, and the line above or below which it
    warns.
    """

    # such as silence, times_usual_gap or slowest_reply; the message on a wrong one lists them all
    measure: str = ""
    above: float | None = None
    below: float | None = None
    reason: str = ""
    on: bool = True  # false switches off a standard indicator of that name

    @model_validator(mode="after")
    def _one_line(self) -> Threshold:
        if self.on and (not self.measure or (self.above is None) == (self.below is None)):
            raise ValueError("name a measure, and write either above or below")
        return self


class AccountIndicator(_Model):
    """One indicator of business accounts; with `amber` or `red` it is also a check of the risk
    card.
    """

    # all but value are checks
    group: Literal["value", "credit", "operation", "risk", "compliance", "verification"]
    better: Literal["high", "low"] = "high"
    weight: float = Field(1.0, ge=0)  # how much it counts beside the others, when weights are given
    values: dict[str, float] = {}  # what each answer in words counts as
    amber: float | None = None  # this value, or a worse one, sets the light to amber ...
    red: float | None = None  # ... or to red


class AccountRules(_Model):
    """How business accounts are scored; without indicators the standard set of
    segment/business/accounts.yaml is used.
    """

    weights: Literal["given", "entropy", "pairs", "equal"] = "given"
    indicators: dict[str, AccountIndicator] = {}
    # "credit / value" (groups), or "credit_score / lawsuits" (of one group): how many times as
    # important the first is
    pairs: dict[str, Annotated[float, Field(ge=0.11, le=9)]] = {}


class Journeys(_Model):
    """How acts on the site become visits, funnels and carts."""

    session_gap: float = Field(30.0, gt=0)  # minutes without an act after which a new visit begins
    steps: Annotated[list[str], AfterValidator(_two_steps)] = [
        "view_item",
        "add_to_cart",
        "begin_checkout",
        "purchase",
    ]
    order: Literal["loose", "strict"] = "loose"  # loose: other acts may lie between two steps
    time_limit_hours: float = Field(168.0, gt=0)  # time that a visitor has from the first step on
    cart_days: int = Field(14, ge=1)  # days after which a cart counts as lost
    cart_test: str = "cart"  # part of the name of the experiment with reminders of carts


class TestRules(_Model):
    """What has to be said of one test: which variant is the control, and the shares of units that
    were meant.
    """

    __test__ = False  # no test of ours
    control: str = ""
    shares: dict[str, Annotated[float, Field(gt=0)]] = {}


class Settlement(_Model):
    """What was decided about a suspicion."""

    decision: str
    reason: str


def _finite(parameters: dict[str, Any]) -> dict[str, Any]:
    for name, value in parameters.items():
        if _holds_no_number(value):
            raise ValueError(
                f'"{name}" holds .nan or .inf, which is no number: write one, or take it out'
            )
    return parameters


def _holds_no_number(value: Any) -> bool:
    if isinstance(value, dict | list):
        return any(map(_holds_no_number, value.values() if isinstance(value, dict) else value))
    return isinstance(value, float) and not math.isfinite(value)


# parts of the names of products and categories that are never recommended
NOT_ADVERTISED = [
    *(
        "coupon",
        "voucher",
        "gift card",
        "misc items",
        "deposit",
        "carrier bag",
        "shipping",
        "postage",
    ),
    *("gutschein", "pfand", "tragetasche", "versand", "优惠券", "礼品卡", "押金", "运费"),
]


class _Choices(_Model):
    """Choices of method; the names, usual values and bounds of methods.yaml are its fields."""

    @model_validator(mode="after")
    def _lights_in_order(self) -> _Choices:
        if self.pace_possible > self.pace_likely:
            raise ValueError("pace_possible may not be above pace_likely")
        return self


Methods = create_model(
    "Methods",
    __base__=_Choices,
    **{
        name: (type(choice["value"]), Field(choice["value"], ge=choice["least"], le=choice["most"]))
        for name, choice in methods.USUAL.items()
    },
)


class Settings(_Model):
    """The whole of client.yaml."""

    schema_version: Literal[1]
    title: str
    about: str = ""
    badges: list[str] = []
    language: Literal["en", "zh"] = "en"  # of the report
    currency: Currency
    timezone: Zone
    country: str = ""
    sources: dict[str, Source] = {}
    # one source a table, or a list of them
    tables: dict[str, Annotated[list[Mapping], BeforeValidator(_listed)]] = {}
    controls: dict[str, Control] = {}
    clean: list[CleanStep] = []
    rules: dict[str, RuleChange] = {}  # changes to general rules and to those of presets, by name
    # one unit of that currency in the client's own
    exchange_rates: dict[Currency, Annotated[float, Field(gt=0)]] = {}
    # sources, the most trusted first, for what is known of a person or product
    precedence: list[str] = []
    matching: Matching = Matching()
    private_days: int = Field(30, ge=1)  # what lies in private/ is due after so many days
    retention_days: int = Field(0, ge=0)  # rows older than this are left out; 0: none
    settled: dict[str, dict[str, Settlement]] = {}  # rule -> subject (or "*") -> decision
    economics: Economics = Economics()
    # where high begins: at most so many days since the last order, more than so many orders, more
    # than so much money
    # one left out is worked out
    rfm_cuts: dict[Literal["recency", "frequency", "monetary"], float] = {}
    tiers: Annotated[list[Tier], AfterValidator(_rising)] = []  # member tiers, the lowest first
    churn_thresholds: dict[str, Threshold] = {}  # key indicators of leaving, by name
    accounts: AccountRules = AccountRules()
    journeys: Journeys = Journeys()
    tests: dict[str, TestRules] = {}  # by the test's id
    methods: Methods = Methods()  # choices of method that differ from methods.yaml
    sales_growth: float = 0.03  # what the targets ask for beyond the forecast
    not_advertised: list[Annotated[str, Field(min_length=1)]] = NOT_ADVERTISED  # words in names
    keep_runs: int = Field(10, ge=1)
    # notebook parameters for this client
    parameters: Annotated[dict[str, Any], AfterValidator(_finite)] = {}


# what an engine puts on disk while it works: process, its start, count
_SPILL = re.compile(r"spill-(\d+)-(\d+)-\d+")
_spills = itertools.count(1)
_IGNORED = re.compile(r"\.|~\$|.*\.(md|part|tmp)$|Thumbs\.db|desktop\.ini")  # never data


LONGEST_NAME = 60  # letters of a client's name


def _slug(text: str) -> str:
    slug = re.sub(r"\W+", "_", text.lower()).strip("_") or "file"
    return f"f_{slug}" if slug[0].isdigit() else slug


def home() -> Path:
    """The folder that holds notebooks/, data/ and reports/: $PLAYBOOK_HOME, or the checkout."""
    return Path(os.environ.get("PLAYBOOK_HOME") or Path(__file__).parents[1]).resolve()


def names() -> list[str]:
    """The clients that have a settings file."""
    return sorted(p.parent.name for p in (home() / "data").glob("*/client.yaml"))


def check_name(name: str) -> None:
    """Raise PlaybookError for what cannot be a client's name."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise PlaybookError(
            f'"{name[:80]}" is not a client name: use letters, digits, - and _ only.'
        )
    if len(name) > LONGEST_NAME:
        raise PlaybookError(
            f"this client name has {len(name)} letters. Take one of at most {LONGEST_NAME}."
        )


class Client:
    """One client's settings, folders and sources.

    Raises PlaybookError where the name, the settings or a source file is at fault.
    """

    def __init__(self, name: str) -> None:
        check_name(name)
        self.name = name
        self.folder = home() / "data" / name
        self.file = self.folder / "client.yaml"
        if self.file.is_dir():
            raise PlaybookError(
                f"data/{name}/client.yaml is a folder. Put a settings file there (playbook new)."
            )
        if not self.file.is_file():
            close = difflib.get_close_matches(name, names(), n=1)
            hint = (
                f'Did you mean "{close[0]}"?'
                if close
                else f"Clients: {', '.join(names()) or 'none yet'}."
            )
            raise PlaybookError(f'no client "{name}": data/{name}/client.yaml is missing. {hint}')
        self.settings = _read_settings(self.file, f"data/{name}/client.yaml")

    @property
    def reports(self) -> Path:
        """Where finished reports are put, one folder a date."""
        return home() / "reports" / self.name

    @property
    def latest(self) -> Path | None:
        """Folder of the last whole run, or None."""
        line = self.folder / "latest"
        name = line.read_text(encoding="utf-8").strip() if line.is_file() else ""
        run = self.folder / "runs" / name
        return run if name and run.is_dir() else None

    def sources(self) -> list[tuple[str, str, Source]]:
        """Every file and query of the client: its name, the name it is read under, its settings.

        Those of client.yaml first, then what else lies in raw/.
        """
        found, taken, raw = [], set(), self.folder / "raw"
        every = (p for p in raw.rglob("*") if not _IGNORED.match(p.name))
        # links and pipes too: they are named
        files = sorted(p for p in every if p.is_symlink() or not p.is_dir())
        for name, spec in self.settings.sources.items():
            if spec.package or spec.database or "*" not in spec.file:
                taken.add(Path(os.path.normpath(spec.file)).as_posix())
                found.append((name, name, spec))
                continue
            matches = [p for p in files if p.relative_to(raw).match(spec.file)]
            if not matches:
                self.source_path(name, spec)
            for path in matches:
                file = path.relative_to(raw).as_posix()
                taken.add(file)
                found.append(
                    (f"{name}_{_slug(path.stem)}", name, spec.model_copy(update={"file": file}))
                )
        names = {name for name, _, _ in found}
        for path in files:
            file = path.relative_to(raw).as_posix()
            if file not in taken:
                name = base = _slug(file.rsplit(".", 1)[0])
                n = 2
                while name in names:
                    name, n = f"{base}_{n}", n + 1
                names.add(name)
                found.append((name, name, Source(file=file)))
        return [f for f in found if not f[2].skip]

    def private(self, *parts: str) -> Path:
        """A folder under private/, made when it is not there."""
        folder = self.folder.joinpath("private", *parts)
        folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "private").chmod(0o700)  # the owner's alone
        return folder

    def source_path(self, source: str, spec: Source) -> Path:
        """The file of a source; PlaybookError where it is missing or lies outside raw/."""
        if spec.package:
            found = importlib.util.find_spec(spec.package)
            if found is None:
                raise PlaybookError(
                    f"data/{self.name}/client.yaml, sources.{source}: the package "
                    f"{spec.package} is not installed. Run pip install {spec.package}."
                )
            root, shown = Path(found.origin).parent.resolve(), f"the package {spec.package}"
        else:
            root, shown = (self.folder / "raw").resolve(), "raw/"
        _check_kind(root / spec.file, spec.file)
        path = (root / spec.file).resolve()
        if os.path.isabs(spec.file) or not path.is_relative_to(root):
            raise PlaybookError(
                f'data/{self.name}/client.yaml, sources.{source}.file: "{spec.file}" leads out of'
                f" {shown}. Put the file into raw/ and name it alone."
            )
        if not path.is_file():
            where = f"the package {spec.package}" if spec.package else f"data/{self.name}/raw/"
            raise PlaybookError(
                f"data/{self.name}/client.yaml, sources.{source}: there is no {spec.file} in "
                f"{where}. Put the file there or correct the name."
            )
        return path

    def hashes(self) -> dict[str, str]:
        """SHA-256 of every source file and of the settings."""
        files = {
            name: self.source_path(name, spec)
            for name, _, spec in self.sources()
            if not spec.database
        }
        return {
            name: file_hash(path) for name, path in (files | {"client.yaml": self.file}).items()
        }


def utf8(name: str) -> str:
    """A file's name that can be shown and stored: bytes of it that are no UTF-8 become marks."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _check_kind(path: Path, file: str) -> None:
    """Raise PlaybookError for a name that is no UTF-8, a link that leads nowhere, and what is no
    file, as a pipe.
    """
    if utf8(file) != file:
        raise PlaybookError(
            f"{utf8(file)}: the name of this file is not UTF-8. Give it a name of plain letters."
        )
    if path.is_symlink() and not path.exists():
        raise PlaybookError(
            f"{file}: a link to a file that is not there. Put the file itself into raw/, or take"
            " the link away."
        )
    if path.is_symlink() and path.is_dir():
        raise PlaybookError(
            f"{file}: a link to a folder. Put the folder itself into raw/, or take the link away."
        )
    if path.exists() and not path.is_file() and not path.is_dir():
        raise PlaybookError(
            f"{file}: not a file but a pipe or a device. Put a file with its rows into raw/, or"
            " take it away."
        )


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Say in one line why a file called `name` cannot be read."""
    try:
        yield
    except PermissionError:
        raise PlaybookError(
            f"{name}: the file is locked. Close the program that has it open, or let yourself"
            " read it."
        ) from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as e:
        raise PlaybookError(f"{name}: cannot be unpacked ({e}). Export it again.") from None
    except OSError as e:
        raise PlaybookError(
            f"{name}: cannot be read ({e.strerror or e}). Copy it into raw/ again."
        ) from None


def file_hash(path: Path) -> str:
    """SHA-256 of a file, as hex."""
    with readable(path.name), path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def connect(spill_into: Path | None = None, memory: str = "2GB") -> ibis.BaseBackend:
    """A fresh in-memory DuckDB behind Ibis: all cores, a bound on its memory, and what is more in a
    folder of its own.

    That folder is made when it is needed, in `spill_into` (default: the system's place for
    temporary files), and goes with the connection. A killed process leaves it behind;
    `empty_spills` removes it then. DuckDB's own default is .tmp in the working folder, where
    customers' rows would stay.
    """
    quiet_ibis()
    spill = spill_into / spill_name() if spill_into else Path(tempfile.mkdtemp(prefix="playbook-"))
    con = ibis.duckdb.connect(memory_limit=memory, temp_directory=str(spill))
    weakref.finalize(con, shutil.rmtree, spill, ignore_errors=True)
    con.raw_sql("SET TimeZone = 'UTC'")
    return con


def spill_name() -> str:
    """A name for a folder of short-lived files that tells which process made it, by its number and
    its start.
    """
    return f"spill-{os.getpid()}-{born(os.getpid())}-{next(_spills)}"


def left_spills(*folders: Path) -> list[Path]:
    """What lies in folders that was spilled by processes that are no more."""
    every = [
        (p, _SPILL.fullmatch(p.name)) for folder in folders for p in sorted(folder.glob("spill-*"))
    ]
    return [p for p, name in every if name and born(int(name[1])) != int(name[2])]


def born(pid: int) -> int:
    """When a process began, in seconds; -1 where there is none of that number."""
    try:
        process = psutil.Process(pid)
        return -1 if process.status() == psutil.STATUS_ZOMBIE else int(process.create_time())
    except psutil.Error:
        return -1


def empty_spills(*folders: Path) -> None:
    """Remove from folders what processes that are no more have spilled; a living process keeps its
    own.
    """
    for path in left_spills(*folders):
        shutil.rmtree(path, ignore_errors=True)


def quiet_ibis() -> None:
    """Quieten two warnings that Ibis 12.0 raises about itself, and no others."""
    warnings.filterwarnings("ignore", message="fetch_arrow_table", category=DeprecationWarning)
    warnings.filterwarnings(
        "ignore", message="The 'future.infer_string' option", category=pd.errors.Pandas4Warning
    )


def parse_day(text: str) -> date:
    """A day written as 2017-12-31; PlaybookError for anything else."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise PlaybookError(f'"{text}" is not a day: write it as 2017-12-31.') from None


class _Twice(yaml.constructor.ConstructorError):
    """A name that is given twice."""


class _Unique(_Yaml):
    """YAML in which a name that is given twice is a mistake: else the last would win without a
    word.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise _Twice(
                        problem=f'"{key.value}" is given twice', problem_mark=key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


# what suggestions hold, which may be pasted one after the other
_BLOCKS = {"sources", "tables", "clean"}


def _in_one(root: yaml.MappingNode, names: set[str]) -> None:
    """Make one block of those that stand several times under one of these names, as after two
    pastes.
    """
    first, kept = {}, []
    for key, value in root.value:
        name = key.value if isinstance(key, yaml.ScalarNode) else ""
        if name not in names or name not in first:
            first.setdefault(name, len(kept))
            kept.append((key, value))
            continue
        place = first[name]
        kept[place] = (kept[place][0], _added(kept[place][1], value))
    root.value = kept


def _added(one: yaml.Node, more: yaml.Node) -> yaml.Node:
    """A block with what a second one adds; the mappings of one table stand in a list."""
    empty = [node for node in (one, more) if isinstance(node, yaml.ScalarNode) and not node.value]
    if empty:
        return more if empty[0] is one else one
    if type(one) is not type(more) or isinstance(one, yaml.ScalarNode):
        raise _Twice(problem="a block is given twice, in two ways", problem_mark=more.start_mark)
    one.value = [*one.value, *more.value]
    return one


def _list_tables(tables: yaml.MappingNode) -> None:
    """Write every table's mappings as a list, then one list for each table."""
    for i, (key, value) in enumerate(tables.value):
        if isinstance(value, yaml.MappingNode):
            listed = yaml.SequenceNode(
                "tag:yaml.org,2002:seq", [value], value.start_mark, value.end_mark
            )
            tables.value[i] = (key, listed)
    _in_one(tables, {key.value for key, _ in tables.value if isinstance(key, yaml.ScalarNode)})


def _load(text: str) -> object:
    """Settings as plain values; raises yaml.YAMLError."""
    loader = _Unique(text)
    try:
        root = loader.get_single_node()
        if isinstance(root, yaml.MappingNode):
            given = [key.value for key, _ in root.value]
            _in_one(root, _BLOCKS)
            pasted = given.count("tables") > 1
            for key, value in root.value:
                if pasted and key.value == "tables" and isinstance(value, yaml.MappingNode):
                    _list_tables(value)
        return loader.construct_document(root) if root is not None else None
    finally:
        loader.dispose()


def _read_settings(path: Path, shown: str) -> Settings:
    try:
        raw = _load(path.read_text(encoding="utf-8"))
    except PermissionError:
        raise PlaybookError(
            f"{shown}: may not be read. Let yourself read it, then try again."
        ) from None
    except UnicodeDecodeError as e:
        raise PlaybookError(
            f"{shown}: not UTF-8 (byte {e.start}). Save the file as UTF-8."
        ) from None
    except _Twice as e:
        raise PlaybookError(
            f"{shown}, line {e.problem_mark.line + 1}: {e.problem}. Keep one of the two."
        ) from None
    except yaml.YAMLError as e:
        mark = getattr(e, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise PlaybookError(
            f"{shown}{line}: not readable as YAML ({getattr(e, 'problem', e)}). Check the"
            " indentation and the colons."
        ) from None
    if not isinstance(raw, dict):
        raise PlaybookError(f"{shown}: expected settings by name, such as title: and sources:.")
    try:
        settings = Settings.model_validate(raw)
    except ValidationError as e:
        raise PlaybookError(f"{shown}, {_first_error(e)}") from None
    _check_references(settings, shown)
    return settings


def _first_error(error: ValidationError) -> str:
    # a name misspelt also misses
    errors = sorted(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    first = errors[0]
    where = ".".join(str(p) for p in first["loc"] if p != 0)  # the first of a list, or the only one
    if first["type"] == "extra_forbidden":
        model = _MODELS.get(first["loc"][0], Settings) if first["loc"][:-1] else Settings
        allowed = [f.alias or n for n, f in model.model_fields.items()]
        close = difflib.get_close_matches(str(first["loc"][-1]), allowed, n=1)
        text = (
            "unknown setting."
            f" {f'Did you mean {close[0]}?' if close else 'Known: ' + ', '.join(allowed) + '.'}"
        )
    elif first["type"] == "missing":
        text = "this setting is missing. Add it."
    elif first["input"] is None:
        text = "there is no value. Write one; a text with a comma or a colon in it goes in quotes."
    elif first["type"] in ("model_type", "dict_type"):
        text = f"expected settings by name (found {first['input']!r})."
    else:
        text = f"{first['msg'].removeprefix('Value error, ')} (found {first['input']!r})."
    more = f" ({len(errors) - 1} more to mend after this.)" if len(errors) > 1 else ""
    return f"{where}: {text}{more}"


_MODELS = {
    "sources": Source,
    "tables": Mapping,
    "controls": Control,
    "clean": CleanStep,
    "settled": Settlement,
}
_MODELS |= {"methods": Methods, "tiers": Tier, "churn_thresholds": Threshold, "journeys": Journeys}


def _check_references(settings: Settings, shown: str) -> None:
    for name, given in settings.tables.items():
        if name not in CANONICAL:
            raise PlaybookError(
                f"{shown}, tables.{name}: no such table. Known: {', '.join(CANONICAL)}."
            )
        for mapping in given:
            if mapping.source not in settings.sources:
                raise PlaybookError(
                    f'{shown}, tables.{name}.source: there is no source "{mapping.source}". '
                    f"Known: {', '.join(settings.sources)}."
                )
    for name, spec in settings.sources.items():
        if not re.fullmatch(r"\w[\w .-]*", name):
            raise PlaybookError(
                f'{shown}, sources: "{name}" is not a name for a source: use letters, digits,'
                " spaces, - and _ only."
            )
        if not (spec.file or spec.database):
            raise PlaybookError(
                f"{shown}, sources.{name}: say which file (or database and query) it is."
            )
    for kind, entries in (("controls", settings.controls.values()), ("clean", settings.clean)):
        for entry in entries:
            if entry.table not in CANONICAL:
                raise PlaybookError(
                    f'{shown}, {kind}: there is no table "{entry.table}". Known:'
                    f" {', '.join(CANONICAL)}."
                )
