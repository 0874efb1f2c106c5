"""E-mails, phones, accounts, papers and addresses in free text, in all their spellings."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from functools import cache, lru_cache
from importlib import resources

import phonenumbers
import yaml

from helpers.collect.spelling import Find, Plain

_LETTER = "A-Za-zÀ-ɏͰ-ӿḀ-ỿ"
_LABEL = r"(?:[^\W_]|-)+"
_BRACKETS = r"\s?[(\[{{<]\s?(?:{})\s?[)\]}}>]\s?"
_AT = rf"(?:@\s?|%40|{_BRACKETS.format('at|ät|a|arroba|@')})"
_TOPS = "(?:com|net|org|info|de|at|ch|fr|es|it|nl|eu|uk|cn|jp|io)"
_DOT = rf"(?:[.。]|\s\.\s?|,(?={_TOPS}\b)|{_BRACKETS.format('dot|punkt|point|punto|[.]')})"
_HOST = rf"{_LABEL}(?:{_DOT}{_LABEL})*{_DOT}(?:xn--[a-z0-9-]+|[{_LETTER}]{{2,24}})"
_DOTTED = r"(?:dot|punkt|point|punto)"
_EMAIL = re.compile(
    rf"[{_LETTER}0-9._%+'-]+{_AT}{_HOST}"
    rf"|[{_LETTER}0-9._+-]+\s(?:at|arroba)\s{_LABEL}(?:\s{_DOTTED}\s{_LABEL})+"
    rf"|[{_LETTER}0-9.+]+\s?([-_*~])at\1\s?[^\W_]+(?:\s?\1{_DOTTED}\1\s?[^\W_]+)+",
    re.I,
)
_LOOSE = re.compile(
    rf"(?P<local>[{_LETTER}0-9._%+'-]+)\s+(?P<at>@\s?|(?:at|arroba)\s)(?P<host>{_HOST})", re.I
)
_MAY_WRITE = re.compile(
    r"@|%40|[(\[{<]\s?(?:at|ät|a|arroba)\s?[)\]}>]|\s(?:at|arroba)\s|[-_*~]at[-_*~]", re.I
)
_MAIL_CALLED = re.compile(
    r"(?<![^\W_])e?-?mail|adress|correo|courriel|write (?:to )?me|reach me|contact me|邮箱", re.I
)
_QUICK = re.compile(r"\d(?:[^\d\n]{0,6}\d){5}|::|(?:[0-9a-f]{1,4}:){3}|\d\.\d+\.\d+\.\d", re.I)
_DAYS = r"(?:\d{1,2}[./-]\d{1,2}[./-](?:\d{4}|\d{2})|\d{4}[./-]\d{1,2}[./-]\d{1,2})(?![./-]?\d)"
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2})?(?:\.\d+)?(?: ?[+-]\d{2}:?\d{2}\b)?"
_AMOUNT = r"(?:\d{1,3}(?:[.,']\d{3})+|\d+)(?:[.,]\d{1,2})?"
_PRICE = rf"[€$£¥]\s?{_AMOUNT}|{_AMOUNT}\s?(?:€|\$|£|¥|EUR|USD|CHF|GBP|CNY|RMB|元|块)|\d+[.,]\d\d(?![\d]|[.,]\d)"
# dates, times, money
_PLAIN = re.compile(rf"(?<![\d./-])(?:{_DAYS}|{_CLOCK})|(?<![\d.,/ -])(?:{_PRICE})")
_V4 = re.compile(
    r"(?<![\w.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\w]|\.\d)",
    re.A,
)
_V6 = re.compile(r"(?<![\w:.])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?![\w:])", re.I | re.A)
_LONG = re.compile(r"(?<![\w-])\d(?:[ .\n_–-]?\d){12,18}[Xx]?(?![\w-]|[.,]\d)", re.A)
_FOURS = re.compile(r"(?<![\w-])\d{4}([ ./\n_–-])\d{4}\1\d{4}\1\d{4}(?![\w-]|[.,]\d)", re.A)
_ACCOUNT = re.compile(r"(?<![A-Z0-9])[A-Z]{2} ?\d{2}(?:[ .\n_–-]?[A-Z0-9]){11,30}", re.A | re.I)
_SOCIAL = re.compile(r"(?<![\w-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w-])", re.A)
_FRENCH = re.compile(r"(?<![\w-])[12] ?\d\d ?[01]\d ?\d[\dAB] ?\d{3} ?\d{3} ?\d\d(?![\w-])", re.A)
_PHONE = re.compile(
    r"(?<![\w.,/#+*-])(?:\+ ?|\(\+)?\(?\d(?:[ ./()·–-]{0,3}\d){6,14}(?!\w|[.,]\d|-\w)", re.A
)
_CARD = re.compile(
    r"(?:4\d|5[1-5]|2[2-7]|35|65)\d{14}|3[47]\d{13}|3[068]\d{12}|6011\d{12}|62\d{14,17}"
)
_NANP = re.compile(r"(?:1[ .-]?)?(?:\([2-9]\d\d\) ?|[2-9]\d\d[ .-])[2-9]\d\d[ .-]\d{4}")
_APART = re.compile(
    r"\(?0\d{1,5}\)? ?[ /·–-] ?[\d /-]+|0\d(?:[ .-]\d\d){4}|\(?0\d{2,4}\)?(?:\.\d{2,4}){2,4}"
)
_ORDERS = ("单号", "编号", "订单", "version")  # endings of words before a number that is no phone
# regions in which a number starts with 0 when no region is given
_TRUNK = ("DE", "FR", "GB", "AT", "CH", "CN")
# regions that say numbers without a 0 before them
_NO_TRUNK = ("ES", "IT", "PT", "PL", "DK", "NO", "CZ")
HAN = "\u4e00-\u9fff"
_KANA = "々ぁ-ヶー"
_BEFORE = re.compile(r"([^\W\d_]+|#)[\s.:：#°=()-]*$")
_CALLED = re.compile(
    r"\b(?:tel|telefon|telephone|phone|call|ring|mobile?|handy|cell|whatsapp|fon|portable|telefonnummer|rufnummer"
    r"|tel[ée]fono|m[óo]vil|t[ée]l[ée]phone|ll[áa]m[ae]\w*|appel(?:ez|er|le)|anrufen|ruft?|rufen|telefonino|cellulare"
    r"|sms|text me|reach me)\b|电话|電話|手机|携帯|致电|微信|联系",
    re.I,
)
# weights of a Chinese identity number
_CHECK = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


@cache
def facts() -> dict:
    """What masks.yaml says."""
    return yaml.safe_load(
        resources.files("helpers.collect").joinpath("masks.yaml").read_text(encoding="utf-8")
    )


def find_contacts(text: str, country: str = "") -> list[Find]:
    """E-mails, phones, cards, bank accounts, identity cards, IP and street addresses in a text:
    start, end, kind.

    Numbers are believed only where a check digit, a prefix or a word before them says so: order
    numbers, prices and dates stay. `country` (DE) is where phone numbers without prefix are from.

    >>> find_contacts("Order 4003600000000014, 12.05.2024, 19.99 EUR: call +49 151 23456789")
    [(52, 68, 'phone')]
    """
    plain = Plain(text)
    return plain.there(contacts_in(plain.text, country))


# the same text stands in many rows, and is looked at again for the list of what files hold
@lru_cache(maxsize=20_000)
def contacts_in(text: str, country: str) -> list[Find]:
    """As `find_contacts`, in a text of one spelling."""
    found = emails_in(text)
    found += _chat_names(blank(text, found))
    rest = blank(text, found)
    if not re.search(r"\d|::", rest):
        return found
    new = _addresses(rest)
    rest, found = blank(rest, new), found + new
    if not _QUICK.search(rest):
        return found
    for pattern, kind, is_one, mark, times in _NUMBERS:
        if text.count(mark) < times:
            continue
        new = [
            (m.start(), m.end(), kind or said)
            for m in pattern.finditer(rest)
            if (said := is_one(m))
        ]
        rest, found = blank(rest, new), found + new
    new = [(*m.span("number"), "identity card") for m in _paper().finditer(rest)]
    new += _accounts(blank(rest, new))
    rest, found = blank(rest, new), found + new
    if _PHONE.search(rest):
        rest = _PLAIN.sub(lambda m: "\0" * len(m[0]), rest)
        found += [
            (m.start(), m.end(), "phone") for m in _PHONE.finditer(rest) if _is_phone(m, country)
        ]
    return found


def emails_in(text: str) -> list[Find]:
    """E-mails in a text of one spelling."""
    if "@" not in text and not _MAY_WRITE.search(text):
        return []
    found = [(*m.span(), "e-mail") for m in _EMAIL.finditer(text)]
    return found + [
        (*m.span(), "e-mail") for m in _LOOSE.finditer(blank(text, found)) if _is_written_loosely(m)
    ]


def _is_written_loosely(match: re.Match) -> bool:
    """Whether words such as "anna at example.com" are an e-mail, not what somebody bought at a
    shop.
    """
    local, at = match["local"], match["at"].strip()
    if local.lower() in facts()["not_before_at"] or not re.search(r"[^\W\d_]", local):
        return False
    if (
        re.search(r"[^\W_][\d._-]|\d", local)
        or at.lower() == "arroba"
        or match["at"] == "@"
        or " ." in match["host"]
    ):
        return True
    if match["host"].lower() in facts()["mail_hosts"] or (at == "AT" and not local.isupper()):
        return True
    return bool(_MAIL_CALLED.search(match.string, max(match.start() - 30, 0), match.start()))


def email_of(found: str) -> str:
    """An e-mail as it was found in a text, in its plain form.

    >>> email_of("Ana (at) example [dot] com"), email_of("ana%40example.com")
    ('ana@example.com', 'ana@example.com')
    """
    text = re.sub(
        rf"\s*{_AT}|\s(?:at|arroba)\s|\s?([-_*~])at\1\s?", "@", Plain(found).text.lower(), count=1
    )
    return re.sub(rf"{_DOT}|\s{_DOTTED}\s|\s?([-_*~]){_DOTTED}\1\s?", ".", text)


def blank(text: str, found: list[Find]) -> str:
    """The text with a sign that is in no word in place of what was found."""
    for start, end, _kind in found:
        text = text[:start] + "\0" * (end - start) + text[end:]
    return text


def _word_before(match: re.Match) -> str:
    said = _BEFORE.search(match.string, max(match.start() - 25, 0), match.start())
    return said[1].lower() if said else ""


def _labels_number(match: re.Match) -> bool:
    word = _word_before(match)
    return word == "#" or word in facts()["number_words"] or word.endswith(_ORDERS)


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
    """International bank account numbers: a country, its length, the check number, and no letter
    behind.
    """
    for m in _ACCOUNT.finditer(text):
        places = [i for i in range(*m.span()) if text[i].isalnum()]
        length = facts()["account_lengths"].get(m[0][:2].upper(), 99)
        if len(places) < length or text[places[length - 1] + 1 :][:1].isalnum():
            continue
        number = "".join(text[i] for i in places[:length]).upper()
        if int("".join(str(int(c, 36)) for c in number[4:] + number[:4])) % 97 == 1:
            yield m.start(), places[length - 1] + 1, "bank account"


def _long_number(match: re.Match) -> str:
    digits = re.sub(r"[^\dX]", "", match[0].upper())
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
    words = "|".join(facts()["id_words"])
    return re.compile(
        rf"(?:(?<![A-Z])(?:{words}))(?:["
        r" -]?(?:no|nr|num|number|nummer|numéro|número|号码?)\b)?[\s.:#°-]*"
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
    if _labels_number(match) and not (called and _word_before(match) in facts()["any_number"]):
        return False
    if text.startswith("+") or digits.startswith("00"):
        return _possible("+" + digits.lstrip("0"), None) and len(digits.lstrip("0")) > 7
    if re.fullmatch(r"(?:86[ -]?)?1[3-9]\d[ -]?\d{4}[ -]?\d{4}", text):
        return True
    if digits[0] == "0":
        apart = _APART.fullmatch(match[0])
        return bool(apart and 8 < len(digits) < 14) or any(
            _valid(text, r) for r in {country, *_TRUNK} - {""}
        )
    if _NANP.fullmatch(match[0]):
        return True
    if called and any(_possible(text, region) for region in {country, "US"} - {""}):
        return True
    if (
        called
        and match.start() - called.end() < 6
        and any(_valid(text, region) for region in _NO_TRUNK)
    ):
        return True
    return bool(_CALLED.fullmatch(_word_before(match))) and (
        _possible("+" + digits, None) or _possible(text, "ES")
    )


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


def _chat_names(text: str) -> list[Find]:
    """Names in chat programs: only behind the program's name, and where no plain word can stand
    there.
    """
    low = text.lower()
    if not any(map(low.__contains__, facts()["chat_words"])):
        return []
    return [(*m.span(m.lastgroup), "chat name") for m in _chat().finditer(text)]


@cache
def _chat() -> re.Pattern:
    program = "|".join(facts()["chat_programs"])
    called = r"[ ]?(?:号码?|id\b|[帐账]号|name\b|handle\b|user\b)"
    return re.compile(
        rf"(?<![a-z0-9])(?:{program})(?:(?:{called}[\s:=是为]{{0,3}}|["
        r" :=]{0,2}@)(?P<named>[a-z][\w.-]{4,30})"
        r"|[\s:=是为-]{0,3}(?P<odd>(?=[a-z.-]*[\d_])[a-z][\w.-]{4,30}))"
        r"|(?:微信|威信|薇信)[:是](?P<latin>[a-z][\w-]{5,19})"
        r"|加我?(?:v信?|vx|微信?)号?[\s:]{0,2}(?P<added>[a-z][\w-]{5,19})"
        r"|(?:(?<![a-z0-9])qq|扣扣|加q)(?:号码?|群)?[\s:是为]{0,3}(?P<number>[1-9]\d{4,10}(?!\d))",
        re.I | re.A,
    )


def _addresses(text: str) -> list[Find]:
    """Streets with a house number, and post boxes; a street may go on in the next line."""
    found: list[Find] = []
    text = text.replace("\n", " ")
    low = text.lower()
    for pattern, words in _street_patterns():
        if any(map(low.__contains__, words)):
            new = [(*m.span(), "address") for m in pattern.finditer(text)]
            text, found = blank(text, new), found + new
    return found


@cache
def _street_patterns() -> list[tuple[re.Pattern, list[str]]]:
    """Streets as each language writes them, each with words of which such a text holds one."""
    streets = facts()["streets"]
    words = {kind: "|".join(streets[kind]) for kind in streets}
    capital = r"(?![a-zß-öø-ÿ])[^\W\d_]"  # also a letter that has no case
    name = rf"{capital}[\w'.-]*"
    small = "(?i:de|del|du|des|la|le|les|los|las|el|l'|d'|y|et|von|van|der)"
    house = r"\d{1,4}(?: ?[a-zA-Z]\b)?(?:[-/]\d{1,4})?"
    town = rf"(?:,? (?:D-)?\d{{5}}(?!\d)(?: {name})?)?"
    no_measure = (
        rf"(?!\d|[.,:]\d|[ ]?(?:{'|'.join(map(re.escape, streets['not_after']))})(?!\w)|["
        r" ][a-z]{4,})"
    )
    # a thing that is counted
    alone = rf"(?![ ](?!(?:{'|'.join(streets['may_follow'])})\b)[^\W\d_]{{4,}})"
    goes_on = (
        r"(?!["
        r" ](?!(?:in|near|and|or|please|before|after|is|was|at|to|for|from|but|not|since|with)\b)[a-z]{2,})"
    )
    german_not = "|".join(streets["german_not"])
    patterns = {
        "english": (
            rf"\d{{1,5}}[A-Za-z]?(?:[-/]\d+)?,? (?:{name} |\d+(?:st|nd|rd|th) ){{1,3}}"
            rf"(?:{words['english']})\b\.?(?: [NSEW]{{1,2}}\b)?{goes_on}"
            rf"|\d{{1,5}}[A-Za-z]? (?:{name} ){{1,3}}Place(?=[,.;)\n]|$)"
            r"|(?i:\b\d{1,5}[a-z]? (?:[^\W\d_]+ ){1,2}(?:street|road|avenue|lane)(?=, ?[^\W\d_]))"
        ),
        "german_ends": (
            rf"(?i:\b(?!(?:{german_not})\b)[^\W\d_][\w-]{{2,}}(?:{words['german_ends']}))["
            rf" ]?{house}"
            rf"{no_measure}{town}"
        ),
        "german_alone": (
            rf"\b(?!(?:Der|Die|Das|Den|Dem|Ein|Eine|Einen|Mein|Kein)\b){name} "
            rf"(?:{words['german_alone']}) {house}"
            rf"{no_measure}{alone}{town}"
        ),
        "german_loose": (
            rf"(?i:\b[^\W\d_][\w-]{{2,}}(?:{words['german_loose']})) {house}(?=,?"
            rf" (?:D-)?\d{{5}}\b){town}"
        ),
        "german_at": (
            rf"\b(?:{words['german_at']}) (?:{name} ){{1,2}}{house}(?=,? (?:D-)?\d{{5}}\b){town}"
        ),
        "french": (
            rf"\b\d{{1,4}}(?: ?(?:bis|ter|quater)| [a-d])?,? (?:(?i:{words['french']}) "
            rf"(?:{small} ?)+[^\W\d_][\w'-]*|(?:{words['french']}|Rue|Avenue|Av\.|Boulevard|Bd\.?)"
            rf" {name})"
            rf"(?: (?:{small} ?)*{name}){{0,3}}"
        ),
        "spanish": (
            rf"(?i:(?<!\w)(?:{words['spanish']})) ?(?:{small} )*{name}(?: (?:{small}"
            rf" )*{name}){{0,3}},? "
            rf"(?:(?i:no|n|núm|num)[.°]? ?)?{house}{no_measure}"
        ),
        "named": (
            rf"(?<!\w)(?:{words['named']}) (?:{small} )*{name}(?: (?:{small} )*{name}){{0,3}},? "
            rf"{house}{no_measure}"
        ),
        "japanese": (
            rf"(?:〒? ?\d{{3}}-\d{{4}} ?)?(?:[{HAN}]{{2,3}}[都道府県])?[{HAN}{_KANA}]{{1,6}}?"
            rf"(?:{words['japanese']})[{HAN}{_KANA}]{{1,12}}? ?\d{{1,4}}(?:丁目|番地?|-)"
            r"(?:\d{1,4}(?:番地?|号|-)?){0,3}"
        ),
        "boxes": rf"(?i:(?<!\w)(?:{words['boxes']})) \d(?:[\d ]*\d)?",
        "chinese": (
            rf"(?:[{HAN}]{{2,7}}(?:省|自治区))?(?:[{HAN}]{{2,3}}市)?(?:[{HAN}]{{1,3}}[区县镇])?"
            rf"[{HAN}]{{2,4}}?(?:{words['chinese']})(?:[东西南北中]?[一二三四五六七八九十]?[段路巷弄]?)"
            r" ?\d{1,5} ?号"
            rf"(?:楼|院)?(?:[\dA-Za-z一二三四五六七八九十]{{1,5}} ?(?:单元|号楼|栋|幢|座|层|楼|室|号))*"
        ),
    }
    return [
        (re.compile(p), [re.split(r"[\\?]", w.lower())[0] for w in streets[kind]])
        for kind, p in patterns.items()
    ]
