"""Personal data: where they stand in a client's files, what was done with them, and masks for free text."""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import resources

import pandas as pd
import phonenumbers
import sqlglot
import yaml
from sqlglot import exp

from helpers import tables
from helpers.collect import people
from helpers.collect.sources import Opened, Part, _q

ROWS, TEXTS = 2_000, 20_000  # rows looked at, and of columns with free text
SHOWN = {"person.region", "person.city", "person.gender", "person.birth_year", "person.account_type", "person.since",
         "person.acquisition_channel", "person.consent_email", "person.consent_sms", "person.consent_ads",
         "person.consent_at"}  # fmt: skip
OWN_NUMBERS = ("customer_id", "unit_id", "respondent_id")
AS_IT_IS = " as it is"  # marks a place that holds the very cells of a column
COLUMNS = ["source", "column", "holds", "cells", "looked_at", "done", "reason"]

_LETTER = "A-Za-zÀ-ɏ"
_EMAIL = re.compile(
    rf"[{_LETTER}0-9._%+'’-]+(?:@|%40| ?[(\[]at[)\]] ?)[{_LETTER}0-9-]+(?:\.[{_LETTER}0-9-]+)*\.[A-Za-z]{{2,24}}", re.I
)
_QUICK = re.compile(r"@|%40|[(\[]at[)\]]|\d(?:[^\d\n]{0,3}\d){5}|::|(?:[0-9a-f]{1,4}:){3}|\d\.\d+\.\d+\.\d", re.I)
_DAYS = r"(?:\d{1,2}[./-]\d{1,2}[./-](?:\d{4}|\d{2})|\d{4}[./-]\d{1,2}[./-]\d{1,2})(?![./-]?\d)"
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2})?(?:\.\d+)?(?: ?[+-]\d{2}:?\d{2}\b)?"
_AMOUNT = r"(?:\d{1,3}(?:[.,'’]\d{3})+|\d+)(?:[.,]\d{1,2})?"
_PRICE = rf"[€$£¥]\s?{_AMOUNT}|{_AMOUNT}\s?(?:€|\$|£|¥|EUR|USD|CHF|GBP|CNY|RMB|元|块)|\d+[.,]\d\d(?![\d]|[.,]\d)"
_PLAIN = re.compile(rf"(?<![\d./-])(?:{_DAYS}|{_CLOCK})|(?<![\d.,/ -])(?:{_PRICE})")  # dates, times, money
_V4 = re.compile(r"(?<![\w.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\w]|\.\d)", re.A)
_V6 = re.compile(r"(?<![\w:.])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?![\w:])", re.I | re.A)
_LONG = re.compile(r"(?<![\w-])\d(?:[ -]?\d){12,18}[Xx]?(?![\w-]|[.,]\d)", re.A)
_IBAN = re.compile(r"\b[A-Z]{2}\d{2} ?(?:[A-Z0-9]{4} ?){2,7}[A-Z0-9]{0,4}\b", re.A)
_PHONE = re.compile(r"(?<![\w.,/#+*-])(?:\+ ?|\(\+)?\(?\d(?:[ ./()–-]{0,3}\d){6,14}(?![\w]|[.,]\d)", re.A)
_CARD = re.compile(r"(?:4\d|5[1-5]|2[2-7]|35|65)\d{14}|3[47]\d{13}|3[068]\d{12}|6011\d{12}|62\d{14,17}")
_NANP = re.compile(r"(?:1[ .-]?)?(?:\([2-9]\d\d\) ?|[2-9]\d\d[ .-])[2-9]\d\d[ .-]\d{4}")
_TRUNK = ("DE", "FR", "GB", "AT", "CH", "CN")  # regions in which a number starts with 0 when no region is given
_WORD = re.compile(rf"[{_LETTER}]+(?:['’][{_LETTER}]+)*|[\u4e00-\u9fff]+")
_GAP = re.compile(r"[\s,.+_·-]{1,3}|%20|\+")
_BEFORE = re.compile(r"([^\W\d_]+|#)[\s.:：#°=()-]*$")
_CALLED = re.compile(
    r"\b(?:tel|telefon|telephone|phone|call|ring|mobile?|handy|cell|whatsapp|fon|portable|telefonnummer|rufnummer)\b"
    r"|电话|手机|致电|微信|联系",
    re.I,
)
_HAN_TITLES = ["先生", "女士", "小姐", "太太", "老师"]
_CHECK = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)  # weights of a Chinese identity number
Find = tuple[int, int, str]


