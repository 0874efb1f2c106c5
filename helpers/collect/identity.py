"""One customer across sources: which records are the same person, how that is known and how
surely.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from helpers.client import Matching
from helpers.collect.people import NameRules, normalise
from helpers.collect.scores import FIXED, score_pairs, weights_in_words

NUMBER = "same number"
EMAIL = "same e-mail"
PHONE = "same phone and name"
SCORED = "scored"
ALONE = "alone"

Name = tuple[str, str]  # first and last, folded; empty where not known


@dataclass(frozen=True)
class Matched:
    """Who is who.

    `people` has one row a record: record, person (its smallest record id), how, score (probability
    of the match). `doubtful` lists pairs for review: record_a, record_b, score, why. `summary`
    counts each stage: stage, pairs (found to agree), joined (records that found others), people
    (left after it), wrong (expected share of wrong matches; numbers are taken at their word),
    weights (of the score: learned or fixed, in words).
    """

    people: pd.DataFrame
    doubtful: pd.DataFrame
    summary: pd.DataFrame


def match(records: pd.DataFrame, settings: Matching, country: str = "") -> Matched:
    """Find the records that are one person: by number, e-mail, phone with name, then by score.

    `country` (such as DE) reads phone numbers without prefix. Records whose first names or numbers
    contradict are never joined, nor are the groups that they are in.
    """
    if records["record"].duplicated().any():
        raise ValueError("a record id stands twice")
    people = _own_contacts(normalise(records, country), settings.crowd)
    groups = _Groups(people)
    groups.join_numbers(people["ids"])
    groups.join_shared("email", EMAIL, strict=False)
    groups.join_shared("email_key", EMAIL, strict=True)
    groups.join_shared("phone", PHONE, strict=True)
    trained = len(people) >= settings.learn_from
    pairs, learned = score_pairs(people, groups.person(), 0.01, trained)
    least = np.where(_score_nameless(pairs, groups), settings.nameless, settings.same)
    torn = pairs[["a", "b"]].isin(groups.torn).any(axis=1)
    pairs = pairs.assign(joins=(pairs["score"] >= least) & ~torn, torn=torn)
    pairs = pairs.sort_values(["score", "a", "b"], ascending=[False, True, True], ignore_index=True)
    for a, b in pairs.loc[pairs["joins"], ["a", "b"]].to_numpy().tolist():
        groups.join(a, b, SCORED)
    doubtful = _doubtful(pairs[pairs["score"] >= settings.doubtful], groups, people["record"])
    links = groups.links().merge(pairs[["a", "b", "score"]], on=["a", "b"], how="left")
    links["score"] = links["score"].mask(links["how"] == NUMBER, 1.0).fillna(settings.doubtful)
    first = (
        links.reset_index()
        .melt(["index", "how", "score"], ["a", "b"], value_name="row")
        .sort_values("index")
    )
    first = first.drop_duplicates("row").set_index("row").reindex(people.index)
    person = people["record"].to_numpy()[groups.person()]
    found = pd.DataFrame({"record": people["record"], "person": pd.Series(person, dtype="str")})
    found = found.assign(
        how=first["how"].fillna(ALONE).astype("str"), score=first["score"].astype(float)
    )
    summary = _summary(links, groups, len(doubtful), records["email"])
    summary["weights"] = np.where(summary["stage"] == SCORED, weights_in_words(learned), "")
    return Matched(found, doubtful, summary)


def _own_contacts(people: pd.DataFrame, crowd: int) -> pd.DataFrame:
    """The records without the e-mails and phones that belong to a counter or an office: many names
    share them.
    """
    people = people.copy()
    name = people["first"].fillna("") + " " + people["last"].fillna("")
    for key, columns in (
        ("email_key", ["email", "email_key", "handle"]),
        ("phone_key", ["phone", "phone_key"]),
    ):
        shared = name.groupby(people[key]).transform("nunique") > crowd
        people.loc[shared, columns] = None
    return people


class _Groups:
    """Records, joined one pair at a time; rows are numbered in the order of their record ids."""

    def __init__(self, people: pd.DataFrame) -> None:
        self.rules = NameRules.of(people)
        self.people = people
        self.names = list(zip(people["first"].fillna(""), people["last"].fillna(""), strict=True))
        self.parent = list(range(len(people)))
        self.known = [{name} if name[0] else set() for name in self.names]
        self.numbers = [_by_kind(ids) for ids in people["ids"].fillna("")]
        self.shared: dict[str, int] = {}  # e-mails, phones that are seen with two people
        self.torn: set[int] = set()  # rows that fit two people who share a contact
        self.apart: set[tuple[int, int]] = set()  # rows that share a contact and are two people
        self.found: set[tuple[str, int, int]] = set()  # stage and pair that agree in it
        self._links: list[tuple[int, int, str]] = []

    def root(self, row: int) -> int:
        """The smallest row of the group."""
        while self.parent[row] != row:
            self.parent[row] = self.parent[self.parent[row]]
            row = self.parent[row]
        return row

    def person(self) -> pd.Series:
        """The smallest row of its group, per row."""
        return pd.Series([self.root(r) for r in range(len(self.parent))], dtype="int64")

    def contradict(self, a: int, b: int) -> bool:
        """Whether two groups cannot be one person: other numbers of one kind, or other
        first names.
        """
        kinds = self.numbers[a].keys() & self.numbers[b].keys()
        if any(not self.numbers[a][k] & self.numbers[b][k] for k in kinds):
            return True
        return any(self._differ(v, w) for v in self.known[a] for w in self.known[b])

    def join(self, a: int, b: int, how: str) -> bool:
        """Make one group of the two, unless they contradict each other (an equal number outweighs a
        name).
        """
        self.found.add((how, min(a, b), max(a, b)))
        low, high = sorted((self.root(a), self.root(b)))
        if low == high or (how != NUMBER and self.contradict(low, high)):
            return False
        self.parent[high] = low
        self.known[low] |= self.known[high]
        for kind, numbers in self.numbers[high].items():
            self.numbers[low][kind] = self.numbers[low].get(kind, set()) | numbers
        self._links.append((min(a, b), max(a, b), how))
        return True

    def links(self) -> pd.DataFrame:
        """The joins in their order: a, b, how."""
        return pd.DataFrame(self._links, columns=["a", "b", "how"]).astype(
            {"a": "int64", "b": "int64"}
        )

    def join_numbers(self, ids: pd.Series) -> None:
        """Join the records that share a customer number."""
        for rows in _rows_by(ids.str.split().explode()):
            for other in rows[1:]:
                self.join(rows[0], other, NUMBER)

    def join_shared(self, column: str, how: str, strict: bool) -> None:
        """Join the records that share a contact and whose names fit; `strict` wants both names
        known and alike.

        A record that fits two people who share the contact (no name, or only an initial) is torn:
        left for review.
        """
        shared = 0
        for rows in _rows_by(self.people[column]):
            alike: dict[Name, list[int]] = {}
            for row in rows:
                alike.setdefault(self.names[row], []).append(row)
            fits: dict[Name, list[Name]] = {name: [] for name in alike}
            for a, b in combinations(alike, 2):
                if self._fit(a, b, strict=False):
                    fits[a].append(b)
                    fits[b].append(a)
                elif self._differ(a, b):
                    self.apart.add((alike[a][0], alike[b][0]))
            shared += any(self._differ(v, w) for v, w in combinations(alike, 2))
            torn = {
                name for name, others in fits.items()
                if any(self._differ(v, w) for v, w in combinations(others, 2))
            }  # fmt: skip
            self.torn.update(row for name in torn for row in alike[name])
            for name, same in alike.items():
                if not strict or all(name):
                    for other in same[1:]:
                        self.join(same[0], other, how)
                for fit in fits[name]:
                    if name < fit and not {name, fit} & torn and self._fit(name, fit, strict):
                        self.join(same[0], alike[fit][0], how)

        self.shared[column] = shared

    def _fit(self, a: Name, b: Name, strict: bool) -> bool:
        first, last = self.rules.first(a[0], b[0]), self.rules.last(a[1], b[1])
        if self._swapped(a, b) or (first and last):
            return True
        return not strict and (bool(first) or (first is None and last is not False))

    def _differ(self, a: Name, b: Name) -> bool:
        return self.rules.first(a[0], b[0]) is False and not self._swapped(a, b)

    def _swapped(self, a: Name, b: Name) -> bool:
        return bool(self.rules.last(a[0], b[1]) and self.rules.last(a[1], b[0]))


def _score_nameless(pairs: pd.DataFrame, groups: _Groups) -> pd.Series:
    """Rate the pairs in which a nameless record shares a contact (a survey that asks only for the
    phone), in place.

    The contact has one known owner, or the record would be torn. The chance that it is somebody
    else's is taken to be the share of such contacts that are seen with two people. Says which pairs
    these are.
    """
    unnamed = groups.people["first"].isna() & groups.people["last"].isna()
    one = unnamed.to_numpy()[pairs["a"]] ^ unnamed.to_numpy()[pairs["b"]]
    rated = pd.Series(False, index=pairs.index)
    for column, found in (
        ("phone", ["same phone"]),
        ("email", ["same e-mail", "same e-mail but for tag and dots"]),
    ):
        owned = groups.people[f"{column}_key"][~unnamed].nunique()
        here = one & pairs[column].isin(found) & ~rated
        pairs.loc[here, "score"] = round(1 - (groups.shared[column] + 1) / (owned + 2), 6)
        rated |= here
    return rated


def _by_kind(ids: str) -> dict[str, set[str]]:
    """Customer numbers by what stands before their digits.

    >>> _by_kind("C-0042 7")
    {'C-': {'C-0042'}, '': {'7'}}
    """
    kinds: dict[str, set[str]] = {}
    for number in ids.split():
        kinds.setdefault(number.rstrip("0123456789"), set()).add(number)
    return kinds


def _rows_by(keys: pd.Series) -> Iterator[list[int]]:
    """The rows that share a key, where there are two or more, in the order of their first row."""
    keys = keys.dropna()
    keys = keys[keys.duplicated(keep=False).to_numpy()]
    for _, rows in keys.groupby(keys, sort=False):
        yield sorted(set(rows.index))


def _doubtful(pairs: pd.DataFrame, groups: _Groups, record: pd.Series) -> pd.DataFrame:
    """The likeliest pair of records of each two people that may be one, with what was compared, in
    words.
    """
    person = groups.person().to_numpy()
    a, b = person[pairs["a"]], person[pairs["b"]]
    left = pairs.assign(low=np.minimum(a, b), high=np.maximum(a, b))[a != b].drop_duplicates(
        ["low", "high"]
    )
    fits = [not groups.contradict(*p) for p in left[["low", "high"]].itertuples(index=False)]
    left = left[np.array(fits, dtype=bool)]
    # one of two at best
    left = left.assign(score=left["score"].mask(left["torn"], left["score"].clip(upper=0.5)))
    left = left.sort_values(["score", "a", "b"], ascending=[False, True, True])
    said = (
        left[list(FIXED)]
        .astype("str")
        .assign(torn=left["torn"].map({True: "fits two people", False: ""}))
    )
    why = [", ".join(w for w in words if w) for words in said.itertuples(index=False)]
    ids = {f"record_{c}": record.to_numpy()[left[c]] for c in "ab"}
    return pd.DataFrame(
        ids | {"score": left["score"].to_numpy(), "why": pd.Series(why, dtype="str")}
    )


def _summary(links: pd.DataFrame, groups: _Groups, doubtful: int, email: pd.Series) -> pd.DataFrame:
    found = Counter(how for how, _, _ in groups.found)
    total = len(groups.parent)
    rows, left = [("records", 0, 0, total, np.nan)], total
    for stage in (NUMBER, EMAIL, PHONE, SCORED):
        made = links[links["how"] == stage]
        left -= len(made)
        rows.append((stage, found[stage], len(made), left, (1 - made["score"]).mean()))
    rows.append(("all stages", found.total(), total - left, left, (1 - links["score"]).mean()))
    rows.append(("doubtful, not joined", doubtful, 0, left, np.nan))
    rows.append(("share a contact, kept apart", len(groups.apart), 0, left, np.nan))
    plain = email.astype("str").str.strip().str.lower().replace("", None).dropna()
    joined = len(plain) - plain.nunique()
    rows.append(("equal e-mail alone, to compare", joined, joined, total - joined, np.nan))
    return pd.DataFrame(rows, columns=["stage", "pairs", "joined", "people", "wrong"]).astype(
        {"wrong": float}
    )
