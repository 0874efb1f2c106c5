"""Interviews with customers, read by two coders who agree with a chance that is known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from simulator.constants import fill, pick, stream, table
from simulator.sheets import Sheet

CODERS = ["A", "B"]


def interviews(w: SimpleNamespace) -> Sheet:
    """One row a code that a coder gave to a passage; what each passage is truly about is known."""
    rng, s, words = stream(w.seed, "interviews"), w.c["interviews"], w.words["interviews"]
    chinese = w.people.locale.to_numpy() == "cn"
    some = rng.permutation(np.flatnonzero(chinese))[: int(s["chinese"] * s["respondents"])]
    others = rng.permutation(np.flatnonzero(~chinese))[: s["respondents"] - len(some)]
    who = rng.permutation(np.concatenate([some, others]))
    person, themes = np.repeat(who, s["passages"]), np.array(list(s["right"]), dtype=object)
    nth, n = np.tile(np.arange(s["passages"]), len(who)), len(person)
    d = table(
        passage_id=[f"I{1 + i // s['passages']:02d}-{k + 1}" for i, k in enumerate(nth)],
        person=person,
    )
    d["theme"], d["language"] = pick(rng, s["share"], n), np.where(chinese[person], "zh", "en")
    d["question"] = [words["questions"][k % len(words["questions"])] for k in nth]
    d["text"] = [
        _passage(rng, words, w.people.iloc[x.person], x.theme, x.language, s)
        for x in d.itertuples()
    ]
    true = pd.Categorical(d.theme, themes).codes.astype(int)
    said = np.stack([_code(rng, true, s) for _ in CODERS])  # coder, passage, theme
    w.passages, w.agreement = d.drop(columns=["question", "text"]), _agreement(said, s)
    passage, coder, code = np.nonzero(said.transpose(1, 0, 2))
    rows = d.iloc[passage].reset_index(drop=True)
    rows["coder"], rows["code"] = np.array(CODERS, dtype=object)[coder], themes[code]
    cells = fill("interviews", d=rows, c=table(number=w.people.number.to_numpy()[rows.person]))
    return Sheet("interviews.csv", cells).plant("interviews", rng)


def _passage(
    rng: np.random.Generator, words: dict, p: pd.Series, theme: str, language: str, s: dict
) -> str:
    """One or two sentences of a theme, with what people say before and after."""
    texts, one = words["themes"][theme][language], int(rng.integers(0, 2))
    begin, end, personal = (words[k][language] for k in ("openers", "more", "personal"))
    said = ("" if language == "zh" else " ").join(rng.permutation(texts)[: 1 + one])
    more = personal[int(rng.integers(0, len(personal)))] if rng.random() < s["personal"] else ""
    more = more.format(name=f"{p['first']} {p['last']}", phone=p.phone, email=p.email)
    return f"{begin[int(rng.integers(0, len(begin)))]}{said}{end[int(rng.integers(0, len(end)))]}{more}"


def _code(rng: np.random.Generator, true: np.ndarray, s: dict) -> np.ndarray:
    """What one coder says: for each passage and theme, whether the theme was named."""
    right, k, n = np.array(list(s["right"].values())), len(s["right"]), len(true)
    first = np.where(rng.random(n) < right[true], true, (true + rng.integers(1, k, n)) % k)
    second = np.where(rng.random(n) < s["second"], (first + rng.integers(1, k, n)) % k, first)
    said = np.zeros((n, k), dtype=bool)
    said[np.arange(n), first] = said[np.arange(n), second] = True
    return said


def _agreement(said: np.ndarray, s: dict) -> pd.DataFrame:
    """Cohen's kappa of each theme, named or not: as the rates of error make it, and as these
    passages came out.
    """
    right, share = (np.array(list(s[x].values())) for x in ("right", "share"))
    k = len(right)
    # true theme, named first
    first = np.where(np.eye(k, dtype=bool), right[:, None], (1 - right[:, None]) / (k - 1))
    named = first + (1 - first) * s["second"] / (k - 1)
    both, each = share @ named**2, share @ named
    a, b = said
    found = _kappa((a & b).mean(axis=0), a.mean(axis=0), b.mean(axis=0))
    expected = _kappa(both, each, each)
    return table(
        theme=np.array(list(s["right"])), share=share, right=right, kappa=expected, found=found
    )


def _kappa(both: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Observed agreement over that of chance (Cohen 1960), from the shares named by both and by
    each.
    """
    chance = a * b + (1 - a) * (1 - b)
    return (1 - a - b + 2 * both - chance) / (1 - chance)
