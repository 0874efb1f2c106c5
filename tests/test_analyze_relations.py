"""Relations: associations, factors, baskets, choices; published results, answers known by hand, the twin's truth."""

from datetime import date

import ibis
import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import CHECKOUT
from mlxtend.frequent_patterns import fpgrowth
from scipy.stats import false_discovery_control, hypergeom
from statsmodels.datasets import modechoice

from helpers import stats, store, tables
from helpers.analyze.relations import association, baskets, conjoint, factors
from helpers.client import PlaybookError
from simulator import write_twin

WORLD = yaml.safe_load((CHECKOUT / "data/simulator/world.yaml").read_text(encoding="utf-8"))
DIALECTS = ("duckdb", "pyspark", "bigquery", "snowflake")


@pytest.fixture(autouse=True)
def spark(monkeypatch):
    class Spark(ibis.config.Config):  # what Ibis sets itself where pyspark is installed
        treat_nan_as_null: bool = False

    monkeypatch.setattr(ibis.options, "pyspark", Spark())


def empty(name):
    return ibis.memtable(tables.get(name).schema.to_pyarrow().empty_table())


def unbound(name):
    return ibis.table(tables.get(name).schema, name=name)


# --- associations ------------------------------------------------------------------------------


def test_benjamini_and_hochberg_reject_four_of_their_fifteen():
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240]
    p += [0.4262, 0.5719, 0.6528, 0.7590, 1.0]
    assert (
        false_discovery_control(p) <= 0.05
    ).sum() == 4  # Benjamini and Hochberg 1995, section 4.1


def people(n=400, seed=1):
    rng = np.random.default_rng(seed)
    size, kind = rng.normal(size=n), rng.choice(["a", "b", "c"], n)
    rows = {"orders": size, "reduced": -size + rng.normal(size=n), "weekend": rng.normal(size=n)}
    rows |= {
        "opened": rng.normal(size=n) + (kind == "a"),
        "gender": kind,
        "region": rng.choice(["x", "y"], n),
    }
    same = np.where(rng.random(n) < 0.6, np.where(kind == "a", "x", "y"), rng.choice(["x", "y"], n))
    return pd.DataFrame(rows | {"channel": same})


def test_associations_of_every_type_are_found_with_their_direction_and_none_in_shuffled_measures():
    measures = people()
    found = association.associations(measures)
    sure = {frozenset(r) for r in found.loc[found["sure"], ["left", "right"]].to_numpy()}
    real = [
        {"orders", "reduced"},
        {"opened", "gender"},
        {"gender", "channel"},
        {"opened", "channel"},
    ]
    assert sure == {frozenset(r) for r in real}
    strength = found.set_index(["left", "right"])["strength"]
    assert strength["orders", "reduced"] == pytest.approx(-0.69, abs=0.08)
    assert found.set_index(["left", "right"])["kind"].to_dict()["gender", "channel"] == "table"
    rng = np.random.default_rng(2)
    none = association.associations(
        measures.apply(lambda c: c.sample(frac=1, random_state=rng).to_numpy())
    )
    assert not none["sure"].any()
    assert none["strength"].abs().max() < 0.2


def test_strengths_agree_with_hand_made_cases():
    counts = pd.DataFrame([[30, 10], [10, 30]])
    v, p = stats.cramers_v(counts)
    assert v == pytest.approx(np.sqrt((20 / 80 - 1 / 79) / (2 - 1 / 79 - 1)))
    assert p == pytest.approx(7.744e-6, rel=1e-3)
    groups = pd.DataFrame(
        {"number": [1.0, 2, 3, 4, 5, 6] * 20, "kind": (["a"] * 3 + ["b"] * 3) * 20}
    )
    kind, n, strength, _p = association._relation(groups["number"], groups["kind"])
    between, whole = 120 * 30.0**2, ((groups["number"].rank() - 60.5) ** 2).sum()
    h = (
        119 * between / whole
    )  # Kruskal and Wallis as the share of the differences of ranks between the groups
    assert (kind, n) == ("levels", 120)
    assert strength == pytest.approx(np.sqrt((h - 1) / 118))


def test_relations_are_told_between_families_only_and_in_the_right_direction():
    measures = people().assign(sales=lambda m: 2 * m["orders"])
    found = association.associations(measures)
    told = association.tell_relations(found, measures, "EUR")
    assert "number of orders and sales" not in set(told["measures"])  # of one family: no news
    by = told.set_index("measures")["said"]
    assert by.filter(like="bought reduced").iloc[0].endswith("the lower the share bought reduced")
    assert "where gender is a" in by["share of mail opened and gender"]
    assert "n = " in by["share of mail opened and gender"]
    grid = association.association_grid(found, measures.columns)
    assert grid.shape == (8, 7)  # every measure has a row, the last no column
    assert grid.loc["2 share bought reduced", "1"] == pytest.approx(
        abs(found.set_index(["left", "right"])["strength"]["orders", "reduced"])
    )


