"""The fields that tell who somebody is, each in one form: e-mail, phone, name, address. And what a
name says.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import cache
from importlib import resources

import pandas as pd
import phonenumbers
import yaml

COLUMNS = [
    "record",
    "source",
    "email",
    "phone",
    "first_name",
    "last_name",
    "name",
    "street",
    "zip",
    "city",
    "country",
]
COLUMNS += ["ids", "account_type"]
FIVE_DIGIT_ZIPS = {"DE", "FR", "IT", "ES", "US", "FI"}
_SPECIAL = str.maketrans(
    {"œ": "oe", "æ": "ae", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "’": "", "'": ""}
)


@cache
def _words(part: str) -> frozenset[str]:
    return frozenset(fold(str(w)) for w in _names()[part])


@cache
def _names() -> dict:
    return yaml.safe_load(
        resources.files("helpers.collect").joinpath("names.yaml").read_text(encoding="utf-8")
    )


@cache
def _nickname_table() -> dict[str, frozenset[str]]:
    """Each known form of a first name with the names that it may stand for, itself among them."""
    forms: dict[str, set[str]] = {}
    for name, others in _names()["nicknames"].items():
        full = fold(name).replace(" ", "")
        for form in [full, *(fold(o) for o in others)]:
            forms.setdefault(form, {form}).add(full)
    return {form: frozenset(full) for form, full in forms.items()}


def nickname_forms(name: str) -> frozenset[str]:
    """The names that a folded first name may stand for, itself among them."""
    return _nickname_table().get(name, frozenset({name}))


def fold(text: str) -> str:
    """Lower case, no accents, umlauts and their spellings with e alike, words apart by one space.

    >>> fold("Größe-Müller"), fold("GROESSE MUELLER"), fold("O'Brien")
    ('grosse muller', 'grosse muller', 'obrien')
    """
    text = unicodedata.normalize("NFKC", text).casefold().translate(_SPECIAL)
    text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    text = re.sub(r"[\W_]+", " ", text).strip()
    return re.sub("([aou])e", r"\1", text)


def first_word(column: pd.Series) -> pd.Series:
    """What stands before the first space."""
    return column.astype("str").str.extract(r"^(\S+)", expand=False)


def normalise(records: pd.DataFrame, country: str = "") -> pd.DataFrame:
    """The records in a form that can be compared; `country` (DE) is where a phone number without
    prefix is from.

    Comes back with one row a record, in the order of the record ids, all text, missing where
    nothing is known: email (clean), email_key (without +tag and dots), handle (what stands before
    the @, where it is more than the name), phone (E.164 where it can be read), phone_key (its last
    nine digits), first, last, street, zip, city, ids, account_type.
    """
    raw = records.reindex(columns=COLUMNS).astype("str")
    raw = raw.apply(lambda s: s.str.strip().mask(lambda t: t == ""))
    raw = raw.sort_values("record", ignore_index=True)
    country = (
        raw["country"]
        .str.upper()
        .where(raw["country"].str.fullmatch("[A-Za-z]{2}", na=False), country or "")
    )
    out = raw[["record", "source"]].copy()
    out["email"] = _each(raw["email"], _email)
    out["email_key"] = _each(out["email"], _email_key)
    out[["first", "last"]] = _people_names(raw)
    out["handle"] = _pairwise(
        out["email_key"], (out["first"].fillna("") + " " + out["last"].fillna("")), _handle
    )
    out["phone"] = _pairwise(raw["phone"], country, _phone)
    out["phone_key"] = out["phone"].str[-9:]
    out["street"] = _each(raw["street"], _street)
    out["zip"] = _pairwise(raw["zip"], country, _zip)
    out["city"] = _each(raw["city"].str.replace(r"\(.*\)", "", regex=True), fold)
    out["ids"] = _each(
        raw["ids"], lambda t: " ".join(sorted({i.removesuffix(".0") for i in t.upper().split()}))
    )
    out["account_type"] = raw["account_type"].str.lower()
    return out.astype("str")


def _each(column: pd.Series, make: Callable[[str], str | None]) -> pd.Series:
    """`make` of each distinct value; what comes out empty is missing."""
    made = {v: make(v) or None for v in column.dropna().unique()}
    return column.map(made).astype("str")


def _pairwise(
    column: pd.Series, other: pd.Series, make: Callable[[str, str], str | None]
) -> pd.Series:
    """`make` of each distinct pair of values where the first is known."""
    pairs = pd.Series(list(zip(column, other, strict=True)), index=column.index)[column.notna()]
    made = {pair: make(*pair) or None for pair in set(pairs)}
    return pairs.map(made).reindex(column.index).astype("str")


def _email(text: str) -> str | None:
    text = unicodedata.normalize("NFKC", text).lower().replace("\u200b", "").removeprefix("mailto:")
    found = re.search(r"[^\s<>\"'(),;:@]+@[^\s<>\"'(),;:@]+\.[^\W\d_]{2,}", text)
    if not found:
        return None
    local, domain = found[0].split("@")
    if domain in ("gmail.com", "googlemail.com"):
        local, domain = local.split("+")[0].replace(".", ""), "gmail.com"
    return f"{local}@{domain}" if local else None


def _email_key(email: str) -> str:
    local, domain = email.split("@")
    return f"{local.split('+')[0].replace('.', '') or local}@{domain}"


def _handle(key: str, name: str) -> str | None:
    """What stands before the @, where it holds more than the person's name: two Anna Meiers may
    both be annameier.
    """
    local = key.split("@")[0]
    if local in _words("common_handles") or len(local) < 4:
        return None
    whole = rest = fold(local).replace(" ", "")
    for word in sorted(name.split(), key=len, reverse=True):
        rest = rest.replace(word, "", 1) if len(word) > 2 else rest
    return local if len(rest) > (6 if rest == whole else 1) else None


@cache
def _phone(text: str, country: str) -> str | None:
    text = re.sub(
        r"\.0$", "", unicodedata.normalize("NFKC", re.split("[;,|]", text.lstrip("'"))[0])
    ).strip()
    digits = re.sub(r"\D", "", text)
    if len(set(digits)) < 3 or len(digits) < 6 or re.search(r"\de\+?\d", text.lower()):
        return None  # 000000, a placeholder; 4.9E+12, digits lost in a spreadsheet
    code = str(phonenumbers.country_code_for_region(country))
    if text.startswith("00"):
        text = f"+{digits[2:]}"
    elif digits.startswith(code) and text[0] not in "+(0" and len(digits) > 9 + len(code):
        text = f"+{digits}"  # a spreadsheet took the plus
    try:
        number = phonenumbers.parse(text, country or None)
    except phonenumbers.NumberParseException:
        return digits
    if not phonenumbers.is_possible_number(number):
        return digits
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _street(text: str) -> str:
    text = re.sub(r"\s*(strasse|str|straat)\b", "str", re.sub(r"\bc o \w+ ", "", fold(text)))
    for long, short in (
        ("street", "st"),
        ("road", "rd"),
        ("avenue", "av"),
        ("ave", "av"),
        ("boulevard", "bd"),
    ):
        text = re.sub(rf"\b{long}\b", short, text)
    return re.sub(r"(\d) ([a-z])\b", r"\1\2", text)


def _zip(text: str, country: str) -> str | None:
    text = re.sub(r"^[A-Z]{1,2}-(?=\d)|\.0$|[\s']", "", text.upper())
    return text.zfill(5) if re.fullmatch(r"\d{4}", text) and country in FIVE_DIGIT_ZIPS else text


# --- names ----------------------------------------------------------------------------------------


def _people_names(raw: pd.DataFrame) -> pd.DataFrame:
    """Folded first and last names; which word is which follows what most records with both columns
    say.
    """
    first, last = raw["first_name"], raw["last_name"]
    full = raw["name"].where(first.isna() & last.isna())
    full = full.fillna(last.where(first.isna() & last.str.contains(r"[\s,]", na=False)))
    full = full.fillna(first.where(last.isna() & first.str.contains(r"[\s,]", na=False)))
    apart = full.isna()
    texts = full.fillna(first.where(apart).fillna("") + "\n" + last.where(apart).fillna(""))
    made = {t: _split_name(t) for t in texts.unique()}
    names = pd.DataFrame(
        texts.map(made).tolist(), columns=["first", "last"], index=raw.index, dtype="str"
    )
    word = {c: first_word(names[c]) for c in names}
    firsts, lasts = (word[c][apart].value_counts() for c in ("first", "last"))
    said = {
        c: [w.map(n).astype(float).fillna(0) + 0.5 for n in (firsts, lasts)]
        for c, w in word.items()
    }
    given = {c: as_first / as_last for c, (as_first, as_last) in said.items()}
    # a single word that is a first name
    lone = ~apart & names["first"].eq("") & (given["last"] > 3)
    swap = (given["last"] / given["first"] > 10) | lone
    names.loc[swap] = names.loc[swap, ["last", "first"]].to_numpy()
    return names.mask(names == "")


def _split_name(text: str) -> tuple[str, str]:
    """First and last name, folded, of a full name, or of "first newline last".

    >>> _split_name("Dr. Anna von der Heide"), _split_name("Müller, Hans-Peter"), _split_name("DUPONT Léa")
    (('anna', 'heide'), ('hans peter', 'muller'), ('lea', 'dupont'))
    >>> _split_name("欧阳娜娜"), _split_name("Möbel Schmidt GmbH")
    (('娜娜', '欧阳'), ('', 'mobel schmidt gmbh'))
    """
    if "@" in text or sum(c.isdigit() for c in text) > 4:
        return "", ""
    if re.search(r"[\u4e00-\u9fff]", text):
        return _split_han(text)
    if "\n" in text:
        first, last = text.split("\n")
    elif "," in text:
        last, first = text.split(",", 1)
    else:
        words = [w for w in text.split() if fold(w)]
        if words and fold(words[-1]) in _words("companies"):
            return "", fold(text)
        while len(words) > 1 and fold(words[0]) in _words("titles"):
            words.pop(0)
        while len(words) > 1 and fold(words[-1]) in _words("suffixes"):
            words.pop()
        cut = len(words) - 1
        if cut and words[0].isupper() and len(words[0]) > 2 and not words[-1].isupper():
            words = words[1:] + words[:1]
        cut = next(
            (i for i, w in enumerate(words) if 0 < i < cut and fold(w) in _words("particles")), cut
        )
        first, last = " ".join(words[:cut]), " ".join(words[cut:])
    return _without(first, "titles", "suffixes"), _without(last, "titles", "suffixes", "particles")


def _without(text: str, *parts: str) -> str:
    words = fold(text).split()
    kept = [w for w in words if not any(w in _words(p) for p in parts)]
    return " ".join(kept or (words[-1:] if "particles" in parts else []))


def _split_han(text: str) -> tuple[str, str]:
    first, last = text.split("\n") if "\n" in text else ("", "")
    if not (first and last):
        whole = re.sub(r"\W", "", first or last or text)
        for title in _names()["han_titles"]:
            whole = whole.removesuffix(title)
        cut = 2 if whole[:2] in _names()["surnames"] and len(whole) > 2 else 1
        first, last = whole[cut:], whole[:cut]
    return first.strip(), last.strip()


class NameRules:
    """Whether two first or two last names may be one person's: True, False, or None where one is
    not known.

    `counts` says how often each first name is met: two that differ by a letter are two names where
    both are common, and one misspelt where one of them is rare.
    """

    def __init__(self, counts: dict[str, int] | None = None, several: float = 3) -> None:
        self.counts, self.several = counts or {}, several
        self.by_letter: dict[str, list[str]] = {}
        for name, count in self.counts.items():
            if count >= self.several:
                self.by_letter.setdefault(name[:1], []).append(name)
        self.first, self.last, self.forms = (
            cache(self._first),
            cache(self._last),
            cache(self._forms),
        )

    @classmethod
    def of(cls, people: pd.DataFrame) -> NameRules:
        """Rules for normalised records; a name is common where three records, and one in 10,000,
        have it.
        """
        return cls(
            first_word(people["first"]).value_counts().to_dict(), max(3, len(people) / 10_000)
        )

    def _both_common(self, a: str, b: str) -> bool:
        fewer, more = sorted((self.counts.get(a, 0), self.counts.get(b, 0)))
        return fewer >= max(self.several, more / 20)

    def _forms(self, a: str) -> frozenset[str]:
        """What a name may stand for: its long forms, and those of the common name that it is a slip
        of.
        """
        near = [b for b in self.by_letter.get(a[:1], ()) if not _gendered(a, b) and _misspelt(a, b)]
        near = [b for b in near if not self._both_common(a, b)]
        return nickname_forms(a).union(*(nickname_forms(b) for b in near))

    def _first(self, a: str, b: str) -> bool | None:
        if not a or not b or _is_han(a) != _is_han(b):
            return None
        if a == b or _is_han(a):
            return a == b
        if a.replace(" ", "") == b.replace(" ", ""):
            return True
        return any(self._word(v, w) for v in a.split() for w in b.split())

    def _word(self, a: str, b: str) -> bool:
        """Whether one word of a first name is the same as another, short for it, or misspelt."""
        short, long = sorted((a, b), key=len)
        if self.forms(a) & self.forms(b) or (len(short) == 1 and long.startswith(short)):
            return True
        if _gendered(a, b):
            return False
        shortened = long.startswith(short) and len(short) > 2 and len(long) - len(short) > 2
        return shortened or (_misspelt(a, b) and not self._both_common(a, b))

    def _last(self, a: str, b: str) -> bool | None:
        if not a or not b:
            return None
        if _is_han(a) != _is_han(b):
            han, latin = (a, b) if _is_han(a) else (b, a)
            reading = _names()["surnames"].get(han)
            return reading == latin if reading else None
        if a == b or a.replace(" ", "") == b.replace(" ", ""):
            return True
        words_a, words_b = a.split(), b.split()
        if set(words_a) & set(words_b) or (1 in (len(a), len(b)) and a[0] == b[0]):
            return True
        return not _is_han(a) and _misspelt(a, b)


def _gendered(a: str, b: str) -> bool:
    """Whether two first names are a man's and a woman's form: Paul and Paula, Mario and Maria.

    >>> _gendered("franz", "franziska"), _gendered("mario", "maria"), _gendered("alex", "alexander")
    (True, True, False)
    """
    short, long = sorted((a, b), key=len)
    ending = long[len(short) :] if long.startswith(short) else ""
    return ending in _words("feminine_endings") or (
        a[:-1] == b[:-1] and a[-1] in "aeio" and b[-1] in "aeio" and a != b
    )


def _is_han(text: str) -> bool:
    return "\u4e00" <= text[:1] <= "\u9fff"


def _misspelt(a: str, b: str) -> bool:
    """Whether two words differ by one slip (a letter wrong, missing, added, or two swapped), or two
    in long words.
    """
    short, long = sorted((len(a), len(b)))
    if long < 4 or (short < 6 and a[0] != b[0]):
        return False
    return _slips(a, b) <= (1 if short < 8 else 2)


def _slips(a: str, b: str) -> int:
    """Distance of Damerau and Levenshtein (optimal string alignment).

    >>> _slips("schmidt", "schmitd"), _slips("meier", "meyer"), _slips("anna", "bernd")
    (1, 1, 4)
    """
    if abs(len(a) - len(b)) > 2:
        return 3
    before, row = [], list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        older, before, row = before, row, [i]
        for j, y in enumerate(b, 1):
            best = min(before[j] + 1, row[-1] + 1, before[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                best = min(best, older[j - 2] + 1)
            row.append(best)
    return row[-1]
