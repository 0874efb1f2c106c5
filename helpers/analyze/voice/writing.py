"""What customers wrote, in one list: service cases, reviews and survey comments, with language and
words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import date
from importlib import resources

import ibis
import ibis.expr.types as ir
import pandas as pd
import rjieba
import yaml
from ibis import _


def facts(name: str) -> dict:
    """The YAML file of this name beside the module."""
    return yaml.safe_load(
        resources.files(__package__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    )


TEXTS = facts("texts")
LISTS = ("texts", "topics", "mood", "emotion", "service", "coders")
VOICE_VERSION = ", ".join(f"{name} {facts(name)['version']}" for name in LISTS)
MOST = 50_000  # texts read, the latest; more would add time and no precision
STOP = {language: frozenset(words) for language, words in TEXTS["stop"].items()}
MARK = re.compile(
    r"\[[^\]]*\]|https?://\S+|[A-Za-z#._/:-]*\d[A-Za-z0-9#._/:-]*"
)  # masks such as [name], addresses, numbers
HAN = re.compile(r"[\u3400-\u9fff]")
LATIN = re.compile(r"[^\W\d_\u3400-\u9fff]+(?:'[^\W\d_\u3400-\u9fff]+)?")


def our_reviews(reviews: ir.Table, products: ir.Table, own: str) -> ir.Table:
    """Reviews without those of another brand than `own`, unless they are about one of our
    products.
    """
    brand = reviews.brand
    return reviews.filter(
        reviews.product_id.isin(products.product_id)
        | brand.isnull()
        | (brand.lower() == own.lower())
    )


def gather_texts(tables: Mapping[str, ir.Table], own: str, as_of: date) -> ir.Table:
    """One row a text until `as_of`: text_id, source, customer_id, product_id, said_at, text,
    unhappy.

    source: ticket, review or survey. `tables` needs tickets, reviews, surveys and products.
    unhappy: True or False by what the same customer marked (satisfaction of the case, stars, score
    of the questionnaire), empty where they marked nothing or the middle. Reviews are those of
    `our_reviews`. Texts without a date stay, with an empty said_at.
    """
    t, r, s = tables["tickets"], tables["reviews"], tables["surveys"]
    marked = t.satisfaction.lower()
    cases = t.select(
        text_id=ibis.literal("ticket:") + t.ticket_id,
        source=ibis.literal("ticket"),
        customer_id=t.customer_id,
        product_id=ibis.null("string"),
        said_at=t.opened_at,
        text=t.text,
        unhappy=_marked(marked.isin(TEXTS["unhappy"]), marked.isin(TEXTS["happy"])),
    )
    stars = TEXTS["stars"]
    reviews = our_reviews(r, tables["products"], own).select(
        text_id=ibis.literal("review:") + r.review_id,
        source=ibis.literal("review"),
        customer_id=ibis.null("string"),
        product_id=r.product_id,
        said_at=r.posted_at,
        text=r.text,
        unhappy=_marked(r.rating <= stars["unhappy"], r.rating >= stars["happy"]),
    )
    level = TEXTS["survey"]
    score = s.filter(_.kind.isin(["nps", "csat"]), _.score.notnull(), _.scale_max > 0)
    score = score.group_by("response_id").agg(share=(_.score / _.scale_max).mean())
    said = s.filter(_.comment.notnull()).left_join(score, "response_id")
    comments = said.select(
        text_id=ibis.literal("survey:") + said.response_id + ":" + said.question_id,
        source=ibis.literal("survey"),
        customer_id=said.customer_id,
        product_id=ibis.null("string"),
        said_at=said.answered_at,
        text=said.comment,
        unhappy=_marked(said.share < level["unhappy"], said.share > level["happy"]),
    )
    return ibis.union(cases, reviews, comments).filter(
        _.text.length() > 1, _.said_at.isnull() | (_.said_at.date() <= as_of)
    )


def read_texts(rows: ir.Table, products: ir.Table) -> pd.DataFrame:
    """The latest texts of `gather_texts` with said_on, language (en, zh or other) and plain: the
    words that may tell the topic.

    Texts without a date come last. From `plain`, masks such as [name], numbers and the names of
    products are gone.
    """
    found = (
        rows.order_by([ibis.desc("said_at"), "text_id"])
        .limit(MOST)
        .to_pandas()
        .astype({"unhappy": "boolean"})
    )
    known = (
        products.filter(_.name.notnull()).select("name").distinct().to_pandas()["name"]
        if len(found)
        else []
    )
    names = {tuple(LATIN.findall(n.lower())) for n in known} - {()}
    names = {n for n in names if len(n) > 1}  # one word alone ("Lamp") is what the text is about
    once = {t: (language_of(t), without_names(t, names)) for t in found["text"].unique()}
    pairs = found["text"].map(once)
    texts = found.assign(language=pairs.str[0].astype("str"), plain=pairs.str[1].astype("str"))
    texts = texts.assign(said_on=texts["said_at"].dt.date)
    return texts.sort_values(["said_at", "text_id"], ignore_index=True)


def language_of(text: str) -> str:
    """en, zh or other, by script and by small words.

    >>> [language_of(t) for t in ("Where is my parcel?", "物流一直没有更新", "Das ist nicht gut")]
    ['en', 'zh', 'other']
    """
    words = LATIN.findall(unicodedata.normalize("NFKC", text).lower())
    letters, han = sum(c.isalpha() for c in text), len(HAN.findall(text))
    if han and han >= 0.2 * letters:
        return "zh"
    if not letters or not words or not all("a" <= w[0] <= "ɏ" for w in words):
        return "other"
    counts = {name: sum(w in known for w in words) for name, known in SMALL.items()}
    return "en" if counts["en"] >= max(counts.values()) else "other"


SMALL = {name: frozenset(words) for name, words in TEXTS["languages"].items()}


def without_names(text: str, names: set[tuple[str, ...]]) -> str:
    """A text in small letters without masks, numbers and names (each a tuple of words in small
    letters).

    >>> without_names("The Desk Lamp Oak from #1001 broke, [name]", {("desk", "lamp", "oak")})
    'the from broke,'
    """
    plain = MARK.sub(" ", unicodedata.normalize("NFKC", text).lower())
    spans, longest = list(LATIN.finditer(plain)), max(map(len, names), default=0)
    words, kept, at, i = [m[0] for m in spans], [], 0, 0
    while i < len(words):
        n = next((n for n in range(longest, 0, -1) if tuple(words[i : i + n]) in names), 0)
        if n:
            kept.append(plain[at : spans[i].start()])
            at = spans[min(i + n, len(spans)) - 1].end()
        i += n or 1
    return " ".join("".join([*kept, " ", plain[at:]]).split())


def words_of(plain: str) -> list[str]:
    """The words of a plain text that may say something; Chinese is cut by rjieba.

    >>> words_of("the parcel still has not arrived"), words_of("快递太慢了")
    (['parcel', 'arrived'], ['快递', '太慢'])
    """
    latin = [w for w in LATIN.findall(plain) if len(w) > 2 and w not in STOP["en"]]
    if not HAN.search(plain):
        return latin
    return latin + [w for w in rjieba.cut(plain) if HAN.match(w) and w not in STOP["zh"]]


def pattern(words: Iterable[str]) -> re.Pattern:
    """Words and phrases as one pattern; a star stands for any ending, Chinese is found inside other
    words.

    >>> pattern(["deliver*", "not arrived"]).findall("it was delivered, it has not arrived")
    ['delivered', 'not arrived']
    """
    parts = sorted(words, key=len, reverse=True)
    written = [re.escape(w).replace(r"\*", r"\w*").replace(r"\ ", r"\s+") for w in parts]
    return re.compile(
        "|".join(p if HAN.search(w) else rf"\b{p}\b" for p, w in zip(written, parts, strict=True))
    )


def lesson() -> pd.DataFrame:
    """A few typed sentences in the shape of `read_texts`, to try the methods on: text, language,
    plain, unhappy.
    """
    rows = pd.DataFrame(TEXTS["lesson"]).astype({"unhappy": "boolean"})
    return rows.assign(
        language=rows["text"].map(language_of),
        plain=rows["text"].map(lambda t: without_names(t, set())),
    )


def _marked(unhappy: ir.BooleanValue, happy: ir.BooleanValue) -> ir.BooleanValue:
    return ibis.cases((unhappy, True), (happy, False), else_=ibis.null("boolean"))
