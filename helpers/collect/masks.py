"""Masks for personal data in free text: contacts, accounts, addresses and known names, in all their spellings."""

from __future__ import annotations

import html
import ipaddress
import re
import unicodedata
from collections.abc import Callable, Container, Iterable, Iterator
from functools import cache
from importlib import resources
from itertools import pairwise
from urllib.parse import unquote

import pandas as pd
import phonenumbers
import yaml

from helpers.collect import people

Find = tuple[int, int, str]  # start, end, kind
ANY_CODE = "any code"  # whether somebody who asked to be forgotten had codes of their own

_LETTER = "A-Za-zÀ-ɏͰ-ӿḀ-ỿ"
_LABEL = rf"[{_LETTER}0-9-]+"
_BRACKETS = r"\s?[(\[{{<]\s?(?:{})\s?[)\]}}>]\s?"
_AT = rf"(?:@\s?|%40|{_BRACKETS.format('at|ät|a|arroba|@')})"
_DOT = rf"(?:[.。]|{_BRACKETS.format('dot|punkt|point|punto|[.]')})"
_EMAIL = re.compile(
    rf"(?:[{_LETTER}0-9._%+'-]+{_AT}|(?=\S*[\d._-])[{_LETTER}0-9._%+'-]+\s@\s)"
    rf"{_LABEL}(?:{_DOT}{_LABEL})*{_DOT}(?:xn--[a-z0-9-]+|[{_LETTER}]{{2,24}})"
    rf"|[{_LETTER}0-9._+-]+\sat\s{_LABEL}(?:\s(?:dot|punkt|point|punto)\s{_LABEL})+"
    rf"|(?=\S*[\d._-])[{_LETTER}0-9._+-]*[{_LETTER}0-9]\sat\s{_LABEL}(?:\.{_LABEL})*\.[{_LETTER}]{{2,24}}",
    re.I,
)
_MAY_WRITE = re.compile(r"@|%40|[(\[{<]\s?(?:at|ät|a|arroba)\s?[)\]}>]|\sat\s", re.I)
_QUICK = re.compile(r"\d(?:[^\d\n]{0,6}\d){5}|::|(?:[0-9a-f]{1,4}:){3}|\d\.\d+\.\d+\.\d", re.I)
_DAYS = r"(?:\d{1,2}[./-]\d{1,2}[./-](?:\d{4}|\d{2})|\d{4}[./-]\d{1,2}[./-]\d{1,2})(?![./-]?\d)"
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2})?(?:\.\d+)?(?: ?[+-]\d{2}:?\d{2}\b)?"
_AMOUNT = r"(?:\d{1,3}(?:[.,']\d{3})+|\d+)(?:[.,]\d{1,2})?"
_PRICE = rf"[€$£¥]\s?{_AMOUNT}|{_AMOUNT}\s?(?:€|\$|£|¥|EUR|USD|CHF|GBP|CNY|RMB|元|块)|\d+[.,]\d\d(?![\d]|[.,]\d)"
_PLAIN = re.compile(rf"(?<![\d./-])(?:{_DAYS}|{_CLOCK})|(?<![\d.,/ -])(?:{_PRICE})")  # dates, times, money
_V4 = re.compile(r"(?<![\w.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\w]|\.\d)", re.A)
_V6 = re.compile(r"(?<![\w:.])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?![\w:])", re.I | re.A)
_LONG = re.compile(r"(?<![\w-])\d(?:[ .-]?\d){12,18}[Xx]?(?![\w-]|[.,]\d)", re.A)
_FOURS = re.compile(r"(?<![\w-])\d{4}([ ./-])\d{4}\1\d{4}\1\d{4}(?![\w-]|[.,]\d)", re.A)
_ACCOUNT = re.compile(r"(?<![A-Z0-9])[A-Z]{2} ?\d{2}(?:[ .-]?[A-Z0-9]){11,30}", re.A | re.I)
_SOCIAL = re.compile(r"(?<![\w-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w-])", re.A)
_FRENCH = re.compile(r"(?<![\w-])[12] ?\d\d ?[01]\d ?\d[\dAB] ?\d{3} ?\d{3} ?\d\d(?![\w-])", re.A)
_PHONE = re.compile(r"(?<![\w.,/#+*-])(?:\+ ?|\(\+)?\(?\d(?:[ ./()·–-]{0,3}\d){6,14}(?!\w|[.,]\d|-\w)", re.A)
_CARD = re.compile(r"(?:4\d|5[1-5]|2[2-7]|35|65)\d{14}|3[47]\d{13}|3[068]\d{12}|6011\d{12}|62\d{14,17}")
_NANP = re.compile(r"(?:1[ .-]?)?(?:\([2-9]\d\d\) ?|[2-9]\d\d[ .-])[2-9]\d\d[ .-]\d{4}")
_APART = re.compile(r"\(?0\d{1,5}\)? ?[ /·–-] ?[\d /-]+|0\d(?:[ .-]\d\d){4}|\(?0\d{2,4}\)?(?:\.\d{2,4}){2,4}")
_TRUNK = ("DE", "FR", "GB", "AT", "CH", "CN")  # regions in which a number starts with 0 when no region is given
_HAN = "\u4e00-\u9fff"
_WORD = re.compile(rf"[^\W\d_{_HAN}]+(?:'[^\W\d_{_HAN}]+)*|[{_HAN}]+(?:[ ·]{{1,2}}[{_HAN}]+)*")
_GAP = re.compile(r"[\s,.+_·/|;–-]{1,3}")
_DOUBLE = re.compile(r"-(?=[^\W\d_])[^\W\d_a-zß-öø-ÿ][^\W\d_]+")  # the second part of a double name
_CODE = re.compile(r"[\w-]{4,40}")
_ELIDED = re.compile(r"(?:[dlmnstcj]|qu)'(?=\w)", re.I)
_BEFORE = re.compile(r"([^\W\d_]+|#)[\s.:：#°=()-]*$")
_CALLED = re.compile(
    r"\b(?:tel|telefon|telephone|phone|call|ring|mobile?|handy|cell|whatsapp|fon|portable|telefonnummer|rufnummer"
    r"|tel[ée]fono|m[óo]vil|t[ée]l[ée]phone)\b|电话|手机|致电|微信|联系",
    re.I,
)
_HAN_TITLES = ["先生", "女士", "小姐", "太太", "老师"]
_CHECK = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)  # weights of a Chinese identity number


