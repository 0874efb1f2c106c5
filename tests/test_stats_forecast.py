"""The forecast of daily sales: honest back-tests, errors that add up as they did, intervals that keep their promise."""

from datetime import date

import numpy as np
import pandas as pd
import pytest
from conftest import many_seeds

from helpers import stats

WEEK = np.array([100.0, 90, 87, 88, 100, 115, 120])


def shop(days=200, seed=1, noise=0.05, drift=0.0, start="2023-01-02"):
    """Daily sales with a weekday pattern, noise, and a level that wanders by `drift` a week."""
    rng, index = np.random.default_rng(seed), pd.date_range(start, periods=days)
    level = np.exp(np.cumsum(rng.normal(0, drift / np.sqrt(7), days)))
    return pd.Series(WEEK[index.day_of_week] * level * np.exp(rng.normal(0, noise, days)), index)


@pytest.fixture(scope="module")
def tested():
    return stats.backtest(shop(), weeks=13, origins=4)


@pytest.mark.parametrize("method", [*stats.PLAIN, *stats.SARIMAX_ORDERS])
def test_paths_follow_the_weekdays_and_centre_on_the_truth(method):
    paths = stats.sales_paths(shop(noise=0.01), 28, method)
    assert paths.shape == (28, 500)
    assert paths.index[0] == pd.Timestamp("2023-01-02") + pd.Timedelta(days=200)
    assert np.allclose(paths.mean(axis=1), WEEK[paths.index.day_of_week], rtol=0.05)
    assert (paths >= 0).all(axis=None)


def test_the_seasonal_naive_rule_says_last_weeks_sales():
    daily = shop(70)
    paths = stats.sales_paths(daily, 14, "seasonal naive")
    assert np.allclose(paths.mean(axis=1), np.tile(daily.tail(7), 2))
    four = stats.sales_paths(daily, 7, "four-week mean").mean(axis=1)
    assert np.allclose(four, daily.tail(28).to_numpy().reshape(4, 7).mean(axis=0))


def seasonal(seed, days=910, growth=0.3, swing=0.5, noise=0.1):
    """Daily sales that rise by `growth` a year and swing by `swing` with the time of the year, and chance beside."""
    rng, index = np.random.default_rng(seed), pd.date_range("2023-01-02", periods=days)
    year = np.arange(days) / 365.25
    level = np.exp(
        growth * year + swing * np.cos(2 * np.pi * (year - 0.95)) + rng.normal(0, noise, days)
    )
    return pd.Series(WEEK[index.day_of_week] * level, index)


def test_last_year_at_todays_pace_is_what_it_says():
    daily = seasonal(1, noise=0.0)
    paths = stats.sales_paths(daily[:-91], 91, stats.LAST_YEAR)
    assert paths.mean(axis=1).sum() == pytest.approx(daily[-91:].sum(), rel=0.02)
    assert np.allclose(paths.mean(axis=1), daily[-91:], rtol=0.1)


@many_seeds(1, 60)
def test_a_season_is_foretold_where_a_year_is_known_and_its_interval_holds(seeds):
    inside, off, plain = [], [], []
    for seed in range(seeds):
        daily = seasonal(seed)
        known, came = daily[:-91], daily[-91:].sum()
        tested = stats.backtest(known, origins=8)
        method, width, _covered = stats.choose_method(tested)
        assert method == stats.LAST_YEAR
        sums = stats.sales_paths(known, 91, method, width=width).sum()
        naive = stats.sales_paths(known, 91, "four-week mean").sum().mean()
        inside.append(sums.quantile(0.05) <= came <= sums.quantile(0.95))
        off.append(abs(sums.mean() / came - 1))
        plain.append(abs(naive / came - 1))
    assert np.mean(inside) >= 0.8 or seeds < 10
    assert np.mean(off) < 0.3 * np.mean(plain)


def test_a_shop_without_a_season_keeps_the_plain_rule():
    assert (
        stats.choose_method(stats.backtest(shop(910, drift=0.03), origins=3))[0] != stats.LAST_YEAR
    )
    assert stats.LAST_YEAR not in set(
        stats.score_methods(stats.backtest(shop(560), origins=2))["method"]
    )


