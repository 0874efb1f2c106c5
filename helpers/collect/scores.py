"""How likely two records are one person: the model of Fellegi and Sunter (1969), by splink on
DuckDB.

What two records share speaks for one person as often as it is seen within a person (m) more than
between strangers (u). u is counted among strangers, m is learned without labels by expectation
maximisation (Winkler 1988); where there are too few records to learn from, or too few that share
something, the weights written here stand.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from math import comb

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
from scipy import sparse

from helpers.collect.people import first_word, nickname_forms

# Compared in this order, the first that holds counts: condition, in words, m, u. The last line is
# all the rest.
FIXED: dict[str, list[tuple[str, str, float, float]]] = {
    "given": [
        ("given_l = given_r", "same first name", 0.85, 0.01),
        (
            "list_has_any(string_split(forms_l, ' '), string_split(forms_r, ' '))",
            "short form of first name",
            0.05,
            0.002,
        ),
        (
            "jaro_winkler_similarity(given_l, given_r) >= 0.9",
            "first name nearly the same",
            0.06,
            0.006,
        ),
        ("ELSE", "first names differ", 0.04, 0.982),
    ],
    "family": [
        ("family_l = family_r", "same last name", 0.88, 0.005),
        (
            (
                "list_has_any(string_split(family_l, ' '), string_split(family_r, ' ')) OR"
                " jaro_winkler_similarity(family_l, family_r) >= 0.9 OR"
                " damerau_levenshtein(family_l, family_r) <= 1"
            ),
            "last name nearly the same",
            0.07,
            0.005,
        ),
        ("ELSE", "last names differ", 0.05, 0.99),
    ],
    "email": [
        ("email_l = email_r", "same e-mail", 0.75, 0.0001),
        ("email_key_l = email_key_r", "same e-mail but for tag and dots", 0.05, 0.00001),
        ("handle_l = handle_r", "same e-mail but for what follows the @", 0.03, 0.0001),
        ("ELSE", "e-mails differ", 0.17, 0.9998),
    ],
    "phone": [
        ("phone_l = phone_r", "same phone", 0.85, 0.0002),
        ("phone_key_l = phone_key_r", "same phone but for its prefix", 0.03, 0.00001),
        ("ELSE", "phones differ", 0.12, 0.9998),
    ],
    "address": [
        ("street_l = street_r AND place", "same address", 0.65, 0.0002),
        (
            "jaro_winkler_similarity(street_l, street_r) >= 0.92 AND place",
            "address nearly the same",
            0.1,
            0.0003,
        ),
        ("zip_l = zip_r", "same postcode", 0.1, 0.005),
        ("city_l = city_r", "same town", 0.05, 0.03),
        ("ELSE", "places differ", 0.1, 0.965),
    ],
}
IN_WORDS = {
    "given": "first name",
    "family": "last name",
    "email": "e-mail",
    "phone": "phone",
    "address": "address",
}
# two records can be compared in any of them
FIELDS = {c: [c] for c in FIXED} | {"address": ["street", "zip", "city"]}
UNKNOWN = {c: f"{c}_l IS NULL OR {c}_r IS NULL" for c in FIXED} | {
    "address": (
        "NOT coalesce(street_l = street_r OR street_l <> street_r, zip_l = zip_r OR zip_l <> zip_r,"
        " city_l = city_r OR city_l <> city_r, false)"
    )
}
BLOCKS = [
    "email_key",
    "phone_key",
    "handle",
    "given family",
    "family zip",
    "given zip",
    "street zip",
]
# with what it fixes
TRAINING = {"email_key": ["email"], "phone_key": ["phone"], "given family": ["given", "family"]}
SAMPLE = 1500  # people among whom u is counted: over one million pairs of strangers
# pairs that share something, or strangers, with a field known: fewer teach nothing about it
FEWEST = 30


def score_pairs(
    people: pd.DataFrame, person: pd.Series, least: float, trained: bool = True
) -> tuple[pd.DataFrame, list[str]]:
    """Pairs of records that share something, with their probability of being one person; and what
    was learned.

    `people` are normalised records numbered by their index, `person` what is known so far of who is
    who. The pairs have a, b (index numbers, a < b), score (from `least` up) and one column a
    comparison with what was found, in words. The list names the comparisons (keys of `FIXED`) whose
    m was learned from these records.
    """
    frame = _frame(people)
    if len(frame) < 2:
        empty = pd.DataFrame({"a": [], "b": [], "score": [], **{c: [] for c in FIXED}})
        return empty.astype({"a": int, "b": int}), []
    model, learned = _model(_prior(person.loc[frame["unique_id"]])), []
    if trained:
        model, learned = _trained(frame, person, model)
    grades = ", ".join(f"gamma_{c} AS {c}" for c in FIXED)
    with _linker(frame, model) as (linker, con):
        found = linker.inference.predict(threshold_match_probability=least).physical_name
        pairs = con.execute(
            "SELECT least(unique_id_l, unique_id_r) AS a, greatest(unique_id_l, unique_id_r) AS b, "
            f"round(match_probability, 6) AS score, {grades} FROM {found}"
        ).df()
    for name, levels in FIXED.items():
        words = {-1: ""} | {len(levels) - 1 - i: level[1] for i, level in enumerate(levels)}
        pairs[name] = pairs[name].map(words).astype("category")
    names = pairs["given"].isin(_agree("given")) & pairs["family"].isin(_agree("family"))
    undecided = (
        names
        & (person.to_numpy()[pairs["a"]] != person.to_numpy()[pairs["b"]])
        & (pairs["score"] > 0.2)
    )
    if undecided.any():
        score = pairs.loc[undecided, "score"].clip(upper=1 - 1e-6)
        odds = score / (1 - score) / name_lift(frame, person, pairs.loc[undecided, "a"]).to_numpy()
        pairs.loc[undecided, "score"] = (odds / (1 + odds)).round(6)
    return (
        pairs.sort_values(["score", "a", "b"], ascending=[False, True, True], ignore_index=True),
        learned,
    )


def weights_in_words(learned: list[str]) -> str:
    """Where the weights of the score come from.

    >>> weights_in_words(["phone"])
    'learned from these records for phone; fixed for first name, last name, e-mail, address'
    >>> weights_in_words([])
    'fixed: too few records share an e-mail, a phone or a full name to learn from'
    """
    if not learned:
        return "fixed: too few records share an e-mail, a phone or a full name to learn from"
    told = f"learned from these records for {', '.join(IN_WORDS[c] for c in learned)}"
    rest = ", ".join(IN_WORDS[c] for c in FIXED if c not in learned)
    return f"{told}; fixed for {rest}" if rest else told


def _agree(comparison: str) -> list[str]:
    return [words for condition, words, _, _ in FIXED[comparison] if condition != "ELSE"]


def name_lift(frame: pd.DataFrame, person: pd.Series, rows: pd.Series) -> pd.Series:
    """How many times likelier the first and last name of each of `rows` meet than by chance, at
    least once.

    Names of one language go together: Wei meets Wang far more often than the shares of the two
    names say, and the model takes them to be independent. The lift is worked out from other
    people's names: from the first name by way of its other last names to other first names, from
    the last name by its other first names and theirs, and how much more often the two ways end at
    the same first names than chance would have it.
    """
    frame = frame.set_index("unique_id")
    names = frame.loc[frame["given"].notna() & frame["family"].notna(), ["given", "family"]]
    names = names[~names.assign(person=person).duplicated().to_numpy()]
    first, givens = pd.factorize(names["given"])
    last, families = pd.factorize(names["family"])
    met = sparse.csr_array((np.ones(len(first)), (first, last)), shape=(len(givens), len(families)))
    met.data[:] = 1.0
    to_last = sparse.diags_array(1 / met.sum(axis=1)) @ met
    to_first = sparse.diags_array(1 / met.sum(axis=0)) @ met.T
    share = met.sum(axis=1) / met.sum()
    first_of, last_of = ({n: i for i, n in enumerate(names)} for names in (givens, families))

    @cache
    def lift(given: str, family: str) -> float:
        f, g = first_of[given], last_of[family]
        from_first = _without(_without(to_last[[f]].toarray()[0], g) @ to_first, f)
        from_last = _without(to_first[[g]].toarray()[0], f) @ to_last
        from_last = _without(_without(from_last, g) @ to_first, f)
        if not from_first.any() or not from_last.any():
            return 1.0
        others = _without(share.copy(), f)
        shared = from_first * from_last / np.where(others > 0, others, 1)
        return max(1.0, float(shared.sum() * others.sum() / from_first.sum() / from_last.sum()))

    return pd.Series(
        [lift(*n) for n in frame.loc[rows, ["given", "family"]].itertuples(index=False)]
    )


def _without(shares: np.ndarray, name: int) -> np.ndarray:
    shares[name] = 0.0
    return shares


def _frame(people: pd.DataFrame) -> pd.DataFrame:
    """The columns that are compared; a name of one letter says too little to count."""
    given = first_word(people["first"])
    frame = pd.DataFrame(
        {
            "unique_id": people.index,
            "given": given.mask(given.str.fullmatch("[a-z]", na=False)),
            "family": people["last"].mask(people["last"].str.fullmatch("[a-z]", na=False)),
            "forms": given.map(lambda g: " ".join(sorted(nickname_forms(g))), na_action="ignore"),
        }
    )
    frame = frame.join(
        people[["email", "email_key", "handle", "phone", "phone_key", "street", "zip", "city"]]
    )
    return frame[frame.drop(columns="unique_id").notna().any(axis=1)].astype(
        {"given": "str", "forms": "str"}
    )


def _prior(person: pd.Series) -> float:
    """Share of all pairs that are one person: those found so far, taken to be four in five."""
    sizes = person.value_counts()
    found = (sizes * (sizes - 1) / 2).sum()
    return float(np.clip(max(found, 1) / 0.8 / comb(len(person), 2), 1e-9, 0.3))


def _model(prior: float) -> dict:
    """Splink's settings with the fixed weights; a rare name weighs more than a common one."""
    place = (
        "coalesce(nullif(zip_l = zip_r, false), city_l = city_r, zip_l IS NULL OR zip_r IS NULL)"
    )
    comparisons = []
    for name, levels in FIXED.items():
        found = [
            {"sql_condition": UNKNOWN[name], "label_for_charts": "unknown", "is_null_level": True}
        ]
        for condition, label, m, u in levels:
            level = {"label_for_charts": label, "m_probability": m, "u_probability": u}
            found.append({"sql_condition": condition.replace("place", place), **level})
        if name in ("given", "family"):
            found[1] |= {"tf_adjustment_column": name, "tf_minimum_u_value": 0.0001}
        comparisons.append({"output_column_name": name, "comparison_levels": found})
    return {
        "link_type": "dedupe_only",
        "linker_uid": "people",
        "probability_two_random_records_match": prior,
        "blocking_rules_to_generate_predictions": [_rule(b) for b in BLOCKS],
        "comparisons": comparisons,
    }