@cache
def _facts() -> dict:
    return yaml.safe_load(resources.files("helpers.collect").joinpath("masks.yaml").read_text(encoding="utf-8"))


# --- one spelling -----------------------------------------------------------------------------

_UNSEEN = "\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufe00-\ufe0f\ufeff"
_CODED = r"%[2-7][0-9a-f]|%[cd][0-9a-f]%[89ab][0-9a-f]|%e[0-9a-f](?:%[89ab][0-9a-f]){2}"  # UTF-8 in an address
_CODED += r"|</?(?:b|i|u|em|strong|span|font)>"
_CODED += r"|&(?:#\d{2,5}|#x[0-9a-f]{2,4}|[a-z]{2,8});"  # a letter in a web page
_ALIKE = str.maketrans({c: "'" for c in "’‘ʼ´`′"} | {c: "-" for c in "‐‑‒−﹣"})
_JOINING = "\u0300-\u036f\u1100-\u11ff\u3099\u309a\uff9e\uff9f"  # signs that become one with the letter before
_ODD = re.compile(rf"[{_UNSEEN}{_JOINING}]|{_CODED}|[’‘ʼ´`′‐‑‒−﹣]", re.I)
_PIECE = re.compile(rf"{_CODED}|[{_UNSEEN}]|.[{_JOINING}]*", re.I | re.S)


class Plain:
    """A text in one spelling: composed, half width, plain spaces, hyphens and quotes, nothing unseen, nothing encoded.

    `text` is what is looked into; `there` turns a place in it into the place in the text as it is written.

    >>> Plain("Mu\u0308ller\u00a0ana%40example.com").text
    'Müller ana@example.com'
    """

    def __init__(self, written: str) -> None:
        self.text, self._at = written, None
        if not _ODD.search(written):
            self.text = written if written.isascii() else unicodedata.normalize("NFKC", written)
            if len(self.text) == len(written):  # each letter became one letter: nothing here can join two
                return
        letters, self._at = [], []
        for m in _PIECE.finditer(written):
            piece = _one_spelling(m[0])
            letters.append(piece)
            self._at += [m.span()] * len(piece)
        self.text = "".join(letters)

    def there(self, found: Iterable[Find]) -> list[Find]:
        """Finds in `text` as finds in the text as written."""
        if self._at is None:
            return sorted(found)
        return sorted((self._at[start][0], self._at[end - 1][1], kind) for start, end, kind in found)


