"""How much each indicator counts, the score that follows, and how much the ranking hangs on the
weights.

The steps follow the handbook on composite indicators (Nardo and others 2008): points, weights,
score, then ranks under other weights and random ones (Saisana, Saltelli and Tarantola 2005).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.sparse.csgraph import connected_components
from scipy.stats import kendalltau, rankdata

from helpers.client import AccountRules, PlaybookError

FIRM = 50  # concentration of random weights around given ones: a weight of 0.1 varies by about 0.04
DRAWS = 1000
CELLS = 20_000_000  # ranks held at a time
# Mean consistency index of random pairs among 1, 2, 3 ... things (Saaty 1980).
RANDOM_INDEX = [0, 0, 0.58, 0.90, 1.12, 1.24, 1.32, 1.41, 1.45, 1.49, 1.51, 1.48, 1.56, 1.57, 1.59]
WAYS = ["given", "entropy", "pairs", "equal"]
# pairs with a higher consistency ratio contradict one another too much (Saaty 1980)
CONSISTENT = 0.1
CODE = 6  # signs by which an account is named in a report


def entropy_weights(points: pd.DataFrame) -> pd.Series:
    """Weights that add up to 1, larger where few accounts hold most of an indicator's points.

    The entropy weight method (Zeleny 1982, after Shannon 1948). Gaps count as the median. Entropy
    tells what sets accounts apart, not what matters.

    >>> entropy_weights(pd.DataFrame({"a": [0.0, 0.0, 1.0], "b": [0.0, 0.5, 0.5]})).round(4).tolist()
    [0.7304, 0.2696]
    """
    filled = points.fillna(points.median())
    share = filled / filled.sum().replace(0, np.nan)
    terms = (share * np.log(share.where(share > 0))).fillna(0.0)
    spread = (1 + terms.sum() / np.log(max(len(points), 2))).clip(lower=0)
    return spread / spread.sum() if spread.sum() > 1e-12 else _equal(points.columns)


def pair_weights(pairs: dict[str, float], names: list[str]) -> tuple[pd.Series, float]:
    """Weights from pairs "a / b": how many times as important a is; and their consistency ratio.

    The principal eigenvector of the pairs (analytic hierarchy process, Saaty 1980). Pairs may be
    left out as long as the others link all names (Harker 1987), but then the ratio is too mild:
    fewer pairs can contradict one another. Raises PlaybookError where a name is linked to no other.

    >>> weights, ratio = pair_weights({"a / b": 2, "b / c": 3, "a / c": 6}, ["a", "b", "c"])
    >>> weights.round(2).tolist(), abs(round(ratio, 6))
    ([0.6, 0.3, 0.1], 0.0)
    """
    n = len(names)
    if n < 2:
        return _equal(names), 0.0
    judged = pd.DataFrame(np.eye(n), index=names, columns=names)
    for pair, times in pairs.items():
        a, b = (side.strip() for side in pair.split("/"))
        judged.loc[a, b], judged.loc[b, a] = times, 1 / times
    matrix = judged.to_numpy()
    parts, label = connected_components(matrix > 0)
    if parts > 1:
        alone = " and ".join(np.array(names)[label != label[0]])
        raise PlaybookError(
            f"client.yaml, accounts.pairs: nothing compares {alone} with {names[0]}. Add such a"
            " pair."
        )
    matrix = matrix + np.diag((matrix == 0).sum(axis=1))
    values, vectors = np.linalg.eig(matrix)
    largest = values.real.argmax()
    weights = np.abs(vectors[:, largest].real)
    random = RANDOM_INDEX[min(n, len(RANDOM_INDEX)) - 1]
    ratio = (values[largest].real - n) / (n - 1) / random if random else 0.0
    return pd.Series(weights / weights.sum(), index=names), max(float(ratio), 0.0)


def account_weights(points: pd.DataFrame, system: AccountRules) -> pd.DataFrame:
    """One row an indicator with points: its `group`, the share `known`, the weight `used`, and that
    of each way.

    The ways are given, entropy, equal, and, where the system holds pairs, pairs: those of groups
    share out the whole, those within a group share out its part; where either has no pairs, given
    weights do. Each way adds up to 1.
    """
    index = pd.Index(points.columns, name="indicator")
    group = pd.Series([system.indicators[i].group for i in index], index, dtype="str")
    given = pd.Series([system.indicators[i].weight for i in index], index, dtype=float)
    table = pd.DataFrame(
        {"group": group, "known": points.notna().mean().to_numpy(), "given": given}
    )
    table["entropy"] = entropy_weights(points).to_numpy()
    table["equal"] = 1.0
    if system.pairs:
        shares = _by_groups(system)
        table["pairs"] = np.array([shares[g].get(i, 0.0) for i, g in group.items()], dtype=float)
        # What this client has no data for leaves its part to the others of its group.
        table["pairs"] *= group.map(shares["groups"]).astype(float) / table.groupby("group")[
            "pairs"
        ].transform("sum")
    ways = [w for w in WAYS if w in table]
    if system.weights not in ways:
        raise PlaybookError(
            "client.yaml, accounts.weights: pairs are chosen, but accounts.pairs holds none."
        )
    for way in ways:
        weight = table[way].fillna(0.0)
        table[way] = weight / weight.sum() if weight.sum() else 1 / max(len(table), 1)
    return table.assign(used=table[system.weights])[["group", "known", "used", *ways]].reset_index()


def pair_consistency(system: AccountRules) -> pd.DataFrame:
    """One row for the groups, and one for each group with pairs of its own: pairs given, possible,
    ratio, verdict.
    """
    rows = []
    for level, (pairs, names) in _levels(system).items():
        _weights, ratio = pair_weights(pairs, names)
        full = len(names) * (len(names) - 1) // 2
        verdict = (
            "the pairs contradict one another: ask again"
            if ratio > CONSISTENT
            else "consistent enough"
        )
        rows.append((level, len(pairs), full, ratio, verdict))
    return pd.DataFrame(
        rows, columns=["compared", "pairs_given", "pairs_possible", "consistency_ratio", "verdict"]
    )


def score_accounts(
    points: pd.DataFrame, weights: pd.Series, least_known: float = 0.5
) -> pd.DataFrame:
    """One row an account, the best first: score (0-100), share of weight known, rank (empty below
    `least_known`).

    Only what is known tells accounts apart: a gap counts as the median of the indicator, so it
    neither helps nor harms. Equal scores share the better rank. `weights` is indexed by indicator.
    """
    w = weights.reindex(points.columns).fillna(0).to_numpy()
    score = points.fillna(points.median()).to_numpy() @ w
    known = points.notna().to_numpy() @ w
    scored = pd.DataFrame({"customer_id": points.index, "score": score, "known": known}).astype(
        {"customer_id": "str"}
    )
    enough = scored["known"] >= least_known - 1e-9
    scored["rank"] = (
        scored["score"].where(enough).round(9).rank(ascending=False, method="min").astype("Int64")
    )
    return scored.sort_values(
        ["rank", "score", "customer_id"], ascending=[True, False, True], ignore_index=True
    )


def add_ranks(
    scored: pd.DataFrame, points: pd.DataFrame, weights: pd.DataFrame, top_share: float = 0.1
) -> pd.DataFrame:
    """Add the rank by each way of weighing (`rank_given` ...), how firm it is (rank_low, rank_high,
    in_top), and the `code` that names the account in the report (`account_codes`).

    The range holds 90 % of the ranks under random weights near ours, where each gap is filled with
    what some other account has; `in_top` is the share of such draws that put the account into the
    top.
    """
    ranked = scored.dropna(subset=["rank"])
    mine = points.reindex(ranked["customer_id"])
    ways = weights.set_index("indicator").reindex(points.columns)
    found = pd.DataFrame({"customer_id": ranked["customer_id"]}).astype({"customer_id": "str"})
    for way in (w for w in WAYS if w in ways):
        found[f"rank_{way}"] = _ranks(
            mine.fillna(points.median()).to_numpy() @ ways[way].to_numpy(float)
        )
    drawn = _drawn_ranks(mine, FIRM * ways["used"])
    low, high = (
        np.quantile(drawn, [0.05, 0.95], axis=0) if drawn.size else (np.empty(0), np.empty(0))
    )
    found["rank_low"], found["rank_high"] = np.floor(low).astype(int), np.ceil(high).astype(int)
    found["in_top"] = (
        (drawn <= top_size(scored, top_share)).mean(axis=0) if drawn.size else np.empty(0)
    )
    both = scored.merge(found, on="customer_id", how="left")
    both["code"] = account_codes(both["customer_id"])
    return both.astype({c: "Int64" for c in found if c.startswith("rank_")})


def compare_weights(
    scored: pd.DataFrame, points: pd.DataFrame, weights: pd.DataFrame, top_share: float = 0.1
) -> pd.DataFrame:
    """One row a way of weighing: Kendall's tau of its ranking with ours, and the share of our top
    that stays there.

    The other ways in `weights`, then random weights near ours, then any at all. `scored` comes from
    `add_ranks`. Empty below two ranked accounts.
    """
    ours = scored.dropna(subset=["rank"])
    if len(ours) < 2:
        return pd.DataFrame(columns=["weights", "kendall_tau", "top_kept"])
    mine, size = points.reindex(ours["customer_id"]), top_size(scored, top_share)
    other = [w for w in WAYS if f"rank_{w}" in ours and not weights[w].equals(weights["used"])]
    drawn = {way: ours[f"rank_{way}"].to_numpy(float)[None] for way in other}
    used = weights.set_index("indicator")["used"].reindex(points.columns)
    drawn |= {
        "random, near ours": _drawn_ranks(mine, FIRM * used),
        "random, any at all": _drawn_ranks(mine, 0 * used + 1),
    }
    rows = [
        (way, *_agree(ours["rank"].to_numpy(float), ranks, size)) for way, ranks in drawn.items()
    ]
    return pd.DataFrame(rows, columns=["weights", "kendall_tau", "top_kept"])


def first_accounts(scored: pd.DataFrame, weights: pd.DataFrame, most: int = 10) -> pd.DataFrame:
    """The first accounts by their codes: rank, score, share of weight known, rank by the other
    ways.
    """
    first = scored.dropna(subset=["rank"]).head(most)
    other = [w for w in WAYS if f"rank_{w}" in first and not weights[w].equals(weights["used"])]
    named = first.rename(columns={f"rank_{w}": f"by {w}" for w in other}).assign(
        score=first["score"].round()
    )
    return named[["rank", "code", "score", "known", *(f"by {w}" for w in other)]]


def account_codes(ids: pd.Series) -> pd.Series:
    """How each account's number ends: as few signs, six or more, as tell all of them apart.

    >>> account_codes(pd.Series(["a000001x", "b000001x", "c9"])).tolist()
    ['a000001x', 'b000001x', 'c9']
    >>> account_codes(pd.Series(["ab123456", "ab999999"])).tolist()
    ['123456', '999999']
    """
    longest = int(ids.str.len().max()) if len(ids) else 0
    for signs in range(CODE, longest):
        codes = ids.str[-signs:]
        if codes.is_unique:
            return codes
    return ids


def top_size(scored: pd.DataFrame, top_share: float) -> int:
    """How many accounts make up the top: that share of the ranked, at least one."""
    return max(round(top_share * scored["rank"].notna().sum()), 1)


def _agree(rank: np.ndarray, drawn: np.ndarray, size: int) -> tuple[float, float]:
    tau = [kendalltau(rank, other).statistic for other in drawn[:200]]  # enough for a mean
    return float(np.mean(tau)), float((drawn[:, rank <= size] <= size).mean())


def _drawn_ranks(points: pd.DataFrame, alpha: pd.Series, seed: int = 1) -> np.ndarray:
    """Ranks (draw by account) under Dirichlet weights; gaps drawn from what is known of the same
    indicator.
    """
    if points.empty:
        return np.empty((0, 0))
    rng, n = np.random.default_rng(seed), len(points)
    draws = int(np.clip(CELLS // n, 50, DRAWS))
    used = points.loc[:, (alpha > 0).to_numpy()]
    cells, known = used.to_numpy(float, copy=True), [c.dropna().to_numpy() for _, c in used.items()]
    gaps, drawn = np.isnan(cells), np.empty((draws, n), dtype=np.int32)
    for i, w in enumerate(rng.dirichlet(alpha[alpha > 0], draws)):
        for j in np.flatnonzero(gaps.any(axis=0)):
            cells[gaps[:, j], j] = rng.choice(known[j], gaps[:, j].sum()) if len(known[j]) else 50.0
        drawn[i] = _ranks(cells @ w)
    return drawn


def _ranks(score: np.ndarray) -> np.ndarray:
    return rankdata(-score.round(9), method="min").astype(np.int32)


def _levels(system: AccountRules) -> dict[str, tuple[dict[str, float], list[str]]]:
    """What pairs compare: the groups, and the indicators of one group; its pairs and its names."""
    groups = {g: [i for i, s in system.indicators.items() if s.group == g] for g in _groups(system)}
    levels = {"groups": groups.keys()} | groups
    found: dict[str, tuple[dict[str, float], list[str]]] = {}
    for pair, times in system.pairs.items():
        sides = [side.strip() for side in pair.split("/")]
        level = next(
            (name for name, of in levels.items() if len(sides) == 2 and set(sides) <= set(of)), ""
        )
        if not level or sides[0] == sides[1]:
            raise PlaybookError(
                f'client.yaml, accounts.pairs: "{pair}" does not compare two groups, or two'
                ' indicators of one group. Write it as "credit / value"; groups:'
                f" {', '.join(groups)}."
            )
        of = found.setdefault(level, ({}, list(levels[level])))[0]
        if f"{sides[1]} / {sides[0]}" in of:
            raise PlaybookError(
                f'client.yaml, accounts.pairs: "{pair}" stands there twice, once the other way'
                " round."
            )
        of[" / ".join(sides)] = times
    return found


def _by_groups(system: AccountRules) -> dict[str, pd.Series]:
    """The shares of the groups, and of the indicators within each."""
    found = {level: pair_weights(*of)[0] for level, of in _levels(system).items()}
    for g in _groups(system):
        given = pd.Series(
            {i: s.weight for i, s in system.indicators.items() if s.group == g}, dtype=float
        )
        found.setdefault(g, given / given.sum() if given.sum() else _equal(given.index))
    sums = pd.Series(
        {
            g: sum(s.weight for s in system.indicators.values() if s.group == g)
            for g in _groups(system)
        }
    )
    found.setdefault("groups", sums / sums.sum() if sums.sum() else _equal(sums.index))
    return found


def _groups(system: AccountRules) -> list[str]:
    return list(dict.fromkeys(s.group for s in system.indicators.values()))


def _equal(names: object) -> pd.Series:
    return pd.Series(1 / max(len(names), 1), index=list(names), dtype=float)