def _rule(block: str) -> str:
    return " AND ".join(f"l.{c} = r.{c}" for c in block.split())


@contextmanager
def _linker(frame: pd.DataFrame, model: dict) -> Iterator[tuple]:
    """Splink's linker and its engine: in memory, without network or files, and without its
    messages.

    Splink warns of levels that were never seen, which `_filled` deals with.
    """
    # slow to load, and only files that name people need it
    from splink import DuckDBAPI, Linker

    log = logging.getLogger("splink")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with duckdb.connect() as con:
            con.execute("SET threads = 1")  # sums come out alike however many cores there are
            con.execute("SET temp_directory = ''; SET autoinstall_known_extensions = false")
            table = pa.Table.from_pandas(frame, preserve_index=False)
            yield (
                Linker(table, copy.deepcopy(model), DuckDBAPI(con), set_up_basic_logging=False),
                con,
            )
    finally:
        log.setLevel(level)


def _trained(frame: pd.DataFrame, person: pd.Series, model: dict) -> tuple[dict, list[str]]:
    """The model with u counted among strangers and m learned, and the comparisons whose m was
    learned.

    What too few records tell of keeps its fixed weights.
    """
    model = _with_u(frame, person, model)
    teaches = {block: _taught_by(frame, block) for block in TRAINING}
    blocks = [block for block, comparisons in teaches.items() if comparisons]
    learned = [c for c in FIXED if any(c in teaches[block] for block in blocks)]
    if not learned:
        return model, []
    with _linker(frame, model) as (learning, _):
        # a block without pairs must not get here: splink would lose comparisons by it
        for block in blocks:
            learning.training.estimate_parameters_using_expectation_maximisation(
                _rule(block), estimate_without_term_frequencies=True
            )
        found = learning.misc.save_model_to_json()
    return _filled(model, found, "m_probability", 0.001, learned), learned


