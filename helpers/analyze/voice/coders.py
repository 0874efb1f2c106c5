"""Coded interviews: which themes come up, how far coders agree beyond chance, and which passages to
discuss.
"""

from __future__ import annotations

import warnings
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from helpers import stats
from helpers.analyze.voice.writing import facts

CODERS = facts("coders")
DRAWS = 1000
TOTAL = "All themes"  # the row of all together; codes are in small letters, so no code is called so


def decisions(interviews: pd.DataFrame) -> pd.DataFrame:
    """One row a passage, coder and theme: given (the coder gave that code), and respondent_id.

    A coder who gave a passage no code at all did not code it. Codes are compared without capitals
    and spaces around.
    """
    rows = interviews.dropna(subset=["passage_id", "coder", "code"])
    rows = rows.assign(code=rows["code"].astype("str").str.strip().str.lower())
    rows = rows.drop_duplicates(["passage_id", "coder", "code"])
    seen = rows.drop_duplicates(["passage_id", "coder"])[["passage_id", "coder", "respondent_id"]]
    every = seen.merge(pd.DataFrame({"code": sorted(rows["code"].unique())}), how="cross")
    given = rows[["passage_id", "coder", "code"]].assign(given=True)
    both = every.merge(given, on=["passage_id", "coder", "code"], how="left")
    return both.assign(
        given=both["given"].notna(),
        respondent_id=both["respondent_id"].fillna(both["passage_id"]).astype("str"),
    )


def theme_table(interviews: pd.DataFrame, seed: int = 1) -> pd.DataFrame:
    """One row a theme and one of all together: passages and people (with the theme, by any coder),
    share of people.

    Also kappa, low and high (90 %), agreement in words, and differ (passages on which coders
    differ). The row of all is named `TOTAL`. kappa of a theme is Cohen's, over the passages that
    both coders read; of more than two coders the mean over their pairs. kappa of all themes pools
    all decisions (De Vries et al. 2008). Intervals resample people, whose passages are alike.
    """
    columns = [
        "theme",
        "passages",
        "people",
        "share",
        "kappa",
        "low",
        "high",
        "agreement",
        "differ",
    ]
    if not len(interviews):
        return pd.DataFrame(columns=columns)
    told = decisions(interviews)
    who, people = np.unique(told["respondent_id"], return_inverse=True)
    told = told.assign(person=people)
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(len(who), np.full(len(who), 1 / len(who)), DRAWS).astype(float)
    rows = []
    for theme, own in [*told.groupby("code"), (TOTAL, told)]:
        mine = own[own["given"]]
        kappa, low, high = _agreement(own, len(who), draws)
        differ = (
            own.groupby(["passage_id", "code"])["given"]
            .nunique()
            .gt(1)
            .groupby("passage_id")
            .any()
            .sum()
        )
        found = [mine["passage_id"].nunique(), mine["respondent_id"].nunique()]
        rows.append(
            [
                theme,
                *found,
                found[1] / len(who),
                kappa,
                low,
                high,
                agreement_name(kappa),
                int(differ),
            ]
        )
    found = pd.DataFrame(rows, columns=columns)
    last = (found["theme"] == TOTAL).astype(int)
    return (
        found.assign(last=last)
        .sort_values(["last", "people", "theme"], ascending=[True, False, True])
        .drop(columns="last")
        .reset_index(drop=True)
    )


def _agreement(own: pd.DataFrame, people: int, draws: np.ndarray) -> tuple[float, float, float]:
    wide = own.pivot(index=["passage_id", "code", "person"], columns="coder", values="given")
    person = wide.index.get_level_values("person").to_numpy()
    code = wide.index.get_level_values("code").factorize()[0]
    pairs = []
    for one, other in combinations(wide.columns, 2):
        both = (wide[one].notna() & wide[other].notna()).to_numpy()
        if both.any():
            cell = (
                2 * wide[one][both].astype(int).to_numpy()
                + wide[other][both].astype(int).to_numpy()
            )
            counts = np.zeros((people, code.max() + 1, 4))
            np.add.at(counts, (person[both], code[both], cell), 1)
            pairs.append(counts)
    found = [_pooled(c.sum(axis=0)) for c in pairs]
    if not found or np.isnan(found).all():
        return (float("nan"),) * 3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a draw in which no pair has a kappa
        spread = np.nanmean([_pooled(np.tensordot(draws, c, 1)) for c in pairs], axis=0)
    low, high = np.nanquantile(spread, stats.ENDS)
    return float(np.nanmean(found)), float(low), float(high)