@cache
def _facts() -> dict:
    return yaml.safe_load(resources.files("helpers.collect").joinpath("privacy.yaml").read_text(encoding="utf-8"))


def laws() -> pd.DataFrame:
    """What GDPR and PIPL ask of each practice, with the articles, and what is done here. No legal advice."""
    return pd.DataFrame(_facts()["laws"])


def unseen(customers: pd.DataFrame) -> dict[str, dict[str, int]]:
    """For each channel how many people may be contacted, may not, and are not known to have said.

    >>> unseen(pd.DataFrame({"consent_email": [True, False, None], "consent_sms": None, "consent_ads": None}))["email"]
    {'given': 1, 'refused': 1, 'not known': 1}
    """
    said = {c: customers[f"consent_{c}"].astype("boolean") for c in ("email", "sms", "ads")}
    return {
        c: {"given": int(s.eq(True).sum()), "refused": int(s.eq(False).sum()), "not known": int(s.isna().sum())}
        for c, s in said.items()
    }


# --- what a text holds ------------------------------------------------------------------------


def find_contacts(text: str, country: str = "") -> list[Find]:
    """E-mails, phones, cards, bank accounts, identity cards and IP addresses in a text: start, end, kind.

    Numbers are believed only where a check digit, a prefix or a word before them says so: order numbers, prices and
    dates stay. `country` (DE) is where phone numbers without prefix are from.

    >>> find_contacts("Order 4003600000000014, 12.05.2024, 19.99 EUR: call +49 151 23456789")
    [(52, 68, 'phone')]
    """
    if not _QUICK.search(text):
        return []
    may_write = "@" in text or "%40" in text or "at)" in text or "at]" in text
    found = [(m.start(), m.end(), "e-mail") for m in _EMAIL.finditer(text)] if may_write else []
    rest = _blank(text, found)
    for pattern, kind, is_one, mark, times in _NUMBERS:
        if text.count(mark) < times:
            continue
        new = [(m.start(), m.end(), kind or said) for m in pattern.finditer(rest) if (said := is_one(m))]
        rest, found = _blank(rest, new), found + new
    if _PHONE.search(rest):
        rest = _PLAIN.sub(lambda m: "\0" * len(m[0]), rest)
        found += [(m.start(), m.end(), "phone") for m in _PHONE.finditer(rest) if _is_phone(m, country)]
    return sorted(found)


def _blank(text: str, found: list[Find]) -> str:
    for start, end, _kind in found:
        text = text[:start] + "\0" * (end - start) + text[end:]
    return text


def _word_before(match: re.Match) -> str:
    said = _BEFORE.search(match.string, max(match.start() - 25, 0), match.start())
    return said[1].lower() if said else ""


def _labels_number(match: re.Match) -> bool:
    word = _word_before(match)
    return word == "#" or word in _facts()["number_words"] or word.endswith(("单号", "编号", "订单", "version"))


def _is_v6(match: re.Match) -> bool:
    groups = [g for g in match[0].split(":") if g]
    if len(groups) < 2 or not any(c.isdigit() for c in match[0]):
        return False
    try:
        ipaddress.ip_address(match[0])
    except ValueError:
        return False
    return True


def _is_iban(text: str) -> bool:
    text = text.replace(" ", "")
    return 15 <= len(text) <= 34 and int("".join(str(int(c, 36)) for c in text[4:] + text[:4])) % 97 == 1