@cache
def _one_spelling(piece: str) -> str:
    if piece[0] == "%" and len(piece) > 1:
        piece = unquote(piece, errors="replace")
    elif piece[0] == "<" and len(piece) > 1:
        return ""
    elif piece[0] == "&" and len(piece) > 1:
        piece = html.unescape(piece)
    if re.match(f"[{_UNSEEN}]", piece):
        return ""
    return unicodedata.normalize("NFKC", piece.translate(_ALIKE))


# --- contacts, numbers and addresses ----------------------------------------------------------


def find_contacts(text: str, country: str = "") -> list[Find]:
    """E-mails, phones, cards, bank accounts, identity cards, IP and street addresses in a text: start, end, kind.

    Numbers are believed only where a check digit, a prefix or a word before them says so: order numbers, prices and
    dates stay. `country` (DE) is where phone numbers without prefix are from.

    >>> find_contacts("Order 4003600000000014, 12.05.2024, 19.99 EUR: call +49 151 23456789")
    [(52, 68, 'phone')]
    """
    plain = Plain(text)
    return plain.there(_contacts(plain.text, country))


def _contacts(text: str, country: str) -> list[Find]:
    found = _emails(text)
    rest = _blank(text, found)
    if not re.search(r"\d|::", rest):
        return found
    new = _addresses(rest)
    rest, found = _blank(rest, new), found + new
    if not _QUICK.search(rest):
        return found
    for pattern, kind, is_one, mark, times in _NUMBERS:
        if text.count(mark) < times:
            continue
        new = [(m.start(), m.end(), kind or said) for m in pattern.finditer(rest) if (said := is_one(m))]
        rest, found = _blank(rest, new), found + new
    new = [(*m.span("number"), "identity card") for m in _paper().finditer(rest)]
    new += _accounts(_blank(rest, new))
    rest, found = _blank(rest, new), found + new
    if _PHONE.search(rest):
        rest = _PLAIN.sub(lambda m: "\0" * len(m[0]), rest)
        found += [(m.start(), m.end(), "phone") for m in _PHONE.finditer(rest) if _is_phone(m, country)]
    return found


def _emails(text: str) -> list[Find]:
    return [(*m.span(), "e-mail") for m in _EMAIL.finditer(text)] if _MAY_WRITE.search(text) else []


def email_of(found: str) -> str:
    """An e-mail as it was found in a text, in its plain form.

    >>> email_of("Ana (at) example [dot] com"), email_of("ana%40example.com")
    ('ana@example.com', 'ana@example.com')
    """
    text = re.sub(rf"{_AT}|\s@\s|\sat\s", "@", Plain(found).text.lower(), count=1)
    return re.sub(rf"{_DOT}|\s(?:dot|punkt|point|punto)\s", ".", text)


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


def _accounts(text: str) -> Iterator[Find]:
    """International bank account numbers: a country, its length, the check number, and no letter behind."""
    for m in _ACCOUNT.finditer(text):
        places = [i for i in range(*m.span()) if text[i].isalnum()]
        length = _facts()["account_lengths"].get(m[0][:2].upper(), 99)
        if len(places) < length or text[places[length - 1] + 1 :][:1].isalnum():
            continue
        number = "".join(text[i] for i in places[:length]).upper()
        if int("".join(str(int(c, 36)) for c in number[4:] + number[:4])) % 97 == 1:
            yield m.start(), places[length - 1] + 1, "bank account"


