"""The history of customers: one definition of a purchase, and nothing known that came later."""

import datetime

import ibis
import pandas as pd
import pytest

from helpers import history, tables

DAY = datetime.date(2025, 3, 10)


def rows(name, frame):
    """A table of the playbook with some columns filled and the others empty."""
    schema = tables.get(name).schema
    whole = pd.DataFrame(frame).reindex(columns=list(schema)).astype(object)
    return ibis.memtable(whole.where(whole.notna(), None), schema=schema)


def orders(*lines):
    """Lines as (customer, day of March, quantity, revenue)."""
    return rows(
        "orders",
        [
            {
                "order_id": f"o{i}",
                "customer_id": who,
                "ordered_on": datetime.date(2025, 3, day),
                "quantity": pieces,
                "revenue": money,
                "discount": 0.0,
                "channel": "shop",
            }
            for i, (who, day, pieces, money) in enumerate(lines)
        ],
    )


LINES = orders(
    ("a", 1, 2.0, 20.0),
    ("a", 1, 1.0, 5.0),  # the same day once more
    ("a", 4, 1.0, 0.0),  # a free article
    ("a", 6, -1.0, -5.0),  # a return alone
    ("a", 11, 1.0, 8.0),
    ("b", 10, 1.0, 3.0),
    ("b", 10, 0.0, 1.0),  # no piece, no purchase
    (None, 3, 1.0, 9.0),
)


def test_a_purchase_has_a_customer_and_pieces():
    days = history.purchase_days(LINES).to_pandas().sort_values(["customer_id", "ordered_on"])
    found = [(c, d.day) for c, d in zip(days["customer_id"], days["ordered_on"], strict=True)]
    assert found == [("a", 1), ("a", 4), ("a", 11), ("b", 10)]
    early = history.purchase_days(LINES, DAY).to_pandas()
    assert len(early) == 3


def test_gaps_lie_between_purchase_days_of_one_customer():
    gaps = history.gaps(LINES).to_pandas()
    assert sorted(gaps["gap"]) == [3, 7]
    assert set(gaps["customer_id"]) == {"a"}


def test_a_day_of_returns_has_money_and_no_order():
    days = history.by_day(LINES).to_pandas().set_index(["customer_id", "ordered_on"])
    back = days.loc[("a", pd.Timestamp("2025-03-06"))]
    assert back[["orders", "revenue", "goods", "back"]].tolist() == [0, -5.0, 0.0, 5.0]
    first = days.loc[("a", pd.Timestamp("2025-03-01"))]
    assert first[["orders", "revenue", "goods", "back"]].tolist() == [2, 25.0, 25.0, 0.0]


@pytest.mark.parametrize(("days", "who"), [(1, {"a": 8.0}), (0, {})])
def test_only_what_came_after_the_day_is_outcome(days, who):
    came = history.came_after(LINES, history.as_days([DAY]), days).to_pandas()
    assert came.set_index("customer_id")["came"].to_dict() == who


def test_messages_of_the_day_itself_are_not_known_yet():
    sent = pd.to_datetime(["2025-03-08 09:00", "2025-03-10 09:00", "2025-02-01 09:00"], utc=True)
    messages = rows(
        "messages",
        {
            "message_id": ["m1", "m2", "m3"],
            "customer_id": "a",
            "sent_at": sent,
            "opened_at": [pd.Timestamp("2025-03-11", tz="UTC"), None, None],
            "unsubscribed_at": [None, None, pd.Timestamp("2025-02-02", tz="UTC")],
        },
    )
    known = history.messages_before(messages, history.as_days([DAY]), 7).to_pandas().iloc[0]
    assert known[["mails", "opens", "clicks"]].tolist() == [1, 0, 0]
    assert known["unsubscribed"]
