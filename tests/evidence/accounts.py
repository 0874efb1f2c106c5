"""How well the scores of business accounts find the hidden quality of an account.

accounts.csv: rank correlation (Spearman) of each ranking with the true quality of the twin's business accounts, for
each way of weighing, with all indicators and with the checks alone, beside two plain rules.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from twins import World

PLAIN = {"credit score alone": "credit_score", "won amount alone": "won_amount"}


def score(made: World) -> dict[str, pd.DataFrame]:
    """One row a ranking: its rank correlation with the truth in one twin, and how many accounts it ranks."""
    from helpers.client import AccountRules
    from helpers.segment.business import accounts, weighting

    run, system = made.run, accounts.account_system(AccountRules())
    ids = accounts.account_ids(run.read("accounts"), run.read("deals"), run.read("customers"))
    values = accounts.account_values(
        ids, run.read("deals"), run.read("orders"), run.as_of
    ).to_pandas()
    values = accounts.add_win_rate(values)
    checks = accounts.account_checks(run.frame("accounts"), values, system, run.as_of)
    points = accounts.account_points(checks, accounts.point_scale(checks, system))
    weights = weighting.account_weights(points, system).set_index("indicator")
    ways = [w for w in ("given", "entropy", "pairs", "equal") if w in weights]
    rankings = {way: weighting.score_accounts(points, weights[way]) for way in ways}
    checked = weights["group"] != "value"
    for way in ways:
        rankings[f"{way}, checks alone"] = weighting.score_accounts(
            points, weights[way] / weights[way][checked].sum() * checked
        )
    for name, indicator in PLAIN.items():
        rankings[name] = weighting.score_accounts(
            points, (weights["given"] * 0 + 1).where(weights.index == indicator, 0)
        )
    true = quality(made)
    rows = []
    for name, scored in rankings.items():
        both = scored.merge(true, on="customer_id")
        rows.append((name, len(both), both["score"].corr(both["quality"], method="spearman")))
    return {"accounts": pd.DataFrame(rows, columns=["ranking", "accounts", "spearman"])}


def quality(made: World) -> pd.DataFrame:
    """The true quality by our customer_id; the truth names accounts by their number in the CRM."""
    raw = pd.read_csv(made.folder / "raw" / "accounts.csv", dtype=str)
    number = raw["customer_id"].set_axis(raw.index + 2)  # by line: the header is the first
    place = made.run.folder / "tables" / "staged_accounts.parquet"
    ours = made.run.con.read_parquet(str(place)).to_pandas().query("source_file == 'accounts.csv'")
    ours = ours.assign(number=ours["source_line"].map(number))[
        ["customer_id", "number"]
    ].drop_duplicates()
    true = (
        made.truth("accounts")
        .astype({"customer_id": "str"})
        .rename(columns={"customer_id": "number"})
    )
    return ours.merge(true, on="number")[["customer_id", "quality"]]


def summary(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    """One row a ranking over all seeds: mean, spread, and in how many twins it beats the credit score alone."""
    wide = rows.pivot(index="seed", columns="ranking", values="spearman")[rows["ranking"].unique()]
    plain = wide["credit score alone"]
    table = pd.DataFrame(
        {
            "twins": wide.notna().sum(),
            "accounts": rows.groupby("ranking")["accounts"].sum(),
            "mean": wide.mean(),
            "low": wide.quantile(0.05),
            "high": wide.quantile(0.95),
            "better_than_credit_score": wide.gt(plain, axis=0)
            .mean()
            .where(wide.columns != plain.name, np.nan),
        }
    )
    return table.loc[wide.columns].round(3).rename_axis("ranking").reset_index()
