"""General rules that raise suspicions. They know the canonical tables and nothing of the client."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import date

import ibis
import pandas as pd
from ibis import _

from helpers import effects, tables
from helpers.clean.repeats import repeats
from helpers.store import Store, today

HANDLED = {  # what the first steps of cleaning do by themselves
    "exact repeat": "each row is used once",
    "older export": "the newer file is believed",
    "told by another source": "the source of higher precedence is believed",
    "same key, other content": "the first row is used, the others are held",
}
COVERAGE = {
    "missing day",
    "part of a week",
    "campaign outside the data",
    "first seen at the start",
    "coupon money without redemption",
}


def suspicions(run: Store) -> pd.DataFrame:
    """Everything that looks wrong in the staged tables, with what was decided (table `suspicions`).

    A suspicion is settled by the client's settings, reported where it concerns coverage, and
    otherwise open.
    """
    found = pd.DataFrame([r for rule in RULES for r in rule(run)])
    if found.empty:
        return found
    return pd.concat([found, pd.DataFrame([_decision(run, r) for r in found.itertuples()])], axis=1)


def _decision(run: Store, row) -> dict:
    settled = run.settings.settled.get(row.rule, {})
    decided = settled.get(row.subject) or settled.get("*")
    if decided:
        return {"status": "settled", "decision": decided.decision, "reason": decided.reason}
    if row.rule in HANDLED:
        return {
            "status": "settled",
            "decision": HANDLED[row.rule],
            "reason": "a general rule; tune it under rules",
        }
    if row.rule in COVERAGE:
        return {
            "status": "reported",
            "decision": "nothing to clean",
            "reason": "a matter of what the data cover",
        }
    return {
        "status": "open",
        "decision": "",
        "reason": f"decide under settled.{row.rule} in client.yaml",
    }


def _row(
    rule: str, subject: str, practice: str, finding: str, rows: int, of: int, revenue: float = 0.0
) -> dict:
    return {
        "rule": rule,
        "subject": subject,
        "practice": practice,
        "finding": finding,
        "rows": int(rows),
        "revenue": round(float(revenue or 0), 2),
        "share": rows / of if of else 0.0,
    }


def sales_at_night(run: Store) -> Iterator[dict]:
    """Sales as the file writes their times, between midnight and five: is the clock another zone's?

    Days without a time say nothing of the hour: they stand at midnight on the shop's own clock.
    """
    orders = run.read("staged_orders")
    timed = orders.filter(orders.ordered_at_local != orders.ordered_at_local.truncate("D"))
    orders = timed.mutate(night=_.ordered_at.hour() < 5, night_local=_.ordered_at_local.hour() < 5)
    t = (
        orders.agg(
            n=_.count(),
            rows=_.night.sum(),
            local=_.night_local.sum(),
            money=_.revenue.sum(where=_.night),
        )
        .to_pandas()
        .iloc[0]
    )
    if t["rows"] > 0.05 * t["n"]:
        yield _row(
            "sales at night",
            "orders.ordered_at",
            "2.2",
            f"{t['rows'] / t['n']:.1%} of lines fall between midnight and five in UTC, "
            f"{t['local'] / t['n']:.1%} on the shop's own clock",
            t["rows"],
            t["n"],
            t["money"],
        )


def redemption_days(run: Store) -> Iterator[dict]:
    """Redemptions with no visit on their day: the two sources disagree about the day, or the zone
    is wrong.
    """
    orders, used = run.read("staged_orders"), run.read("staged_redemptions")
    n = int(used.count().execute())
    if not n:
        return

    def agree(day) -> int:
        visits = orders.select("customer_id", redeemed_on=day).distinct()
        return int(used.semi_join(visits, ["customer_id", "redeemed_on"]).count().execute())

    utc, local = agree(orders.ordered_at.date()), agree(orders.ordered_on)
    if min(utc, local) < n:
        yield _row(
            "redemption without visit",
            "redemptions.redeemed_on",
            "2.6",
            f"{utc / n:.0%} have a visit of the same customer on the day in UTC, {local / n:.0%} on"
            " the shop's own calendar",
            n - min(utc, local),
            n,
        )


def calendar_gaps(run: Store) -> Iterator[dict]:
    """Days without any order, a run of them as one, and first or last weeks that are not whole."""
    orders = run.read("staged_orders")
    possible = orders.filter(_.ordered_on.between(date(1990, 1, 1), today(run.settings.timezone)))
    days = possible.select("ordered_on").distinct().to_pandas()["ordered_on"]
    days = pd.DatetimeIndex(days).sort_values()
    if days.empty:
        return
    lost = pd.date_range(days[0], days[-1]).difference(days).to_series()
    runs = [r for _, r in lost.groupby((lost.diff() != pd.Timedelta(days=1)).cumsum())]
    if len(runs) > 10:  # a small shop: not each is worth a line
        longest = max(len(r) for r in runs)
        said = f"no order on {len(lost)} days, at most {longest} in a row"
        yield _row("missing day", "orders, whole period", "1.7", said, len(lost), len(days))
        runs = []
    for r in runs:
        first = f"{r.iloc[0]:%d %B %Y}"
        when, said = (
            (first, "no order on this day")
            if len(r) == 1
            else (f"from {first}", f"no order on {len(r)} days")
        )
        yield _row("missing day", f"orders, {when}", "1.7", said, len(r), len(days))
    for end, left in (("first", 7 - days[0].weekday()), ("last", days[-1].weekday() + 1)):
        if left < 7:
            yield _row(
                "part of a week",
                f"orders, {end} week",
                "1.7",
                f"holds {left} of 7 days",
                left,
                len(days),
            )


def tiny_prices(run: Store) -> Iterator[dict]:
    """Lines whose money for one unit is below two cents: is the quantity in another unit?"""
    orders = run.read("staged_orders").filter(
        _.revenue > 0, _.quantity >= 100, _.revenue / _.quantity < 0.02
    )
    names = run.read("staged_products").select("product_id", "name")
    n = int(run.read("staged_orders").count().execute())
    found = (
        orders.left_join(names, "product_id")
        .group_by("name")
        .agg(
            rows=_.count(), money=_.revenue.sum(), median=_.quantity.median(), top=_.quantity.max()
        )
        .filter(_.rows >= 20)
        .order_by(ibis.desc("rows"), "name")
        .limit(5)
        .to_pandas()
    )
    for r in found.itertuples():
        yield _row(
            "price below two cents",
            f"orders.quantity, {r.name}",
            "2.4",
            f"median quantity {r.median:,.0f}, at most {r.top:,.0f}: another unit?",
            r.rows,
            n,
            r.money,
        )


def empty_lines(run: Store) -> Iterator[dict]:
    """Lines with no quantity, no money, or a product that the product table lacks."""
    known = run.read("staged_products").select("product_id", known=True)
    lines = (
        run.read("staged_orders").left_join(known, "product_id").mutate(unknown=_.known.isnull())
    )
    tests = {
        "zero quantity": ("orders.quantity", _.quantity == 0),
        "zero revenue": ("orders.revenue", _.revenue == 0),
        "unknown product": ("orders.product_id", _.unknown),
    }
    sums = {f"n{i}": c.sum() for i, (s, c) in enumerate(tests.values())}
    sums |= {f"m{i}": _.revenue.sum(where=c) for i, (s, c) in enumerate(tests.values())}
    t = (
        lines.agg(
            n=_.count(),
            products=_.product_id.nunique(where=_.unknown),
            both=((_.quantity == 0) & _.unknown).sum(),
            **sums,
        )
        .to_pandas()
        .fillna(0)
        .iloc[0]
    )
    more = {
        "unknown product": (
            f", on {t['products']:.0f} products, {t['both']:,.0f} of them with quantity 0"
        )
    }
    for i, (rule, (subject, _c)) in enumerate(tests.items()):
        if t[f"n{i}"]:
            yield _row(
                rule,
                subject,
                "2.2" if i < 2 else "2.7",
                f"{t[f'n{i}']:,.0f} lines{more.get(rule, '')}",
                t[f"n{i}"],
                t["n"],
                t[f"m{i}"],
            )


def odd_discounts(run: Store) -> Iterator[dict]:
    """Discounts above what was paid, and sales without a single return."""
    orders = run.read("staged_orders")
    more = (orders.discount > orders.revenue) & (orders.revenue >= 0)
    t = (
        orders.agg(
            n=_.count(),
            rows=more.sum(),
            money=_.revenue.sum(where=more),
            back=(_.quantity < 0).sum(),
        )
        .to_pandas()
        .fillna(0)
        .iloc[0]
    )
    if t["rows"]:
        yield _row(
            "discount above revenue",
            "orders.discount",
            "2.2",
            "more was given away than was paid",
            t["rows"],
            t["n"],
            t["money"],
        )
    if not t["back"] and t["n"] > 10_000:
        yield _row(
            "no returns",
            "orders.quantity",
            "2.2",
            "no line is negative: returns are missing, or netted",
            0,
            t["n"],
        )


def spread_refunds(run: Store) -> Iterator[dict]:
    """Orders that were paid back in part where the file does not say for which goods: the money is
    spread over all.
    """
    orders = run.read("staged_orders").mutate(broken=_.quantity != _.quantity.round())
    sold = (
        orders.filter(_.quantity > 0)
        .group_by("order_id")
        .agg(broken=_.broken.any())
        .filter(~_.broken)
    )
    back = orders.filter(_.is_return, _.broken).semi_join(sold, "order_id")
    t = (
        back.agg(n=_.count(), orders=_.order_id.nunique(), money=_.revenue.sum())
        .to_pandas()
        .fillna(0)
        .iloc[0]
    )
    if t["n"]:
        yield _row(
            "refund not told by item",
            "orders.is_return",
            "2.2",
            f"{t['orders']:,.0f} orders were paid back in part; the money is spread over their"
            " lines by what they cost",
            t["n"],
            run.count("staged_orders"),
            t["money"],
        )


def told_doubts(run: Store) -> Iterator[dict]:
    """What a mapping's own column `doubt` says of its lines: an unknown state, or money that can be
    read two ways.

    A line may carry several, with ` | ` between them.
    """
    orders = run.read("staged_orders")
    if "doubt" not in orders.columns:
        return
    each = orders.filter(_.doubt.notnull()).select(
        "source_file", "revenue", doubt=_.doubt.split(" | ").unnest()
    )
    by = each.group_by("source_file", "doubt").agg(n=_.count(), money=_.revenue.sum())
    for t in by.order_by("source_file", "doubt").to_pandas().fillna(0).itertuples():
        subject = f"orders, {t.source_file}"
        yield _row("not certain", subject, "2.2", t.doubt, t.n, run.count("staged_orders"), t.money)


def coupon_money(run: Store) -> Iterator[dict]:
    """Lines that a coupon paid for in part, on a day with no recorded redemption of that
    customer.
    """
    used = run.read("staged_redemptions").select("customer_id", ordered_on="redeemed_on").distinct()
    lines = run.read("staged_orders").filter(_.coupon_discount > 0)
    n = int(lines.count().execute())
    hit = int(lines.semi_join(used, ["customer_id", "ordered_on"]).count().execute())
    if n and hit < n and int(used.count().execute()):
        yield _row(
            "coupon money without redemption",
            "orders.coupon_discount",
            "2.6",
            f"only {hit / n:.0%} of lines with coupon money fall on a recorded redemption day",
            n - hit,
            n,
            lines.revenue.sum().execute(),
        )


def repeated_rows(run: Store) -> Iterator[dict]:
    """Rows that share the key of their table: exact repeats, or the same key with other content."""
    for name in tables.CANONICAL:
        of = run.count(f"staged_{name}")
        if not of:
            continue
        again = repeats(run, name)
        for rule, n in (
            again.group_by("rule")
            .agg(n=_.count())
            .order_by("rule")
            .to_pandas()
            .itertuples(index=False)
        ):
            yield _row(
                rule, name, "2.1", f"{n:,.0f} rows repeat {', '.join(tables.get(name).key)}", n, of
            )


def near_names(run: Store) -> Iterator[dict]:
    """Names of product groups that differ in spelling only, and units written in several ways."""
    products = run.read("staged_products")
    for column in ("category", "subcategory"):
        counts = (
            products.filter(_[column].notnull())
            .group_by(column)
            .agg(n=_.count())
            .to_pandas()
            .set_index(column)["n"]
        )
        for names in same_when_spelled(list(counts.index)):
            yield _row(
                "names alike",
                f"products.{column}, {' = '.join(names)}",
                "2.4",
                "the same name in several spellings",
                counts[names[1:]].sum(),
                counts.sum(),
            )
        short = abbreviated(list(counts.index))
        for abbreviation, word in short.items():
            rows = sum(n for name, n in counts.items() if abbreviation in re.findall(r"\w+", name))
            yield _row(
                "word abbreviated",
                f"products.{column}, {abbreviation} = {word}",
                "2.4",
                "a word and its abbreviation",
                rows,
                counts.sum(),
            )
    if "package_size" in products.columns:
        sizes = (
            products.filter(_.package_size.notnull())
            .group_by("package_size")
            .agg(n=_.count())
            .to_pandas()
        )
        units = sizes["package_size"].str.replace(r"[\d.,/ -]+", " ", regex=True).str.strip()
        many = units.value_counts()
        yield _row(
            "free text",
            "products.package_size",
            "2.4",
            f"{len(many)} ways to write a unit, such as {', '.join(many.index[:5])}",
            sizes["n"].sum(),
            int(products.count().execute()),
        )


def coverage(run: Store) -> Iterator[dict]:
    """Customers who were there from the start, and campaigns that run beyond the data."""
    orders, people = run.read("staged_orders"), run.read("staged_customers")
    first, last = (
        pd.Timestamp(d)
        for d in orders.agg(a=_.ordered_on.min(), b=_.ordered_on.max()).to_pandas().iloc[0]
    )
    seen = people.filter(_.first_seen_at.notnull())
    n = int(seen.count().execute())
    early = int(
        seen.filter(_.first_seen_at < (first + pd.Timedelta(days=31)).to_pydatetime())
        .count()
        .execute()
    )
    if n and early > n / 3:
        yield _row(
            "first seen at the start",
            "customers.first_seen_at",
            "3.3",
            f"{early:,} of {n:,} customers are first seen in the first month, so a first order is"
            " rarely the first ever",
            early,
            n,
        )
    campaigns = run.frame("staged_campaigns")
    part = ((campaigns["starts_on"] < first) | (campaigns["ends_on"] > last)).sum()
    if part:
        yield _row(
            "campaign outside the data",
            "campaigns",
            "1.7",
            f"{part} campaigns run partly outside {first:%d %B %Y} to {last:%d %B %Y}",
            part,
            len(campaigns),
        )


def unread_tests(run: Store) -> Iterator[dict]:
    """Tests whose control is not known, or whose groups are not as chance would make them: their
    effect is not told.
    """
    staged = run.frame("staged_experiments").sort_values("source_order")
    # cleaning too uses the first of a key
    experiments = staged.drop_duplicates(["experiment_id", "unit_id"])
    for test in effects.judge_tests(experiments, run.settings.tests).itertuples():
        if test.problem:
            yield _row(
                "test not read",
                f"experiments, {test.experiment_id}",
                "7.1",
                test.problem,
                test.units,
                len(experiments),
            )


def same_when_spelled(names: list[str]) -> list[list[str]]:
    """Groups of names that are equal but for spaces, punctuation and plural.

    >>> same_when_spelled(["CHEESE", "BABY FOODS", "CHEESES", "BABYFOOD", "CAKES"])
    [['BABY FOODS', 'BABYFOOD'], ['CHEESE', 'CHEESES']]
    """
    groups = defaultdict(list)
    for name in sorted(names):
        words = re.findall(r"[^\W_]+", name.upper())
        groups["".join(w[:-1] if len(w) > 3 and w.endswith("S") else w for w in words)].append(name)
    return [g for g in groups.values() if len(g) > 1]


def abbreviated(names: list[str]) -> dict[str, str]:
    """Words that are another word of the same list without its vowels.

    >>> abbreviated(["FROZEN PIZZA", "FRZN ICE", "HERBS"])
    {'FRZN': 'FROZEN'}
    """
    words = {w for name in names for w in re.findall(r"[^\W\d_]+", name.upper()) if len(w) > 3}
    return {
        w: longer
        for longer in sorted(words)
        if (w := longer[0] + re.sub("[AEIOU]", "", longer[1:])) != longer and w in words
    }


RULES = [
    sales_at_night,
    redemption_days,
    calendar_gaps,
    tiny_prices,
    empty_lines,
    odd_discounts,
    spread_refunds,
    told_doubts,
    coupon_money,
    repeated_rows,
    near_names,
    coverage,
    unread_tests,
]
