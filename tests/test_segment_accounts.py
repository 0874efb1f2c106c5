"""Business accounts: published weights, answers known by hand, properties, and the truth of a small twin."""

from datetime import date, timedelta
from fractions import Fraction

import ibis
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import tables
from helpers.client import AccountIndicator, AccountRules, PlaybookError
from helpers.segment.business import accounts, weighting
from helpers.segment.business import weighting as weights
from simulator import write_twin

AS_OF = date(2026, 9, 30)
STANDARD = accounts.account_system(AccountRules())

# Saaty's own examples: the upper triangle row by row, the weights and the largest eigenvalue as he gives them.
WEALTH = (  # influence of nations by their wealth (Saaty 1977, 1980)
    "US USSR China France UK Japan Germany",
    "4 9 6 6 5 5  7 5 5 3 4  1/5 1/5 1/7 1/5  1 1/3 1/3  1/3 1/3  2",
    [0.427, 0.230, 0.021, 0.052, 0.052, 0.123, 0.094],
    7.61,
)
DISTANCE = (  # distance from Philadelphia (Saaty 1977, 1980)
    "Cairo Tokyo Chicago SanFrancisco London Montreal",
    "1/3 8 3 3 7  9 3 3 9  1/6 1/5 2  1/3 6  6",
    [0.263, 0.397, 0.033, 0.116, 0.164, 0.027],
    6.45,
)
HOUSE = (  # choice of a house, whose pairs contradict one another: ratio .169 (Saaty 1990)
    "size transport neighbourhood age yard modern condition finance",
    "5 3 7 6 6 1/3 1/4  1/3 5 3 3 1/5 1/7  6 3 4 6 1/5  1/3 1/4 1/7 1/8  1/2 1/5 1/6  1/5 1/6  1/2",
    [0.173, 0.054, 0.188, 0.018, 0.031, 0.036, 0.167, 0.333],
    9.669,
)


def pairs_of(names, upper):
    both = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    return {
        f"{a} / {b}": float(Fraction(times))
        for (a, b), times in zip(both, upper.split(), strict=True)
    }


@pytest.mark.parametrize(("names", "upper", "expected", "eigenvalue"), [WEALTH, DISTANCE, HOUSE])
def test_pairs_give_the_published_weights_and_consistency(names, upper, expected, eigenvalue):
    names = names.split()
    found, ratio = weighting.pair_weights(pairs_of(names, upper), names)
    assert found.tolist() == pytest.approx(expected, abs=0.006)
    index = (eigenvalue - len(names)) / (len(names) - 1)
    assert ratio == pytest.approx(index / weights.RANDOM_INDEX[len(names) - 1], abs=0.002)


def test_contradicting_pairs_are_told_so_in_words():
    names = HOUSE[0].split()
    rules = {
        "indicators": {n: AccountIndicator(group="credit") for n in names},
        "pairs": pairs_of(names, HOUSE[1]),
    }
    row = weighting.pair_consistency(AccountRules(**rules)).iloc[0]
    assert row["consistency_ratio"] == pytest.approx(0.169, abs=0.001)
    assert "ask again" in row["verdict"]
    assert weighting.pair_consistency(STANDARD)["verdict"].tolist() == ["consistent enough"]


def test_left_out_pairs_do_not_change_consistent_weights():
    whole, _ = weighting.pair_weights({"a / b": 2, "b / c": 3, "c / d": 2}, list("abcd"))
    assert whole.tolist() == pytest.approx(np.array([12, 6, 2, 1]) / 21)


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ({"credit / value": 2}, "nothing compares"),
        ({"credit / valeu": 2}, "does not compare two groups"),
        ({"credit_score / address": 2}, "does not compare"),
        ({"credit": 2}, "does not compare"),
        ({"credit / value": 2, "value / credit": 2}, "twice"),
    ],
)
def test_pairs_that_cannot_be_read_say_so(pairs, said):
    with pytest.raises(PlaybookError, match=said):
        weighting.pair_consistency(accounts.account_system(AccountRules(pairs=pairs)))


def test_entropy_by_hand():
    points = pd.DataFrame(
        {"one has all": [0.0, 0.0, 100.0], "two share": [0.0, 50.0, 50.0], "alike": [70.0] * 3}
    )
    spread = np.array([1.0, 1 - np.log(2) / np.log(3), 0.0])
    assert weighting.entropy_weights(points).tolist() == pytest.approx(spread / spread.sum())
    assert weighting.entropy_weights(points[["alike"]]).tolist() == [1]
    assert weighting.entropy_weights(points[[]]).empty