def test_measures_are_counted_in_the_engine_by_hand():
    lines = pd.DataFrame(
        {
            "order_id": ["o1"] * 6 + ["o2"] * 6 + ["o3", "refund"],
            "customer_id": ["c1"] * 12 + [None, "c1"],
            "product_id": (["p1"] * 4 + ["p2"] * 2) * 2 + ["p1"] * 2,
            "ordered_on": [date(2026, 9, 5)] * 6
            + [date(2026, 9, 7)] * 7
            + [date(2026, 9, 8)],  # a Saturday, a Monday
            "quantity": [1.0] * 11
            + [
                -0.5,
                1.0,
                -1.0,
            ],  # sent back: a part of a line; a whole one, on a receipt of its own
            "revenue": [10.0] * 11 + [-5.0, 5.0, -10.0],
            "discount": [1.0] * 3 + [None] * 11,
            "coupon_discount": [None] * 14,
        }
    )
    orders = ibis.memtable(lines, schema={c: tables.get("orders").schema[c] for c in lines})
    goods = pd.DataFrame({"product_id": ["p1", "p2"], "category": ["x", "y"]})
    row = (
        association.order_measures(orders, ibis.memtable(goods), date(2026, 9, 10))
        .to_pandas()
        .iloc[0]
    )
    assert (row["orders"], row["sales"], row["parts"], row["items"]) == (2, 95.0, 2, 5.5)
    assert (row["known_days"], row["silence"], row["weekend"]) == (5, 3, 0.5)
    assert (row["reduced"], row["returned"]) == (pytest.approx(3 / 11), pytest.approx(15 / 110))
    for dialect in DIALECTS:
        expression = association.order_measures(
            unbound("orders"), unbound("products"), date(2026, 9, 10)
        )
        assert "SELECT" in str(ibis.to_sql(expression, dialect=dialect))
        assert "SELECT" in str(
            ibis.to_sql(association.mail_opened(unbound("messages")), dialect=dialect)
        )


# --- factors -----------------------------------------------------------------------------------

# Nine abilities of 213 people (Thurstone and Thurstone 1941): three factors (Bechtoldt 1961).
THURSTONE = """1 .828 .776 .439 .432 .447 .447 .541 .380
.828 1 .779 .493 .464 .489 .432 .537 .358
.776 .779 1 .460 .425 .443 .401 .534 .359
.439 .493 .460 1 .674 .590 .381 .350 .424
.432 .464 .425 .674 1 .541 .402 .367 .446
.447 .489 .443 .590 .541 1 .288 .320 .325
.447 .432 .401 .381 .402 .288 1 .555 .598
.541 .537 .534 .350 .367 .320 .555 1 .452
.380 .358 .359 .424 .446 .325 .598 .452 1"""


def thurstone(n=213):
    """People with exactly these correlations."""
    r = np.array([[float(v) for v in row.split()] for row in THURSTONE.splitlines()])
    x = np.random.default_rng(1).standard_normal((n, 9))
    x = np.linalg.qr(x - x.mean(axis=0))[0]
    return pd.DataFrame(x @ np.linalg.cholesky(r).T, columns=list("abcdefghi"))


def test_sampling_adequacy_of_the_nine_abilities_is_as_published():
    checks = factors.adequacy(thurstone())
    assert checks["kmo"] == pytest.approx(0.88, abs=0.005)  # psych::KMO(Thurstone)
    assert checks["p"] < 1e-100
    rng = np.random.default_rng(1)
    nothing = factors.adequacy(pd.DataFrame(rng.standard_normal((300, 9))))
    assert nothing["p"] > 0.01
    assert nothing["kmo"] < 0.6


def test_three_factors_of_the_nine_abilities_hold_the_published_items(monkeypatch):
    kept = pd.DataFrame(
        {"factor": range(1, 10), "own": 1.0, "chance": 1.0, "kept": [True] * 3 + [False] * 6}
    )
    monkeypatch.setattr(factors, "parallel_analysis", lambda *_: kept)
    found = factors.find_factors(thurstone())
    best = found.loadings.loc[found.loadings.groupby("item")["loading"].idxmax()].set_index("item")[
        "factor"
    ]
    assert [len(set(best[list(items)])) for items in ("abc", "def", "ghi")] == [1, 1, 1]
    assert best.nunique() == 3
    loads = found.loadings.pivot(index="item", columns="factor", values="loading").to_numpy()
    fit = loads @ loads.T + np.diag(1 - (loads**2).sum(axis=1))
    assert np.abs(fit - np.corrcoef(thurstone(), rowvar=False)).max() < 0.04


