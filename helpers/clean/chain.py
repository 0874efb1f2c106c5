"""The chain of cleaning: each step marks rows, none is dropped before it is counted.

A row carries its `fate` (empty while it stays in, else duplicate, filtered or held) and the `rule` that
decided it. The first rule wins. Log, quarantine and ledger are counts over the same marked rows, so they
cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

import duckdb
import ibis
import ibis.expr.types as ir
import pandas as pd
from ibis import _

from helpers import tables
from helpers.clean.repeats import repeats
from helpers.client import CleanStep, PlaybookError
from helpers.store import Store

FATES = {"duplicate": "duplicate", "filter": "filtered", "hold": "held"}
LINEAGE = ("source_name", "source_line", "source_unreadable")
PRODUCT = {"product_name": "name", "product_category": "category", "product_subcategory": "subcategory"}


@dataclass
class Cleaned:
    """A marked table and the steps that marked it."""

    name: str
    marked: ir.Table
    steps: list[CleanStep] = field(default_factory=list)

    @cached_property
    def summary(self) -> pd.DataFrame:
        """Rows and money by fate and rule, and what each step touched and moved."""
        each = {
            f"{c}_{i}": self.marked[f"{c}_{i}"].sum().cast("float64")
            for i in range(len(self.steps))
            for c in ("did", "money")
        }
        by = self.marked.group_by(
            fate=_.fate.fill_null("loaded"), rule=_.rule.fill_null(""), from_line=_.source_line.notnull()
        )
        return (
            by.agg(n=_.count(), money=_.money_in.sum().cast("float64").round(2), **each)
            .order_by("fate", "rule")
            .to_pandas()
        )

    @property
    def rows(self) -> ir.Table:
        """The rows that stay in, without the marks; `filled` names the columns that were filled."""
        marks = [
            c
            for c in self.marked.columns
            if c in {"fate", "rule", *LINEAGE, *PRODUCT} or c.startswith(("did_", "money_"))
        ]
        return self.marked.filter(_.fate.isnull()).drop(*marks)


def clean_table(run: Store, name: str, as_of: date, products: ir.Table | None = None) -> Cleaned:
    """Mark the rows of `staged_<name>`: general rules first, then the client's steps, then the date.

    `products` (cleaned) lends orders the columns product_name, product_category and product_subcategory.
    Raises PlaybookError for a step whose SQL does not fit.
    """
    spec, staged = tables.get(name), run.read(f"staged_{name}")
    money = _.revenue if "revenue" in staged.columns else ibis.literal(0.0)
    marked = staged.mutate(fate=ibis.null("string"), rule=ibis.null("string"), filled=ibis.literal(""), money_in=money)
    if name == "orders" and products is not None:
        names = products.select("product_id", **{new: products[old] for new, old in PRODUCT.items()})
        marked = marked.left_join(names, "product_id").drop("product_id_right")
    steps = _general_steps(spec) + [s for s in run.settings.clean if s.table == name]
    if spec.day:
        steps.append(
            CleanStep(
                step="after the last day",
                table=name,
                action="filter",
                where=f"CAST({spec.day} AS DATE) > DATE '{as_of}'",
                reason="the report looks at the days up to its own date",
            )
        )
    marked, repeated = _mark_repeats(run, marked, spec)
    cleaned = Cleaned(name, marked, repeated)
    for step in steps:
        cleaned.marked = _apply(run, cleaned.marked, step, len(cleaned.steps))
        cleaned.steps.append(step)
    return cleaned


def log(cleaned: Cleaned) -> pd.DataFrame:
    """Rows and money before and after each step (table `clean_log` without its position)."""
    total = cleaned.summary.sum(numeric_only=True)
    rows, money, out = int(total["n"]), total["money"], []
    for i, step in enumerate(cleaned.steps):
        touched, moved = int(total[f"did_{i}"]), total[f"money_{i}"]
        left = touched if step.action in FATES else 0
        out.append(
            {
                "step": step.step,
                "table": cleaned.name,
                "action": step.action,
                "rows_touched": touched,
                "rows_before": rows,
                "rows_after": rows - left,
                "revenue_before": round(money, 2),
                "revenue_after": round(money + moved, 2),
                "reason": step.reason,
            }
        )
        rows, money = rows - left, money + moved
    return pd.DataFrame(out)


def quarantine(cleaned: Cleaned) -> ir.Table:
    """The held rows with source, line, rule, reason and the row as it came (table `quarantine`)."""
    reasons = {s.step: s.reason for s in cleaned.steps if s.action == "hold"}
    held = cleaned.marked.filter(_.fate == "held")
    kept = [*(c for c in tables.get(cleaned.name).columns if c in held.columns), "source_unreadable"]
    as_json = ibis.struct({c: held[c].cast("string") for c in kept}).cast("json").cast("string")
    return held.select(
        table=ibis.literal(cleaned.name),
        source_name=held.source_name,
        source_line=held.source_line,
        rule=held.rule,
        reason=held.rule.cases(*reasons.items(), else_=""),
        revenue=held.money_in.cast("float64"),
        original=as_json,
    )


def ledger(run: Store, cleaned: Cleaned, lines: int) -> dict:
    """What became of the `lines` of the source behind a table, in lines and money (a row of `ledger`).

    Rows made from one line count once. Raises PlaybookError where lines are lost.
    """
    s = cleaned.summary[cleaned.summary["from_line"]]
    if s["n"].sum() > lines:  # one line became several rows
        lined = cleaned.marked.filter(_.source_line.notnull()).group_by(fate=_.fate.fill_null("loaded"))
        n = lined.agg(n=_.source_line.nunique()).to_pandas().set_index("fate")["n"]
    else:
        n = s.groupby("fate")["n"].sum()
    money = s.groupby("fate")["money"].sum()
    corrections = [f"money_{i}" for i, step in enumerate(cleaned.steps) if step.action not in FATES]
    row = {"source": run.settings.tables[cleaned.name].source, "table": cleaned.name, "lines": lines, "layout": 0}
    row |= {f: int(n.get(f, 0)) for f in ("loaded", *FATES.values())}
    lost = lines - row["layout"] - sum(row[f] for f in ("loaded", *FATES.values()))
    if lost:
        raise PlaybookError(
            f"data/{run.client.name}/client.yaml, tables.{cleaned.name}.from: {lost:,} of {lines:,} "
            f"lines of {row['source']} are lost on the way. Join so that every line stays."
        )
    return row | {
        "balances": True,
        "money": round(money.sum(), 2),
        "money_loaded": round(money.get("loaded", 0.0), 2),
        "money_left_out": round(money.drop("loaded", errors="ignore").sum(), 2),
        "money_corrected": round(s[corrections].to_numpy().sum(), 2),
    }


def chain_log(all_cleaned: list[Cleaned]) -> pd.DataFrame:
    """The logs of all tables under one another, numbered (table `clean_log`)."""
    whole = pd.concat([log(c) for c in all_cleaned], ignore_index=True)
    return whole.assign(position=range(1, len(whole) + 1))


def quarantined(all_cleaned: list[Cleaned]) -> ir.Table:
    """The held rows of all tables (table `quarantine`)."""
    return ibis.union(*[quarantine(c) for c in all_cleaned])


def by_rule(held: ir.Table) -> pd.DataFrame:
    """Rows and money in quarantine by table and rule, the largest first."""
    by = held.group_by("table", "rule", "reason").agg(rows=_.count(), revenue=_.revenue.sum().round(2))
    return by.order_by(ibis.desc("rows"), "table", "rule").to_pandas()


def ledgers(run: Store, cleaned: dict[str, Cleaned], lines: pd.Series) -> pd.DataFrame:
    """The ledger of every table that the client brings; `lines` are the rows of each source."""
    brought = run.settings.tables
    return pd.DataFrame([ledger(run, cleaned[n], int(lines[brought[n].source])) for n in brought])


def filled_shares(cleaned: dict[str, Cleaned]) -> pd.DataFrame:
    """What the filling steps put in: table, columns, value, rows and their share of the table."""
    rows = []
    for name, c in cleaned.items():
        total = c.summary.sum(numeric_only=True)
        rows += [
            {
                "table": name,
                "columns": ", ".join(s.set),
                "filled with": " or ".join(dict.fromkeys(s.set.values())),
                "rows": int(total[f"did_{i}"]),
                "share": total[f"did_{i}"] / total["n"],
            }
            for i, s in enumerate(c.steps)
            if s.action == "fill" and total["n"]
        ]
    return pd.DataFrame(rows, columns=["table", "columns", "filled with", "rows", "share"])


def with_outliers(cleaned: Cleaned) -> ir.Table:
    """The rows that stay in, with `is_outlier`: a line far above its category's usual amount.

    Tukey's outer fence on the log scale: more than three interquartile ranges above the upper quartile
    (Tukey 1977). Flagged, never dropped.
    """
    rows = cleaned.marked.filter(_.fate.isnull())
    fences = (
        rows.filter(_.revenue > 0)
        .group_by("product_category")
        .agg(low=_.revenue.ln().quantile(0.25), high=_.revenue.ln().quantile(0.75))
        .select("product_category", fence=_.high + 3 * (_.high - _.low))
    )
    joined = rows.left_join(fences, "product_category")
    far = (joined.revenue > joined.fence.exp()).fill_null(False)
    return Cleaned(cleaned.name, joined.mutate(is_outlier=far).drop("fence", "product_category_right")).rows


def outlier_effect(orders: ir.Table) -> pd.Series:
    """Lines flagged, their share of revenue, and the largest."""
    flagged = _.is_outlier
    t = (
        orders.agg(
            lines=flagged.sum(),
            money=_.revenue.sum(where=flagged),
            total=_.revenue.sum(),
            largest=_.revenue.max(where=flagged),
        )
        .to_pandas()
        .fillna(0)
        .iloc[0]
    )
    return pd.Series(
        {"lines": t["lines"], "share": t["money"] / t["total"] if t["total"] else 0, "largest": t["largest"]}
    )


def _general_steps(spec: tables.Table) -> list[CleanStep]:
    required = " OR ".join(f"{c.name} IS NULL" for c in spec.columns.values() if c.required)
    return [
        CleanStep(
            step="unreadable value",
            table=spec.name,
            action="hold",
            where="source_unreadable <> ''",
            reason="a value is not of its column's type; mend the file and run again",
        ),
        CleanStep(
            step="required value missing",
            table=spec.name,
            action="hold",
            where=required,
            reason="a column that every row needs is empty; mend the file and run again",
        ),
    ]


def _mark_repeats(run: Store, marked: ir.Table, spec: tables.Table) -> tuple[ir.Table, list[CleanStep]]:
    mapping = run.settings.tables.get(spec.name)
    a_line_a_row = mapping is not None and not mapping.from_
    on = ["source_line"] if a_line_a_row else ["source_line", *spec.key]  # text keys are slow to join on
    again = repeats(run, spec.name).select(*on, "exact")
    joined = marked.left_join(again, on, rname="{name}_again")
    exact, other = joined.exact.fill_null(False), (~joined.exact).fill_null(False)
    joined = joined.mutate(
        did_0=exact,
        money_0=-exact.ifelse(joined.money_in, 0.0),
        did_1=other,
        money_1=-other.ifelse(joined.money_in, 0.0),
        fate=exact.ifelse("duplicate", other.ifelse("held", ibis.null("string"))),
        rule=exact.ifelse("exact repeat", other.ifelse("same key, other content", ibis.null("string"))),
    )
    steps = [
        CleanStep(step="exact repeat", table=spec.name, action="duplicate", where="", reason="the same row again"),
        CleanStep(
            step="same key, other content",
            table=spec.name,
            action="hold",
            where="",
            reason=f"a second row with the same {', '.join(spec.key)}; the first is used",
        ),
    ]
    return joined.drop("exact", *(c for c in joined.columns if c.endswith("_again"))), steps


def _apply(run: Store, rows: ir.Table, step: CleanStep, i: int) -> ir.Table:
    # The where and set of a step are SQL of the settings, so this one place speaks SQL.
    hit = f"(fate IS NULL AND coalesce(CAST(({step.where}) AS BOOLEAN), FALSE))"
    if step.action in FATES:
        change = f"""* REPLACE (CASE WHEN {hit} THEN '{FATES[step.action]}' ELSE fate END AS fate,
                  CASE WHEN {hit} THEN '{step.step.replace("'", "''")}' ELSE rule END AS rule),
                  CASE WHEN {hit} THEN -money_now ELSE 0.0 END AS money_{i}"""
    else:
        filled = (
            f"CASE WHEN {hit} THEN trim(filled || ' {' '.join(step.set)}') ELSE filled END AS filled, "
            if step.action == "fill"
            else ""
        )
        sets = ", ".join(
            f"CAST(CASE WHEN {hit} THEN ({e}) ELSE {c} END AS {_sql_type(rows[c])}) AS {c}" for c, e in step.set.items()
        )
        moved = (
            f"CASE WHEN {hit} THEN ({step.set['revenue']}) - revenue ELSE 0.0 END" if "revenue" in step.set else "0.0"
        )
        change = f"* REPLACE ({filled}{sets}), {moved} AS money_{i}"
    now = "revenue" if "revenue" in rows.columns else "0.0"
    query = f"SELECT {change.replace('money_now', now)}, {hit} AS did_{i} FROM marked_{step.table}_{i}"
    try:
        return rows.alias(f"marked_{step.table}_{i}").sql(query, dialect="duckdb")
    except (duckdb.Error, ibis.common.exceptions.IbisError) as e:
        raise PlaybookError(
            f'data/{run.client.name}/client.yaml, clean, step "{step.step}": {str(e).strip().splitlines()[0]}'
        ) from None


def _sql_type(column: ir.Column) -> str:
    from ibis.backends.sql.datatypes import DuckDBType

    return DuckDBType.to_string(column.type())
