"""What steps take for granted, each found in one place; who took it is written down and stored."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import yaml
from ibis import _

from helpers import history, methods, tables
from helpers.client import Economics, Settings
from helpers.show import words
from helpers.store import DIGITS, Store

KINDS = yaml.safe_load(
    resources.files("helpers").joinpath("assumptions.yaml").read_text(encoding="utf-8")
)
USUAL_MARGIN = KINDS["margin"]["usual"]  # taken where a margin must be taken and nobody knows it
SAID = {  # where a value comes from, as it is stored
    "settings": "settings",
    "given": "set for this run",
    "assumed": "default",
    "data": "costs in the data",
}


def with_margin(orders: ir.Table, products: ir.Table, economics: Economics) -> tuple[ir.Table, str]:
    """The order lines with goods, handling and margin (each in currency), and the basis: "margin"
    or "sales".

    goods: by the margin of the settings, else the cost of the line, else of its product; where a
    line's cost is missing, by the mean share. handling: the cost of an order, spread over its
    lines. margin: sales less both. Where the cost of more than a fifth of sales is unknown, the
    basis is sales, and nothing is taken off.
    """
    unit = products.filter(products.unit_cost.notnull()).select("product_id", "unit_cost")
    lines = orders.left_join(unit, "product_id").drop("product_id_right")
    lines = lines.mutate(goods=lines.cost.fill_null(lines.quantity * lines.unit_cost)).drop(
        "unit_cost"
    )
    known = lines.goods.notnull()
    sums = lines.agg(
        sales=lines.revenue.abs().sum(),
        known=lines.revenue.abs().sum(where=known),
        net=lines.revenue.sum(where=known),
        goods=lines.goods.sum(where=known),
    )
    sales, known, net, goods = sums.to_pandas().iloc[0].astype(float).fillna(0.0)
    if economics.margin is not None:
        lines = lines.mutate(goods=_.revenue * (1 - economics.margin))
    elif net > 0 and known >= methods.value("margin_known") * sales:
        lines = lines.mutate(goods=_.goods.fill_null(_.revenue * (goods / net)))
    else:
        return lines.mutate(goods=0.0, handling=0.0, margin=_.revenue), "sales"
    sold = history.BOUGHT
    parts = (
        sold.sum().over(ibis.window(group_by="order_id"))
        if economics.order_cost
        else ibis.literal(1)
    )
    lines = lines.mutate(handling=sold.ifelse(economics.order_cost / parts.nullif(0), 0.0))
    return lines.mutate(margin=_.revenue - _.goods - _.handling), "margin"


def stated(economics: Economics, name: str) -> tuple[float, str]:
    """A figure of the settings and its origin: settings, or assumed where they leave it out.

    >>> stated(Economics(contact_cost=0), "contact_cost"), stated(Economics(), "discount_rate")
    ((0.0, 'settings'), (0.1, 'assumed'))
    """
    origin = "settings" if name in economics.model_fields_set else "assumed"
    return getattr(economics, name), origin


def known_margin(orders: ir.Table, products: ir.Table, economics: Economics) -> tuple[float, str]:
    """The share of sales that is left after the goods, and its origin: settings, or data (see
    `with_margin`).

    Where neither knows it, nan and assumed.
    """
    if economics.margin is not None:
        return economics.margin, "settings"
    return margin_of(*with_margin(orders, products, economics), economics)


def margin_of(lines: ir.Table, basis: str, economics: Economics) -> tuple[float, str]:
    """The same, from the lines and the basis that `with_margin` gave."""
    if economics.margin is not None:
        return economics.margin, "settings"
    if basis == "sales":
        return np.nan, "assumed"
    sums = lines.agg(left=(lines.revenue - lines.goods).sum(), sales=lines.revenue.sum())
    left, sales = sums.to_pandas().iloc[0].astype(float)
    return (left / sales, "data") if left > 0 and sales > 0 else (np.nan, "assumed")


def take(run: Store, **found: tuple[float, str]) -> None:
    """Write down what a notebook takes for granted: by name, the value and its origin.

    A name is one of assumptions.yaml (KeyError for another). The origin is one of `SAID`, held
    (this notebook measured it on messages held back) or the notebook that measured it. What is not
    known (nan) is not taken for granted, and left out.
    """
    kept = json.loads(run.assumptions_file.read_text(encoding="utf-8"))
    for name, (value, origin) in found.items():
        if name not in KINDS:
            raise KeyError(f"no assumption called {name!r} in assumptions.yaml")
        if np.isfinite(value):
            measured = f"measured by {run.notebook if origin == 'held' else origin}"
            source = SAID.get(origin, measured)
            kept[name] = {"value": round(float(value), DIGITS), "source": source}
    run.assumptions_file.write_text(json.dumps(kept, indent=1), encoding="utf-8")


def say_contact_cost(cost: tuple[float, str], currency: str) -> str:
    """What a message is taken to cost, and where that comes from, as a sentence."""
    price, origin = cost
    if origin == "assumed":
        return (
            f"A message is taken to cost {words.money(price, currency)}: nobody said what it costs"
            " (economics.contact_cost in client.yaml)."
        )
    return f"A message costs {words.money(price, currency)}, by the settings."


def join(folder: Path, settings: Settings, parameters: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """Store what the notebooks of a run took for granted as its table `assumptions`, and give it.

    One row a name, value and source, with the notebooks that took it; `parameters` are those given
    to each notebook.
    """
    given = {p: v for each in parameters.values() for p, v in each.items()}
    rows = []
    for file in sorted((folder / "assumptions").glob("*.json")):
        for name, taken in json.loads(file.read_text(encoding="utf-8")).items():
            row = {"name": name, **KINDS[name], **taken, "used_by": file.stem}
            rows.append(row | {"source": _chosen_by(row, settings.parameters, given)})
    spec = tables.get("assumptions")
    whole = pd.DataFrame(rows, columns=list(spec.columns))
    same = [c for c in spec.columns if c != "used_by"]
    joined = whole.groupby(same, sort=False, as_index=False)["used_by"].agg(", ".join)
    by_name = joined.sort_values(spec.key, key=_in_order, kind="stable", ignore_index=True)
    kept = tables.conform(ibis.memtable(by_name, schema=spec.schema), "assumptions").to_pandas()
    kept.to_parquet(folder / "tables" / "assumptions.parquet", index=False)
    return kept


def _in_order(column: pd.Series) -> pd.Series:
    """Names in the order of assumptions.yaml; other columns as they are."""
    return column.map(list(KINDS).index) if column.name == "name" else column


def _chosen_by(row: dict[str, Any], of_client: dict[str, Any], given: dict[str, Any]) -> str:
    """The source of a row: a notebook's parameter that was not measured may have been given."""
    parameter = row["key"].removeprefix("parameters.")
    if row["source"] != SAID["assumed"] or parameter not in given:
        return row["source"]
    return SAID["settings" if of_client.get(parameter) == given[parameter] else "given"]