@given(
    st.lists(st.lists(st.floats(0, 100), min_size=3, max_size=3), min_size=2, max_size=12),
    st.floats(0.1, 9),
)
@settings(max_examples=60, deadline=None)
def test_entropy_weights_add_up_and_know_no_unit(rows, unit):
    points = pd.DataFrame(rows, columns=list("abc")).round(3)
    found = weighting.entropy_weights(points)
    assert found.sum() == pytest.approx(1)
    assert (found >= 0).all()
    assert weighting.entropy_weights(points.assign(a=points["a"] * unit)).tolist() == pytest.approx(
        found.tolist(), abs=1e-6
    )


def facts_of(*rows):
    """Rows (account, indicator, value, days before AS_OF; None: day not known)."""
    frame = pd.DataFrame(rows, columns=["customer_id", "indicator", "value", "ago"])
    days = [None if pd.isna(n) else AS_OF - timedelta(days=int(n)) for n in frame.pop("ago")]
    return frame.assign(checked_on=pd.Series(days, dtype=object)).astype({"value": "str"})


def values_of(*ids, **columns):
    frame = pd.DataFrame({"customer_id": pd.Series(ids, dtype="str")})
    known = (
        dict.fromkeys(["won", "lost", "open", "won_amount", "open_amount", "sales"], 0) | columns
    )
    return accounts.add_win_rate(frame.assign(**known))


def chain(facts, values, system=STANDARD):
    """From what is known to the advice, as the notebook goes."""
    checks = accounts.account_checks(facts, values, system, AS_OF)
    points = accounts.account_points(checks, accounts.point_scale(checks, system))
    table = weighting.account_weights(points, system)
    scored = weighting.score_accounts(points, table.set_index("indicator")["used"])
    scored = weighting.add_ranks(scored, points, table)
    return checks, points, table, scored


def test_the_last_word_up_to_the_day_counts_and_silence_stays():
    facts = facts_of(
        ("a", "lawsuits", "0", 20),
        ("a", "Lawsuits", "2", 10),
        ("a", "lawsuits", "9", -1),
        ("a", "Tax trouble", "YES", 400),
        ("a", "licence", "who knows", 5),
        ("b", "credit score", "80", None),
        ("b", "days late", None, 5),
    )
    checks = accounts.account_checks(facts, values_of("a", "b", "c"), STANDARD, AS_OF)
    assert len(checks) == 3 * len(STANDARD.indicators)
    at = checks.set_index(["customer_id", "indicator"])
    assert at.loc[("a", "lawsuits"), ["number", "light", "old"]].tolist() == [2, "amber", False]
    assert at.loc[("a", "tax_trouble"), ["number", "light", "old"]].tolist() == [1, "red", True]
    assert at.loc[("a", "licence"), ["value", "light"]].tolist() == ["who knows", "not checked"]
    assert at.loc[("b", "credit_score"), ["number", "light", "old"]].tolist() == [80, "good", True]
    assert at.loc[("b", "days_late"), "light"] == "not checked"
    assert at.loc["c"].query("light != ''")["light"].eq("not checked").all()
    assert not at.loc["c", "old"].any()
    card = accounts.risk_card(checks).set_index("customer_id")
    assert "licence: answer not understood" in card.loc["a", "not_checked"]
    assert (
        card.loc["a", "found"]
        == "lawsuits: 2 (20 September 2026); tax trouble: YES (26 August 2025)"
    )
    one = accounts.account_card(checks, "a").set_index("area")
    assert one.loc["credit", "on_file"] == "lawsuits: 2, tax trouble: YES (old)"
    assert card.loc["b", "old"] == "credit score: 80 (day not known)"