def test_the_same_seed_gives_the_same_paths_and_width_stretches_them():
    daily = shop()
    one, same, other = (stats.sales_paths(daily, 14, "four-week mean", seed=s) for s in (1, 1, 2))
    wide = stats.sales_paths(daily, 14, "four-week mean", width=2)
    pd.testing.assert_frame_equal(one, same)
    assert not np.allclose(one, other)
    assert wide.sum().std() == pytest.approx(2 * one.sum().std())
    assert wide.sum().mean() == pytest.approx(one.sum().mean())


def test_doubt_about_a_quarter_holds_the_doubt_about_the_level():
    """Were the weeks independent, thirteen of them would be as unsure, as a share, as one over root thirteen."""
    paths = stats.sales_paths(shop(365, drift=0.03, noise=0.02), 91, "four-week mean")
    one, quarter = paths.iloc[:7].sum(), paths.sum()
    assert quarter.std() / quarter.mean() > 2 * (one.std() / one.mean()) / np.sqrt(13)


def test_intervals_of_sums_hold_nine_in_ten_over_many_shops():
    """Raw intervals of the plain rule over 60 independent shops whose level wanders: 4 weeks and 13 weeks ahead."""
    held = {28: [], 91: []}
    for seed in range(60):
        daily = shop(400, seed, drift=0.02)
        for days, hits in held.items():
            sums = stats.sales_paths(daily.iloc[:-91], days, "four-week mean").sum()
            low, high = sums.quantile([0.05, 0.95])
            hits.append(low <= daily.iloc[-91:].head(days).sum() <= high)
    assert 0.80 <= np.mean(held[28]) <= 0.98
    assert 0.75 <= np.mean(held[91]) <= 0.98


def test_a_feast_comes_again_and_a_gap_does_not():
    daily = shop(420, start="2022-12-01")
    daily["2022-12-25"] = 0.0
    daily["2023-02-01":"2023-02-04"] = 0.0
    paths = stats.sales_paths(
        daily.drop(pd.Timestamp("2023-04-09")).loc[:"2023-11-30"], 90, "four-week mean"
    )
    assert (paths.loc["2023-12-25"] == 0).all()
    assert (paths.drop(pd.Timestamp("2023-12-25")).mean(axis=1) > 50).all()


def test_a_shop_that_is_shut_on_sundays_sells_nothing_on_sundays():
    daily = shop()
    daily[daily.index.day_of_week == 6] = 0.0
    paths = stats.sales_paths(daily, 14, "four-week mean")
    assert paths[paths.index.day_of_week == 6].mean().mean() < 1
    assert paths[paths.index.day_of_week == 0].mean().mean() > 80


@pytest.mark.parametrize(
    "daily",
    [
        shop(14),
        pd.Series(0.0, pd.date_range("2024-01-01", periods=90)),
        pd.Series(5.0, pd.date_range("2024-01-01", periods=90)),
    ],
    ids=["short", "zero", "constant"],
)
@pytest.mark.parametrize("method", [*stats.PLAIN, *stats.SARIMAX_ORDERS])
def test_odd_histories_give_numbers(daily, method):
    if len(daily) < stats.SARIMAX_DAYS and method in stats.SARIMAX_ORDERS:
        method = "four-week mean"
    paths = stats.sales_paths(daily, 120, method)
    assert np.isfinite(paths).all(axis=None)


def test_too_little_history_is_an_error_with_its_reason():
    with pytest.raises(ValueError, match="at least 14 days of sales, not 13"):
        stats.sales_paths(shop(13), 7, "seasonal naive")
    assert stats.backtest(shop(40)).empty
    assert stats.choose_method(stats.backtest(shop(10)))[:2] == ("four-week mean", 1.0)


def test_a_back_test_knows_nothing_of_what_came_after(tested):
    daily = shop()
    origin = pd.Timestamp(tested["origin_on"].min())
    changed = daily.where(daily.index <= origin, daily * 3)
    again = stats.backtest(changed, weeks=13, origins=4)
    said = [
        t[pd.to_datetime(t["origin_on"]) == origin].reset_index(drop=True) for t in (tested, again)
    ]
    pd.testing.assert_frame_equal(said[0].drop(columns="actual"), said[1].drop(columns="actual"))
    assert np.allclose(3 * said[0]["actual"], said[1]["actual"])