def _with_u(frame: pd.DataFrame, person: pd.Series, model: dict) -> dict:
    """The model with u counted among people with a full name (who has none may be known already),
    one record each.
    """
    rng = np.random.default_rng(1)
    named = frame[frame["given"].notna() & frame["family"].notna()]
    shuffled = named.iloc[rng.permutation(len(named))]
    strangers = shuffled[~person.loc[shuffled["unique_id"]].duplicated().to_numpy()].head(SAMPLE)
    counted = [c for c, fields in FIELDS.items() if strangers[fields].notna().sum().max() >= FEWEST]
    if not counted:
        return model
    with _linker(strangers, _bare(model)) as (counting, _):
        counting.training.estimate_u_using_random_sampling(max_pairs=comb(SAMPLE, 2) * 2, seed=1)
        found = counting.misc.save_model_to_json()
    return _filled(model, found, "u_probability", 0.5 / comb(len(strangers), 2), counted)


def _taught_by(frame: pd.DataFrame, block: str) -> list[str]:
    """The comparisons that enough pairs of records within a training block can be compared in."""
    same = frame.dropna(subset=block.split()).groupby(block.split())
    known = same[[f for fields in FIELDS.values() for f in fields]].count()
    pairs = (known * (known - 1) / 2).sum()
    free = [c for c in FIXED if c not in TRAINING[block]]
    return [c for c in free if pairs[FIELDS[c]].max() >= FEWEST]


def _bare(model: dict) -> dict:
    bare = copy.deepcopy(model)
    for comparison in bare["comparisons"]:
        for level in comparison["comparison_levels"]:
            level.pop("u_probability", None)
    return bare


def _filled(model: dict, learned: dict, what: str, least: float, comparisons: list[str]) -> dict:
    """The model with `what` as learned for these comparisons, at least `least` where hardly or
    never seen.
    """
    filled = copy.deepcopy(model)
    seen = {c["output_column_name"]: c["comparison_levels"] for c in learned["comparisons"]}
    for comparison in filled["comparisons"]:
        name = comparison["output_column_name"]
        if name not in comparisons:
            continue
        for level, told in zip(comparison["comparison_levels"], seen[name], strict=True):
            if what in level:
                level[what] = max(told.get(what, 0.0), least)
    return filled