@pytest.mark.parametrize(
    ("made", "light"),
    [
        ([], "not checked"),
        ([("identity", "confirmed", 5)], "in part"),
        (
            [(c, "confirmed", 5) for c in ("identity", "address", "contact")]
            + [("website", "yes", 5)],
            "green",
        ),
        (
            [(c, "confirmed", 5) for c in ("identity", "address", "contact")]
            + [("website", "yes", 366)],
            "in part",
        ),
        ([("contact", "not found", 900)], "amber"),
        ([("contact", "not found", 5), ("address", "not found", 900)], "red"),
        ([("address", "", 5)], "not checked"),
        ([("address", "perhaps", 5)], "not checked"),
    ],
)
def test_only_what_was_wholly_and_lately_checked_is_green(made, light):
    facts = facts_of(*[("a", *row) for row in made], ("b", "employees", "3", 1))
    checks = accounts.account_checks(facts, values_of("a", "b"), STANDARD, AS_OF)
    card = accounts.risk_card(checks).set_index("customer_id")
    assert card.loc["a", "verification"] == light
    assert card.loc["b", accounts.AREAS].eq("not checked").all()
    counts = accounts.light_counts(card.reset_index()).set_index("area")
    assert counts.sum(axis=1).eq(2).all()
    one = accounts.account_card(checks, "a").set_index("area")
    assert one.loc["verification", "light"] == light
    assert one.loc["risk", "not_checked"] == "business risk, market risk, financial risk"


def test_points_run_over_the_usual_range_from_the_worse_to_the_better_end():
    n = 101
    facts = facts_of(
        *[(f"a{i:03}", "days_late", str(i), 1) for i in range(n)],
        *[(f"a{i:03}", "licence", "expired" if i == 7 else "valid", 1) for i in range(n)],
        *[(f"a{i:03}", "lawsuits", "0", 1) for i in range(n)],
    )
    checks = accounts.account_checks(
        facts, values_of(*(f"a{i:03}" for i in range(n))), STANDARD, AS_OF
    )
    scale = accounts.point_scale(checks, STANDARD).set_index("indicator")
    assert scale.index.tolist() == ["days_late", "licence"]  # the lawsuits are the same for all
    assert scale.loc["days_late", ["zero", "usual", "hundred"]].tolist() == [95, 50, 5]
    assert scale.loc["licence", ["zero", "usual", "hundred"]].tolist() == [0, 2, 2]
    points = accounts.account_points(checks, scale.reset_index())
    assert points["days_late"].iloc[[0, 5, 50, 95, 100]].tolist() == pytest.approx(
        [100, 100, 50, 0, 0]
    )
    assert points["licence"].value_counts().to_dict() == {100: 100, 0: 1}
    said = accounts.scale_in_words(scale.reset_index(), STANDARD).set_index("indicator")
    assert said.loc["licence", ["zero", "usual"]].tolist() == ["expired", "valid"]
    between = scale.reset_index().assign(zero=0.1)  # a percentile may lie between two answers
    said = accounts.scale_in_words(between, STANDARD).set_index("indicator")
    assert said.loc["licence", "zero"] == "expired"


def test_a_gap_counts_as_the_median_and_too_little_known_gives_no_rank():
    points = pd.DataFrame(
        {"x": [100.0, 50.0, 0.0, np.nan], "y": [0.0, np.nan, 100.0, np.nan]}, index=list("abcd")
    )
    scored = weighting.score_accounts(points, pd.Series({"x": 0.6, "y": 0.4})).set_index(
        "customer_id"
    )
    assert scored.loc[["a", "b", "c", "d"], "score"].tolist() == pytest.approx([60, 50, 40, 50])
    assert scored.loc[["a", "b", "c", "d"], "known"].tolist() == pytest.approx([1, 0.6, 1, 0])
    assert scored.loc[["a", "b", "c"], "rank"].tolist() == [1, 2, 3]
    assert pd.isna(scored.loc["d", "rank"])


@given(st.lists(st.lists(st.floats(0, 100), min_size=4, max_size=4), min_size=3, max_size=9))
@settings(max_examples=25, deadline=None)
def test_who_is_better_in_everything_is_first_under_any_weights(rows):
    points = pd.DataFrame(
        [[101.0] * 4, *rows], columns=list("wxyz"), index=[f"a{i}" for i in range(len(rows) + 1)]
    )
    drawn = weights._drawn_ranks(points, pd.Series(1.0, points.columns))
    assert (drawn[:, 0] == 1).all()
    assert drawn.min(axis=1).tolist() == [1] * len(drawn)


