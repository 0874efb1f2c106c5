"""How well the ways of telling leavers do, against the day on which each simulated person truly left.

churn_ranking.csv: customers who were not silent for longer than the horizon at the end of the exports, ordered by each
way; area under the ROC curve, average precision, and the share of the first tenth for whom the target holds. Targets:
gone (left by that day), gone soon (left by the end of the horizon), silent (no order in the year after).
churn_backtest.csv: what the chapter itself shows, the lists of one length on earlier days.
churn_calibration.csv: tenths by the model's risk, all seeds together: the risk said, who ordered nothing in the
horizon (earlier days), and who ordered nothing in the year after, or had left by the end of the horizon (the last day).
churn_causes.csv: the size of signs against the truth, on clean data of shops of 5,000 customers, two a seed; and of the
experiments of each twin. Bad service multiplies the chance of leaving; from it and each person's own rates follows by
how much more often they order nothing. The other signs change nothing in the simulation, so their truth is zero.
"""

from __future__ import annotations

from datetime import date
from types import SimpleNamespace

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score
from twins import World

START, LAST = pd.Timestamp("2024-10-01"), date(2026, 9, 30)
WAYS = ["rule", "rhythm", "model", "threshold", "alive", "plain", "prob_alive"]
NAMES = {"alive": "BG/NBD: no order", "prob_alive": "BG/NBD: not alive", "plain": "longest silence"}
NO_EFFECT = ["dearer goods", "less discount", "goods sent back"]
SHOPS, CUSTOMERS = 2, 5000  # clean shops a seed, and how large
SIGNS = ("orders", "messages", "tickets", "surveys")


def score(made: World) -> dict[str, pd.DataFrame]:
    """Every table for one twin."""
    from helpers.segment import rfm
    from helpers.segment.churn import churn_model, leaving

    run = made.run
    tables, as_of = {n: run.read(n) for n in SIGNS}, run.as_of
    first = tables["orders"].ordered_on.min().to_pandas().date()
    gone = leaving.set_horizon(tables["orders"], as_of, rfm.comparable_window(first, as_of), 0.05)
    people = leaving.panel(tables, leaving.panel_days(as_of, first, gone), gone, as_of)
    people = churn_model.add_alive(leaving.by_rule(people, {}), gone)
    alive = leaving.by_rhythm(people[people["is_alive"]], 0.05)
    alive = churn_model.add_risk(leaving.by_threshold(alive, leaving.key_lines({})), gone)
    now = truth_of(made, alive, as_of, gone.horizon, not_alive(people))
    seed = int(made.folder.name.removeprefix("twin"))
    signs = [sign_sizes(CUSTOMERS, 1000 * seed + k) for k in range(SHOPS)]
    return {
        "churn_ranking": ranking(now),
        "churn_backtest": churn_model.compare_ways(alive, 0.1, gone),
        "churn_calibration": calibration(now, churn_model.judged(alive)),
        "churn_causes": pd.concat([*signs, test_sizes(made)]),
    }


