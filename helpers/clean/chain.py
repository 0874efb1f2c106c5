"""The chain of cleaning: each step marks rows, none is dropped before it is counted.

A row carries its `fate` (empty while it stays in, else duplicate, filtered or held) and the `rule`
that decided it. The first rule wins. Log, quarantine and ledger are counts over the same marked
rows, so they cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from importlib import resources

import duckdb
import ibis
import ibis.expr.types as ir
import pandas as pd
import yaml
from ibis import _
from ibis.backends.sql.datatypes import DuckDBType

from helpers import tables
from helpers.clean.repeats import EXACT, OLDER, OTHER, SETTLED, repeats
from helpers.client import CleanStep, PlaybookError
from helpers.store import Store, body, order_days, today

KEPT = 5_000_000  # rows up to which the marked table is worked out once and kept in the engine
MISPRINTS = "price far from its usual"  # the general rule whose money is no money that anybody paid
FATES = {"duplicate": "duplicate", "filter": "filtered", "hold": "held"}
# of a line that became several rows the first of these counts
BEST = ["loaded", "duplicate", "filtered", "held"]
LINEAGE = (
    "source_name",
    "source_file",
    "source_line",
    "source_order",
    "source_unreadable",
    "source_repeat",
)
PRODUCT = {
    "product_name": "name",
    "product_category": "category",
    "product_subcategory": "subcategory",
}


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
            file=_.source_file,
            fate=_.fate.fill_null("loaded"),
            rule=_.rule.fill_null(""),
            from_line=_.source_line.notnull(),
        )
        return (
            by.agg(n=_.count(), money=_.money_in.sum().cast("float64").round(2), **each)
            .order_by("file", "fate", "rule")
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
    """Mark the rows of `staged_<name>`: general rules first, then the client's steps, then the
    date.

    `products` (cleaned) lends orders the columns product_name, product_category and
    product_subcategory. Raises PlaybookError for a step whose SQL does not fit.
    """
    spec, staged = tables.get(name), run.read(f"staged_{name}")
    money = _.revenue if "revenue" in staged.columns else ibis.literal(0.0)
    marked = staged.mutate(
        fate=ibis.null("string"), rule=ibis.null("string"), filled=ibis.literal(""), money_in=money
    )
    if name == "orders" and products is not None:
        names = products.select(
            "product_id", **{new: products[old] for new, old in PRODUCT.items()}
        )
        marked = marked.left_join(names, "product_id").drop("product_id_right")
    rows = run.count(f"staged_{name}")
    if not rows:
        return Cleaned(name, marked)
    marked, repeated = _mark_repeats(run, marked, spec)
    steps = repeated + rules_for(run, spec, staged, as_of)
    _view(run, f"marked_{name}_{len(repeated)}", run.con.compile(marked))
    for i in range(len(repeated), len(steps)):
        _apply(run, marked, steps[i], i)
    marked = run.con.table(f"marked_{name}_{len(steps)}")
    if rows <= KEPT:
        marked = run.con.create_table(f"marked_{name}", marked, temp=True, overwrite=True)
    return Cleaned(name, marked, steps)


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
    kept = [
        *(c for c in tables.get(cleaned.name).columns if c in held.columns),
        "source_unreadable",
    ]
    values = (
        "CASE rule "
        + " ".join(f"WHEN {_quoted(s.step)} THEN {s.value}" for s in cleaned.steps if s.value)
        + " END"
    )
    held = held.alias(f"held_{cleaned.name}").sql(
        f"SELECT *, {values} AS wrong FROM held_{cleaned.name}", dialect="duckdb"
    )
    as_json = ibis.struct({c: held[c].cast("string") for c in kept}).cast("json").cast("string")
    return held.select(
        table=ibis.literal(cleaned.name),
        source_name=held.source_name,
        source_file=held.source_file,
        source_line=held.source_line,
        rule=held.rule,
        reason=held.rule.cases(*reasons.items(), else_=""),
        value=held.wrong,
        revenue=held.money_in.cast("float64"),
        original=as_json,
    )


def ledger(run: Store, cleaned: Cleaned | None, source: pd.Series) -> dict:
    """What became of the lines of one file, in lines and money (a row of `ledger`).

    `source` is the file's row of the table `sources`. Of a line that became several rows the best
    fate counts; the further rows are `splits`. Raises PlaybookError where lines are lost.
    """
    row = {"source": source["source"], "file": source["file"], "table": source["table"]}
    row |= {"lines": int(source["lines"]), "layout": int(source["layout"]), "splits": 0}
    rows = int(source["rows"])
    if cleaned is None:  # nothing knows the file
        nothing = {
            "loaded": 0,
            "duplicate": 0,
            "filtered": rows,
            "held": 0,
            "balances": True,
            "money": 0.0,
        }
        return row | nothing | {"money_loaded": 0.0, "money_left_out": 0.0, "money_corrected": 0.0}
    s = cleaned.summary[cleaned.summary["from_line"] & (cleaned.summary["file"] == source["file"])]
    if s["n"].sum() > rows:
        mine = cleaned.marked.filter(_.source_file == source["file"])
        best = (
            _.fate.fill_null("loaded").cases(*((f, i) for i, f in enumerate(BEST)), else_=0).min()
        )
        lined = (
            mine.group_by("source_line")
            .agg(best=best)
            .group_by("best")
            .agg(n=_.count())
            .to_pandas()
        )
        n = pd.Series(lined["n"].to_numpy(), index=[BEST[i] for i in lined["best"]])
        row["splits"] = int(s["n"].sum() - n.sum())
    else:
        n = s.groupby("fate")["n"].sum()
    money = s.groupby("fate")["money"].sum()
    corrections = [f"money_{i}" for i, step in enumerate(cleaned.steps) if step.action not in FATES]
    row |= {f: int(n.get(f, 0)) for f in BEST}
    lost = row["lines"] - row["layout"] - sum(row[f] for f in BEST)
    if lost:
        raise PlaybookError(
            f"data/{run.client.name}/client.yaml, tables.{cleaned.name}.from: {lost:,} of {rows:,} "
            f"lines of {row['file']} are lost on the way. Join so that every line stays."
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
    return ibis.union(*[quarantine(c) for c in all_cleaned if c.steps])


def by_rule(held: ir.Table) -> pd.DataFrame:
    """Rows and money in quarantine by table and rule, the largest first."""
    by = held.group_by("table", "rule", "reason").agg(
        rows=_.count(), revenue=_.revenue.sum().round(2)
    )
    return by.order_by(ibis.desc("rows"), "table", "rule").to_pandas()


def ledgers(run: Store, cleaned: dict[str, Cleaned], sources: pd.DataFrame) -> pd.DataFrame:
    """The ledger of every file that the client brings; `sources` is the table of that name."""
    return pd.DataFrame(
        [ledger(run, cleaned.get(row["table"]), row) for _, row in sources.iterrows()]
    )


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

    Tukey's outer fence on the log scale: more than three interquartile ranges above the upper
    quartile (Tukey 1977). Flagged, never dropped.
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
    return Cleaned(
        cleaned.name, joined.mutate(is_outlier=far).drop("fence", "product_category_right")
    ).rows


def rules_for(run: Store, spec: tables.Table, staged: ir.Table, as_of: date) -> list[CleanStep]:
    """The steps that a table goes through after its repeats: general rules, those of its exports,
    the client's own.

    Settings switch off or tune each by name (`rules:` in client.yaml); a name that no table knows
    is refused by `check_rule_names`.
    """
    brought = run.frame("rules") if "rules" in run.reads else pd.DataFrame(columns=["table"])
    steps = _general_steps(run, spec, staged)
    # before all others, so that no line of theirs is held and shown
    if "source_forgotten" in staged.columns:
        reason = "the person asked to be forgotten; erase the line in raw/"
        steps.insert(0, _step("asked to be forgotten", spec, "filter", "source_forgotten", reason))
    for r in brought[brought["table"] == spec.name].itertuples():
        where = f"source_name = '{r.source}' AND ({r.where})"
        steps.append(
            CleanStep(step=r.step, table=spec.name, action=r.action, where=where, reason=r.reason)
        )
    steps += [s for s in run.settings.clean if s.table == spec.name]
    if spec.day:
        when = f"CAST({spec.day} AS DATE)"
        reason = "the report looks at the days up to its own date"
        steps.append(
            _step("after the last day", spec, "filter", f"{when} > DATE '{as_of}'", reason)
        )
        if run.settings.retention_days:
            oldest = as_of - timedelta(days=run.settings.retention_days)
            reason = "older than the retention period of client.yaml"
            steps.append(
                _step(
                    "past the retention period", spec, "filter", f"{when} < DATE '{oldest}'", reason
                )
            )
    return [changed for s in steps if (changed := _changed(run, s))]


def _changed(run: Store, step: CleanStep) -> CleanStep | None:
    change = run.settings.rules.get(step.step)
    if change is None:
        return step
    said = {k: v for k, v in change.model_dump(exclude={"on"}).items() if v}
    return step.model_copy(update=said) if change.on else None


def _step(
    name: str, spec: tables.Table, action: str, where: str, reason: str, value: str = ""
) -> CleanStep:
    return CleanStep(
        step=name, table=spec.name, action=action, where=where, reason=reason, value=value
    )


GENERAL = yaml.safe_load(
    resources.files("helpers.clean").joinpath("rules.yaml").read_text(encoding="utf-8")
)


def _general_steps(run: Store, spec: tables.Table, staged: ir.Table) -> list[CleanStep]:
    """What would be wrong in any shop: required cells, possible dates and currencies, and the rules
    of rules.yaml.
    """
    required = [c.name for c in spec.columns.values() if c.required]
    empty = " ".join(f"WHEN {c} IS NULL THEN '{c}'" for c in required)
    said = [
        dict(GENERAL["unreadable"]),
        GENERAL["missing"] | {"where": " OR ".join(f"{c} IS NULL" for c in required)},
    ]
    said[1]["value"] = f"CASE {empty} END"
    if spec.day:
        now = today(run.settings.timezone)  # the client's own day, not the engine's
        said.append({k: v.format(day=spec.day, today=now) for k, v in GENERAL["date"].items()})
    if spec.name == "orders":
        can_be = _.ordered_on.between(date(1990, 1, 1), today(run.settings.timezone))
        possible = staged.filter(can_be, _.source_unreadable == "")
        days = order_days(possible)
        if len(days):
            first, last = body(days)
            said.append({k: v.format(first=first, last=last) for k, v in GENERAL["apart"].items()})
    if "currency" in staged.columns:
        known = ", ".join(_quoted(c) for c in [run.settings.currency, *run.settings.exchange_rates])
        said.append(GENERAL["currency"] | {"where": f"currency NOT IN ({known})"})
    said += GENERAL["tables"].get(spec.name, [])
    return [CleanStep(table=spec.name, action="hold", **s) for s in said]


def _mark_repeats(
    run: Store, marked: ir.Table, spec: tables.Table
) -> tuple[ir.Table, list[CleanStep]]:
    again = repeats(run, spec.name)
    # text keys are slow to join on
    on = ["source_order"] if _one_row_each(run, again, spec) else ["source_order", *spec.key]
    renamed = again.rename(repeat="rule").select(*on, "repeat")
    joined = marked.left_join(renamed, on, rname="{name}__of_repeat")
    key = ", ".join(spec.key)
    steps = [
        _step(EXACT, spec, "duplicate", "", "the same row again"),
        _step(OLDER, spec, "duplicate", "", f"a newer file of the same kind has the same {key}"),
        _step(SETTLED, spec, "duplicate", "", f"a source of higher precedence has the same {key}"),
        _step(OTHER, spec, "hold", "", f"a second row with the same {key}; the first is used"),
    ]
    steps = [changed for s in steps if (changed := _changed(run, s))]
    hit = {s.step: (joined.repeat == s.step).fill_null(False) for s in steps}
    marks = {f"did_{i}": hit[s.step] for i, s in enumerate(steps)}
    marks |= {f"money_{i}": -hit[s.step].ifelse(joined.money_in, 0.0) for i, s in enumerate(steps)}
    kinds = {s.step: FATES[s.action] for s in steps}
    if kinds:
        marks |= {
            "fate": joined.repeat.cases(*kinds.items(), else_=ibis.null("string")),
            "rule": joined.repeat.cases(*((k, k) for k in kinds), else_=ibis.null("string")),
        }
    return (
        joined.mutate(**marks).drop(
            "repeat", *(c for c in joined.columns if c.endswith("__of_repeat"))
        ),
        steps,
    )


def _one_row_each(run: Store, again: ir.Table, spec: tables.Table) -> bool:
    """Whether the line of each repeat became one row only, so that it tells which row is meant.

    Only lines of repeats are looked at: they are few where the rows are many.
    """
    repeated = again.agg(n=_.count(), lines=_.source_order.nunique()).to_pandas().iloc[0]
    if not repeated["n"]:
        return True
    staged = run.read(f"staged_{spec.name}")
    rows = staged.semi_join(again, "source_order").count().to_pandas()
    return rows == repeated["n"] == repeated["lines"]


def _apply(run: Store, rows: ir.Table, step: CleanStep, i: int) -> None:
    """Make the view marked_<table>_<i + 1> of marked_<table>_<i> and a step; `rows` tells the
    columns and types.

    The where and set of a step are SQL of the settings, so this one place speaks SQL.
    """
    hit = f"(fate IS NULL AND coalesce(CAST(({step.where}) AS BOOLEAN), FALSE))"
    if step.action in FATES:
        change = f"""* REPLACE (CASE WHEN {hit} THEN '{FATES[step.action]}' ELSE fate END AS fate,
                  CASE WHEN {hit} THEN {_quoted(step.step)} ELSE rule END AS rule),
                  CASE WHEN {hit} THEN -money_now ELSE 0.0 END AS money_{i}"""
    else:
        filled = (
            f"CASE WHEN {hit} THEN trim(filled || ' {' '.join(step.set)}') ELSE filled END AS"
            " filled, "
            if step.action == "fill"
            else ""
        )
        sets = ", ".join(
            f"CAST(CASE WHEN {hit} THEN ({e}) ELSE {c} END AS {_sql_type(rows[c])}) AS {c}"
            for c, e in step.set.items()
        )
        moved = (
            f"CASE WHEN {hit} THEN ({step.set['revenue']}) - revenue ELSE 0.0 END"
            if "revenue" in step.set
            else "0.0"
        )
        change = f"* REPLACE ({filled}{sets}), {moved} AS money_{i}"
    now = "revenue" if "revenue" in rows.columns else "0.0"
    query = (
        f"SELECT {change.replace('money_now', now)}, {hit} AS did_{i} FROM marked_{step.table}_{i}"
    )
    try:
        _view(run, f"marked_{step.table}_{i + 1}", query)
    except (duckdb.Error, ibis.common.exceptions.IbisError) as e:
        raise PlaybookError(
            f'data/{run.client.name}/client.yaml, clean, step "{step.step}":'
            f" {str(e).strip().splitlines()[0]}"
        ) from None


def _view(run: Store, name: str, query: str) -> None:
    """A view in the engine: a step then builds on a name, where a chain of expressions is compiled
    anew each time.
    """
    run.con.con.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {query}")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _sql_type(column: ir.Column) -> str:
    return DuckDBType.to_string(column.type())
