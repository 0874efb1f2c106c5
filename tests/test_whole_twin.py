"""The simulated client through all notebooks: every line accounted for, nobody's name outside raw/ and private/."""

import re

import pandas as pd
import pytest
from bazaar import ADDED
from conftest import LAB_HOME

from helpers.segment import member_tiers


@pytest.fixture()
def twin(lab_run):
    """The folder of a small simulated client."""
    return LAB_HOME / "data" / "grocer"


def test_every_line_of_every_file_is_accounted_for(twin, lab_run):
    index = lab_run / "report" / "index.html"
    ledger = pd.read_parquet(lab_run / "tables" / "ledger.parquet")
    assert set(ledger["file"]) == {p.name for p in (twin / "raw").iterdir()}
    parts = ledger[["layout", "loaded", "duplicate", "filtered", "held"]].sum(axis=1)
    assert (parts == ledger["lines"]).all()
    for file in twin.glob("raw/*.csv"):  # the records are those that a plain reader finds
        if file.name.startswith(("promotions", "messages", "choices", "market")):
            text = file.read_text(encoding="utf-8", errors="replace").splitlines()
            assert ledger.set_index("file").at[file.name, "lines"] == len(text)
    assert (ledger["table"] != "").all(), "a file of the twin is not used"
    assert "simulated" in index.read_text(encoding="utf-8")


def test_the_planted_defects_are_met_and_good_lines_stay(twin, lab_run):
    planted = pd.read_csv(twin / "truth" / "defects.csv")
    held = pd.read_parquet(lab_run / "tables" / "quarantine.parquet")
    lines = set(zip(held["source_file"], held["source_line"], strict=True))
    wanted = planted[planted["expect"] == "held"]
    met = [(f, n) in lines for f, n in zip(wanted["file"], wanted["line"], strict=True)]
    assert sum(met) / len(met) > 0.9
    known = set(zip(planted["file"], planted["line"], strict=True))
    added = {f"{table}.csv" for table in ADDED}  # what the tests lay beside the shop's own files
    assert not [line for line in lines if line not in known and line[0] not in added]


def test_no_name_no_email_and_no_phone_outside_raw_and_private(twin):
    people = pd.read_parquet(twin / "private" / "people" / "records.parquet")
    both = (people["first_name"].fillna("") + " " + people["last_name"].fillna("")).str.strip()
    names = {
        n.casefold()
        for n in [*both, *people["name"].dropna()]
        if re.fullmatch(r"\w[\w'-]+ \w[\w'-]+", n)
    }
    mails = set(people["email"].dropna().str.casefold())
    phones = {re.sub(r"\D", "", p)[-9:] for p in people["phone"].dropna()} - {""}
    assert min(len(names), len(mails), len(phones)) > 100
    searched = 0
    for file in twin.rglob("*"):
        inside = file.relative_to(twin).parts
        if not file.is_file() or {"raw", "private", "truth"} & set(inside):
            continue
        searched += 1
        if file.suffix == ".parquet":
            frame = pd.read_parquet(file)
            cells = [c for c in frame if pd.api.types.is_string_dtype(frame[c])]
            text = "\n".join("\n".join(frame[c].dropna().unique()) for c in cells)
        else:
            text = file.read_text(encoding="utf-8")
        text = re.sub(r"base64,[A-Za-z0-9+/=]+|\"image/png\": \"[^\"]+", "", text).casefold()
        words = re.findall(r"[\w'-]+(?:[^\S\n][\w'-]+)?", text)
        pairs = {f"{a} {b}" for a, b in zip(text.split(), text.split()[1:], strict=False)} | set(
            words
        )
        assert not names & pairs, file
        assert not mails & set(re.findall(r"[^\s<>\"'(),;:]+@[^\s<>\"'(),;:]+", text)), file
        digits = {re.sub(r"\D", "", n)[-9:] for n in re.findall(r"\+?\d[\d /()-]{8,}\d", text)}
        assert not phones & digits, file
    assert searched > 60


def test_moves_count_every_customer_once_and_all_the_money(lab_run):
    now, then, moved = (
        pd.read_parquet(lab_run / "tables" / f"{name}.parquet")
        for name in ("segments", "segments_before", "segment_moves")
    )
    assert moved["customers"].sum() == len(now)
    assert moved["revenue_now"].sum() == pytest.approx(now["monetary"].sum(), abs=0.5)
    assert moved["revenue_before"].sum() == pytest.approx(then["monetary"].sum(), abs=0.5)
    types = set(now["segment"])
    assert set(moved["to_segment"]) <= types | {"no order in the window"}
    unseen = moved[moved["from_segment"] == "not yet a customer"]
    assert unseen["customers"].sum() == len(set(now["customer_id"]) - set(then["customer_id"]))
    assert unseen["revenue_before"].sum() == 0
    silent = moved[moved["from_segment"] == "no order in the window"]
    assert silent["customers"].sum() == (then["frequency"] == 0).sum()