def _pooled(cells: np.ndarray) -> np.ndarray:
    """Kappa of the mean agreement over codes (De Vries et al. 2008); last axes: code, and neither,
    other, one, both.

    For codes that exclude each other it is Cohen's kappa of the whole table.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        _neither, other, one, both = np.moveaxis(cells / cells.sum(axis=-1, keepdims=True), -1, 0)
        a, b = one + both, other + both
        apart, by_chance = np.nansum(one + other, axis=-1), np.nansum(a + b - 2 * a * b, axis=-1)
        return 1 - np.where(by_chance > 0, apart, np.nan) / by_chance


def agreement_name(kappa: float) -> str:
    """What a kappa is called (Landis and Koch 1977).

    >>> agreement_name(0.45), agreement_name(-0.1)
    ('moderate', 'less than chance')
    """
    if np.isnan(kappa):
        return "not known"
    return (
        CODERS["below_chance"]
        if kappa < 0
        else next(name for cut, name in CODERS["names"].items() if kappa <= cut)
    )


def to_discuss(interviews: pd.DataFrame) -> pd.DataFrame:
    """Passages on which coders differ, those with most doubtful codes first: text, codes agreed on,
    codes in doubt.
    """
    columns = ["text", "agreed", "in_doubt"]
    if not len(interviews):
        return pd.DataFrame(columns=columns)
    told = decisions(interviews)
    votes = told.groupby(["passage_id", "code"])["given"].agg(["sum", "size"]).reset_index()
    votes = votes[votes["sum"] > 0]
    votes["doubt"] = votes["sum"] < votes["size"]
    agreed = votes[~votes["doubt"]].groupby("passage_id")["code"].agg(", ".join)
    doubt = votes[votes["doubt"]].groupby("passage_id")["code"].agg([", ".join, "size"])
    doubt.columns = ["in_doubt", "n"]
    text = (
        interviews.dropna(subset=["text"])
        .drop_duplicates("passage_id")
        .set_index("passage_id")["text"]
    )
    found = doubt.assign(
        text=text.reindex(doubt.index).fillna("(no text)"),
        agreed=agreed.reindex(doubt.index).fillna(""),
    )
    return found.sort_values("n", ascending=False, kind="stable", ignore_index=True)[columns]


class Leading(NamedTuple):
    """The themes that most people speak of, and how far the coders agree on them.

    themes: the first and all that chance cannot part from it; tied: some other theme comes up less;
    first: the first of them, with its agreement, low and high; least and most: shares of people;
    least_kappa and most_kappa; agreed: the coders agree on them; passed_over: the commonest theme
    where the coders agree too little on it, else empty, with its share and kappa; whole: kappa of
    all themes; worst: the theme with the least agreement; fine: no theme needs another round;
    unknown: why no kappa is known (alone, apart or same), else empty.
    """

    themes: list[str]
    tied: bool
    first: str
    agreement: str
    low: float
    high: float
    least: float
    most: float
    least_kappa: float
    most_kappa: float
    agreed: bool
    first_place: bool
    passed_over: str
    passed_share: float
    passed_kappa: float
    people: int
    passages: int
    coders: int
    whole: float
    differ: int
    worst: str
    fine: bool
    unknown: str


def leading_themes(themes: pd.DataFrame, interviews: pd.DataFrame) -> Leading | None:
    """What the frame of `theme_table` says first; None without themes.

    Themes on which the coders agree (kappa from `enough` on) go before those on which they do not.
    """
    if themes.empty:
        return None
    own, whole = themes[themes["theme"] != TOTAL], themes[themes["theme"] == TOTAL].iloc[0]
    sure = own[own["kappa"] >= CODERS["enough"]]
    told = sure if len(sure) else own
    level = told[_as_often(told["theme"], interviews)]
    first, commonest = level.iloc[0], own.iloc[0]
    worst = own.sort_values("kappa").iloc[0]
    first_place = not len(sure) or first["theme"] == commonest["theme"]
    passed = not first_place and commonest["kappa"] < CODERS["enough"]
    return Leading(
        themes=level["theme"].tolist(),
        tied=len(level) < len(told),
        first=first["theme"],
        agreement=first["agreement"],
        low=first["low"],
        high=first["high"],
        least=level["share"].min(),
        most=level["share"].max(),
        least_kappa=level["kappa"].min(),
        most_kappa=level["kappa"].max(),
        agreed=len(sure) > 0,
        first_place=first_place,
        passed_over=commonest["theme"] if passed else "",
        passed_share=commonest["share"],
        passed_kappa=commonest["kappa"],
        people=whole["people"],
        passages=whole["passages"],
        coders=interviews["coder"].nunique(),
        whole=whole["kappa"],
        differ=whole["differ"],
        worst=worst["theme"],
        fine=bool(worst["kappa"] >= CODERS["enough"] or not whole["differ"]),
        unknown=_why_unknown(interviews) if np.isnan(whole["kappa"]) else "",
    )


def _why_unknown(interviews: pd.DataFrame) -> str:
    """Why no agreement is known: one coder alone, coders apart, or the same codes throughout."""
    read = interviews.dropna(subset=["passage_id", "coder", "code"])
    if read["coder"].nunique() == 1:
        return "alone"
    both = read.groupby("passage_id")["coder"].nunique().max() > 1
    return "same" if both else "apart"


def _as_often(themes: pd.Series, interviews: pd.DataFrame) -> np.ndarray:
    """Which themes chance cannot part from the first: people who spoke of only one of the two
    (exact McNemar test).
    """
    given = (
        decisions(interviews)
        .groupby(["respondent_id", "code"])["given"]
        .any()
        .unstack(fill_value=False)
    )
    first = given[themes.iloc[0]]
    pairs = [(int((first & ~given[t]).sum()), int((given[t] & ~first).sum())) for t in themes]
    return np.array(
        [not sum(pair) or binomtest(pair[0], sum(pair)).pvalue >= 1 - stats.LEVEL for pair in pairs]
    )