def battery(n=400, seed=1, items=(4, 4, 4), load=0.7):
    rng = np.random.default_rng(seed)
    f, of = rng.standard_normal((n, len(items))), np.repeat(range(len(items)), items)
    answers = load * f[:, of] + np.sqrt(1 - load**2) * rng.standard_normal((n, len(of)))
    names = [f"{'xyz'[k]}{i}" for k, many in enumerate(items) for i in range(many)]
    return pd.DataFrame(answers, columns=names, index=[f"c{i}" for i in range(n)]), f


def test_parallel_analysis_finds_as_many_factors_as_there_are_and_none_in_shuffled_answers():
    table, truth = battery()
    found = factors.find_factors(table)
    assert found.scores.shape == (400, 3)
    assert found.loadings.loc[found.loadings["own"], "loading"].mean() == pytest.approx(
        0.7, abs=0.05
    )
    assert found.loadings["alpha"].to_numpy() == pytest.approx(
        4 * 0.49 / (1 + 3 * 0.49), abs=0.06
    )  # Spearman and Brown
    close = np.abs(np.corrcoef(found.scores.T, truth.T)[:3, 3:])
    assert close.max(axis=1).min() > 0.85
    random = next(factors.shuffled(table, 1))
    assert factors.find_factors(random).scores.shape[1] == 0
    assert (
        sum(
            factors.find_factors(battery(150, s, load=0.0)[0]).scores.shape[1] > 0
            for s in range(10)
        )
        <= 2
    )


def test_tastes_are_found_and_customers_who_buy_by_the_same_shares_have_none():
    rng = np.random.default_rng(1)
    share = np.full(8, 1 / 8) * np.exp(
        rng.normal(0, 1, (500, 1)) * np.array([1, 1, 1, 0, 0, 0, 0, 0])
    )
    names = [f"part {i}" for i in range(8)]
    n = rng.poisson(60, 500)
    bought = pd.DataFrame(
        rng.multinomial(n, share / share.sum(axis=1, keepdims=True)), columns=names
    )
    found = factors.find_tastes(bought.assign(rest=20))
    own = found.loadings[found.loadings["own"] & (found.loadings["factor"] == 1)]
    assert {"part 0", "part 1", "part 2"} <= set(own["item"])
    alike = pd.DataFrame(rng.multinomial(n, np.full(8, 1 / 8)), columns=names)
    assert factors.find_tastes(alike).scores.shape[1] == 0


def test_part_counts_take_subcategories_where_one_category_is_nearly_all():
    rows = [("c1", "food", f"s{i}", 3) for i in range(6)] + [
        ("c1", "home", "h", 1),
        ("c2", "food", "s0", 4),
    ]
    counts = pd.DataFrame(rows, columns=["customer_id", "category", "subcategory", "n"])
    parts = factors.part_counts(counts)
    assert list(parts.index) == ["c1"]  # the other has too few lines
    assert parts.loc["c1"].sum() == 19
    assert parts.columns[-1] == factors.REST
    for dialect in DIALECTS:
        sql = ibis.to_sql(
            factors.line_counts(unbound("orders"), unbound("products")), dialect=dialect
        )
        assert "SELECT" in str(sql)


# --- baskets -----------------------------------------------------------------------------------


def make_baskets(n=4000, items=30, seed=1, bond=0.0, sizes=(2, 3, 4, 8, 20)):
    """Baskets of given sizes filled by popularity; with `bond`, who has item 00 adds 01 with that chance."""
    rng = np.random.default_rng(seed)
    weight = rng.dirichlet(np.full(items, 3.0))
    rows = []
    for i, size in enumerate(rng.choice(sizes, n)):
        got = set(rng.choice(items, size, replace=False, p=weight))
        got |= {1} if 0 in got and rng.random() < bond else set()
        rows += [(f"o{i}", f"{j:02d}", int(i % 3 == 2)) for j in sorted(got)]
    frame = pd.DataFrame(rows, columns=["order_id", "item", "late"]).astype({"late": "int8"})
    frame["buyer"], frame["size"] = (
        frame["order_id"],
        frame.groupby("order_id")["item"].transform("size"),
    )
    frame["kind"] = np.searchsorted(baskets.SIZES, frame["size"], side="right")
    return frame


def test_pairs_are_counted_as_mlxtend_counts_them():
    frame = make_baskets(300)
    counts = baskets.count_baskets(ibis.memtable(frame), fewest=1, share=0)
    early = frame[frame["late"] == 0]
    table = pd.crosstab(early["order_id"], early["item"]).astype(bool)
    sets = fpgrowth(table, min_support=5 / len(table), max_len=2, use_colnames=True)
    theirs = {
        tuple(sorted(s)): round(x * len(table))
        for s, x in zip(sets["itemsets"], sets["support"], strict=True)
    }
    rows = counts.pairs.assign(
        **{c: counts.pairs[c].map(counts.names) for c in ("first", "second")}
    )
    ours = {(r.first, r.second): r.baskets for r in rows.itertuples()}
    assert ours == {pair: n for pair, n in theirs.items() if len(pair) == 2}
    for dialect in DIALECTS:
        items = baskets.basket_items(
            unbound("orders"), unbound("products"), "category", date(2026, 1, 1)
        )
        assert "SELECT" in str(ibis.to_sql(baskets.pair_counts(items), dialect=dialect))