def test_tiers_hold_every_customer_once_and_what_a_year_left(lab_run):
    people, tiers = (
        pd.read_parquet(lab_run / "tables" / f"{name}.parquet") for name in ("segments", "tiers")
    )
    by_tier = tiers.set_index("tier")
    sizes, sales = people["tier"].value_counts(), people.groupby("tier")["yearly_sales"].sum()
    assert by_tier["members"].sum() == len(people)
    assert (by_tier.loc[sizes.index, "members"] == sizes).all()
    assert by_tier.loc[sales.index, "sales"].tolist() == pytest.approx(sales.tolist())
    assert by_tier[["share_of_members", "share_of_sales"]].sum().tolist() == pytest.approx([1, 1])
    left = by_tier["margin"] - by_tier["benefits"] - by_tier["serving"]
    assert by_tier["left"].tolist() == pytest.approx(left.tolist())
    shares = {t["name"]: t["benefit"] for t in member_tiers.RULES["proposal"]}
    for name, row in by_tier.iterrows():  # the shop has no tiers of its own: these are proposed
        paid = people.loc[people["tier"] == name, "yearly_sales"].clip(lower=0).sum()
        assert row["benefits"] == pytest.approx(shares[name] * paid)
    assert by_tier["benefits"].sum() > 0
    assert (by_tier["wasted"] >= by_tier["silent"]).all()
    assert by_tier["silent"].sum() <= (people["yearly_sales"] <= 0).sum()


def test_parts_of_the_funnel_add_up_and_strict_order_reaches_no_further(lab_run):
    funnel = pd.read_parquet(lab_run / "tables" / "funnel.parquet")
    reached = funnel.groupby(["unit", "order", "split", "position"])["reached"].sum()
    whole = reached.xs("all", level="split")
    split = reached.drop("all", level="split").reset_index("split")
    assert split["split"].nunique() == 3
    assert (split["reached"] == whole.reindex(split.index)).all()
    by_order = whole.unstack("order")
    assert (by_order["strict"] <= by_order["loose"]).all()
    assert by_order.groupby("unit")["loose"].is_monotonic_decreasing.all()


def test_lists_of_leavers_are_of_one_length_and_worth_what_the_formula_says(lab_run):
    churn, tested, rate = (
        pd.read_parquet(lab_run / "tables" / f"{name}.parquet")
        for name in ("churn", "churn_backtest", "message_response")
    )
    assert tested["listed"].nunique() == 1
    assert tested["precision"].to_numpy() == pytest.approx(tested["caught"] / tested["listed"])
    base = tested["leavers"] / tested["customers"]
    assert tested["lift"].to_numpy() == pytest.approx(tested["precision"] / base)
    there = churn[churn["is_alive"]]
    flags = there[["by_rule", "by_rhythm", "by_model", "by_threshold"]].sum(axis=1)
    assert (there["votes"] == flags).all()
    assert (there["at_risk"] == (there["by_model"] | (flags >= 2))).all()
    saved = rate["rescued"].iloc[0] * there["risk"] * there["stake"]
    cost = saved - there["win_back_value"]  # one cost of a contact for all
    assert cost.max() - cost.min() < 0.011
    named = there[there["on_list"]]
    assert (named["at_risk"] & (named["win_back_value"] > 0)).all()
    assert not churn.loc[~churn["is_alive"], "on_list"].any()


def test_daily_sales_and_cohorts_are_those_of_the_orders(lab_run):
    orders, sales, kept = (
        pd.read_parquet(lab_run / "tables" / f"{name}.parquet")
        for name in ("orders", "sales_daily", "cohorts")
    )
    by_day = orders.groupby("ordered_on")["revenue"].sum()
    daily = sales.groupby("ordered_on")["revenue"].sum()
    assert (daily.reindex(by_day.index) - by_day).abs().max() < 0.1
    assert daily.sum() == pytest.approx(by_day.sum(), abs=1)
    assert len(daily) == (daily.index.max() - daily.index.min()).days + 1
    bought = orders[(orders["quantity"] > 0) & orders["customer_id"].notna()]
    month = pd.to_datetime(bought["ordered_on"]).dt.to_period("M")
    first = month.groupby(bought["customer_id"]).min()
    sizes = kept[kept["period"] == 0].set_index("cohort_on")["customers"]
    by_hand = first.value_counts().reindex(pd.PeriodIndex(pd.to_datetime(sizes.index), freq="M"))
    assert by_hand.tolist() == sizes.tolist()


def test_personas_count_each_of_their_customers_once(lab_run):
    people, cards, answers = (
        pd.read_parquet(lab_run / "tables" / f"{name}.parquet")
        for name in ("personas", "persona_cards", "persona_response")
    )
    mine = people[people["persona"].notna()].groupby("persona")
    cards = cards.set_index("persona").sort_index()
    assert mine.size().to_dict() == cards["customers"].to_dict()
    assert cards["share_of_customers"].sum() == pytest.approx(1)
    assert mine["known"].mean().to_numpy() == pytest.approx(cards["known"])
    assert (people["known"] == (people["orders"] >= 3)).all()
    assert set(answers.loc[answers["division"] == "persona", "group"]) <= set(cards.index)
    assert answers["rate"].dropna().between(0, 1).all()


def test_the_ledger_adds_up_to_the_log_of_the_orders(lab_run):
    ledger, log = (
        pd.read_parquet(lab_run / "tables" / f"{name}.parquet") for name in ("ledger", "clean_log")
    )
    own, steps = ledger[ledger["table"] == "orders"], log[log["table"] == "orders"]
    taken = steps["revenue_before"] - steps["revenue_after"]
    left_out = taken[steps["action"].isin(["duplicate", "filter", "hold"])].sum()
    assert own["money_corrected"].sum() == pytest.approx(left_out - taken.sum(), abs=1)
    assert own["money_loaded"].sum() == pytest.approx(
        own["money"].sum() - own["money_left_out"].sum(), abs=1
    )