def _long_number(match: re.Match) -> str:
    digits = re.sub(r"[ -]", "", match[0]).upper()
    if re.fullmatch(r"[1-9]\d{5}(?:19|20)\d\d(?:0[1-9]|1[0-2])[0-3]\d{4}[\dX]", digits):
        check = sum(int(d) * w for d, w in zip(digits, _CHECK, strict=False))
        return "identity card" if "10X98765432"[check % 11] == digits[-1] else ""
    if not _CARD.fullmatch(digits) or _labels_number(match):
        return ""
    doubled = [int(d) * (1 + i % 2) for i, d in enumerate(reversed(digits))]  # Luhn
    return "card" if sum(d // 10 + d % 10 for d in doubled) % 10 == 0 else ""


_NUMBERS = [
    (_V6, "IP", _is_v6, ":", 2),
    (_V4, "IP", lambda m: not _labels_number(m), ".", 3),
    (_IBAN, "bank account", lambda m: _is_iban(m[0]), "", 0),
    (_LONG, "", _long_number, "", 0),
]  # pattern, kind, check, and a mark that such a text holds at least so often


def _is_phone(match: re.Match, country: str) -> bool:
    text = match[0].lstrip("(")
    digits = re.sub(r"\D", "", text)
    called = _CALLED.search(match.string, max(match.start() - 25, 0), match.start())
    if _labels_number(match) and not called:
        return False
    if text.startswith("+") or digits.startswith("00"):
        return _possible("+" + digits.lstrip("0"), None) and len(digits.lstrip("0")) > 7
    if re.fullmatch(r"(?:86[ -]?)?1[3-9]\d[ -]?\d{4}[ -]?\d{4}", text):
        return True
    if digits[0] == "0":
        apart = re.fullmatch(r"\(?0\d{1,5}\)?[ /-][\d /-]+|0\d(?:[ .-]\d\d){4}", match[0])
        return bool(apart and 8 < len(digits) < 14) or any(_valid(text, r) for r in {country, *_TRUNK} - {""})
    if _NANP.fullmatch(match[0]):
        return True
    return bool(called) and any(_possible(text, r) for r in {country, "US"} - {""})


@cache
def _possible(text: str, country: str | None) -> bool:
    try:
        return phonenumbers.is_possible_number(phonenumbers.parse(text, country))
    except phonenumbers.NumberParseException:
        return False


@cache
def _valid(text: str, country: str) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(text, country))
    except phonenumbers.NumberParseException:
        return False


_fold = cache(people.fold)


class KnownNames:
    """Full names, to be found in texts in either order: Anna Schmidt, SCHMIDT, Anna, anna.schmidt, 王小明."""

    def __init__(self, names: Iterable[str]) -> None:
        self.latin: dict[str, set[tuple[str, ...]]] = {}
        self.han: set[str] = set()
        for name in {n for n in names if isinstance(n, str)}:
            first, last = people._split_name(name)
            if "\u4e00" <= last[:1] <= "\u9fff" and first:
                self.han.add(last + first)
            elif len(first) > 1 and len(last) > 1:
                some, rest = first.split(), last.split()
                for words in {(*some, *rest), (*rest, *some), (some[0], *rest), (*rest, some[0])}:
                    self.latin.setdefault(words[0], set()).add(words[1:])
        self.skipped = people._words("particles")
        self._may_begin = cache(lambda w: bool(self.han) if w[0] >= "\u4e00" else _fold(w) in self.latin)

    def find(self, text: str, own: str | None = None) -> list[Find]:
        """Where known names stand in a text; `own` is the name of its writer, of which each part counts alone."""
        mine, family = _parts(own) if isinstance(own, str) else (frozenset(), "")
        found: list[Find] = []
        if not (mine or any(map(self._may_begin, _WORD.findall(text)))):
            return found
        words = list(_WORD.finditer(text))
        for i, m in enumerate(words):
            if found and m.start() < found[-1][1]:
                continue
            if m[0][0] >= "\u4e00":
                found += self._in_han(m, mine, family)
                continue
            rests = self.latin.get(_fold(m[0]), ())
            end = max((self._end(text, words, i, rest) for rest in rests), default=0) if rests else 0
            if end:
                found.append((m.start(), end, "name"))
            elif mine and _stem(m[0]) in mine and (m[0][0].isupper() or i == len(words) - 1):
                found.append((m.start(), m.end(), "name"))
        return found

    def _end(self, text: str, words: list[re.Match], at: int, rest: tuple[str, ...]) -> int:
        """Where a name ends whose first word stands at `at`, or 0; particles and initials may stand between."""
        for wanted in rest:
            for _ in range(4):
                at += 1
                if at == len(words) or not _GAP.fullmatch(text, words[at - 1].end(), words[at].start()):
                    return 0
                word = _fold(words[at][0])
                if wanted in (word, _stem(words[at][0]), word.removesuffix("s")):
                    break
                if len(word) > 1 and word not in self.skipped:
                    return 0
            else:
                return 0
        return words[at].end()

    def _in_han(self, run: re.Match, mine: frozenset[str], family: str) -> Iterator[Find]:
        text, i = run[0], 0
        meant = {*mine, *(family + t for t in _HAN_TITLES if family)}
        while i < len(text):
            cuts = {n: text[i : i + n] for n in (4, 3, 2) if i + n <= len(text)}
            n = next((n for n, cut in cuts.items() if cut in self.han or cut in meant), 0)
            if n:
                yield run.start() + i, run.start() + i + n, "name"
            i += n or 1


