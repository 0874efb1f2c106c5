"""A small client with rows for every canonical table: a simulated shop, with what it lacks laid beside its files."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from conftest import CHECKOUT, simulated

from helpers import tables

ADDED = ("coupons", "redemptions", "memberships", "traffic", "surveys", "tickets")


def write_bazaar(home: Path, name: str, customers: int) -> Path:
    """A small client with rows for every canonical table: a simulated shop with what it lacks added.

    That is coupons and their use, members, visits, and more answers and cases than so few customers give.
    """
    folder = home / "data" / name
    shutil.copytree(simulated(customers, 5), folder)
    shutil.copy(CHECKOUT / "data" / "twin" / "client.yaml", folder)
    messages = pd.read_csv(folder / "raw" / "messages.csv").sort_values("message_id")
    hold_back_half(messages).to_csv(folder / "raw" / "messages.csv", index=False)
    more = {
        "coupons": bazaar_coupons(folder, messages),
        "redemptions": bazaar_redemptions(messages),
    }
    more |= {"memberships": bazaar_members(messages), "traffic": bazaar_visits()}
    more |= {"surveys": bazaar_answers(folder, messages), "tickets": bazaar_cases(messages)}
    for table, rows in more.items():
        columns = [c for c in tables.get(table).columns if c in rows.columns]
        rows[columns].to_csv(folder / "raw" / f"{table}.csv", index=False)
    return folder


def hold_back_half(messages: pd.DataFrame) -> pd.DataFrame:
    """The two largest campaigns hold back every second person: a tenth of so small a shop would tell nothing."""
    largest = messages["campaign_id"].value_counts().index[:2]
    ours = messages.index[messages["campaign_id"].isin(largest)][::2]
    return messages.assign(
        is_holdout=messages["is_holdout"].where(~messages.index.isin(ours), True)
    )


def bazaar_coupons(folder: Path, messages: pd.DataFrame) -> pd.DataFrame:
    """Each campaign's coupon for twenty products."""
    products = (
        pd.read_csv(folder / "raw" / "promotions.csv")["product_id"].drop_duplicates().head(20)
    )
    coupons = messages[["campaign_id"]].drop_duplicates().merge(products, how="cross")
    return coupons.assign(coupon_id="C" + coupons["campaign_id"])


def bazaar_redemptions(messages: pd.DataFrame) -> pd.DataFrame:
    """Every fifth message's coupon is used three days later."""
    used = messages.iloc[::5]
    on = (pd.to_datetime(used["sent_at"]) + pd.Timedelta(days=3)).dt.date
    return used.assign(
        redemption_id="R" + used["message_id"], coupon_id="C" + used["campaign_id"], redeemed_on=on
    )


def bazaar_members(messages: pd.DataFrame) -> pd.DataFrame:
    """Every second customer who is written to is a member, every third of them a golden one."""
    members = messages.drop_duplicates("customer_id").iloc[::2]
    members = members.assign(
        happened_at=members["sent_at"], tier="plain", points=120, stored_value=25.0, fee=5.0
    )
    members.loc[members.index[::3], "tier"] = "gold"
    return members


def bazaar_visits() -> pd.DataFrame:
    """A year of days with as many visits each."""
    days = pd.date_range("2025-10-01", "2026-09-30").date
    counts = {"sessions": 90, "visitors": 70, "new_visitors": 30, "pageviews": 300}
    return pd.DataFrame({"starts_on": days, "ends_on": days, "channel": "organic", **counts})


def bazaar_answers(folder: Path, messages: pd.DataFrame) -> pd.DataFrame:
    """The statements of the shop's own survey, by people with two attitudes, and whether they recommend us."""
    head = pd.read_csv(folder / "raw" / "surveymonkey.csv", header=None, nrows=2, dtype=str).T
    head = head.assign(above=head[0].ffill())
    battery = head[head["above"].str.startswith("How far do you agree", na=False)]
    people = messages.drop_duplicates("customer_id").head(400)
    rng = np.random.default_rng(3)
    attitudes = rng.normal(size=(len(people), 2))
    said = people.assign(response_id="W" + people["customer_id"], answered_at=people["sent_at"])
    said = said[["response_id", "customer_id", "answered_at"]]
    answers = []
    for i, (above, statement) in enumerate(zip(battery["above"], battery[1], strict=True)):
        score = np.clip(
            np.round(4 + 1.5 * attitudes[:, i % 2] + rng.normal(size=len(people))), 1, 7
        )
        question = f"{above} - {statement}"
        answers.append(
            said.assign(
                question_id=f"S{i}", question=question, kind="scale", scale_max=7, score=score
            )
        )
    score = np.clip(np.round(7 + 2 * attitudes[:, 0]), 0, 10)
    answers.append(
        said.assign(
            question_id="NPS", question="Recommend us?", kind="nps", scale_max=10, score=score
        )
    )
    return pd.concat(answers, ignore_index=True)


def bazaar_cases(messages: pd.DataFrame) -> pd.DataFrame:
    """Cases about late parcels and broken goods, answered slowly and marked badly."""
    people = messages.drop_duplicates("customer_id").head(400)
    cases = people.assign(
        ticket_id="Q" + people["customer_id"], opened_at=people["sent_at"], stage="after"
    )
    opened = pd.to_datetime(cases["opened_at"])
    cases = cases.assign(
        solved_at=opened + pd.Timedelta(days=4), first_reply_minutes=3000.0, satisfaction=2.0
    )
    texts = [
        "My parcel is late, the delivery never came",
        "The lamp arrived broken and damaged, please refund",
    ]
    return cases.assign(kind="complaint", text=[texts[i % 2] for i in range(len(cases))])
