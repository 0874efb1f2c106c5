"""Why customers leave: signs that come before the silence, each with its size; what an experiment
says; the rivals.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from importlib import resources

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import statsmodels.api as sm
import yaml
from ibis import _
from statsmodels.stats.proportion import confint_proportions_2indep

from helpers import history, methods, stats
from helpers.segment.churn.leaving import Watch, panel

REASONS = yaml.safe_load(
    resources.files(__package__).joinpath("reasons.yaml").read_text(encoding="utf-8")
)
# what is held equal, in logs
BEFORE = ["silence", "usual_gap", "frequency", "monetary", "known_days", "orders_now"]
DRAWS = 500  # of the coefficients, for the intervals
TINY = 1e-7  # less is rounding


def sign_panel(
    tables: Mapping[str, ir.Table], people: pd.DataFrame, watch: Watch, as_of: date
) -> pd.DataFrame:
    """Looks at those alive one step before, with the signs of that step, and whether they left
    afterwards.

    `people` is the panel of leaving.panel. One row a day and customer: `left`, no order in the
    horizon after the day; the columns of `BEFORE` as they were one step before, so nothing that a
    sign may have caused is held equal; and the signs of the step between. Empty where no outcome is
    known.
    """
    step, told = pd.Timedelta(days=watch.step), people[people["left"].notna()]
    days = sorted(set(told["on"]) & set(people["on"] + step))
    known = told.loc[told["on"].isin(days), ["on", "customer_id", "left"]]
    before = people[people["is_alive"]].assign(on=lambda p: p["on"] + step)
    before = before.assign(
        channel_lost=(before["channels_now"] < before["channels_before"])
        & (before["orders_now"] > 1)
    )
    before = before[
        ["on", "customer_id", *BEFORE, "unsubscribed", "channels_before", "channel_lost"]
    ]
    both = before.merge(known, on=["on", "customer_id"])
    if not len(both):
        read = [s[c] for s in REASONS["signs"].values() for c in ("measure", "among")]
        return both.reindex(columns=[*dict.fromkeys(["on", "customer_id", "left", *BEFORE, *read])])
    lately = panel(tables, [d.date() for d in days], watch._replace(horizon=watch.step), as_of)
    lately = lately[["on", "customer_id", *LATELY]].rename(columns={"orders_now": "ordered"})
    on = ibis.memtable(pd.DataFrame({"on": pd.to_datetime(days)}), schema={"on": "timestamp"}).cast(
        {"on": "date"}
    )
    goods = price_changes(tables["orders"], on, watch).to_pandas()
    goods["on"] = pd.to_datetime(goods["on"])
    both = both.merge(lately, on=["on", "customer_id"], suffixes=("_before", ""))
    both = both.merge(goods, on=["on", "customer_id"], how="left")
    return both.assign(
        left=both["left"].astype(float),
        left_list=both["unsubscribed"] - both["unsubscribed_before"],
        priced=both["price_change"].notna().astype(float),
    )


LATELY = [
    "mails",
    "unsubscribed",
    "cases",
    "slowest_reply",
    "rated",
    "rated_bad",
    "answered",
    "score",
]
LATELY += ["returned", "orders_now"]


def price_changes(orders: ir.Table, on: ir.Table, watch: Watch) -> ir.Table:
    """What has become dearer for whom: the goods of the horizon before the last step, at the prices
    of that step.

    One row a day of `on` and customer whose goods were sold in the step: price_change, of prices
    before discounts (0.1 is a tenth more), and discount_change, of the share taken off (-0.1 is ten
    points less).
    """
    sold, off = orders.filter(history.BOUGHT), _.discount.fill_null(0.0)
    lately = sold.join(on, sold.ordered_on <= on.on)
    lately = lately.filter(lately.on.delta(lately.ordered_on, unit="day") < watch.step)
    now = lately.group_by("on", "product_id").agg(
        price=(_.revenue + off).sum() / _.quantity.sum(),
        share=off.sum() / (_.revenue + off).sum().nullif(0),
    )
    own = sold.filter(_.customer_id.notnull())
    own = own.select(
        "customer_id", "product_id", "ordered_on", "quantity", off=off, full=_.revenue + off
    )
    own = own.join(now, "product_id")
    ago = own.on.delta(own.ordered_on, unit="day")
    own = own.filter(ago >= watch.step, ago < watch.step + watch.horizon)
    return own.group_by("on", "customer_id").agg(
        price_change=(_.price * _.quantity).sum() / _.full.sum().nullif(0) - 1,
        discount_change=((_.share * _.full).sum() - _.off.sum()) / _.full.sum().nullif(0),
    )


def sign_effects(rows: pd.DataFrame) -> pd.DataFrame:
    """How much more often those with each sign left than those alike without it (the frame of
    `sign_panel`).

    One row a sign of reasons.yaml: sign, customers who showed it, shown and left (rows of the panel), effect:
    the difference in the chance to leave, standardised over those who showed it, with its 90 %
    interval; share: the part of all leaving that it would explain, with its interval; compared,
    action, verdict. Where fewer than `reason_people` left or stayed with the sign, no effect is
    given.

    A logistic regression of leaving on all signs, on who could show them, on `BEFORE` and the day,
    in a panel of discrete time (Allison 1982); errors clustered by customer; intervals from draws
    of the coefficients (King, Tomz and Wittenberg 2000). Associations: what else the customers
    differ in, and is not held equal, is in them.
    """
    marks = {name: _shows(rows, sign) for name, sign in REASONS["signs"].items()}
    enough = [
        name for name, mark in marks.items() if _comparable(rows, mark > 0, REASONS["signs"][name])
    ]
    effects = _effects(rows, {n: marks[n] for n in enough}) if enough else {}
    found = []
    for name, sign in REASONS["signs"].items():
        on, size = marks[name] > 0, effects.get(name, dict.fromkeys(SIZES, np.nan))
        kind = "few" if on.any() else "none"
        if name in effects:
            kind = "more" if size["low"] > 0 else "less" if size["high"] < 0 else "unsure"
        found.append(
            {
                "sign": name,
                "customers": rows.loc[on, "customer_id"].nunique(),
                "shown": int(on.sum()),
                "left": int(rows.loc[on, "left"].sum()),
                **size,
                "verdict": REASONS["verdicts"][kind],
                "compared": sign["compared"],
                "action": sign["action"],
            }
        )
    return pd.DataFrame(found)


SIZES = ["effect", "low", "high", "share", "share_low", "share_high"]


def experiment_effects(experiments: pd.DataFrame) -> pd.DataFrame:
    """What a test with random groups did to ordering again: the one place where an effect on
    staying is causal.

    `experiments` is what `effects.readable` gave. One row a test and variant whose outcome is a yes
    or no of ordering again: units, share with and without, effect: their difference with its 90 %
    interval (Newcombe 1998).
    """
    kept = experiments[
        experiments["outcome"].astype("str").str.startswith("ordered_again")
        & experiments["value"].notna()
    ]
    rows = []
    for test, units in kept.groupby("experiment_id"):
        counts = units.assign(yes=units["value"] > 0).groupby("variant")["yes"].agg(["sum", "size"])
        base = units["base"].iloc[0]
        if base not in counts.index:
            continue
        for variant, n in counts.drop(index=base).iterrows():
            c = counts.loc[base]
            low, high = confint_proportions_2indep(
                n["sum"],
                n["size"],
                c["sum"],
                c["size"],
                method="newcomb",
                compare="diff",
                alpha=1 - stats.LEVEL,
            )
            with_it, without = n["sum"] / n["size"], c["sum"] / c["size"]
            rows.append(
                [
                    test,
                    variant,
                    int(n["size"] + c["size"]),
                    without,
                    with_it,
                    with_it - without,
                    low,
                    high,
                ]
            )
    names = ["experiment", "variant", "units", "without", "with_it", "effect", "low", "high"]
    return pd.DataFrame(rows, columns=names)


def churn_reasons(signs: pd.DataFrame, tests: pd.DataFrame) -> pd.DataFrame:
    """Signs and experiments in one table (`churn_reasons`), each with its kind."""
    effects = tests.assign(
        sign=tests["experiment"].astype("str") + ": " + tests["variant"].astype("str"),
        kind="experiment",
        customers=tests["units"],
        compared=REASONS["verdicts"]["without"],
        verdict=np.select(
            [tests["low"] > 0, tests["high"] < 0],
            [REASONS["verdicts"][k] for k in ("again", "seldom")],
            REASONS["verdicts"]["unsure"],
        ),
    )
    both = pd.concat(
        [
            signs.assign(kind="association"),
            effects[["sign", "kind", "customers", "effect", "low", "high", "compared", "verdict"]],
        ],
        ignore_index=True,
    )
    return both.drop(columns=["shown", "left"])


def rivals(market: pd.DataFrame, own: str) -> pd.DataFrame:
    """The gap to other brands over the last four periods known: brand, share of sales, price
    against ours, rating.

    `price` compares within each part of the market and is weighed by our sales there: 0.1 is a
    tenth dearer than we are. Empty where `own` is no brand of the market (small and large letters
    are the same).
    """
    last = market[market["period"].isin(sorted(market["period"].unique())[-4:])]
    ours = last[last["brand"].str.casefold() == own.casefold()]
    if not len(ours):
        return pd.DataFrame(columns=["brand", "share", "price", "rating", "is_ours"])
    both = last.merge(
        ours[["period", "segment", "price", "sales"]],
        on=["period", "segment"],
        suffixes=("", "_ours"),
    )
    both = both.assign(price=both["price"] / both["price_ours"] - 1).dropna(
        subset=["price", "sales_ours"]
    )
    weighed = both.assign(
        price=both["price"] * both["sales_ours"], rating=both["rating"] * both["sales"]
    )
    sums = weighed.groupby("brand").agg(
        sales=("sales", "sum"),
        ours=("sales_ours", "sum"),
        price=("price", "sum"),
        rating=("rating", "sum"),
    )
    rows = pd.DataFrame(
        {
            "share": sums["sales"] / sums["sales"].sum(),
            "price": sums["price"] / sums["ours"],
            "rating": sums["rating"] / sums["sales"],
        }
    )
    rows = rows.assign(is_ours=rows.index.str.casefold() == own.casefold()).sort_values(
        "share", ascending=False
    )
    return rows.reset_index()


def _shows(rows: pd.DataFrame, sign: dict) -> pd.Series:
    value = rows[sign["measure"]].astype(float)
    beyond = value > sign["above"] if "above" in sign else value < sign["below"]
    return (beyond & _could(rows, sign)).astype(float)


def _could(rows: pd.DataFrame, sign: dict) -> pd.Series:
    return _chances(rows, sign) >= sign.get("least", 1e-9)


def _chances(rows: pd.DataFrame, sign: dict) -> pd.Series:
    return rows[sign["among"]].astype(float).fillna(0.0)


def _effects(rows: pd.DataFrame, marks: dict[str, pd.Series]) -> dict[str, dict[str, float]]:
    could = {n: _could(rows, REASONS["signs"][n]).astype(float) for n in marks}
    # with more orders, more comes back
    twice = {n: _chances(rows, REASONS["signs"][n]) > 1 for n in marks}
    could |= {
        f"{n}, twice": t.astype(float)
        for n, t in twice.items()
        if _fewer(rows.loc[t, "left"]) >= methods.value("reason_people")
    }
    held = np.log1p(rows[BEFORE].astype(float).clip(lower=0)).fillna(0.0)
    days = pd.get_dummies(rows["on"], drop_first=True, dtype=float)
    alike = pd.concat([pd.DataFrame(could), held, held["silence"] ** 2, days], axis=1).to_numpy(
        float
    )
    spread = alike.std(axis=0)
    alike = (alike - alike.mean(axis=0))[:, spread > TINY] / spread[spread > TINY]
    x = np.column_stack([np.ones(len(rows)), pd.DataFrame(marks).to_numpy(float), alike])
    x = x[:, stats.says_more(x, TINY * np.sqrt(len(x)))]
    who = rows["customer_id"].astype("category").cat.codes
    fit = sm.GLM(rows["left"].to_numpy(float), x, family=sm.families.Binomial()).fit(
        cov_type="cluster", cov_kwds={"groups": who.to_numpy()}
    )
    draws = np.random.default_rng(1).multivariate_normal(fit.params, fit.cov_params(), DRAWS)
    found = {}
    for k, (name, mark) in enumerate(marks.items(), start=1):
        shown = x[mark.to_numpy() > 0]
        without = shown.copy()
        without[:, k] = 0
        extra = [_chance(shown, b) - _chance(without, b) for b in (fit.params, *draws)]
        low, high = np.quantile(extra[1:], stats.ENDS)
        part = len(shown) / rows["left"].sum()
        found[name] = dict(
            zip(SIZES, [extra[0], low, high, extra[0] * part, low * part, high * part], strict=True)
        )
    return found


def _chance(x: np.ndarray, b: np.ndarray) -> float:
    return float((1 / (1 + np.exp(-(x @ b)))).mean())


def _comparable(rows: pd.DataFrame, shown: pd.Series, sign: dict) -> bool:
    others = _could(rows, sign) & ~shown
    fewest = min(_fewer(rows.loc[shown, "left"]), _fewer(rows.loc[others, "left"]))
    return fewest >= methods.value("reason_people")


def _fewer(left: pd.Series) -> int:
    return int(min(left.sum(), (1 - left).sum()))