def _long_number(match: re.Match) -> str:
    digits = re.sub(r"[ ./-]", "", match[0]).upper()
    if re.fullmatch(r"[1-9]\d{5}(?:19|20)\d\d(?:0[1-9]|1[0-2])[0-3]\d{4}[\dX]", digits):
        check = sum(int(d) * w for d, w in zip(digits, _CHECK, strict=False))
        return "identity card" if "10X98765432"[check % 11] == digits[-1] else ""
    if not _CARD.fullmatch(digits) or _labels_number(match):
        return ""
    doubled = [int(d) * (1 + i % 2) for i, d in enumerate(reversed(digits))]  # Luhn
    return "card" if sum(d // 10 + d % 10 for d in doubled) % 10 == 0 else ""


def _is_french(match: re.Match) -> bool:
    """Whether a number of French social security fits its own check number."""
    number = match[0].replace(" ", "").replace("2A", "19").replace("2B", "18")
    return number.isdigit() and 97 - int(number[:-2]) % 97 == int(number[-2:])


@cache
def _paper() -> re.Pattern:
    """The number after a word such as passport; the look behind it is what the match leaves out."""
    words = "|".join(_facts()["id_words"])
    return re.compile(
        rf"(?:(?<![A-Z])(?:{words}))(?:[ -]?(?:no|nr|num|number|nummer|numéro|número|号码?)\b)?[\s.:#°-]*"
        r"(?P<number>(?=(?:[A-Z0-9]*[ .-]?\d){5})[A-Z0-9]+(?:[ .-]\d[A-Z0-9]*|-[A-Z])*)(?!\w)",
        re.I | re.A,
    )


_NUMBERS = [
    (_V6, "IP", _is_v6, ":", 2),
    (_V4, "IP", lambda m: not _labels_number(m), ".", 3),
    (_FOURS, "", _long_number, "", 0),
    (_LONG, "", _long_number, "", 0),
    (_SOCIAL, "identity card", lambda m: not _labels_number(m), "-", 2),
    (_FRENCH, "identity card", _is_french, "", 0),
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
        apart = _APART.fullmatch(match[0])
        return bool(apart and 8 < len(digits) < 14) or any(_valid(text, r) for r in {country, *_TRUNK} - {""})
    if _NANP.fullmatch(match[0]):
        return True
    if called and any(_possible(text, region) for region in {country, "US"} - {""}):
        return True
    return bool(_CALLED.fullmatch(_word_before(match))) and (_possible("+" + digits, None) or _possible(text, "ES"))


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


def _addresses(text: str) -> list[Find]:
    """Streets with a house number, and post boxes."""
    found: list[Find] = []
    low = text.lower()
    for pattern, words in _street_patterns():
        if any(word in low for word in words):
            new = [(*m.span(), "address") for m in pattern.finditer(text)]
            text, found = _blank(text, new), found + new
    return found


@cache
def _street_patterns() -> list[tuple[re.Pattern, list[str]]]:
    """Streets as each language writes them, each with words of which such a text holds one."""
    facts = _facts()["streets"]
    words = {kind: "|".join(facts[kind]) for kind in facts}
    capital = r"(?![a-zß-öø-ÿ])[^\W\d_]"  # also a letter that has no case
    name = rf"{capital}[\w'.-]*"
    small = "(?i:de|del|du|des|la|le|les|los|las|el|l'|d'|y|et|von|van|der)"
    house = r"\d{1,4}(?: ?[a-zA-Z]\b)?(?:[-/]\d{1,4})?"
    town = rf"(?:,? (?:D-)?\d{{5}}(?!\d)(?: {name})?)?"
    no_measure = rf"(?!\d|[.,:]\d|[ ]?(?:{'|'.join(map(re.escape, facts['not_after']))})(?!\w)|[ ][a-z]{{4,}})"
    alone = rf"(?![ ](?!(?:{'|'.join(facts['may_follow'])})\b)[^\W\d_]{{4,}})"  # a thing that is counted
    goes_on = r"(?![ ](?!(?:in|near|and|or|please|before|after|is|was|at|to|for|from|but|not|since|with)\b)[a-z]{2,})"
    german_not = "|".join(facts["german_not"])
    patterns = {
        "english": rf"\d{{1,5}}[A-Za-z]?(?:[-/]\d+)?,? (?:{name} |\d+(?:st|nd|rd|th) ){{1,3}}"
        rf"(?:{words['english']})\b\.?(?: [NSEW]{{1,2}}\b)?{goes_on}"
        rf"|\d{{1,5}}[A-Za-z]? (?:{name} ){{1,3}}Place(?=[,.;)\n]|$)"
        r"|(?i:\b\d{1,5}[a-z]? (?:[^\W\d_]+ ){1,2}(?:street|road|avenue|lane)(?=, ?[^\W\d_]))",
        "german_ends": rf"(?i:\b(?!(?:{german_not})\b)[^\W\d_][\w-]{{2,}}(?:{words['german_ends']}))[ ]?{house}"
        rf"{no_measure}{town}",
        "german_alone": rf"\b(?!(?:Der|Die|Das|Den|Dem|Ein|Eine|Einen|Mein|Kein)\b){name} "
        rf"(?:{words['german_alone']}) {house}"
        rf"{no_measure}{alone}{town}",
        "german_loose": rf"(?i:\b[^\W\d_][\w-]{{2,}}(?:{words['german_loose']})) {house}(?=,? (?:D-)?\d{{5}}\b){town}",
        "german_at": rf"\b(?:{words['german_at']}) (?:{name} ){{1,2}}{house}(?=,? (?:D-)?\d{{5}}\b){town}",
        "french": rf"\b\d{{1,4}}(?: ?(?:bis|ter|quater)| [a-d])?,? (?:(?i:{words['french']}) "
        rf"(?:{small} ?)+[^\W\d_][\w'-]*|(?:{words['french']}|Rue|Avenue|Av\.|Boulevard|Bd\.?) {name})"
        rf"(?: (?:{small} ?)*{name}){{0,3}}",
        "spanish": rf"(?i:(?<!\w)(?:{words['spanish']})) ?(?:{small} )*{name}(?: (?:{small} )*{name}){{0,3}},? "
        rf"(?:(?i:no|n|núm|num)[.°]? ?)?{house}{no_measure}",
        "boxes": rf"(?i:(?<!\w)(?:{words['boxes']})) \d(?:[\d ]*\d)?",
        "chinese": rf"(?:[{_HAN}]{{2,7}}(?:省|自治区))?(?:[{_HAN}]{{2,3}}市)?(?:[{_HAN}]{{1,3}}[区县镇])?"
        rf"[{_HAN}]{{2,4}}?(?:{words['chinese']})(?:[东西南北中]?[一二三四五六七八九十]?[段路巷弄]?) ?\d{{1,5}} ?号"
        rf"(?:楼|院)?(?:[\dA-Za-z一二三四五六七八九十]{{1,5}} ?(?:单元|号楼|栋|幢|座|层|楼|室|号))*",
    }
    return [(re.compile(p), [re.split(r"[\\?]", w.lower())[0] for w in facts[kind]]) for kind, p in patterns.items()]


# --- names ------------------------------------------------------------------------------------

_fold = cache(people.fold)


def name_forms(name: str) -> set[str]:
    """What the finder of names asks for, of one full name: its folded forms, and with a sign before them its parts.

    "^anna": a form begins with this word; "* schmidt": the family name after a salutation; "a. schmidt": with an
    initial. A name of one part has none.

    >>> sorted(name_forms("Tom Li"))
    ['* li', '^li', '^tom', 'li tom', 't. li', 'tom li']
    """
    first, last = people._split_name(unicodedata.normalize("NFKC", name))
    if "\u4e00" <= last[:1] <= "\u9fff":
        whole = last + first
        return {whole, f"^{whole[0]}"} if first else set()
    if len(first) < 2 or len(last) < 2:
        return set()
    head, rest = f"{first} {last}".split(" ", 1)  # of José García López only the two family names may follow
    given = {first, head}
    family = {last, last.split()[0]} if len(last.split()[0]) > 2 else {last}
    pairs = {(g, f) for g in given for f in family} | {(head, rest)}
    whole = {f"{g} {f}" for g, f in pairs} | {f"{f} {g}" for g, f in pairs}
    joined = (f"{first}{last}".replace(" ", ""), f"{last}{first}".replace(" ", ""))
    whole |= {j for j in joined if len(j) > 6}
    lone = {f for f in family | {rest} if len(f) > 1}
    signs = {f"^{w.split()[0]}" for w in whole} | {f"* {f}" for f in lone} | {f"{first[0]}. {f}" for f in lone}
    return whole | signs


class KnownNames:
    """Full names, to be found in texts in either order: Anna Schmidt, SCHMIDT, Anna, anna.schmidt, 王小明.

    `gone` answers for people who asked to be forgotten: whether it holds one of the `name_forms` of theirs.
    """

    def __init__(self, names: Iterable[str] = (), gone: Container[str] = frozenset()) -> None:
        self.names = {n for n in names if isinstance(n, str)}
        self.forms, self.gone = set().union(*map(name_forms, self.names)), gone
        self.has_codes = ANY_CODE in gone
        self.skipped = people._words("particles")
        self._begins = cache(self._may_begin)

    def _has(self, form: str) -> bool:
        return form in self.forms or form in self.gone

    def _may_begin(self, word: str) -> bool:
        if word[0] >= "\u4e00":
            return any(self._has(f"^{c}") for c in word)
        return any(self._has(f"^{w}") for w in _spellings(word))

    def find(self, text: str, own: str | None = None) -> list[Find]:
        """Where known names stand in a text; `own` is the name of its writer, of which each part counts alone."""
        plain = Plain(text)
        return plain.there(self.found(plain.text, own))

    def found(self, text: str, own: str | None = None) -> list[Find]:
        """As `find`, in a text of one spelling (see `Plain`)."""
        codes = [(*m.span(), "code") for m in _CODE.finditer(text) if self._is_code(m[0])] if self.has_codes else []
        return codes + self._names_in(_blank(text, codes), own)

    def without(self, names: Iterable[str]) -> KnownNames:
        """The same but for some names, such as those of brands."""
        folded = {people.fold(n) for n in names}
        ours = {n for n in self.names if people.fold(n) in folded}
        return KnownNames(self.names - ours, self.gone) if ours else self

    def _is_code(self, word: str) -> bool:
        return f"code {word.casefold()}" in self.gone

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
            start, end = self._at(text, words, i)
            if end:
                found.append((start, end, "name"))
            elif mine and _stem(m[0]) in mine and (m[0][0].isupper() or i == len(words) - 1):
                found.append((m.start(), m.end(), "name"))
        return found

    def _at(self, text: str, words: list[re.Match], i: int) -> tuple[int, int]:
        """Start and end of a name that begins with the word at `i`; the end is 0 where there is none."""
        m, end = words[i], 0
        elided = _ELIDED.match(m[0])
        for word in _spellings(m[0]):
            if self._has(f"^{word}"):
                end = max(end, self._end(text, words, i, word))
        if end:
            return m.start() + (elided.end() if elided and not self._has(f"^{_fold(m[0])}") else 0), end
        if len(m[0]) == 1 and text[m.end() : m.end() + 1] == ".":
            return m.start(), self._after(text, words, i, f"{_fold(m[0])}. ")
        if _fold(m[0]) in _facts()["salutations"]:
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
            spellings = dict.fromkeys((word, _stem(m[0]), word.removesuffix("s")))
            if any(self._has(f"{s} {w}") for s in said for w in spellings):
                end = m.end()
            longer = [f"{s} {word}" for s in said]
            is_middle = may_skip and gap.isspace() and m[0][0].isupper() and text[m.end() : m.end() + 1].isspace()
            said, may_skip = longer + (said if is_middle else []), False
        double = _DOUBLE.match(text, end) if end else None
        return double.end() if double else end

    def _after(self, text: str, words: list[re.Match], i: int, sign: str) -> int:
        """Where a family name ends that stands after a salutation or an initial, or 0."""
        said = ""
        for j in range(i + 1, min(i + 6, len(words))):
            if not _GAP.fullmatch(text[words[j - 1].end() : words[j].start()]):
                return 0
            word = _fold(words[j][0])
            if not said and (len(word) == 1 or word in self.skipped or word in _facts()["titles"]):
                continue
            for w in (word, _stem(words[j][0]), word.removesuffix("s")):
                if self._has(f"{sign}{said}{w}") and words[j][0][0].isupper():
                    return words[j].end()
            said += f"{word} "
            if said.count(" ") > 2:
                return 0
        return 0

    def _initial_last(self, text: str, words: list[re.Match], i: int) -> tuple[int, int]:
        """A family name with an initial behind it: Schmidt, A."""
        m = words[i]
        initial = re.compile(r", ?([^\W\d_])\.").match(text, m.end())
        if initial and self._has(f"{_fold(initial[1])}. {_fold(m[0])}"):
            return m.start(), initial.end()
        return 0, 0

    def _in_han(self, run: re.Match, mine: frozenset[str], family: str) -> Iterator[Find]:
        places = [i for i, c in enumerate(run[0]) if c >= "\u4e00"]  # spaces and dots may stand within
        text, i = "".join(run[0][p] for p in places), 0
        meant = {*mine, *(family + t for t in _HAN_TITLES if family)}
        while i < len(text):
            begins = self._has(f"^{text[i]}")
            cuts = {n: text[i : i + n] for n in (4, 3, 2) if i + n <= len(text)}
            n = next((n for n, cut in cuts.items() if cut in meant or (begins and self._has(cut))), 0)
            if n:
                yield run.start() + places[i], run.start() + places[i + n - 1] + 1, "name"
            i += n or 1


@cache
def _spellings(word: str) -> tuple[str, ...]:
    """A word folded, and without a French article before it or a genitive behind it."""
    bare = _ELIDED.sub("", word, count=1)
    return tuple(dict.fromkeys(w for w in (_fold(word), _fold(bare), _stem(bare), _fold(bare).removesuffix("s")) if w))


def _stem(word: str) -> str:
    return _fold(re.sub("'s$", "", word))


@cache
def _parts(own: str) -> tuple[frozenset[str], str]:
    """The parts of a person's name that mean them when they stand alone, and a Chinese family name."""
    first, last = people._split_name(own)
    if "\u4e00" <= (last or first)[:1] <= "\u9fff":
        return frozenset(w for w in (first, last + first) if len(w) > 1), last
    return frozenset(w for w in (first + " " + last).split() if len(w) > 2), ""


# --- masks ------------------------------------------------------------------------------------


def full_names(records: pd.DataFrame) -> set[str]:
    """The full names in the records of people; where first and last name stand apart, a new line parts them."""
    both = records["first_name"].str.strip() + "\n" + records["last_name"].str.strip()
    return set(records["name"].dropna()) | set(both.dropna())


def mask(
    texts: pd.Series,
    known: KnownNames | Iterable[str],
    own: pd.Series | None = None,
    country: str = "",
    leave: Container[str] = (),
) -> pd.Series:
    """Texts in which contacts and known people are replaced by [e-mail], [phone], [card], [address], [name] ...

    `known` are the full names of people, as their sources write them; `own` is the name of each text's writer, of
    which the first or last name alone is masked too; `leave` are kinds that stay.

    >>> mask(pd.Series(["Schmidt, Anna: call 0151 23456789 about order 100234"]), {"Anna Schmidt"}).item()
    '[name]: call [phone] about order 100234'
    """
    known = known if isinstance(known, KnownNames) else KnownNames(known)
    texts = texts.astype("str")
    if own is None:
        clean = {t: _masked(t, find_all(t, known, None, country), leave) for t in texts.dropna().unique()}
        return texts.map(clean).astype("str")
    clean = [
        _masked(t, find_all(t, known, o, country), leave) if isinstance(t, str) else t
        for t, o in zip(texts, own, strict=True)
    ]
    return pd.Series(clean, index=texts.index, name=texts.name, dtype="str")


def mask_keys(texts: pd.Series, known: KnownNames, sign: Callable[[str], str]) -> pd.Series:
    """Keys, such as coupon codes, in which e-mails and known names are replaced; `sign` of the key keeps two apart.

    Numbers stay: those of a key are its own.

    >>> mask_keys(pd.Series(["ANNA-SCHMIDT-10", "10023"]), KnownNames({"Anna Schmidt"}), lambda key: "3f").tolist()
    ['[name]-10 3f', '10023']
    """
    clean = {}
    for text in texts.dropna().unique():
        plain = Plain(text)
        found = _emails(plain.text)
        found = plain.there(found + known.found(_blank(plain.text, found)))
        clean[text] = f"{_masked(text, found)} {sign(text)}" if found else text
    return texts.map(clean).astype("str")


def find_all(text: str, known: KnownNames, own: str | None = None, country: str = "") -> list[Find]:
    """Contacts and known names in a text, in order: start, end, kind."""
    plain = Plain(text)
    found = _contacts(plain.text, country)
    return plain.there(found + known.found(_blank(plain.text, found), own))


def _masked(text: str, found: list[Find], leave: Container[str] = ()) -> str:
    for start, end, kind in reversed(found):
        text = text if kind in leave else f"{text[:start]}[{kind}]{text[end:]}"
    return text