def test_ranks_are_firm_where_all_signs_agree_and_loose_where_they_do_not():
    n = 40
    one = pd.Series(np.linspace(0, 100, n), [f"a{i:02}" for i in range(n)])
    system = AccountRules(indicators={c: AccountIndicator(group="credit") for c in "xy"})

    def ranked(y):
        points = pd.DataFrame({"x": one, "y": y})
        table = weighting.account_weights(points, system)
        scored = weighting.add_ranks(
            weighting.score_accounts(points, table.set_index("indicator")["used"]), points, table
        )
        return scored, weighting.compare_weights(scored, points, table).set_index("weights")

    firm, agree = ranked(one)
    assert (firm["rank_low"] == firm["rank_high"]).all()
    assert agree[["kendall_tau", "top_kept"]].to_numpy().ravel().tolist() == pytest.approx(
        [1.0] * agree.size
    )
    loose, differ = ranked(one.sample(frac=1, random_state=1).set_axis(one.index))
    assert (loose["rank_high"] - loose["rank_low"]).mean() > 3
    tau = differ["kendall_tau"]
    assert tau["random, any at all"] < tau["random, near ours"] < 0.95
    assert loose["rank"].between(loose["rank_low"], loose["rank_high"]).mean() > 0.9


def test_every_way_of_weighing_adds_up_and_keeps_the_shares_of_the_groups():
    points = pd.DataFrame(
        {
            "credit_score": [1.0, 50.0, 99.0],
            "lawsuits": [0.0, 100.0, 100.0],
            "licence": [0.0, 100.0, np.nan],
        }
    )
    system = accounts.account_system(
        AccountRules(pairs={"credit / compliance": 3, **linked("credit")}), "pairs"
    )
    table = weighting.account_weights(points, system).set_index("indicator")
    assert table[["given", "entropy", "pairs", "equal"]].sum().tolist() == pytest.approx([1] * 4)
    assert table["used"].equals(table["pairs"])
    by_group = table.groupby("group")["pairs"].sum()
    assert by_group["credit"] / by_group["compliance"] == pytest.approx(3)
    assert table.loc["credit_score", "pairs"] / table.loc["lawsuits", "pairs"] == pytest.approx(
        3
    )  # as given: 15 to 5
    with pytest.raises(PlaybookError, match="pairs holds none"):
        weighting.account_weights(points, system.model_copy(update={"pairs": {}}))
    with pytest.raises(PlaybookError, match="no way to weigh"):
        accounts.account_system(AccountRules(), "entropie")


def linked(group):
    return {f"{group} / {other}": 1 for other in ("value", "operation", "risk", "verification")}


def deals_of(*rows):
    names = ["customer_id", "stage", "amount", "opened_on", "closed_on"]
    frame = pd.DataFrame(rows, columns=names).assign(deal_id=[f"d{i}" for i in range(len(rows))])
    schema = {n: tables.get("deals").schema[n] for n in ["deal_id", *names]}
    return tables.conform(ibis.memtable(frame, schema=ibis.schema(schema)), "deals")


def orders_of(*rows):
    names = ["customer_id", "ordered_on", "revenue"]
    schema = {n: tables.get("orders").schema[n] for n in names}
    return ibis.memtable(pd.DataFrame(rows, columns=names), schema=ibis.schema(schema))


def ids_of(*ids):
    return ibis.memtable(
        pd.DataFrame({"customer_id": ids}), schema=ibis.schema({"customer_id": "string"})
    )


def test_deals_are_counted_as_they_stood_on_the_day():
    before, after = date(2026, 5, 1), date(2026, 10, 5)
    deals = deals_of(
        ("a", "Closed Won", 100.0, before, before),
        ("a", "closed lost", 70.0, before, before),
        ("a", "Gewonnen", 30.0, before, after),  # open on that day
        ("a", "won", 999.0, after, after),
        ("a", "proposal", 5.0, None, None),
        ("b", "赢单", 10.0, before, None),
        ("b", "not won", 20.0, before, before),
        ("b", "cancelled", 40.0, before, before),  # ended otherwise
        (None, "won", 1.0, before, before),
    )
    orders = orders_of(
        ("b", before, 12.0), ("b", date(2025, 1, 1), 50.0), ("b", after, 50.0), ("z", before, 1.0)
    )
    found = (
        accounts.account_values(ids_of("a", "b", "c"), deals, orders, AS_OF)
        .to_pandas()
        .set_index("customer_id")
    )
    names = ["won", "lost", "open", "won_amount", "open_amount", "sales"]
    assert found.loc["a", names].tolist() == [1, 1, 2, 100, 35, 0]
    assert found.loc["b", names].tolist() == [1, 1, 0, 10, 0, 12]
    assert found.loc["c", names].tolist() == [0] * 6


