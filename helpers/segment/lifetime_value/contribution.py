"""What customers contribute beside their own next orders: by channel, by whom they bring, by what
they say.
"""

from __future__ import annotations

from datetime import date, timedelta
from importlib import resources

import ibis.expr.types as ir
import numpy as np
import pandas as pd
import yaml
from ibis import _

from helpers.client import Economics
from helpers.segment.lifetime_value.acquisition import ALL, days_to_pay_back

WORDS = yaml.safe_load(
    resources.files(__package__).joinpath("contribution.yaml").read_text(encoding="utf-8")
)


def serve_costs(
    messages: ir.Table, tickets: ir.Table, economics: Economics, as_of: date, days: int = 0
) -> pd.DataFrame:
    """Contacts, cases and what both cost, a customer; of the last `days` days, or of all time.

    A case costs what the help desk says, else what the settings say; a message what the settings
    say.
    """
    begin = pd.Timestamp(as_of - timedelta(days=days) if days else date(1900, 1, 1)) + pd.Timedelta(
        days=1
    )
    end = pd.Timestamp(as_of) + pd.Timedelta(days=1)
    sent = messages.filter(_.sent_at >= begin, _.sent_at < end, ~_.is_holdout.fill_null(False))
    asked = tickets.filter(_.customer_id.notnull(), _.opened_at >= begin, _.opened_at < end)
    contacts = sent.group_by("customer_id").agg(contacts=_.count()).to_pandas()
    cases = (
        asked.group_by("customer_id")
        .agg(cases=_.count(), case_cost=_.cost.fill_null(economics.case_cost).sum())
        .to_pandas()
    )
    both = contacts.merge(cases, on="customer_id", how="outer").fillna(
        {"contacts": 0, "cases": 0, "case_cost": 0.0}
    )
    return both.assign(serve=both["contacts"] * economics.contact_cost + both["case_cost"]).drop(
        columns="case_cost"
    )


def in_period(
    people: pd.DataFrame, values: pd.DataFrame, last: pd.DataFrame, served: pd.DataFrame
) -> pd.DataFrame:
    """Add to the rows of `won` predicted_value, and what a period brought: sales_period,
    money_period, serve_period.
    """
    parts = [
        values[["customer_id", "predicted_value"]],
        last[["customer_id", "sales", "money"]].rename(
            columns={"sales": "sales_period", "money": "money_period"}
        ),
        served[["customer_id", "serve"]].rename(columns={"serve": "serve_period"}),
    ]
    for part in parts:
        people = people.merge(part, on="customer_id", how="left")
    return people.fillna(
        dict.fromkeys(["predicted_value", "sales_period", "money_period", "serve_period"], 0.0)
    )


def contribution(people: pd.DataFrame, costs: pd.DataFrame, curve: pd.DataFrame) -> pd.DataFrame:
    """One row a channel, all first (table `contribution`).

    `people`: as `won` gives, with sales, money and serve of the period, and predicted_value;
    `costs`: `cost_to_win`; `curve`: `payback`. benefit_cost is what new customers have left so far
    and are expected to leave, over what they cost to win.
    """
    rows = people.assign(active=people["sales_period"] > 0)
    rows["new_money"] = (rows["money"] + rows["predicted_value"]).where(rows["is_new"], 0.0)
    both = pd.concat([rows.assign(channel=ALL), rows])
    sums = both.groupby("channel").agg(
        customers=("customer_id", "size"),
        active=("active", "sum"),
        sales=("sales_period", "sum"),
        direct_value=("money_period", "sum"),
        cost_to_serve=("serve_period", "sum"),
        predicted_value=("predicted_value", "sum"),
        new_money=("new_money", "sum"),
    )
    found = costs.set_index("channel")[["new_customers", "cost_each", "source"]].join(sums)
    found = found.fillna(dict.fromkeys(sums.columns, 0.0))
    spent = found["cost_each"] * found["new_customers"]
    found["cost_to_win"] = spent
    found["revenue_per_user"] = found["sales"] / found["active"].where(found["active"] > 0)
    found["benefit_cost"] = found.pop("new_money") / spent.where(spent > 0)
    found["payback_days"] = days_to_pay_back(curve, costs).reindex(found.index)
    return found.reset_index()


def contribution_parts(table: pd.DataFrame, sent: pd.Series, loss: pd.Series) -> pd.DataFrame:
    """What customers contribute, each part for itself: part, amount (currency) and kind.

    From `contribution`, `referral_value` and `complaint_loss`; below zero is paid or lost. The
    parts overlap, so they are never added up.
    """
    whole = table.iloc[0]
    referral = sent["money"] + sent["predicted_value"] if sent["customers"] else np.nan
    rows = [
        (
            "customer asset: what is expected of all who have ordered",
            whole["predicted_value"],
            "expected",
        ),
        ("direct value of the period", whole["direct_value"], "came"),
        ("revenue per user of the period", whole["revenue_per_user"], "came"),
        ("referral value", referral, "came and expected"),
        ("complaint loss of a customer with a bad case", -loss["loss"], "estimated"),
        ("cost to win new customers", -whole["cost_to_win"], "paid"),
        ("cost to serve: messages and cases", -whole["cost_to_serve"] or np.nan, "paid"),
    ]
    return pd.DataFrame(rows, columns=["part", "amount", "kind"])


def referral_value(people: pd.DataFrame, customers: pd.DataFrame) -> pd.Series:
    """Customers whom others sent, what they have left so far and are expected to leave, and how
    many sent them.

    customers, money, predicted_value; referrers is empty unless the customer list says who sent
    whom (referred_by).
    """
    sent = people[people["channel"].str.casefold().isin(WORDS["referral"])]
    by = customers.set_index("customer_id").get("referred_by")
    if by is not None:
        sent = people[people["customer_id"].map(by).notna()]
    return pd.Series(
        {
            "customers": len(sent),
            "money": sent["money"].sum(),
            "predicted_value": sent["predicted_value"].sum(),
            "referrers": sent["customer_id"].map(by).nunique() if by is not None else np.nan,
        }
    )


def standing(surveys: ir.Table, reviews: ir.Table, own_brand: str = "") -> pd.DataFrame:
    """Reputation and loyalty as people state them: measure, value, low, high (90 %), answers. Never
    added to money.

    Net promoter score: percent of 9 and 10 less percent of 0 to 6 (Reichheld 2003). Mean stars of
    reviews, of the own brand where reviews name several.
    """
    asked = surveys.filter(_.kind == "nps", _.score.notnull()).select("score").to_pandas()["score"]
    kinds = (asked >= 9).astype(float) - (asked <= 6)
    stars = reviews.filter(_.rating.notnull()).select("brand", "rating").to_pandas()
    own = stars["brand"].astype("str").str.casefold() == own_brand.casefold()
    rated = stars.loc[own if own.any() else stars.index, "rating"]
    of_whom = (
        "of the own brand"
        if own.any()
        else "of all brands"
        if stars["brand"].nunique() > 1
        else "on file"
    )
    rows = [
        _mean("net promoter score", 100 * kinds),
        _mean(f"mean stars of reviews {of_whom}", rated),
    ]
    return pd.DataFrame([r for r in rows if r["answers"]])


def _mean(measure: str, values: pd.Series) -> dict[str, object]:
    half = 1.645 * values.std(ddof=0) / np.sqrt(max(len(values), 1))
    mean = values.mean()
    return {
        "measure": measure,
        "value": mean,
        "low": mean - half,
        "high": mean + half,
        "answers": len(values),
    }