def judged(frame):
    counts = baskets.count_baskets(ibis.memtable(frame))
    rows = counts.pairs.copy()
    baskets._judge(rows, counts, 0, "")
    return rows, counts


def test_size_of_baskets_is_not_taken_for_a_bond_as_lift_takes_it():
    frame = make_baskets()
    rows, _counts = judged(frame)
    assert rows["lift"].mean() > 1.2  # the trap
    assert rows["alike"].mean() == pytest.approx(1, abs=0.05)
    assert (rows["p"] < 0.05).mean() < 0.06
    n = frame.loc[frame["late"] == 0, "order_id"].nunique()
    plain = hypergeom.sf(rows["baskets"] - 1, n, rows["first_baskets"], rows["second_baskets"])
    assert (plain < 0.05).mean() > 0.4  # what a test without sizes would have said
    assert not len(baskets.pair_rules(baskets.count_baskets(ibis.memtable(frame))))


def test_with_baskets_of_one_size_the_test_is_a_cautious_hypergeometric():
    frame = make_baskets(1000, sizes=(60,), items=400)
    rows, _counts = judged(frame)
    n = frame.loc[frame["late"] == 0, "order_id"].nunique()
    exact = hypergeom.sf(rows["baskets"] - 1, n, rows["first_baskets"], rows["second_baskets"])
    small = rows["p"] < 0.2
    assert (
        rows["p"][small] >= exact[small] * 0.85
    ).all()  # a little less is expected than by independence
    assert np.corrcoef(np.log(rows["p"][small]), np.log(exact[small]))[0, 1] > 0.98


def test_a_planted_rule_is_found_holds_later_and_shuffled_items_give_none():
    frame = make_baskets(bond=0.6)
    rules = baskets.pair_rules(baskets.count_baskets(ibis.memtable(frame)))
    assert set(rules.loc[0, ["first", "second"]]) == {"00", "01"}
    assert rules.loc[0, "holds"]
    top = rules.iloc[0]
    early = frame[frame["late"] == 0]
    have = early.groupby("item")["order_id"].agg(set)
    both = len(have[top["first"]] & have[top["second"]])
    n = early["order_id"].nunique()
    assert top["baskets"] == both
    assert top["support"] == pytest.approx(both / n)
    assert top["confidence"] == pytest.approx(both / len(have[top["first"]]))
    assert top["lift"] == pytest.approx(
        both * n / len(have[top["first"]]) / len(have[top["second"]])
    )
    assert top["first_baskets"] <= top["second_baskets"]
    assert top["at_least"] < top["alike"] < top["at_most"]


def test_one_buyer_who_repeats_a_pair_makes_no_rule():
    frame = make_baskets(2000, items=200)
    add = frame[frame["order_id"].isin([f"o{i}" for i in range(0, 300, 5)])].drop_duplicates(
        "order_id"
    )
    frame = pd.concat([frame, add.assign(item="00"), add.assign(item="01")]).drop_duplicates(
        ["order_id", "item"]
    )
    many = baskets.pair_rules(baskets.count_baskets(ibis.memtable(frame)))
    assert set(many.loc[0, ["first", "second"]]) == {"00", "01"}
    frame.loc[frame["order_id"].isin(add["order_id"]), "buyer"] = "c"
    counts = baskets.count_baskets(ibis.memtable(frame))
    one = baskets.pair_rules(counts)
    assert len(one[one["first"].isin(["00", "01"]) & one["second"].isin(["00", "01"])]) == 0


def test_advice_is_data_and_names_take_the_place_of_ids():
    rules = pd.DataFrame(
        {"first": ["a", "a", "c", "d"], "second": ["b", "c", "d", "a"], "alike": [3.0, 3, 1.2, 3]}
    )
    rules = rules.assign(
        confidence=[0.3, 0.6, 0.3, 0.3], back=[0.25, 0.6, 0.1, 0.1], support=[0.1, 0.1, 0.1, 0.0001]
    )
    rules = rules.assign(baskets=20, baskets_later=10)
    goods = pd.DataFrame({"product_id": list("abcd"), "name": ["Milk", "milk", "Bread", None]})
    told = baskets.advise(rules, goods)
    assert told["pair"].tolist() == [
        "Milk + Bread",
        "Bread + d",
        "d + Milk",
    ]  # milk with milk is left out
    assert told["advice"].tolist() == ["leave", "place", "recommend"]
    assert told["told"].tolist() == [True, True, False]
    assert baskets.advise(rules, goods, ["BREAD"])["told"].tolist() == [False, False, False]
    assert not baskets.advise(rules.assign(baskets=9), goods)["told"].any()  # too few to tell


