"""Masks for personal data in free text: contacts (see contacts.py) and known names, in all their
spellings.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Container, Iterable, Iterator
from functools import cache
from itertools import pairwise, takewhile

import ibis.expr.types as ir
import pandas as pd

from helpers import tables
from helpers.collect import people
from helpers.collect.contacts import HAN, blank, contacts_in, emails_in, facts
from helpers.collect.keys import key_of, pseudonym
from helpers.collect.opened import UNREADABLE, Opened, sql_name, sql_text
from helpers.collect.spelling import Find, Plain

ANY_CODE = "any code"  # whether somebody who asked to be forgotten had codes of their own
ANY_STREET = "any street"  # or a street with a house number

_WORD = re.compile(rf"[^\W\d_{HAN}]+(?:'[^\W\d_{HAN}]+)*|[{HAN}]+(?:[ ·•・‧]{{1,2}}[{HAN}]+)*")
_GAP = re.compile(r"[\s,.+_·/|;–-]{1,3}|\s{1,9}")
_DOUBLE = re.compile(r"-(?=[^\W\d_])[^\W\d_a-zß-öø-ÿ][^\W\d_]+")  # the second part of a double name
_TOKEN = re.compile(r"[^\W_]+")
_HOUSE = re.compile(r"\d{1,4}[a-z]?", re.I)
_MOST = 5  # words of a street's name
_NEXT = re.compile(r"[\s,.'-]{0,3}")  # what may stand between two words of a street
_ROOM = re.compile(r"(?i)apt|apartment|flat|unit|suite|ste|floor|etage|og|eg|top|stock|whg")
_INITIAL = re.compile(r", ?([^\W\d_])\.")
_CODE = re.compile(r"[\w-]{4,40}")
_ELIDED = re.compile(r"(?:[dlmnstcj]|qu)'(?=\w)", re.I)
_NOT_TEXTS = {"source_name", "source_file"}  # the client's own words for its files
# a key without these can name nobody
_WORDS = r"[@%&]|[^ -~]|[A-Za-z]{7}|[A-Za-z]{2}[^A-Za-z]+[A-Za-z]{2}"
_HAN_TITLES = ["先生", "女士", "小姐", "太太", "老师"]


# --- names ------------------------------------------------------------------------------------

_fold = cache(people.fold)


def name_forms(name: str) -> set[str]:
    """What the finder of names asks for, of one full name: its folded forms, and with a sign before
    them its parts.

    "^anna": a form begins with this word; "* schmidt": the family name after a salutation; "a.
    schmidt": with an initial. A name of one part has none.

    >>> sorted(name_forms("Tom Li"))
    ['* li', '^li', '^tom', 'li tom', 't. li', 'tom li']
    """
    name = unicodedata.normalize("NFKC", name)
    forms = _forms(name)
    return forms | _forms(re.sub("[åÅ]", "aa", name)) if re.search("[åÅ]", name) else forms


def _forms(name: str) -> set[str]:
    first, last = people._split_name(name)
    if "\u4e00" <= last[:1] <= "\u9fff":
        whole = last + first
        return {whole, f"^{whole[0]}"} if first else set()
    if len(first) < 2 or len(last) < 2:
        return set()
    # of José García López only the two family names may follow
    head, rest = f"{first} {last}".split(" ", 1)
    given = {first, head}
    family = {last, last.split()[0]} if len(last.split()[0]) > 2 else {last}
    pairs = {(g, f) for g in given for f in family} | {(head, rest)}
    # of María García López, written in one cell, García may be a family name
    second = rest.split()[0]
    if " " in first and len(second) > 2 and len(head) > 2:
        pairs.add((head, second))
        family.add(second)
    whole = {f"{g} {f}" for g, f in pairs} | {f"{f} {g}" for g, f in pairs}
    joined = (f"{first}{last}".replace(" ", ""), f"{last}{first}".replace(" ", ""))
    whole |= {j for j in joined if len(j) > 6}
    lone = {f for f in family | {rest} if len(f) > 1}
    signs = (
        {f"^{w.split()[0]}" for w in whole}
        | {f"* {f}" for f in lone}
        | {f"{first[0]}. {f}" for f in lone}
    )
    return whole | signs


def street_forms(street: str) -> set[str]:
    """What is asked for in texts, of one street with its house number: that alone, without floor,
    room and town.

    >>> street_forms("Rosenhof 14 B, 2. OG"), street_forms("12 Broadway, Apt 4"), street_forms("Rosenhof")
    ({'street rosenhof 14b'}, {'street 12 broadway'}, set())
    """
    words = list(_TOKEN.finditer(street))
    at = next((i for i, m in enumerate(words) if m[0][0].isdigit()), None)
    if at is None:
        return set()
    if at:
        return {_street_form(street[words[max(at - _MOST, 0)].start() : _house_end(words, at)])}
    named = list(takewhile(lambda m: not (m[0][0].isdigit() or _ROOM.fullmatch(m[0])), words[1:]))[
        :_MOST
    ]
    return {_street_form(street[: named[-1].end()])} if named else set()


def _street_form(text: str) -> str:
    return f"street {people._street(text)}"


def _house_end(words: list[re.Match], at: int) -> int:
    """Where a house number ends that stands at a word; a letter may follow it."""
    after = words[at + 1 : at + 2]
    return (
        after[0].end()
        if after and len(after[0][0]) == 1 and after[0][0].isalpha()
        else words[at].end()
    )


def _may_be_streets(text: str) -> Iterator[tuple[int, int, str]]:
    """Up to five words before or behind each number in a text, the longest first: start,
    end, form.
    """
    words = list(_TOKEN.finditer(text))
    for at, m in enumerate(words):
        if not _HOUSE.fullmatch(m[0]):
            continue
        before, after = _beside(text, words[: at + 1][::-1]), _beside(text, words[at:])
        for i in range(before, 0, -1):
            for end in dict.fromkeys((_house_end(words, at), m.end())):
                start = words[at - i].start()
                yield start, end, _street_form(text[start:end])
        for i in range(after, 0, -1):
            end = words[at + i].end()
            yield m.start(), end, _street_form(text[m.start() : end])


def _beside(text: str, words: list[re.Match]) -> int:
    """How many words without a digit stand beside the first one, with nothing but a space or a
    comma between.
    """
    count = 0
    for m, n in pairwise(words[: _MOST + 1]):
        a, b = sorted((m, n), key=re.Match.start)
        if n[0][0].isdigit() or not _NEXT.fullmatch(text[a.end() : b.start()]):
            break
        count += 1
    return count


class KnownNames:
    """Full names, to be found in texts in either order: Anna Schmidt, SCHMIDT, Anna, anna.schmidt,
    王小明.

    `gone` answers for people who asked to be forgotten: whether it holds one of the `name_forms` or
    `street_forms` of theirs, or one of their codes.
    """

    def __init__(self, names: Iterable[str] = (), gone: Container[str] = frozenset()) -> None:
        self.names = {n for n in names if isinstance(n, str)}
        self.forms, self.gone = set().union(*map(name_forms, self.names)), gone
        self.has_codes, self.has_streets = ANY_CODE in gone, ANY_STREET in gone
        self.skipped = people._words("particles")
        self._words = set().union(*map(str.split, self.forms))
        self._begins = cache(self._may_begin)

    def _has(self, form: str) -> bool:
        return form in self.forms or form in self.gone

    def _may_go_on(self, words: Iterable[str]) -> bool:
        """Whether a name may hold one of these words; of people forgotten nobody can say."""
        return bool(self.gone) or not self._words.isdisjoint(words)

    def _may_begin(self, word: str) -> bool:
        if word[0] >= "\u4e00":
            return any(self._has(f"^{c}") for c in word)
        return any(self._has(f"^{w}") for w in _spellings(word))

    def find(self, text: str, own: str | None = None) -> list[Find]:
        """Where known names stand in a text; `own` is the name of its writer, of which each part
        counts alone.
        """
        plain = Plain(text)
        return plain.there(self.found(plain.text, own))

    def found(self, text: str, own: str | None = None) -> list[Find]:
        """As `find`, in a text of one spelling (see `Plain`)."""
        theirs = (
            [(*m.span(), "code") for m in _CODE.finditer(text) if self._is_code(m[0])]
            if self.has_codes
            else []
        )
        if self.has_streets:
            theirs += self._streets_in(blank(text, theirs))
        return theirs + self._names_in(blank(text, theirs), own)

    def without(self, names: Iterable[str]) -> KnownNames:
        """The same but for some names, such as those of brands."""
        folded = {people.fold(n) for n in names}
        ours = {n for n in self.names if people.fold(n) in folded}
        return KnownNames(self.names - ours, self.gone) if ours else self

    def _is_code(self, word: str) -> bool:
        return f"code {word.casefold()}" in self.gone

    def _streets_in(self, text: str) -> list[Find]:
        """Streets of people forgotten, also such as no other word shows to be one."""
        found: list[Find] = []
        for start, end, street in _may_be_streets(text):
            if street in self.gone and not (found and start < found[-1][1]):
                found.append((start, end, "address"))
        return found

    def _names_in(self, text: str, own: str | None) -> list[Find]:
        mine, family = _parts(own) if isinstance(own, str) else (frozenset(), "")
        found: list[Find] = []
        if not (mine or any(map(self._begins, _WORD.findall(text)))):
            return found
        words = list(_WORD.finditer(text))
        for i, m in enumerate(words):
            if found and m.start() < found[-1][1]:
                continue
            if m[0][0] >= "\u4e00":
                found += self._in_han(m, mine, family)
                continue
            if not (mine or len(m[0]) == 1 or self._begins(m[0]) or _greets(m[0])):
                continue
            start, end = self._at(text, words, i)
            if end:
                found.append((start, end, "name"))
            elif mine and _stem(m[0]) in mine and (m[0][0].isupper() or i == len(words) - 1):
                found.append((m.start(), m.end(), "name"))
        return found

    def _at(self, text: str, words: list[re.Match], i: int) -> tuple[int, int]:
        """Start and end of a name that begins with the word at `i`; the end is 0 where there is
        none.
        """
        m, end = words[i], 0
        elided = _ELIDED.match(m[0])
        for word in _spellings(m[0]):
            if self._has(f"^{word}"):
                end = max(end, self._end(text, words, i, word))
        if end:
            return (
                m.start() + (elided.end() if elided and not self._has(f"^{_fold(m[0])}") else 0),
                end,
            )
        if len(m[0]) == 1 and text[m.end() : m.end() + 1] == ".":
            end = self._after(text, words, i, f"{_fold(m[0])}. ")
            if end or m[0] != "M":  # M. Dupont is Monsieur
                return m.start(), end
        if _greets(m[0]) or m[0] == "M":
            end = self._after(text, words, i, "* ")
            return words[i + 1].start() if end else 0, end
        return self._initial_last(text, words, i)

    def _end(self, text: str, words: list[re.Match], at: int, begins: str) -> int:
        """Where a name ends whose first word stands at `at`, or 0.

        Particles, initials and one middle name may stand between.
        """
        end = words[at].end() if self._has(begins) else 0
        said, may_skip = [begins], True
        for before, m in pairwise(words[at : at + 9]):
            gap = text[before.end() : m.start()]
            if not _GAP.fullmatch(gap):
                break
            word = _fold(m[0])
            if len(word) == 1 or word in self.skipped:
                continue
            spellings = {word, _stem(m[0]), word.removesuffix("s")}
            if not self._may_go_on(spellings):
                if not may_skip:
                    break
            elif any(self._has(f"{s} {w}") for s in said for w in spellings):
                end = m.end()
            longer = [f"{s} {word}" for s in said]
            is_middle = (
                may_skip
                and gap.isspace()
                and m[0][0].isupper()
                and text[m.end() : m.end() + 1].isspace()
            )
            said, may_skip = longer + (said if is_middle else []), False
        return _with_double(text, end)

    def _after(self, text: str, words: list[re.Match], i: int, sign: str) -> int:
        """Where a family name ends that stands after a salutation or an initial, or 0."""
        said, end = "", 0
        for j in range(i + 1, min(i + 6, len(words))):
            if not _GAP.fullmatch(text[words[j - 1].end() : words[j].start()]):
                break
            word = _fold(words[j][0])
            if not said and (len(word) == 1 or word in self.skipped or word in facts()["titles"]):
                continue
            endings = (word, _stem(words[j][0]), word.removesuffix("s"))
            if words[j][0][0].isupper() and any(self._has(f"{sign}{said}{w}") for w in endings):
                end = words[j].end()
            said += f"{word} "
            if said.count(" ") > 2:
                break
        return _with_double(text, end)

    def _initial_last(self, text: str, words: list[re.Match], i: int) -> tuple[int, int]:
        """A family name with an initial behind it: Schmidt, A. or García López, J."""
        for m in words[i : i + 3]:
            initial = _INITIAL.match(text, m.end())
            family = text[words[i].start() : m.end()]
            if initial and self._has(f"{_fold(initial[1])}. {_fold(family)}"):
                return words[i].start(), initial.end()
        return 0, 0

    def _in_han(self, run: re.Match, mine: frozenset[str], family: str) -> Iterator[Find]:
        # spaces and dots may stand within
        places = [i for i, c in enumerate(run[0]) if c >= "\u4e00"]
        text, i = "".join(run[0][p] for p in places), 0
        meant = {*mine, *(family + t for t in _HAN_TITLES if family)}
        while i < len(text):
            begins = self._has(f"^{text[i]}")
            cuts = {n: text[i : i + n] for n in (4, 3, 2) if i + n <= len(text)}
            n = next(
                (n for n, cut in cuts.items() if cut in meant or (begins and self._has(cut))), 0
            )
            if n:
                yield run.start() + places[i], run.start() + places[i + n - 1] + 1, "name"
            i += n or 1


def _with_double(text: str, end: int) -> int:
    """Where a name ends that was found to end at `end` (0: none), with the second part of a double
    name.
    """
    double = _DOUBLE.match(text, end) if end else None
    return double.end() if double else end


@cache
def _greets(word: str) -> bool:
    return _fold(word) in facts()["salutations"]


@cache
def _spellings(word: str) -> tuple[str, ...]:
    """A word folded, and without a French article before it or a genitive behind it."""
    bare = _ELIDED.sub("", word, count=1)
    return tuple(
        dict.fromkeys(
            w for w in (_fold(word), _fold(bare), _stem(bare), _fold(bare).removesuffix("s")) if w
        )
    )


def _stem(word: str) -> str:
    return _fold(re.sub("'s$", "", word))


@cache
def _parts(own: str) -> tuple[frozenset[str], str]:
    """The parts of a person's name that mean them when they stand alone, and a Chinese
    family name.
    """
    first, last = people._split_name(own)
    if "\u4e00" <= (last or first)[:1] <= "\u9fff":
        return frozenset(w for w in (first, last + first) if len(w) > 1), last
    return frozenset(w for w in (first + " " + last).split() if len(w) > 2), ""


# --- masks ------------------------------------------------------------------------------------


def full_names(records: pd.DataFrame) -> set[str]:
    """The full names in the records of people; where first and last name stand apart, a new line
    parts them.
    """
    both = records["first_name"].str.strip() + "\n" + records["last_name"].str.strip()
    return set(records["name"].dropna()) | set(both.dropna())


def mask(
    texts: pd.Series,
    known: KnownNames | Iterable[str],
    own: pd.Series | None = None,
    country: str = "",
    leave: Container[str] = (),
) -> pd.Series:
    """Texts in which contacts and known people are replaced by [e-mail], [phone], [card],
    [address], [name] ...

    `known` are the full names of people, as their sources write them; `own` is the name of each
    text's writer, of which the first or last name alone is masked too; `leave` are kinds that stay.

    >>> mask(pd.Series(["Schmidt, Anna: call 0151 23456789 about order 100234"]), {"Anna Schmidt"}).item()
    '[name]: call [phone] about order 100234'
    """
    known = known if isinstance(known, KnownNames) else KnownNames(known)
    texts = texts.astype("str")
    if own is None:
        clean = {
            t: _masked(t, find_all(t, known, None, country), leave) for t in texts.dropna().unique()
        }
        return texts.map(clean).astype("str")
    clean = [
        _masked(t, find_all(t, known, o, country), leave) if isinstance(t, str) else t
        for t, o in zip(texts, own, strict=True)
    ]
    return pd.Series(clean, index=texts.index, name=texts.name, dtype="str")


def mask_keys(texts: pd.Series, known: KnownNames, sign: Callable[[str], str]) -> pd.Series:
    """Keys, such as coupon codes, in which e-mails and known names are replaced; `sign` of the key
    keeps two apart.

    Numbers stay: those of a key are its own.

    >>> mask_keys(pd.Series(["ANNA-SCHMIDT-10", "10023"]), KnownNames({"Anna Schmidt"}), lambda key: "3f").tolist()
    ['[name]-10 3f', '10023']
    """
    clean = {}
    for text in texts.dropna().unique():
        plain = Plain(text)
        found = emails_in(plain.text)
        found = plain.there(found + known.found(blank(plain.text, found)))
        clean[text] = f"{_masked(text, found)} {sign(text)}" if found else text
    return texts.map(clean).astype("str")


def find_all(text: str, known: KnownNames, own: str | None = None, country: str = "") -> list[Find]:
    """Contacts and known names in a text, in order: start, end, kind."""
    plain = Plain(text)
    found = contacts_in(plain.text, country)
    return plain.there(found + known.found(blank(plain.text, found), own))


def _masked(text: str, found: list[Find], leave: Container[str] = ()) -> str:
    for start, end, kind in reversed(found):
        text = text if kind in leave else f"{text[:start]}[{kind}]{text[end:]}"
    return text


# --- staged tables ----------------------------------------------------------------------------


def mask_table(
    opened: Opened, name: str, pseudonyms: set[str], known: KnownNames, writers: pd.Series | None
) -> ir.Table:
    """The staged table with personal data in all its texts replaced by [e-mail], [phone], [name] and
    the like.

    `pseudonyms` are its columns that hold nothing else, `writers` the full names of people by
    customer_id: None where no file names a person.
    """
    staged = opened.con.table("stage " + name)
    table, view = tables.get(f"staged_{name}"), "masked " + name
    texts = [
        c
        for c in staged.columns
        if staged[c].type().is_string() and c not in {*pseudonyms, *_NOT_TEXTS}
    ]
    free = [
        c
        for c in texts
        if c not in table.columns or table.columns[c].unit == "free text" or c == UNREADABLE
    ]
    found = {
        c: _mask_free(opened, name, c, "customer_id" in staged.columns, known, writers)
        for c in free
    }
    if not all(f.spec.package for f in opened.landed):  # packages bring no people
        found |= _mask_labels(opened, name, [c for c in texts if c not in free], known)
    found = {c: masked for c, masked in found.items() if len(masked)}
    if not found:
        return staged
    joins, replaced = [], []
    for i, (c, masked) in enumerate(found.items()):
        opened.con.con.register(f"masked {name} {c}", masked)
        who = f" AND m{i}.who IS NOT DISTINCT FROM s.customer_id" if "who" in masked else ""
        joins.append(
            f"LEFT JOIN {sql_name(f'masked {name} {c}')} AS m{i} ON m{i}.text = s.{sql_name(c)}{who}"
        )
        replaced.append(f"coalesce(m{i}.masked, s.{sql_name(c)}) AS {sql_name(c)}")
    opened.query(
        f"CREATE OR REPLACE TEMP VIEW {sql_name(view)} AS SELECT s.* REPLACE ({', '.join(replaced)}) "
        f"FROM {sql_name('stage ' + name)} AS s {' '.join(joins)}",
        name,
    )
    return opened.con.table(view)


def _mask_free(
    opened: Opened,
    name: str,
    column: str,
    has_writer: bool,
    known: KnownNames,
    writers: pd.Series | None,
) -> pd.DataFrame:
    """The free texts that change, as text, masked and, where rows name one, the writer (who)."""
    who = ", customer_id AS who" if has_writer else ""
    query = (
        f"SELECT DISTINCT {sql_name(column)} AS text{who} FROM {sql_name('stage ' + name)} WHERE {sql_name(column)}"
        " IS NOT NULL"
    )
    texts = opened.query(query, name).df()
    own = texts["who"].map(writers) if has_writer and writers is not None else None
    texts["masked"] = mask(texts["text"], known, own, opened.client.settings.country)
    return texts[texts["masked"] != texts["text"]]


def _mask_labels(
    opened: Opened, name: str, columns: list[str], known: KnownNames
) -> dict[str, pd.DataFrame]:
    """By column the names, codes and keys that change, as text and masked; one pass over the rows
    finds them all.
    """
    if not columns:
        return {}
    country, key = opened.client.settings.country, key_of(opened.client)
    wanted = []
    for c in columns:
        may_name = (
            "TRUE"
            if known.has_codes or not _is_key(c)
            else f"regexp_matches({sql_name(c)}, {sql_text(_WORDS)})"
        )
        wanted.append(f"list(DISTINCT {sql_name(c)}) FILTER ({may_name})")
    lists = opened.query(
        f"SELECT {', '.join(wanted)} FROM {sql_name('stage ' + name)}", name
    ).fetchone()
    labels = {
        c: pd.Series(values or [], dtype="str").dropna()
        for c, values in zip(columns, lists, strict=True)
    }
    if name == "products":
        known = known.without(_brands(opened))
    found = {}
    for c, texts in labels.items():
        if _is_key(c):
            masked = mask_keys(texts, known, lambda text: pseudonym(key, text)[:6])
        else:
            masked = mask(
                texts, known, country=country, leave={"address"} if name == "products" else ()
            )
        found[c] = pd.DataFrame({"text": texts, "masked": masked})[masked != texts]
    return found


def _is_key(column: str) -> bool:
    return column.endswith("_id")


def _brands(opened: Opened) -> list[str]:
    """What at least three products call their brand: a brand may be called like a customer."""
    if "brand" not in opened.con.table("stage products").columns:
        return []
    query = (
        'SELECT brand FROM "stage products" WHERE brand IS NOT NULL GROUP BY 1 HAVING count(*) >= 3'
    )
    return [brand for (brand,) in opened.query(query, "products").fetchall()]