def summary(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    """Means over the seeds, and how many there were."""
    if name == "churn_ranking":
        by = rows.groupby(["target", "way"], sort=False)
        means = by[["customers", "base", "auc", "average_precision", "first_tenth"]].mean()
        return (
            means.assign(auc_low=by["auc"].min(), auc_high=by["auc"].max(), seeds=by.size())
            .round(4)
            .reset_index()
        )
    if name == "churn_backtest":
        rows = rows.assign(
            beat_the_plain_rule=rows["extra_low"] > 0, lost_to_it=rows["extra_high"] < 0
        )
        by = rows.groupby("way", sort=False)
        means = by[
            [
                "precision",
                "lift",
                "recall",
                "money",
                "lead_days",
                "beat_the_plain_rule",
                "lost_to_it",
            ]
        ].mean()
        return means.assign(seeds=by.size()).round(4).reset_index()
    if name == "churn_calibration":
        by = rows.groupby(["day", "tenth"])
        sums = by[
            ["customers", "said", "no_order_in_horizon", "no_order_in_year", "gone_by_horizon"]
        ].sum(min_count=1)
        shares = sums.drop(columns="customers").div(sums["customers"], axis=0)
        return pd.concat([sums["customers"].astype(int), shares], axis=1).round(4).reset_index()
    known = rows.dropna(subset=["effect", "truth"])
    known = known.assign(
        covered=known["truth"].between(known["low"], known["high"]),
        right_sign=(known["effect"] > 0).astype(float).where(known["truth"] > 0),
    )
    by = known.groupby(["kind", "sign"], sort=False)
    means = by[["shown", "effect", "truth", "right_sign", "covered"]].mean()
    error = by["effect"].agg(lambda e: e.std() / np.sqrt(len(e)))
    return means.assign(standard_error_of_mean=error, seeds=by.size()).round(4).reset_index()


def truth_of(
    made: World, alive: pd.DataFrame, as_of, horizon: int, prob: pd.Series
) -> pd.DataFrame:
    """The last look at those alive, beside the targets."""
    now = alive[alive["on"] == alive["on"].max()].merge(made.people, on="customer_id")
    if now.empty:
        raise ValueError(
            f"nobody is left to rank on {as_of}: {len(alive)} rows, {len(made.people)} people known"
        )
    day = (pd.Timestamp(as_of) - START).days + 1
    return now.assign(
        plain_score=now["silence"],
        prob_alive_score=now["customer_id"].map(prob),
        gone=now["dropout_day"] <= day,
        soon=now["dropout_day"] <= day + horizon,
        silent=now["orders_after"] == 0,
    )


def not_alive(people: pd.DataFrame) -> pd.Series:
    """The chance by BG/NBD that each customer has left, at the last look."""
    from helpers.segment.churn.churn_model import _history
    from helpers.segment.lifetime_value import bgnbd

    last = people[people["on"] == people["on"].max()]
    x, t_x, T = _history(last)
    return pd.Series(
        1 - bgnbd.alive(bgnbd.fit(x, t_x, T).params, x, t_x, T), last["customer_id"].to_numpy()
    )


def ranking(now: pd.DataFrame) -> pd.DataFrame:
    """One row a target and way."""
    rows = []
    for target, name in {
        "gone": "gone",
        "soon": "gone soon",
        "silent": "silent for a year",
    }.items():
        for way in WAYS:
            said, true = now[f"{way}_score"], now[target]
            first = true[said.rank(ascending=False, method="first") <= round(0.1 * len(now))]
            rows.append(
                {
                    "target": name,
                    "way": NAMES.get(way, way),
                    "customers": len(now),
                    "base": true.mean(),
                    "auc": roc_auc_score(true, said),
                    "average_precision": average_precision_score(true, said),
                    "first_tenth": first.mean(),
                }
            )
    return pd.DataFrame(rows)


def calibration(now: pd.DataFrame, past: pd.DataFrame) -> pd.DataFrame:
    """Sums by tenth of risk, on earlier days and on the last."""
    last = tenths(now).agg(
        customers=("risk", "size"),
        said=("risk", "sum"),
        no_order_in_year=("silent", "sum"),
        gone_by_horizon=("soon", "sum"),
    )
    earlier = tenths(past.dropna(subset=["model_score"])).agg(
        customers=("risk", "size"), said=("risk", "sum"), no_order_in_horizon=("left", "sum")
    )
    return pd.concat([earlier.assign(day="earlier"), last.assign(day="last")])


def tenths(people: pd.DataFrame):
    """Groups of a tenth of the rows each, by rising risk."""
    tenth = np.ceil(people["risk"].rank(method="first") * 10 / len(people)).astype(int)
    return people.assign(tenth=tenth).groupby("tenth", as_index=False)


def sign_sizes(customers: int, seed: int) -> pd.DataFrame:
    """Each sign's size in one clean shop beside the true one."""
    from helpers.segment import rfm
    from helpers.segment.churn import leaving, reasons
    from helpers.segment.churn.reasons import REASONS, _shows

    tables, world = clean_shop(customers, seed)
    first = START.date()
    gone = leaving.set_horizon(tables["orders"], LAST, rfm.comparable_window(first, LAST), 0.05)
    people = leaving.panel(tables, leaving.panel_days(LAST, first, gone), gone, LAST)
    panel = reasons.sign_panel(tables, people, gone, LAST)
    signs, service = reasons.sign_effects(panel), world.c["service"]
    true = dict.fromkeys(NO_EFFECT, 0.0)
    often = {"bad service": 1.0, "slow reply": service["bad"]["slow"] - service["bad"]["quick"]}
    for sign, share in often.items():
        shown = panel[_shows(panel, REASONS["signs"][sign]) > 0]
        p = world.people.iloc[shown["customer_id"].astype(int)]
        there = (
            p["end"].to_numpy() > (shown["on"] - START).dt.days.to_numpy() - gone.step
        )  # who had left cannot leave
        more = no_order(p, gone.horizon, service["hazard"]) - no_order(p, gone.horizon, 1)
        true[sign] = share * (there * more).mean()
    found = signs.assign(kind="sign", truth=signs["sign"].map(true))
    return found[["kind", "sign", "shown", "effect", "low", "high", "truth"]]


def test_sizes(made: World) -> pd.DataFrame:
    """The effects of the experiments on ordering again, beside the true ones."""
    from helpers import effects
    from helpers.segment.churn import reasons

    experiments = made.run.read("experiments").to_pandas()
    judged = effects.judge_tests(experiments, {})
    tests = reasons.experiment_effects(effects.readable(experiments, judged))
    true_ones = (
        made.truth("effects")
        .query("group == 'all'")
        .set_index(["experiment_id", "variant"])["effect"]
    )
    true = true_ones.reindex(pd.MultiIndex.from_frame(tests[["experiment", "variant"]])).to_numpy()
    named = tests.assign(
        kind="experiment", sign=tests["experiment"] + ": " + tests["variant"], shown=tests["units"]
    )
    return named.assign(truth=true)[["kind", "sign", "shown", "effect", "low", "high", "truth"]]


def clean_shop(customers: int, seed: int) -> tuple[dict, SimpleNamespace]:
    """Orders and service cases of a simulated shop as its own records would be without an error; and its world."""
    import ibis

    from helpers import tables
    from simulator.behave import simulate
    from simulator.constants import DAYS, stream
    from simulator.exports import true_lines

    w = simulate(customers, seed)
    t = true_lines(w).query("~cancelled and t < @DAYS")
    at = START + pd.to_timedelta(t["t"].round(4), unit="D")
    lines = {
        "order_id": t["id"],
        "line_no": np.arange(len(t)),
        "customer_id": t["person"].astype("str"),
        "ordered_at": at,
        "ordered_at_local": at,
        "ordered_on": at.dt.normalize(),
        "product_id": t["product"].astype("str"),
        "quantity": t["quantity"].astype(float),
        "revenue": t["revenue"],
        "discount": t["discount"] / 1.19,
        "channel": np.where(t["kind"] == 0, "web", "store"),
    }
    k = w.cases[
        (w.cases["t"] < DAYS - 0.1)
        & (w.cases["t"] < w.people["end"].to_numpy()[w.cases["person"]] + 30)
    ]
    rated = stream(seed, "rated").random(len(k)) < w.c["service"]["rated"]
    opened = START + pd.to_timedelta(k["t"].round(4), unit="D")
    cases = {
        "ticket_id": k.index.astype("str"),
        "customer_id": k["person"].astype("str"),
        "opened_at": opened,
        "solved_at": opened + pd.to_timedelta(k["reply"] + 480, unit="min"),
        "first_reply_minutes": k["reply"],
        "satisfaction": np.where(rated, np.where(k["bad"], "bad", "good"), None),
    }
    found = {}
    for name, columns in {"orders": lines, "tickets": cases}.items():
        known = tables.get(name).schema
        frame = pd.DataFrame(
            {c: v.to_numpy() if hasattr(v, "to_numpy") else v for c, v in columns.items()}
        )
        for c in frame.select_dtypes("datetime"):
            frame[c] = frame[c].astype("datetime64[us]")
        found[name] = tables.conform(
            ibis.memtable(frame, schema=ibis.schema({c: known[c] for c in frame})), name
        )
    return found, w


def no_order(p: pd.DataFrame, days: int, factor: float) -> np.ndarray:
    """Chance that somebody who is there orders nothing in so many days: they buy at random until they leave so."""
    rate, hazard = p["rate"] * (1 - np.exp(-p["lines"])), p["hazard"] * factor
    stays = np.exp(-(rate + hazard) * days)
    return (stays + hazard / (rate + hazard) * (1 - stays)).to_numpy()