def _stem(word: str) -> str:
    return _fold(re.sub("['’]s$", "", word))


@cache
def _parts(own: str) -> tuple[frozenset[str], str]:
    """The parts of a person's name that mean them when they stand alone, and a Chinese family name."""
    first, last = people._split_name(own)
    if "\u4e00" <= (last or first)[:1] <= "\u9fff":
        return frozenset(w for w in (first, last + first) if len(w) > 1), last
    return frozenset(w for w in (first + " " + last).split() if len(w) > 2), ""


def mask(texts: pd.Series, names: Iterable[str], own: pd.Series | None = None, country: str = "") -> pd.Series:
    """Texts in which contacts and known people are replaced by [e-mail], [phone], [card], [IP], [name] ...

    `names` are the full names of people, as their sources write them; `own` is the name of each text's writer, of
    which the first or last name alone is masked too.

    >>> mask(pd.Series(["Schmidt, Anna: call 0151 23456789 about order 100234"]), {"Anna Schmidt"}).item()
    '[name]: call [phone] about order 100234'
    """
    known, texts = KnownNames(names), texts.astype("str")
    if own is None:
        clean = {t: _masked(t, known, None, country) for t in texts.dropna().unique()}
        return texts.map(clean).astype("str")
    clean = [_masked(t, known, o, country) if isinstance(t, str) else t for t, o in zip(texts, own, strict=True)]
    return pd.Series(clean, index=texts.index, name=texts.name, dtype="str")


def _masked(text: str, known: KnownNames, own: str | None, country: str) -> str:
    found = find_contacts(text, country)
    for start, end, kind in sorted(found + known.find(_blank(text, found), own), reverse=True):
        text = f"{text[:start]}[{kind}]{text[end:]}"
    return text


# --- what the files hold ----------------------------------------------------------------------


