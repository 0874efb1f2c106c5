"""The demo client: the distributor's figures, and every known trap found by rules that know nothing of it."""

import pandas as pd
import pytest

from helpers.client import Client


@pytest.fixture(scope="module")
def table(grocer_report):
    folder = Client("grocer").latest / "tables"
    return lambda name: pd.read_parquet(folder / f"{name}.parquet")


def test_all_control_totals_agree(table):
    totals = table("control_totals")
    assert totals["agrees"].all()
    assert len(totals) >= 12
    assert totals.set_index("measure").loc["sales", "ours"] == 4596039.58
    assert totals.set_index("measure").loc["promotion lines", "ours"] == 20_940_529


def test_the_ledger_balances_in_rows_and_money(table):
    ledger = table("ledger")
    parts = ledger[["layout", "loaded", "duplicate", "filtered", "held"]].sum(axis=1)
    assert (parts == ledger["lines"]).all()
    assert (ledger["money"] - ledger["money_loaded"] - ledger["money_left_out"]).abs().max() < 0.01
    assert ledger["money"].sum() == pytest.approx(4596039.58)
    assert ledger.set_index("table").loc["orders", "lines"] == 1_469_307


def test_known_traps_are_suspected_and_settled(table):
    found = table("suspicions")
    assert (found["status"] != "open").all()
    assert (found["reason"].str.len() > 10).all()
    by = found.groupby("rule")["rows"].sum()
    assert by["zero quantity"] == 8869
    assert (
        by["zero revenue"] == 11246
    )  # 20 of them hold less than a billionth of a cent, what was left of a sum
    assert by["exact repeat"] == 4872
    assert by["campaign outside the data"] == 8
    assert by["first seen at the start"] == 1982
    text = found.set_index("rule")["finding"]
    assert "89% have a visit" in text["redemption without visit"]
    assert "100% on the shop" in text["redemption without visit"]
    assert "only 18%" in text["coupon money without redemption"]
    assert "89,638" in text["price below two cents"]
    subjects = " ".join(found["subject"])
    for known in (
        "CHEESE = CHEESES",
        "FRZN = FROZEN",
        "25 December 2017",
        "first week",
        "package_size",
    ):
        assert known in subjects, known


def test_weeks_are_whole_on_the_shops_own_clock(table):
    orders = table("orders")
    days = pd.to_datetime(orders["ordered_on"])
    assert (days.dt.date == orders["ordered_at_local"].dt.date).all()
    assert days.max() == pd.Timestamp("2017-11-30")
    per_week = days.drop_duplicates().dt.isocalendar().week.value_counts()
    assert (per_week == 7).sum() >= 46


def test_fuel_is_in_gallons_and_units_are_plausible(table):
    orders = table("orders")
    assert orders["quantity"].max() < 1000
    assert orders["quantity"].min() > 0


def test_response_by_type_meets_the_known_figures(table):
    response = table("campaign_response")
    assert (response["low"] <= response["rate"]).all()
    assert (response["rate"] <= response["high"]).all()
    assert not response.loc[pd.to_datetime(response["starts_on"]) < "2017-01-01", "covered"].any()