def test_accounts_are_those_with_facts_deals_or_the_type_business():
    facts = ibis.memtable({"customer_id": ["a", "a"], "indicator": ["x", "y"]})
    people = ibis.memtable({"customer_id": ["c", "p"], "account_type": ["Business", "person"]})
    found = accounts.account_ids(
        facts, deals_of(("b", "won", 1.0, None, None), (None, "won", 1.0, None, None)), people
    )
    assert sorted(found.to_pandas()["customer_id"]) == ["a", "b", "c"]


def test_values_compile_for_other_engines(monkeypatch):
    class Spark(ibis.config.Config):  # what Ibis sets itself where pyspark is installed
        treat_nan_as_null: bool = False

    monkeypatch.setattr(ibis.options, "pyspark", Spark())
    facts, deals, orders, people = (
        ibis.table(tables.get(t).schema, name=t)
        for t in ("accounts", "deals", "orders", "customers")
    )
    values = accounts.account_values(
        accounts.account_ids(facts, deals, people), deals, orders, AS_OF
    )
    for dialect in ("pyspark", "bigquery", "snowflake"):
        assert "SELECT" in str(ibis.to_sql(values, dialect=dialect))


def test_each_account_gets_the_first_advice_that_holds():
    good = [("credit_score", "90"), ("licence", "valid"), ("address", "confirmed")]
    facts = facts_of(
        *[(who, i, v, 1) for who in "abde" for i, v in good],
        ("a", "bankruptcy", "yes", 1),
        ("a", "identity", "not found", 1),
        ("b", "identity", "not found", 1),
        ("c", "employees", "4", 1),
        ("e", "credit_score", "40", 0),
    )
    values = values_of(*"abcde", open=[1, 0, 0, 1, 0], open_amount=[50.0, 0, 0, 20.0, 0])
    checks, _points, _weights, scored = chain(facts, values)
    table = accounts.advise_accounts(scored, accounts.risk_card(checks), values).set_index(
        "customer_id"
    )
    keys = {advice["what"]: key for key, advice in accounts.FACTS["advice"].items()}
    assert table["advice"].map(keys).to_dict() == {
        "a": "prepay",
        "b": "clear",
        "c": "check",
        "d": "visit",
        "e": "serve",
    }
    groups = accounts.advice_groups(table.reset_index())
    assert groups["accounts"].to_dict() == {
        "prepay": 1,
        "clear": 1,
        "check": 1,
        "visit": 1,
        "serve": 1,
    }
    assert groups.loc["prepay", "open_amount"] == 50
    made = accounts.checks_made(checks, values).set_index("check")
    assert made.loc["address", ["checked", "missing_open", "missing_amount"]].tolist() == [4, 0, 0]
    assert made.loc["identity", ["checked", "red", "missing_open", "missing_amount"]].tolist() == [
        2,
        2,
        1,
        20,
    ]
    assert made["missing_amount"].is_monotonic_decreasing
    cards = dict(accounts.cards_to_read(table.reset_index()))
    assert cards["The card of the account with something found and most money in open deals, "
                 "code a: sell only against prepayment"] == "a"  # fmt: skip


def test_changes_are_counted_against_the_same_rules_only():
    now = pd.DataFrame(
        {
            "customer_id": list("abcd"),
            "rank": [1, 2, 3, 4],
            "credit": ["red", "green", "red", "red"],
            "rule_version": "1",
        }
    ).assign(**dict.fromkeys(["operation", "risk", "compliance", "verification"], "in part"))
    then = now.assign(
        rank=[2, 3, 1, 4], credit=["green", "green", "red", "red"], as_of=date(2026, 8, 1)
    ).query("rank < 4")
    found = accounts.account_changes(now.astype({"rank": "Int64"}), then, 2).iloc[0]
    assert found[["entered", "left", "new_red", "new"]].tolist() == [1, 1, 1, 1]
    assert accounts.account_changes(now, None, 2).empty
    assert accounts.account_changes(now, then.assign(rule_version="2"), 2).empty


