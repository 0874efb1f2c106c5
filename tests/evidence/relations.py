"""How well relations are found: part-worths, factors and pairs, each beside the plain rule.

part_worths.csv: one row a model and kind of figure: share of 90 % intervals that hold the truth, bias, and by how many
times the truth the estimates grow with it (`slope`), of part-worths (mean over people, against the mean of the
attribute's levels), of what people would pay, and of the share of preference of a product against two others. The
choices of groups of respondents are drawn anew from the twin's own people, by the twin's own equations; "all alike" is
the plain logit. Truth is the population's mean; where tastes differ the plain logit estimates something smaller.

factors_found.csv: one row a factor of the twin: how often it is found, error of its loadings, and how closely its score
follows the true one, beside the answer to its first statement alone.

pairs_found.csv: one row a way: of the first 6 and 20 pairs of products, how many are of goods of which the twin lets
people buy the second because of the first (precision), and how many of the six kinds of such pairs are among the first
30 (recall); beside it the plain rules, the most frequent pairs and the highest lift.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import yaml
from twins import World

from helpers.analyze.relations import baskets, conjoint, factors
from simulator import around

DRAWS, RESPONDENTS = 5, 250
PRODUCT = "brand=Lumera, material=oak, delivery=three days, warranty=two years, price=89"
RIVALS = "brand=no name, material=plastic, delivery=next day, warranty=two years, price=49; brand=Twin Living, "
RIVALS += "material=bamboo, delivery=one week, warranty=five years, price=69"


def score(made: World) -> dict[str, pd.DataFrame]:
    """Part-worths, factors and pairs of one twin."""
    return {
        "part_worths": pd.DataFrame(part_worths(made)),
        "factors_found": pd.DataFrame(factors_found(made)),
        "pairs_found": pd.DataFrame(pairs_found(made)),
    }


def summary(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    """One row a way: means over the seeds."""
    seeds = rows["seed"].nunique()
    if name == "part_worths":
        rows = rows.assign(error=rows["estimate"] - rows["truth"])
        by = rows.groupby(["model", "what"], sort=False)
        table = by.agg(intervals=("held", "size"), covered=("held", "mean"), bias=("error", "mean"))
        table["slope"] = by[["estimate", "truth"]].apply(slope)
        return table.assign(seeds=seeds).round(4).reset_index()
    way = rows.columns[0]
    return (
        rows.drop(columns="seed")
        .groupby(way, sort=False)
        .mean()
        .assign(seeds=seeds)
        .round(3)
        .reset_index()
    )


def slope(rows: pd.DataFrame) -> float:
    """How many times the truth the estimates are, by least squares: 1 is right, 0.9 a tenth too small."""
    return float((rows["estimate"] * rows["truth"]).sum() / (rows["truth"] ** 2).sum())


def simulated(made: World, draw: int) -> pd.DataFrame:
    """Choices of some of the twin's people, drawn anew."""
    world = yaml.safe_load((made.folder / "truth" / "world.yaml").read_text(encoding="utf-8"))
    people = made.truth("people")
    people = people.sample(min(RESPONDENTS, len(people)), random_state=draw).reset_index(drop=True)
    world["conjoint"] = world["conjoint"] | {"share": 1.0}
    frame = people[["sensitivity"]].assign(number=[f"R{i}" for i in people.index])
    twin = SimpleNamespace(seed=1000 * draw + len(people), c=world, n=len(people), people=frame)
    cells = pd.DataFrame(around.choices(twin).cells).astype(object)
    numbers = {
        c: pd.to_numeric(cells[c], errors="coerce")
        for c in ("task", "alternative", "chosen", "price")
    }
    return cells.assign(**numbers).drop_duplicates(["respondent_id", "task", "alternative"])


def true_share(world: dict, ours: pd.Series, rivals: pd.DataFrame, n: int = 200_000) -> float:
    """The share of the twin's people who would take the product."""
    rng, c = np.random.default_rng(1), world["conjoint"]
    levels = world["people"]["sensitivity"]
    factor = rng.choice(
        [x["factor"] for x in levels.values()], n, p=[x["share"] for x in levels.values()]
    )
    utility = np.zeros((n, 1 + len(rivals)))
    goods = pd.concat([ours.to_frame().T, rivals], ignore_index=True)
    for name, known in c["attributes"].items():
        mean = np.array(list(known.values()))
        own = mean + rng.normal(0, c["spread"], (n, len(known))) * (mean > 0)
        utility += own[:, [list(known).index(v) for v in goods[name]]]
    utility += c["price"] * factor[:, None] * goods["price"].to_numpy(float)
    odds = np.exp(utility - utility.max(axis=1, keepdims=True))
    return float((odds[:, 0] / odds.sum(axis=1)).mean())


