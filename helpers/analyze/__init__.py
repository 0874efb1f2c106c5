"""Step 3, analyze: how sales are spread over time, place and amount, who comes back, and what comes next."""

from helpers.analyze.cohorts import (
    FROM_THE_START,
    LATER,
    as_triangle,
    cohorts,
    half_life,
    retention,
    retention_curves,
)
from helpers.analyze.describe import (
    add_shares,
    basket_sizes,
    by_hour,
    by_month_part,
    by_store,
    by_weekday,
    complete_days,
    daily_total,
    described,
    frequencies,
    full_weeks,
    order_values,
    quantile,
    rows_for,
    sales_by_day,
    week_grid,
)
from helpers.analyze.forecast import by_month, by_week, forecast, looking_back, simulate

__all__ = ["FROM_THE_START", "LATER", "add_shares", "as_triangle", "basket_sizes", "by_hour", "by_month",
           "by_month_part", "by_store", "by_week", "by_weekday", "cohorts", "complete_days", "daily_total",
           "described", "forecast", "frequencies", "full_weeks", "half_life", "looking_back", "order_values",
           "quantile", "retention", "retention_curves", "rows_for", "sales_by_day", "simulate", "week_grid"]