def test_the_surest_rule_held_later_and_says_how_often_the_second_was_missing():
    rules = pd.DataFrame({"first": ["a", "a", "b"], "second": ["b", "c", "c"], "pair": "x"})
    rules = rules.assign(first_baskets=400, first_baskets_later=200, baskets=60, baskets_later=40)
    rules = rules.assign(holds=[False, True, True], told=True)
    lines = pd.DataFrame({"order_id": ["o1", "o1", "o2", "o2"], "product_id": "c"})
    orders = ibis.memtable(lines.assign(quantity=1.0, revenue=10.0))
    goods = ibis.memtable(pd.DataFrame({"product_id": list("abc")}))
    rule = baskets.surest_rule(rules, orders, goods, "product_id")
    assert rule[["first", "second", "missed"]].tolist() == ["a", "c", 500]
    assert rule["sales"] == pytest.approx(5 * 20)  # two lines of ten in each basket
    assert rule["tell_sales"]
    dear = baskets.surest_rule(rules.assign(baskets=61), orders, goods, "product_id")
    assert not dear["tell_sales"]
    none = rules.assign(holds=False)
    assert baskets.surest_rule(none, orders, goods, "product_id") is None


def test_three_that_belong_together_are_found_and_large_baskets_alone_do_not_make_them():
    assert not len(baskets.larger_sets(ibis.memtable(make_baskets())))
    frame = make_baskets(seed=3, items=18, sizes=(2, 3, 4, 8, 12))
    both = frame[frame["item"].isin(["02", "03"])].groupby("order_id")["item"].nunique()
    add = (
        frame[frame["order_id"].isin(both.index[both == 2])]
        .drop_duplicates("order_id")
        .assign(item="04")
    )
    frame = pd.concat([frame, add]).drop_duplicates(["order_id", "item"])
    sets = baskets.larger_sets(ibis.memtable(frame))
    assert set(sets.loc[0, "given"].split(" and ")) == {"02", "03"}
    assert sets.loc[0, "then"] == "04"
    assert sets.loc[0, "confidence"] == 1
    assert sets.loc[0, "gain_later"] > 0.2
    assert (sets["all"] >= baskets.ADVICE["fewest"]).all()
    others = baskets.larger_sets(ibis.memtable(frame), ["04"])
    assert not (others["given"] + others["then"]).str.contains("04").any()


# --- choices -----------------------------------------------------------------------------------


def test_travel_modes_give_the_published_logit():
    d = modechoice.load_pandas().data
    mode = d["mode"]
    told = {"respondent_id": d["individual"], "task": 1, "alternative": mode, "chosen": d["choice"]}
    names = {"GC": d["gc"], "TTME": d["ttme"], "HINC_A": d["hinc"] * (mode == 1)}
    names |= {
        name: (mode == i).astype(float) for i, name in enumerate(["air", "train", "bus"], start=1)
    }
    model = conjoint.fit_choices(conjoint.read_tasks(pd.DataFrame(told | names)), alike=True)
    # Greene, Econometric Analysis, the travel mode example
    published = [-0.01550, -0.09612, 0.01329, 5.2074, 3.8690, 3.1632]
    assert model.part_worths == pytest.approx(published, rel=1e-3)
    assert model.loglik == pytest.approx(-199.1284, abs=1e-3)


LEVELS = {"colour": {"red": 0.8, "blue": 0.2, "grey": -1.0}, "size": {"big": 0.5, "small": -0.5}}


def make_choices(people=250, spread=0.0, seed=1, price=-0.05, tasks=8):
    rng = np.random.default_rng(seed)
    shape = (people, tasks, 3)
    columns, utility = {}, rng.gumbel(size=shape)
    for name, levels in LEVELS.items():
        drawn = rng.integers(0, len(levels), shape)
        own = np.array(list(levels.values())) + rng.normal(0, spread, (people, len(levels)))
        utility += np.take_along_axis(own, drawn.reshape(people, -1), axis=1).reshape(shape)
        columns[name] = np.array(list(levels))[drawn.ravel()]
    paid = rng.choice([10.0, 20, 30, 40], shape)
    utility += price * paid
    i, t, a = np.unravel_index(np.arange(utility.size), shape)
    frame = pd.DataFrame({"respondent_id": [f"r{k:04d}" for k in i], "task": t, "alternative": a})
    frame["chosen"] = (utility == utility.max(axis=2, keepdims=True)).ravel()
    return frame.assign(**columns, price=paid.ravel(), filled="")


@pytest.fixture(scope="module")
def model():
    return conjoint.fit_choices(conjoint.read_tasks(make_choices()), alike=True)