def test_a_back_test_compares_with_what_came(tested):
    daily = shop()
    weeks = tested[(tested["method"] == "seasonal naive") & (tested["weeks"] == 4)]
    for row in weeks.itertuples():
        assert row.actual == pytest.approx(daily[pd.Timestamp(row.ordered_on) :].head(28).sum())
        assert row.forecast == pytest.approx(4 * daily[: pd.Timestamp(row.origin_on)].tail(7).sum())
    assert not tested.duplicated(["method", "origin_on", "weeks", "ordered_on"]).any()
    assert set(tested["weeks"]) == set(stats.SPANS)


def hand_made(errors, half):
    """A back-test of one method a key of `errors`, on single weeks that sold 100, with intervals of +-`half`."""
    rows = [
        (
            name,
            date(2024, 1, 1 + i),
            date(2024, 1, 2 + i),
            1,
            1,
            100 + e,
            100 + e - half,
            100 + e + half,
            100.0,
        )
        for name, several in errors.items()
        for i, e in enumerate(several)
    ]
    return pd.DataFrame(
        rows,
        columns=[
            "method",
            "origin_on",
            "ordered_on",
            "weeks",
            "horizon",
            "forecast",
            "low",
            "high",
            "actual",
        ],
    )


def test_the_smallest_error_wins_and_a_plain_rule_wins_ties():
    assert (
        stats.choose_method(hand_made({"four-week mean": [4, -4], "SARIMAX": [3, -3]}, 5))[0]
        == "SARIMAX"
    )
    assert (
        stats.choose_method(hand_made({"four-week mean": [3, -3], "SARIMAX": [3, -3]}, 5))[0]
        == "four-week mean"
    )


def test_width_and_coverage_by_hand():
    errors = [1, -2, 3, -4, 5, -6, 7, -8, 9, -10, 20]  # nine in ten stay within ten
    found = stats.score_methods(hand_made({"rule": errors}, 5)).iloc[0]
    assert found["covered"] == pytest.approx(5 / 11)
    assert found["width"] == pytest.approx(2.0)
    assert found["one_week"] == found["error"] == pytest.approx(np.mean(np.abs(errors)) / 100)
    assert found["covered_after"] == pytest.approx(10 / 11)  # the others never foresee twenty
    assert stats.score_methods(hand_made({"rule": [1, 2]}, 50))["width"].item() == 1.0
    assert np.isnan(stats.score_methods(hand_made({"rule": [1]}, 50))["covered_after"].item())


def test_periods_without_a_sale_have_no_error_and_stop_nothing():
    silent = hand_made({"four-week mean": [4, -4], stats.LAST_YEAR: [3, -3]}, 5)
    silent = silent.assign(actual=0.0)
    assert stats.score_methods(silent)["error"].isna().all()
    assert stats.choose_method(silent)[0] == "four-week mean"
    daily = pd.Series(0.0, pd.date_range("2023-01-01", periods=728))
    daily.iloc[:14] = 100.0  # two weeks of sales, and none since
    tested = stats.backtest(daily, origins=12)
    assert len(tested)
    assert stats.choose_method(tested)[1] >= 1


def test_calibrated_intervals_cover_in_the_back_test(tested):
    scores = stats.score_methods(tested)
    assert (scores["width"] >= 1).all()
    assert scores["covered_after"].between(0.7, 1).all()
    method, width, _ = stats.choose_method(tested)
    rows = tested[tested["method"] == method]
    inside = (rows["actual"] - rows["forecast"]).abs() <= width * (
        rows["high"] - rows["low"]
    ) / 2 + 1e-9
    assert (inside.groupby(rows["weeks"]).mean() >= 0.85).all()


def test_the_next_quarter_ends_a_quarter_later():
    assert stats.next_quarter_end(date(2017, 12, 31)) == pd.Timestamp(2018, 3, 31)
    assert stats.next_quarter_end(date(2018, 1, 1)) == pd.Timestamp(2018, 6, 30)
