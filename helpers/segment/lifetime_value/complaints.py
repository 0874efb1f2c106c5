"""What a bad experience loses: customers after a bad service case, against others after any other
case.
"""

from __future__ import annotations

from datetime import date, timedelta

import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ibis import _

from helpers import methods, stats
from helpers.segment.lifetime_value.contribution import WORDS

LEVELS = [0.25, 0.5, 0.75]  # quantiles of earlier money: customers are compared between these


def first_cases(tickets: ir.Table, lines: ir.Table, as_of: date, days: int) -> pd.DataFrame:
    """One row a customer with a service case at least `days` days ago: is_bad, before and after
    (money in `days` days).

    A case is bad where the customer was not satisfied, complained, or got money back. The first bad
    case counts, else the first case. Only customers who had ordered before it.
    """
    cases = tickets.filter(
        _.customer_id.notnull(), _.opened_at.date() <= as_of - timedelta(days=days)
    )
    bad = (
        _.satisfaction.lower().isin(WORDS["bad"])
        | _.kind.lower().isin(WORDS["complaint"])
        | (_.refund > 0)
    ).fill_null(False)
    when = cases.mutate(bad=bad, on=_.opened_at.date()).group_by("customer_id")
    when = when.agg(bad_on=_.on.min(where=_.bad), first=_.on.min()).mutate(
        on=_.bad_on.coalesce(_.first)
    )
    both = lines.inner_join(when, "customer_id").mutate(day=_.ordered_on.delta(_.on, unit="day"))
    sums = both.group_by("customer_id").agg(
        is_bad=_.bad_on.max().notnull(),
        earlier=(_.day < 0).sum(),
        before=_.margin.sum(where=(_.day < 0) & (_.day >= -days)).fill_null(0.0),
        after=_.margin.sum(where=(_.day > 0) & (_.day <= days)).fill_null(0.0),
    )
    return sums.filter(_.earlier > 0).drop("earlier").order_by("customer_id").to_pandas()


def complaint_loss(cases: pd.DataFrame) -> pd.Series:
    """What customers left after a bad case, against others with a case and as much money before it
    (`first_cases`).

    customers (with a bad case), others, loss: mean money less in the days after, with its 90 %
    interval low to high by bootstrap over customers. Empty below `bad_cases` on either side.
    """
    bad = cases["is_bad"].astype(bool)
    found = {
        "customers": int(bad.sum()),
        "others": int((~bad).sum()),
        "loss": np.nan,
        "low": np.nan,
        "high": np.nan,
    }
    if min(bad.sum(), (~bad).sum()) < methods.value("bad_cases"):
        return pd.Series(found)
    cuts = np.unique(cases["before"].quantile(LEVELS))
    level = pd.Series(np.searchsorted(cuts, cases["before"]), index=cases.index)
    usual = cases["after"].where(~bad).groupby(level).transform("mean")
    n_bad, n_other = (side.groupby(level).transform("sum") for side in (bad, ~bad))
    rest = cases["after"] - usual
    # Each customer's part of the difference: those with a bad case directly, the others through the
    # level they set.
    own = (rest / bad.sum()).where(bad, -rest * n_bad / n_other / bad.sum()).fillna(0.0) * len(
        cases
    )
    low, high = stats.bootstrap_interval(own.to_numpy())
    return pd.Series(found | {"loss": -own.mean(), "low": -high, "high": -low})