def test_part_worths_and_willingness_are_those_of_the_simulated_people(model):
    rows = conjoint.part_worths(model, model).set_index("level")
    true = {v: w for levels in LEVELS.values() for v, w in levels.items()} | {"per unit": -0.05}
    error = (rows["part_worth"] - pd.Series(true)) / (rows["high"] - rows["part_worth"])
    assert error.abs().max() < 2
    assert rows.loc["red", "willing"] == pytest.approx(1.8 / 0.05, rel=0.15)
    assert rows.loc["red", "willing_low"] < 1.8 / 0.05 < rows.loc["red", "willing_high"]
    assert rows.loc["red", "over"] == "grey"
    assert rows.loc[["grey", "per unit"], "willing"].isna().all()
    assert rows.loc["red", "importance"] == pytest.approx(1.8 / (1.8 + 1.0 + 1.5), abs=0.05)
    shuffled = make_choices()
    shuffled["chosen"] = shuffled.groupby(["respondent_id", "task"])["chosen"].transform(
        lambda c: c.sample(frac=1, random_state=1).to_numpy()
    )
    nothing = conjoint.part_worths(
        *[conjoint.fit_choices(conjoint.read_tasks(shuffled), alike=True)] * 2
    )
    assert nothing["part_worth"].abs().max() < 0.2
    assert nothing["willing"].isna().all()  # nobody can tell that a higher price is worse


def test_where_tastes_differ_the_plain_logit_falls_short_and_the_mixed_does_not():
    rows = make_choices(400, spread=1.2, seed=5)
    tasks = conjoint.read_tasks(rows)
    plain, mixed = (conjoint.fit_choices(tasks, alike) for alike in (True, False))
    worths = conjoint.part_worths(mixed, plain).set_index("level")
    assert worths.loc["per unit", "plain"] > -0.045
    assert worths.loc["per unit", "low"] < -0.05 < worths.loc["per unit", "high"]
    assert worths.loc["red", "spread"] == pytest.approx(1.2, abs=0.35)
    assert mixed.loglik > plain.loglik + 20
    assert worths["importance_own"].drop_duplicates().sum() == pytest.approx(1)
    assert (
        worths.loc["big", "importance_own"] > worths.loc["big", "importance"]
    )  # opposite tastes cancel


