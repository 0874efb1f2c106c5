"""How well the simulated taste groups come out of thin baskets, and what else chapter 4b claims.

groups.csv: adjusted Rand index with the true taste and with the home channel, by method and by how many orders a
customer has at least. "best possible" is Bayes' rule with the true weights of every taste and favourite: no method
can know more. "latent classes" is a mixture of Dirichlet-multinomials on the same counts.
groups_found.csv: the number of groups chosen and the verdict, for each twin and for one whose customers buy as many
lines, but from shares without groups.
needs.csv: need scores beside the true factors, and the strongest need beside the truly strongest.
persona_answers.csv: whether personas answered differently. On the twin the answer hangs on price sensitivity, not on
taste, so that "yes" is a false alarm.
"""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd
import yaml
from scipy.special import digamma, gammaln, logsumexp
from sklearn.metrics import adjusted_rand_score
from twins import World

from helpers.analyze.relations import factors
from helpers.segment import rfm
from helpers.segment.groups import clustering, features, personas, survey_needs

ORDERS = [3, 6]
DAYS = 7


def score(made: World) -> dict[str, pd.DataFrame]:
    """The four tables of one twin."""
    run = made.run
    orders, products = run.read("orders"), run.read("products")
    first_on = orders.ordered_on.min().to_pandas().date()
    cut = run.as_of - timedelta(days=(run.as_of - first_on).days // 3)
    early, _late, now = features.habit_periods(orders, products, cut, run.as_of)
    shape = now.shape.loc[now.known]
    numbers = clustering.group_numbers(shape)
    k, verdict = clustering.choose_number(numbers)
    found = [{"twin": "with tastes", "groups": k, "verdict": verdict}, without_groups(now)]
    return {
        "groups": pd.DataFrame(recovery(made, now, k or 5)),
        "groups_found": pd.DataFrame(found),
        "needs": pd.DataFrame(needs(made)),
        "persona_answers": pd.DataFrame(answers(made, early, k or 5, cut)),
    }


def summary(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    """One row a method, a twin, a need or a division: means over the seeds, with their range or the counts."""
    seeds = rows["seed"].nunique()
    if name == "groups":
        by = rows.groupby(["method", "orders"], sort=False)
        table = by.agg(
            customers=("customers", "mean"),
            taste=("taste", "mean"),
            lowest=("taste", "min"),
            highest=("taste", "max"),
        )
        return table.assign(channel=by["channel"].mean(), seeds=seeds).round(3).reset_index()
    if name == "groups_found":
        counts = rows.groupby(["twin", "verdict", "groups"]).size().rename("seeds").reset_index()
        return counts
    if name == "needs":
        return (
            rows.drop(columns="seed")
            .groupby("factor", sort=False)
            .mean()
            .assign(seeds=seeds)
            .round(3)
            .reset_index()
        )
    judged = rows.dropna(subset=["p"])
    told = judged.groupby("division", sort=False)["p"].agg(
        [("judged", "size"), ("said_yes", lambda p: (p < 0.1).sum())]
    )
    return told.reset_index().assign(seeds=seeds)


def recovery(made: World, now: features.Habits, k: int) -> list[dict]:
    """Agreement of every way of grouping with taste and home channel."""
    counts = features.wide(now.counts, "what", now.people.index)
    shape, known = now.shape, now.known
    ways = {f"{m}": grouped(shape, known, m, k) for m in clustering.METHODS}
    everything = now.features
    ways["k-means, with the place among the features"] = grouped(everything, known, "k-means", k)
    ways["latent classes"] = latent_classes(counts, known, k)
    ways["favourite category"] = counts.idxmax(axis=1)
    bought = rfm.rfm(made.run.read("orders"), made.run.as_of, 364).to_pandas()
    ways["RFM type"] = rfm.add_type(bought, rfm.cut_lines(bought, "median")).set_index(
        "customer_id"
    )["segment"]
    ways["best possible"] = best_possible(made, counts)
    truth = made.people.set_index("customer_id")
    rows = []
    for name, groups in ways.items():
        for least in ORDERS:
            who = (
                now.people.index[now.people["orders"] >= least]
                .intersection(truth.index)
                .intersection(groups.index)
            )
            own, true = groups[who].astype("str"), truth.loc[who]
            agree = {
                c: adjusted_rand_score(true[t], own)
                for c, t in (("taste", "taste"), ("channel", "home_channel"))
            }
            rows.append({"method": name, "orders": least, "customers": len(who), **agree})
    return rows


def grouped(table: pd.DataFrame, known: pd.Index, method: str, k: int) -> pd.Series:
    """Groups made from the customers with known habits, for all."""
    return clustering.assign_groups(clustering.make_groups(table.loc[known], method, k), table)


def best_possible(made: World, counts: pd.DataFrame) -> pd.Series:
    """The likeliest taste by Bayes' rule, from the true weights; the favourite category is averaged out."""
    world = yaml.safe_load((made.folder / "truth" / "world.yaml").read_text(encoding="utf-8"))
    people, parts = world["people"], list(world["categories"])
    seen, liked = counts.reindex(columns=parts, fill_value=0.0).to_numpy(), people["favourite"]
    logs = {}
    for taste, rule in people["tastes"].items():
        weights = np.array(rule["weights"], float) / sum(rule["weights"])
        shares = (1 - liked) * weights + liked * np.eye(len(parts))  # one row a favourite
        logs[taste] = np.log(rule["share"]) + logsumexp(
            seen @ np.log(shares).T + np.log(weights), axis=1
        )
    return pd.DataFrame(logs, index=counts.index).idxmax(axis=1)


def latent_classes(counts: pd.DataFrame, known: pd.Index, k: int, steps: int = 200) -> pd.Series:
    """The likeliest of k classes, each with a Dirichlet of its own (Holmes et al. 2012), by EM from k-means groups."""
    rows = counts.loc[known].to_numpy()
    start = features.dirichlet(rows)
    logs = np.log(rows + start) - np.log(rows + start).mean(axis=1, keepdims=True)
    groups = clustering.assign_groups(
        clustering.make_groups(pd.DataFrame(logs), "k-means", k), pd.DataFrame(logs)
    )
    part = np.eye(k)[groups.astype(int) - 1] * 0.9 + 0.1 / k
    alpha = np.array([10 * (p @ rows + 1) / (p @ rows + 1).sum() for p in part.T])
    for _step in range(steps):
        for j, a in enumerate(
            alpha
        ):  # Minka's fixed point, each customer weighted by the chance of the class
            up = part[:, j] @ (digamma(rows + a) - digamma(a))
            down = part[:, j] @ (digamma(rows.sum(axis=1) + a.sum()) - digamma(a.sum()))
            alpha[j] = np.clip(a * up / down, 1e-3, 1e4)
        chance = likelihood(rows, alpha) + np.log(part.mean(axis=0))
        part = np.exp(chance - logsumexp(chance, axis=1, keepdims=True))
    chance = likelihood(counts.to_numpy(), alpha) + np.log(part.mean(axis=0))
    return pd.Series(chance.argmax(axis=1), counts.index)


def likelihood(rows: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Log-likelihood of counts under each Dirichlet, one column a class."""
    total = rows.sum(axis=1)
    return np.stack(
        [
            gammaln(a.sum())
            - gammaln(a.sum() + total)
            + (gammaln(rows + a) - gammaln(a)).sum(axis=1)
            for a in alpha
        ],
        axis=1,
    )


def without_groups(now: features.Habits) -> dict:
    """The verdict on customers with as many lines, whose shares come from one Dirichlet: they differ smoothly."""
    rng = np.random.default_rng(1)
    total = features.wide(now.counts, "what", now.known).sum(axis=1).astype(int)
    prior = now.usual["what"]
    drawn = np.array([rng.multinomial(n, rng.dirichlet(prior)) for n in total])
    counts = pd.DataFrame(drawn, total.index, prior.index).rename_axis("customer_id").reset_index()
    counts = counts.melt("customer_id", var_name="part", value_name="n").assign(facet="what")
    counts = pd.concat([counts[counts["n"] > 0], now.counts[now.counts["facet"] != "what"]])
    usual = features.usual_habits(counts, now.people)
    smooth = now._replace(
        counts=counts, usual=usual, features=features.habit_features(counts, now.people, usual)
    )
    k, verdict = clustering.choose_number(clustering.group_numbers(smooth.shape.loc[now.known]))
    return {"twin": "without groups", "groups": k, "verdict": verdict}


def needs(made: World) -> list[dict]:
    """Each true factor and the need that goes with it, and the strongest of them."""
    found = survey_needs.find_needs(factors.survey_answers(made.run.frame("surveys")))
    truth = made.truth("factor_scores").set_index("person").drop(columns="mood")
    who = made.people.set_index("customer_id")["person"]
    who = who[who.index.isin(found.scores.index) & who.isin(truth.index)].drop_duplicates()
    scores, true = found.scores.loc[who.index], truth.loc[who].set_axis(who.index)
    loadings = made.truth("loadings").set_index("statement")["factor"]
    factor = pd.Series({need: loadings[need] for need in scores.columns})
    rows = [
        {"factor": f, "people": len(who), "found": float((factor == f).any()), "agreement": np.nan}
        for f in true.columns
    ]
    centred = true.sub(
        true.mean(axis=1), axis=0
    )  # the scores compare needs within a person, so does the truth
    for row in rows:
        if row["found"]:
            row["agreement"] = scores[factor.index[factor == row["factor"]][0]].corr(
                centred[row["factor"]]
            )
    right = (found.need.loc[who.index].map(factor) == true.idxmax(axis=1)).mean()
    return [
        *rows,
        {"factor": "the strongest", "people": len(who), "found": np.nan, "agreement": right},
    ]


def answers(made: World, early: features.Habits, k: int, cut: date) -> list[dict]:
    """Whether personas of the earlier time answered the messages of the later differently."""
    run, orders = made.run, made.run.read("orders")
    groups = grouped(early.shape, early.known, "k-means", k)
    sent = personas.contacts(
        run.read("messages"), orders, run.read("redemptions"), (cut, run.as_of), DAYS
    ).to_pandas()
    types = clustering.plain_groups(orders, early, cut, 182)["RFM type"]
    told = personas.answer_tests(
        personas.compare_answers(sent, {"persona": groups, "RFM type": types})
    )
    return told[["division", "p"]].to_dict("records") or [{"division": "persona", "p": np.nan}]