@pytest.mark.parametrize("n", [0, 1, 3])
@pytest.mark.parametrize("known", [False, True])
def test_few_accounts_or_nothing_known_of_them_break_nothing(n, known):
    ids = [f"a{i}" for i in range(n)]
    facts = facts_of(*[(who, "lawsuits", str(i), 1) for i, who in enumerate(ids) if known])
    values = values_of(*ids)
    checks, points, table, scored = chain(facts, values)
    assert len(scored) == n
    assert scored["rank"].notna().sum() == (n if known and n > 1 else 0)
    assert accounts.foretell(points, table, values).empty
    assert len(weighting.compare_weights(scored, points, table)) == (
        2 if known and n > 1 else 0
    )  # one indicator has no other weights
    advised = accounts.advise_accounts(scored, accounts.risk_card(checks), values)
    assert accounts.advice_groups(advised)["accounts"].sum() == n
    assert len(accounts.cards_to_read(advised)) <= 2
    first = weighting.first_accounts(scored, table)
    assert len(first) == scored["rank"].notna().sum()
    assert first["code"].is_unique
    assert (
        scored["code"].map(lambda code: scored["customer_id"].str.endswith(code).sum()).eq(1).all()
    )
    accounts.light_counts(accounts.risk_card(checks))
    accounts.checks_made(checks, values)
    accounts.scale_in_words(accounts.point_scale(checks, STANDARD), STANDARD)


def test_deals_alone_give_ranks_too():
    values = values_of(
        *"abcd", won=[3, 1, 0, 0], lost=[0, 1, 2, 0], won_amount=[90.0, 20.0, 0.0, 0.0]
    )
    _checks, points, table, scored = chain(facts_of(), values)
    assert points.columns.tolist() == ["won_amount", "win_rate"]
    assert scored["customer_id"].tolist()[0] == "a"
    assert accounts.foretell(points, table, values).empty  # nothing but the deals themselves


def test_foretelling_by_hand():
    deals = np.array([[1.0, 0.0], [0.0, 1.0], [2.0, 1.0]])
    # The won deal of the first beats both lost ones; each of the third's two beats one and ties with its own account's.
    assert accounts._concordance(np.array([3.0, 1.0, 2.0]), deals) == pytest.approx(
        (2 + 2 * 1 + 2 * 0.5) / 6
    )
    assert accounts._concordance(np.zeros(3), deals) == 0.5


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    """Facts, values and true quality of a twin's accounts, straight from its raw files."""
    folder = tmp_path_factory.mktemp("accounts") / "twin"
    write_twin(folder, 3000, 7)
    facts = pd.read_csv(
        folder / "raw" / "accounts.csv", dtype={"customer_id": "str", "value": "str"}
    )
    deals = pd.read_csv(folder / "raw" / "hubspot_deals.csv", dtype="str").drop_duplicates()
    deals = deals.assign(
        amount=pd.to_numeric(deals["Amount"], errors="coerce"),
        customer_id=deals["Associated Company IDs"],
    )
    opened, closed = (pd.to_datetime(deals[c]).dt.date for c in ("Create Date", "Close Date"))
    rows = zip(
        deals["customer_id"], deals["Deal Stage"], deals["amount"], opened, closed, strict=True
    )
    true = pd.read_csv(folder / "truth" / "accounts.csv", dtype={"customer_id": "str"})
    ids = ids_of(*true["customer_id"])
    values = accounts.account_values(ids, deals_of(*rows), orders_of(), AS_OF).to_pandas()
    return facts, accounts.add_win_rate(values), true


def test_the_score_finds_the_hidden_quality_and_fails_when_broken(twin):
    facts, values, true = twin

    def found(facts, system=STANDARD):
        scored = chain(facts, values, system)[3].merge(true, on="customer_id")
        return scored["score"].corr(scored["quality"], method="spearman")

    ours = found(facts)
    assert ours > 0.6
    mixed = facts.assign(customer_id=facts["customer_id"].sample(frac=1, random_state=1).to_numpy())
    assert found(mixed) < ours - 0.2
    wrong = {n: s.model_copy(update={"better": "high"}) for n, s in STANDARD.indicators.items()}
    assert found(facts, STANDARD.model_copy(update={"indicators": wrong})) < ours - 0.1


def test_the_ranking_by_checks_foretells_the_twins_deals_and_a_shuffled_one_does_not(twin):
    facts, values, _true = twin
    _checks, points, table, _scored = chain(facts, values)
    told = accounts.foretell(points, table, values).set_index("ranking")
    assert told.loc["given", "low"] > 0.5
    assert told.index[-1] == "credit score alone"
    shuffled = points.sample(frac=1, random_state=2).set_axis(points.index)
    assert accounts.foretell(shuffled, table, values).set_index("ranking").loc["given", "low"] < 0.5