def part_worths(made: World) -> list[dict]:
    """Each part-worth, willingness and share with its truth, in the twin's own choices and in new ones."""
    world = yaml.safe_load((made.folder / "truth" / "world.yaml").read_text(encoding="utf-8"))
    truth = made.truth("partworths").replace({"level": {"per euro": conjoint.PER_UNIT}})
    truth = truth.set_index(["attribute", "level"])["part_worth"]
    price, rows = truth[conjoint.PRICE, conjoint.PER_UNIT], []
    for draw in range(DRAWS):
        tasks = conjoint.read_tasks(simulated(made, draw))
        if not tasks.enough:
            continue
        plain = conjoint.fit_choices(tasks, alike=True)
        for name, model in (("tastes differ", conjoint.fit_choices(tasks)), ("all alike", plain)):
            worths = conjoint.part_worths(model, plain).set_index(["attribute", "level"])
            true = truth.reindex(worths.index)
            centred = true - true.groupby("attribute").transform("mean").where(
                worths["over"].notna(), 0.0
            )
            for at, w in worths.iterrows():
                over = truth.get((at[0], w["over"]), np.nan)
                rows.append(
                    figure(name, "part-worth", centred[at], w["part_worth"], w["low"], w["high"])
                )
                if pd.notna(w["willing"]):
                    pay = (true[at] - over) / -price
                    rows.append(
                        figure(
                            name,
                            "would pay",
                            pay,
                            w["willing"],
                            w["willing_low"],
                            w["willing_high"],
                        )
                    )
            ours, rivals = (conjoint.describe_products(said, model) for said in (PRODUCT, RIVALS))
            got = conjoint.preference(model, ours.iloc[0], rivals).query("own").iloc[0]
            right = true_share(world, ours.iloc[0], rivals)
            rows.append(
                figure(name, "share of preference", right, got["share"], got["low"], got["high"])
            )
    return rows


def figure(model: str, what: str, truth: float, estimate: float, low: float, high: float) -> dict:
    """One row of the study."""
    return {
        "model": model,
        "what": what,
        "truth": truth,
        "estimate": estimate,
        "held": float(low <= truth <= high),
    }


def factors_found(made: World) -> list[dict]:
    """Each true factor: found, error of its loadings, and how closely scores and one statement follow it."""
    answers = factors.survey_answers(made.run.frame("surveys"))
    found = factors.find_factors(answers)
    truth = made.truth("loadings").set_index("statement")
    people = made.people.set_index("customer_id")["person"]
    people = people[people.index.isin(answers.index)].drop_duplicates()
    true = made.truth("factor_scores").set_index("person").reindex(people).set_axis(people.index)
    best = found.loadings[found.loadings["own"].astype(bool)].drop_duplicates("factor")
    mine = dict(zip(truth["factor"].reindex(best["item"]), best["name"], strict=True))
    rows = []
    for factor, part in truth.groupby("factor", sort=False):
        row = {
            "factor": factor,
            "people": len(people),
            "found": float(factor in mine),
            "right_number": len(best) == 3,
        }
        if factor in mine:
            loads = found.loadings[found.loadings["name"] == mine[factor]].set_index("item")[
                "loading"
            ]
            row["loading_error"] = (loads.reindex(part.index) - part["loading"]).abs().mean()
            row["loading_bias"] = (loads.reindex(part.index) - part["loading"]).mean()
            row["score"] = found.scores[mine[factor]].reindex(people.index).corr(true[factor])
        row["one_statement"] = answers[part.index[0]].reindex(people.index).corr(true[factor])
        rows.append(row)
    return rows


def pairs_found(made: World) -> list[dict]:
    """Precision and recall of the first pairs, by our order and by the plain ones."""
    orders, products = made.run.read("orders"), made.run.read("products")
    first, last = (f().to_pandas() for f in (orders.ordered_on.min, orders.ordered_on.max))
    cut = (last - (last - first) / 3).date()
    counts = baskets.count_baskets(
        baskets.basket_items(orders, products, "product_id", cut).cache(), fewest=10
    )
    rules = baskets.pair_rules(counts)
    plain = counts.pairs.copy()
    baskets._judge(plain, counts, 0, "")
    plain[["first", "second"]] = plain[["first", "second"]].apply(lambda c: c.map(counts.names))
    ways = {
        "surest rules": rules,
        "surest rules that held later": rules[rules["holds"]],
        "most frequent pairs": plain.sort_values(["baskets", "first"], ascending=[False, True]),
        "highest lift": plain.sort_values(["lift", "first"], ascending=[False, True]),
    }
    noun = (
        products.select("product_id", "name").to_pandas().dropna().set_index("product_id")["name"]
    )
    noun = noun.str.rsplit(" ", n=1).str[0].str.strip().str.casefold()
    true = {
        frozenset(p) for p in made.truth("pairs")[["first", "second"]].map(str.casefold).to_numpy()
    }
    rows = []
    for way, table in ways.items():
        kinds = [
            frozenset(p) for p in table[["first", "second"]].apply(lambda c: c.map(noun)).to_numpy()
        ]
        right = [k in true for k in kinds]
        rows.append(
            {"way": way, "pairs": len(kinds), "precision_6": np.mean(right[:6]) if right else 0.0}
        )
        rows[-1] |= {
            "precision_20": np.mean(right[:20]) if right else 0.0,
            "recall_30": len(true & set(kinds[:30])) / 6,
        }
    return rows