def test_choices_kept_back_are_foretold_better_than_by_plain_rules_and_shuffled_ones_are_not():
    rows = make_choices(150, spread=0.5)
    tested = conjoint.foretell_choices(rows).set_index("way")
    assert tested.loc["chance", "hits"] == pytest.approx(1 / 3)
    assert tested.loc["mixed logit, own tastes", "low_better"] > 0
    random = np.eye(3, dtype=bool)[np.random.default_rng(1).integers(0, 3, len(rows) // 3)].ravel()
    none = conjoint.foretell_choices(rows.assign(chosen=random)).set_index("way")
    assert none.loc["logit, all alike", "hits"] < 0.42


def test_tasks_with_none_of_these_are_counted_as_left_out_and_a_price_in_words_is_a_level():
    rows = make_choices(60)
    none = rows.assign(colour=rows["colour"].mask(rows["alternative"] == rows["alternative"].max()))
    assert not conjoint.read_tasks(none).enough
    half = none.where(none["task"] % 2 == 0, rows)
    tasks = conjoint.read_tasks(half)
    assert (
        tasks.left_out
        == half[["respondent_id", "task"]].drop_duplicates().eval("task % 2 == 0").sum()
    )
    named = conjoint.fit_choices(
        conjoint.read_tasks(rows.assign(price=rows["price"].astype(str) + " EUR"))
    )
    best = conjoint.describe_products(conjoint.BEST, named)
    assert len(conjoint.preference(named, best.iloc[0], best.iloc[:0])) == 1


def test_share_of_preference_is_the_logit_formula_and_prices_never_shown_are_refused(model):
    pair = conjoint.describe_products(
        "colour=Red, size=big, price=20; colour=blue, size=small, price=30", model
    )
    got = conjoint.preference(model, pair.iloc[0], pair.iloc[1:]).set_index("price")
    worth = dict(zip(model.tasks.names["level"], model.part_worths, strict=True))
    gap = worth["red"] + worth["big"] - worth["blue"] - worth["small"] - 10 * worth["per unit"]
    assert got.loc[20, "share"] == pytest.approx(1 / (1 + np.exp(-gap)))
    assert got.loc[20, "own"]
    assert got["share"].is_monotonic_decreasing
    assert (got["low"] < got["share"]).all()
    assert got["best"].sum() == pytest.approx(1)
    assert conjoint.say_product(pair.iloc[0]) == "red, big"
    assert conjoint.say_rivals(pair.iloc[1:]) == "blue, small at 30"
    assert conjoint.say_rivals(pair.iloc[:0]) == ""
    alone = conjoint.preference(model, pair.iloc[0], pair.iloc[:0])
    assert 0.3 < alone["share"].iloc[0] < 1
    assert conjoint.describe_products(conjoint.BEST, model).iloc[0].to_dict() == {
        "colour": "red",
        "size": "big",
        "price": 20,
    }
    for wrong, says in (
        ("price=99", "outside"),
        ("colour=green", "they had"),
        ("taste=salty", "was not among"),
    ):
        with pytest.raises(PlaybookError, match=says):
            conjoint.describe_products(wrong, model)


def test_tasks_that_lost_their_choice_or_an_attribute_are_left_out():
    rows = make_choices(40)
    rows.loc[0, "price"] = np.nan
    rows.loc[rows["task"] == 1, "chosen"] = False
    tasks = conjoint.read_tasks(rows)
    assert len(tasks.task) == 40 * 7 - 1
    assert tasks.enough


# --- the twin, and the empty client ---------------------------------------------------------------


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    folder = tmp_path_factory.mktemp("twin") / "twin"
    write_twin(folder, 1200, 7)
    return folder


def test_the_tastes_of_a_few_who_come_often_make_no_sets_of_three():
    rng, rows = np.random.default_rng(0), []
    for who in range(80):
        chance = np.where(
            rng.random(12) < 0.35, 0.6, 0.02
        )  # each item liked or not, whatever the others
        for k in range(60):
            rows += [
                (f"{who}-{k}", who, f"i{i:02d}", k >= 30)
                for i in np.flatnonzero(rng.random(12) < chance)
            ]
    frame = pd.DataFrame(rows, columns=["order_id", "buyer", "item", "late"]).astype(
        {"late": int, "buyer": str}
    )
    frame["size"] = frame.groupby("order_id")["item"].transform("size")
    frame["kind"] = np.searchsorted(baskets.SIZES, frame["size"], side="right")
    assert len(baskets.larger_sets(ibis.memtable(frame))) <= 1
    strangers = baskets.larger_sets(ibis.memtable(frame.assign(buyer=frame["order_id"])))
    assert len(strangers) > 3  # had each basket a buyer of its own, that would be a find


def test_the_pairs_of_the_twin_are_found_and_shuffled_baskets_have_none(twin):
    lines = pd.read_csv(twin / "truth" / "orders.csv", low_memory=False)
    goods = pd.read_csv(twin / "truth" / "products.csv")
    key = next(c for c in ("sku", "product_id", "product") if c in lines and c in goods)
    lines = lines[~lines["is_return"].astype(bool)]
    noun = goods.set_index(key)["name"].str.rsplit(" ", n=1).str[0]
    order = next(c for c in ("order", "order_id", "number") if c in lines)
    frame = pd.DataFrame(
        {"order_id": lines[order].astype("str"), "item": lines[key].map(noun)}
    ).drop_duplicates()
    frame["late"] = (pd.factorize(frame["order_id"])[0] % 3 == 2).astype("int8")
    frame["buyer"], frame["size"] = (
        frame["order_id"],
        frame.groupby("order_id")["item"].transform("size"),
    )
    frame["kind"] = np.searchsorted(baskets.SIZES, frame["size"], side="right")
    rules = baskets.pair_rules(baskets.count_baskets(ibis.memtable(frame), fewest=10))
    truth = pd.read_csv(twin / "truth" / "pairs.csv")
    true = {frozenset(p) for p in truth[["first", "second"]].to_numpy()}
    found = [frozenset(p) for p in rules[["first", "second"]].to_numpy()]
    assert len(true & set(found[:8])) >= 5
    shuffled = frame.assign(item=frame["item"].sample(frac=1, random_state=1).to_numpy())
    shuffled = shuffled.drop_duplicates(["order_id", "item"])
    none = baskets.pair_rules(baskets.count_baskets(ibis.memtable(shuffled), fewest=10))
    assert len(none) <= 2


def test_the_factors_of_the_twin_are_found(twin):
    truth = pd.read_csv(twin / "truth" / "loadings.csv")
    rng = np.random.default_rng(1)
    f = rng.standard_normal((300, 3))
    of = truth["factor"].map({"style": 0, "thrift": 1, "ease": 2}).to_numpy()
    load = truth["loading"].to_numpy()
    answers = np.round(
        4.2 + 1.3 * (load * f[:, of] + np.sqrt(1 - load**2) * rng.standard_normal((300, 12)))
    )
    rows = (
        pd.DataFrame(answers.clip(1, 7), columns=truth["statement"])
        .rename_axis("customer_id")
        .reset_index()
    )
    rows = rows.melt("customer_id", var_name="question", value_name="score")
    rows["question_id"] = rows["question"]
    rows["question"] = "How far do you agree? - " + rows["question"]
    rows = rows.assign(kind="scale", answered_at=1, response_id="r")
    found = factors.find_factors(factors.survey_answers(rows))
    own = found.loadings[found.loadings["own"]].merge(
        truth, left_on="item", right_on="statement", suffixes=("", "_true")
    )
    assert len(own) == 12
    assert own.groupby("factor")["factor_true"].nunique().eq(1).all()
    assert (own["loading"] - own["loading_true"]).abs().mean() < 0.08


def test_answers_are_those_of_known_people_the_latest_first():
    rows = [
        ("1", "a", "2024-01-01", "How far? - I like it", 2),
        ("2", "a", "2024-02-01", "How far? - I like it", 5),
        ("3", None, "2024-01-01", "How far? - I like it", 1),
    ]
    rows += [
        ("1", "a", "2024-01-01", "How far? - It is dear", 4),
        ("4", "b", "2024-01-01", "How far? - I like it", 7),
    ]
    rows += [
        ("5", "c", "2024-01-01", f"How far? - {said}", score)
        for said, score in (("I like it", 1), ("It is dear", 6))
    ]
    surveys = pd.DataFrame(
        rows, columns=["response_id", "customer_id", "answered_at", "question", "score"]
    ).assign(kind="scale", question_id=lambda s: s["question"].str[-4:])
    found = factors.survey_answers(surveys)
    assert found.to_dict() == {
        "I like it": {"a": 5.0, "c": 1.0},
        "It is dear": {"a": 4.0, "c": 6.0},
    }
    assert factors.survey_answers(surveys.iloc[:0]).empty
    under_one_text = factors.survey_answers(surveys.assign(question="How far?"))
    assert under_one_text.to_dict() == {"e it": {"a": 5.0, "c": 1.0}, "dear": {"a": 4.0, "c": 6.0}}
    unnamed = factors.survey_answers(
        surveys.assign(question=pd.Series([None] * len(surveys), dtype="str"))
    )
    assert set(unnamed.columns) == {"e it", "dear"}


def test_a_client_without_rows_gets_empty_tables_that_can_be_stored():
    names = ["orders", "products", "customers", "surveys", "tickets", "messages"]
    nothing = {n: empty(n) for n in names}
    measures = association.customer_measures(nothing, date(2026, 1, 1))
    found = association.associations(measures)
    told = association.tell_relations(found, measures)
    assert (
        len(measures),
        len(found),
        len(told),
        len(association.association_grid(found, measures.columns)),
    ) == (0, 0, 0, 0)
    answers = factors.survey_answers(nothing["surveys"].to_pandas())
    parts = factors.part_counts(
        factors.line_counts(nothing["orders"], nothing["products"]).to_pandas()
    )
    taste = factors.find_tastes(parts)
    loadings, scores = factors.stack_factors(
        [(factors.find_factors(answers), "survey"), (taste, "purchases")]
    )
    assert np.isnan(factors.adequacy(answers)["kmo"])
    assert not len(factors.factor_table(taste))
    level = baskets.range_level(nothing["products"])
    items = baskets.basket_items(
        nothing["orders"], nothing["products"], level, date(2026, 1, 1)
    ).cache()
    rules = baskets.advise(
        baskets.pair_rules(baskets.count_baskets(items)), nothing["products"].to_pandas()
    )
    assert baskets.surest_rule(rules, nothing["orders"], nothing["products"], level) is None
    assert not len(baskets.larger_sets(items))
    choices = empty("choices").to_pandas()
    assert not conjoint.read_tasks(choices).enough
    assert not len(conjoint.foretell_choices(choices))
    stored = {"associations": found, "factor_loadings": loadings, "factor_scores": scores}
    stored |= {
        "basket_rules": baskets.stack_rules({level: rules}),
        "part_worths": conjoint.NO_WORTHS,
    }
    for name, rows in stored.items():
        rows = rows.assign(as_of=date(2026, 1, 1), rule_version="1")
        rows = ibis.memtable(rows, schema=store._schema(rows, tables.get(name)))
        assert len(tables.conform(rows, name).order_by(tables.get(name).key).to_pandas()) == 0


def test_three_customers_and_two_baskets_are_too_few_and_say_so():
    frame = pd.DataFrame({"order_id": ["1", "1", "2"], "item": ["a", "b", "a"], "late": [0, 0, 1]})
    frame = frame.assign(size=[2, 2, 1], kind=[1, 1, 0], buyer=["c", "c", "d"]).astype(
        {"late": "int8"}
    )
    assert not len(baskets.pair_rules(baskets.count_baskets(ibis.memtable(frame))))
    assert not len(baskets.larger_sets(ibis.memtable(frame)))
    few = conjoint.read_tasks(make_choices(5))
    assert not few.enough
    assert not len(conjoint.foretell_choices(make_choices(5)))