@cache
def heading_kind(heading: str) -> str:
    """The kind of personal data that a heading names, or nothing.

    >>> [heading_kind(h) for h in ("Billing Zip", "E-Mail-Adresse", "Lineitem name", "手机号")]
    ['address', 'e-mail', '', 'phone']
    """
    text = re.sub(r"\d+$", "", people.fold(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", heading))).strip()
    for kind, terms in _facts()["headings"].items():
        if any(_heads(text, t) for t in terms):
            return "" if any(_heads(text, t) for t in _facts()["not"].get(kind, ())) else kind
    return ""


def _heads(text: str, term: str) -> bool:
    word = people.fold(term)
    if term[0] == "=":
        return text == word
    if "\u4e00" <= term[0] <= "\u9fff":
        return word in text if term.endswith("*") else text.endswith(word)
    return re.search(rf"\b{re.escape(word)}{'' if term.endswith('*') else chr(92) + 'b'}", text) is not None


def scan(opened: Opened) -> pd.DataFrame:
    """One row a column of every source (table `privacy`): what personal data it holds, and what was done with it.

    Looks at about 2,000 rows spread over the source, and at 20,000 of columns with free text.
    """
    records = opened.identity.records if opened.has_people else None
    known, country = KnownNames(() if records is None else known_names(records)), opened.client.settings.country
    rows = []
    for group in opened.groups:
        columns = list(dict.fromkeys(c for f in opened.of(group) for c in f.facts["columns"]))
        uses, sample = column_uses(opened, group), _sample(opened, group, columns, ROWS)
        for c in columns:
            cells = sample[c].dropna()
            if _is_free_text(cells):
                cells = _sample(opened, group, [c], TEXTS)[c].dropna()
            holds, count = _look(c, cells, known, country)
            done, reason = _done(uses.get(c.lower(), set()), holds, heading_kind(c))
            rows.append((group, c, ", ".join(holds), count, len(cells), done, reason))
    return pd.DataFrame(rows, columns=COLUMNS)


def known_names(records: pd.DataFrame) -> set[str]:
    """The full names in the records of people, as their sources write them."""
    both = records["first_name"].str.strip() + " " + records["last_name"].str.strip()
    return set(records["name"].dropna()) | set(both.dropna())


def _sample(opened: Opened, group: str, columns: list[str], rows: int) -> pd.DataFrame:
    lines = sum(f.facts["lines"] for f in opened.of(group))
    cells = ", ".join(f"CAST({_q(c)} AS VARCHAR) AS {_q(c)}" for c in columns)
    some = f"hash(source_line) % {max(lines // rows, 1)} = 0"  # spread over the file, the same rows each time
    return opened.query(f"SELECT {cells} FROM {_q('all ' + group)} WHERE {some}", group).df()


def _is_free_text(cells: pd.Series) -> bool:
    some = cells.drop_duplicates().head(200)
    if some.empty:
        return False
    words = some.str.count(r"[^\W\d_]{2,}") + some.str.count(r"[\u4e00-\u9fff]") / 2
    return words.mean() >= 5


def _look(column: str, cells: pd.Series, known: KnownNames, country: str) -> tuple[list[str], int]:
    """The kinds of personal data in a column and the number of cells that hold some."""
    counts, total, heading = cells.value_counts(), len(cells), heading_kind(column)
    if heading == "customer id" and len(counts) < min(20, total / 10):
        heading = ""  # a few values for many rows: a type, not a number
    if heading == "name" and counts.index.str.fullmatch(r"[\d\W]*").all():
        heading = ""
    kinds, hit, free = Counter(), 0, _is_free_text(cells)
    for text, n in counts.items():
        here = {kind for _, _, kind in find_contacts(text, country)}
        if " " in text or "," in text or text[:1] >= "\u4e00":
            here |= {"name" for _ in known.find(text)[:1]}
        hit += n * bool(here)
        kinds.update(dict.fromkeys(here, n))
    # In a column of short cells a few hits are chance: one number in ten passes for a card.
    least = {"e-mail": 0, "IP": 0.02, "card": 0.5}
    found = {k for k, n in kinds.items() if free or n >= least.get(k, 0.2) * total}
    if heading and heading not in found and total:
        return sorted({heading} | found), total
    return sorted(found), hit if found else 0


def _done(uses: set[str], holds: list[str], heading: str) -> tuple[str, str]:
    """What was done with a column, and why, in words."""
    plain = {u.removesuffix(AS_IT_IS) for u in uses if u.endswith(AS_IT_IS)}
    uses = {u.removesuffix(AS_IT_IS) for u in uses}
    stored = sorted(u for u in uses if not u.startswith(("rows.", "person.")))
    shown = ", ".join(stored[:3]) + (" ..." if len(stored) > 3 else "")
    tells_who = any(u.startswith("person.") and u not in SHOWN for u in uses)
    if not uses:
        return "dropped", "no table uses it"
    if set(holds) <= {"customer id"} and any(u.partition(".")[2] in OWN_NUMBERS for u in stored):
        why = "the client's own number as it stands, not as a pseudonym, because the mapping names no `person`"
        return "kept", f"stored as {shown}: {why}"
    if holds == ["customer id"] and plain - {u for u in plain if u.startswith("person.")}:
        return "kept", f"stored as {shown}; the client's own number, with no contact data beside it"
    if any(_is_masked(u) for u in plain or uses) and not (heading and tells_who):
        return "masked", f"stored as {shown}; contacts and known names in it become marks such as [name]"
    if tells_who:
        return "replaced by a pseudonym", "used to know who is who; tables hold the pseudonym alone"
    if any(u.endswith(".pseudonym") for u in uses):
        return "replaced by a pseudonym", "tables hold a keyed pseudonym in its place"
    if not stored and uses & SHOWN:
        return "kept", "describes the person in customers; names nobody alone"
    if not stored:
        return "dropped", "read to sort or find rows only"
    if holds:
        return "kept", f"stored as {shown} although it may be personal: map it under person, or leave it out"
    return "kept", f"stored as {shown}; not personal"


def _is_masked(place: str) -> bool:
    table, _, column = place.partition(".")
    known = tables.get(table).columns if table in tables.CANONICAL else {}
    return column in known and known[column].unit == "free text"


def column_uses(opened: Opened, group: str) -> dict[str, set[str]]:
    """For each column of a source (in lower case) where it goes: table.column, person.field, or rows.table.

    What a SELECT of a preset works out is followed back to the columns of the file.
    """
    uses: dict[str, set[str]] = {}
    style, columns = opened.style(group), {c.lower() for f in opened.of(group) for c in f.facts["columns"]}
    for parts in opened.parts.values():
        for p in parts:
            if p.group != group and group not in re.findall(r"\w+", p.rows):
                continue
            made = _made_of(p, style)
            turned = re.search(r"(?i)\bUNPIVOT\b[^(]*\(\s*(\w+)\s+FOR\b", p.rows)
            if turned:  # each answer stands in a row of its own
                named = _words(p.rows.replace("'", '"'))
                made.setdefault(turned[1].lower(), set()).update(c for c in columns if c not in named)
            for c, e in p.columns.items():
                place = f"{p.table}.{c}"
                for name in _origins(e, made):
                    alone = AS_IT_IS if e == _q(name) or e.lower() in (_q(name), name) else ""
                    uses.setdefault(name, set()).add(f"{place}.pseudonym" if "pseudonym(" in e else place + alone)
            for field, e in p.person.items():
                for name in _origins(e, made):
                    uses.setdefault(name, set()).add(f"person.{field}")
            for name in _words(p.rows):
                uses.setdefault(name, set()).add(f"rows.{p.table}")
    preset = opened.of(group)[0].preset
    for sql in [preset.layout, preset.dated, *preset.totals.values()] if preset else []:
        for name in _words(sql):
            uses.setdefault(name, set()).add("rows.layout")
    return uses


def _words(sql: str) -> set[str]:
    """The names in an expression, in lower case."""
    plain = re.sub(r"'(?:[^']|'')*'", " ", sql)
    return {(quoted or bare).lower() for quoted, bare in re.findall(r'"((?:[^"]|"")+)"|(\b[^\W\d]\w*)', plain)}


def _made_of(part: Part, style: dict[str, str]) -> dict[str, set[str]]:
    """For each name that the rows of a part define, the names that it is made of."""
    if not part.rows.lstrip().startswith("("):
        return {}
    made: dict[str, set[str]] = {}
    try:
        tree = sqlglot.parse_one(f"SELECT * FROM {part.sql(part.rows, style)}", read="duckdb")
    except sqlglot.errors.SqlglotError:
        return {}
    for alias in tree.find_all(exp.Alias):
        made.setdefault(alias.alias.lower(), set()).update(c.name.lower() for c in alias.this.find_all(exp.Column))
    return made


def _origins(expression: str, made: dict[str, set[str]]) -> set[str]:
    found, to_see = set(), set(_words(expression))
    while to_see:
        name = to_see.pop()
        if name not in found:
            found.add(name)
            to_see |= made.get(name, set())
    return found
