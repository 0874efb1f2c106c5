"""Which of a file's money columns is what: the reading under which its own orders add up.

A file may say the same money several times: on the line, as unit price times quantity, as the order's total. Each
reading is tried on the rows, and the one that makes most orders come to what the order itself says is taken.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product

import pandas as pd

CENT = 0.021  # two roundings of a cent may lie between a sum and its parts
_PART_PAID = re.compile(
    "balance|deposit|outstanding|gift ?card|voucher|anzahlung|restbetrag|gutschein|acompte|solde|定金|余额|尾款"
)  # headings that tell why less was paid than the goods cost
ORDERS = ["order_total", "subtotal", "revenue"]  # what may be said once an order, the fullest first


@dataclass
class Reading:
    """How the money of a line is read: SQL over the file's columns, what it rests on, or why it is refused."""

    revenue: str
    unit_price: str = ""
    note: str = ""
    discount: str = ""
    refused: str = ""
    shipping: str = ""  # of the whole order


def amounts(cells: pd.Series, mark: str = ".") -> pd.Series:
    """Cells as numbers, with whatever currency stands beside them; NaN where there is none.

    >>> amounts(pd.Series(["$1,200.50", "(3.00)", "1,23,456.78", "", "free"])).tolist()
    [1200.5, -3.0, 123456.78, nan, nan]
    """
    text = cells.astype("str").str.normalize("NFKC").str.replace(r"[\s'’]", "", regex=True)
    text = text.str.replace(r"^\((.*)\)$", r"-\1", regex=True).str.replace(r"^(.*\d)-$", r"-\1", regex=True)
    text = text.str.replace(r"[^\d.,+-]", "", regex=True)
    thousands = "," if mark == "." else "."
    text = text.str.replace(thousands, "").str.replace(mark, ".")
    return pd.to_numeric(text, errors="coerce")


def settle(rows: pd.DataFrame, found: dict[str, str], order: str, mark: str) -> Reading:
    """The reading of a file of order lines; `found` names its columns, `order` the SQL of what names an order.

    `rows` is a sample with all its columns as text and `order_key` beside them.
    """
    return _File(rows, found, order, mark).reading()


class _File:
    def __init__(self, rows: pd.DataFrame, found: dict[str, str], order: str, mark: str) -> None:
        self.found, self.order = found, order
        self.part_paid = any(_PART_PAID.search(c.lower()) for c in rows.columns)
        roles = [*ORDERS, "unit_price", "quantity", "discount", "tax", "shipping_cost"]
        self.n = {r: amounts(rows[found[r]], mark) for r in roles if r in found}
        if "discount" in self.n and _is_rate(self.n["discount"]):
            del self.n["discount"]
        self.key = rows["order_key"]
        self.n.setdefault("quantity", pd.Series(1.0, rows.index))
        self.several = self.key.map(self.key.value_counts()) > 1
        differ = rows[[found[c] for c in ("product_id", "product_name", "quantity", "unit_price") if c in found]]
        said = differ.fillna("").agg("|".join, axis=1) if len(differ.columns) else pd.Series("", rows.index)
        self.telling = self.several & (said.groupby(self.key).transform("nunique") > 1)
        self.level = {r: self._level(r) for r in self.n}

    def _level(self, role: str) -> str:
        """Whether a column is the line's or the order's: then it is the same on all lines, or on the first alone."""
        usual = "order" if role in ("order_total", "subtotal", "shipping_cost") else "line"
        if role in ("quantity", "unit_price") or not self.telling.any():
            return usual
        sold = self.telling & ~((self.n[role] < 0) | (self.n["quantity"] < 0))  # what came back says its own
        by = self.n[role][sold].groupby(self.key[sold])
        filled, values, lines = by.count(), by.nunique(), by.size()
        same = ((values <= 1) & ((filled == lines) | (filled <= 1)))[filled > 0]
        if role in ("discount", "tax", "shipping_cost"):
            same = same[by.max().reindex(same.index).abs() > 0]  # nothing on all lines tells nothing
        return usual if same.empty else "order" if same.mean() >= 0.9 else "line"

    def _sql(self, role: str) -> str:
        column = _quoted(self.found[role])
        if self.level[role] == "order":
            return f"max(amount({column})) OVER (PARTITION BY source_file, {self.order})"
        return f"amount({column})"

    def _of_order(self, values: pd.Series) -> pd.Series:
        return values.fillna(0).groupby(self.key).sum()

    def _said(self, role: str) -> pd.Series:
        by = self.n[role].groupby(self.key)
        return by.max() if self.level[role] == "order" else by.sum()

    def _lines(self) -> dict[str, tuple[pd.Series, str]]:
        """What the money of a line may be, by its SQL; the likeliest first."""
        off, off_sql = 0.0, ""
        if "discount" in self.n and self.level["discount"] == "line":
            amount = f"coalesce({self._sql('discount')}, 0)"
            off_sql = f" - abs({amount})" if (self.n["discount"] < 0).any() else f" - {amount}"
            off = self.n["discount"].abs().fillna(0)
        found = {}
        if "revenue" in self.n and self.level["revenue"] == "line":
            found["revenue"] = (self.n["revenue"], self._sql("revenue"))
            if off_sql:
                found["revenue less discount"] = (self.n["revenue"] - off, self._sql("revenue") + off_sql)
        if "unit_price" in self.n:
            times = f" * {self._sql('quantity')}" if "quantity" in self.found else ""
            price, by_price = self.n["unit_price"] * self.n["quantity"], self._sql("unit_price") + times
            if off_sql:
                found["price times quantity less discount"] = (price - off, by_price + off_sql)
            found["price times quantity"] = (price, by_price)
            if times:
                found["price as the line's own"] = (self.n["unit_price"] - off, self._sql("unit_price") + off_sql)
        return found

    def _targets(self) -> dict[tuple[str, ...], pd.Series]:
        """What the lines of an order may come to: what it says, less shipping, less tax, before its discount."""
        found = {}
        further = [r for r in ("shipping_cost", "tax") if r in self.n and self._said(r).abs().sum() > 0]
        off = ["discount"] if "discount" in self.n and self.level["discount"] == "order" else []
        for role in (r for r in ORDERS if r in self.n and self.level[r] == "order"):
            for picks in product(*([False, True] for _ in further + off)):
                left = [r for r, picked in zip(further + off, picks, strict=True) if picked]
                value = self._said(role)
                for r in left:
                    value = value + (1 if r == "discount" else -1) * self._said(r).abs().fillna(0)
                found[role, *left] = value
        return dict(sorted(found.items(), key=lambda item: len(item[0])))

    def reading(self) -> Reading:
        """The reading that most orders bear out; what is equal on all lines of an order may still be the line's own."""
        if self.level.get("revenue") == "order" and self._is_filled("revenue") and not self._differs_by_line():
            self.level["revenue"] = "line"
        roles = ("shipping_cost", "tax", "discount")
        unsure = [r for r in roles if self.level.get(r) == "order" and self._is_filled(r)]
        best, most = None, -1
        for levels in product(*(("order", "line") for _ in unsure)):
            self.level |= dict(zip(unsure, levels, strict=True))
            found, agree = self._best()
            if agree > most:
                best, most = found, agree
        return best

    def _differs_by_line(self) -> bool:
        """Whether lines of one order would cost differently: only then equal sums on them show the order's own.

        Without prices, goods in different numbers show it.
        """
        price = self.n["unit_price"] if "unit_price" in self.n else pd.Series(1.0, self.key.index)
        each = (price * self.n["quantity"]).where(self.telling)
        return bool((each.groupby(self.key).nunique() > 1).any())

    def _is_filled(self, role: str) -> bool:
        """Whether a column is filled on several lines of an order."""
        return bool((self.n[role][self.several].groupby(self.key[self.several]).count() > 1).any())

    def _best(self) -> tuple[Reading, int]:
        if goods := self._goods_of_order():
            return goods, 0
        lines, targets = self._lines(), self._targets()
        if not lines:
            return self._spread(targets), 0
        if not targets:
            return self._by_line(lines), 0
        tried = {}
        for (how, (money, _)), (target, said) in product(lines.items(), targets.items()):
            tried[how, target] = (self._of_order(money) - said).abs() < CENT
        how, target = max(tried, key=lambda t: tried[t].sum())
        agree, n = int(tried[how, target].sum()), self.key.nunique()
        off = self._of_order(lines[how][0]) - targets[target]
        if agree < 0.5 * n and n >= 3 and (off > CENT).any() and (off < -CENT).any():
            refused = f"no reading of its money makes most of {n} orders add up, at best {agree}: {self._columns()}"
            return Reading("", refused=refused), 0
        revenue = lines[how][1]
        less = [r for r in target[1:] if r != "discount"]
        note = f"{how}: {agree:,} of {n:,} orders looked at come to {self._named(target)}"
        if "tax" in self.n and "tax" not in less and self._said("tax").abs().sum() > 0 and target[0] != "subtotal":
            revenue = f"({revenue}) * (1 - coalesce({self._whole('tax')} / nullif({self._whole(target[0])}, 0), 0))"
            note += "; prices hold their tax, which is taken out"
        under = off[~tried[how, target]]
        if "discount" in target or ((under > CENT).any() and not self.part_paid):
            said = " - ".join(self._whole(r) for r in (target[0], *less))
            whole = f"nullif(sum({lines[how][1]}) OVER (PARTITION BY source_file, {self.order}), 0)"
            revenue = f"({revenue}) * coalesce(least(1, ({said}) / {whole}), 1)"
            note += self._less(under, "that is taken as a discount")
        elif (under > CENT).any():
            note += self._less(under, "taken as a deposit or a gift card, not off the goods")
        if over := int((off < -CENT).sum()):
            more = -off[off < -CENT].sum()
            note += f"; {over:,} orders say {more:,.2f} more than their lines: shipping, tax or fees?"
        found = Reading(revenue, self._price(how, revenue), note, self._discount(), shipping=self._shipping())
        return found, agree

    def _less(self, under: pd.Series, taken: str) -> str:
        """What to say of orders that say less than their lines come to."""
        n = int((under > CENT).sum())
        return f"; {n:,} orders say {under[under > CENT].sum():,.2f} less than their lines: {taken}" if n else ""

    def _shipping(self) -> str:
        return self._whole("shipping_cost") if "shipping_cost" in self.n else ""

    def _whole(self, role: str) -> str:
        """A column's money of a whole order."""
        if self.level[role] == "order":
            return f"coalesce({self._sql(role)}, 0)"
        return f"coalesce(sum({self._sql(role)}) OVER (PARTITION BY source_file, {self.order}), 0)"

    def _by_line(self, lines: dict[str, tuple[pd.Series, str]]) -> Reading:
        """Where no order says its sum: the line's own money, checked against price and quantity."""
        how = next(iter(lines))
        money, revenue = lines[how]
        note = ""
        if how == "revenue" and "price times quantity" in lines:
            several = (self.n["quantity"].abs() > 1) & money.notna() & self.n["unit_price"].notna()
            one = (money - self.n["unit_price"]).abs() < CENT
            fits = {k: (money - v).abs() < CENT for k, (v, _) in lines.items() if k != "revenue"}
            best = max(fits, key=lambda k: fits[k].sum())
            if taxed := self._with_tax(money):
                how, note = "price times quantity", taxed
                revenue = lines[how][1]
            elif several.any() and one[several].mean() > 0.5 and not fits["price times quantity"][several].mean() > 0.5:
                how, note = "price times quantity", f"{self.found['revenue']} repeats the price of one"
                revenue = lines[how][1]
            elif len(money.dropna()):
                note = f"{int(fits[best].sum()):,} of {int(money.count()):,} lines are {best}"
        elif how != "revenue":
            note = "worked out from price and quantity"
        if "tax" in self.n and self.n["tax"].abs().sum() > 0 and "left out" not in note:
            note += "; whether prices hold the tax cannot be seen"
        note = note.removeprefix("; ")
        return Reading(revenue, self._price(how, revenue), note, self._discount(), shipping=self._shipping())

    def _with_tax(self, money: pd.Series) -> str:
        """What to say where the line's money is price times quantity with the tax on top; empty where it is not."""
        price, name = self.n["unit_price"] * self.n["quantity"], self.found["revenue"]
        tax = self.n.get("tax", pd.Series(0.0, money.index)).abs()
        if tax.sum() > 0 and ((money - price - tax).abs() < CENT).mean() > 0.9:
            return f"{name} is price times quantity with {self.found['tax']} on top, which is left out"
        rate = (money / price)[price.abs() > 1]
        if len(rate) >= 3 and rate.between(1.02, 1.3).all() and rate.std() < 0.003:
            return f"{name} is price times quantity with {rate.mean() - 1:.0%} on top: tax, which is left out"
        return ""

    def _goods_of_order(self) -> Reading | None:
        """Of a file with a row an order: what it says of its goods, less its discount, without tax and shipping."""
        role = next((r for r in ("order_total", "revenue") if r in self.n), "")
        if "unit_price" in self.n or "subtotal" not in self.n or not role or self.several.any():
            return None
        n = {r: self.n[r].abs().fillna(0) for r in ("shipping_cost", "tax", "discount") if r in self.n}
        goods, total, said = self.n["subtotal"], self.n[role], {}
        for off, taxed in product([True, False], [False, True]):
            net = goods - n.get("discount", 0) if off else goods
            whole = net + n.get("shipping_cost", 0) + (0 if taxed else n.get("tax", 0))
            said[off, taxed] = (whole - total).abs() < CENT
        off, taxed = max(said, key=lambda k: said[k].sum())
        revenue = self._sql_of_line("subtotal")
        if off and "discount" in n:
            revenue += f" - abs(coalesce({self._sql_of_line('discount')}, 0))"
        inside = taxed and "tax" in n
        if inside:
            share = f"coalesce({self._sql_of_line('tax')} / nullif({self._sql_of_line(role)}, 0), 0)"
            revenue = f"({revenue}) * (1 - {share})"
        words = self.found["subtotal"] + (" less the discount" if off and "discount" in n else "")
        note = f"{words}: with shipping{'' if taxed else ' and tax'} {int(said[off, taxed].sum()):,} of {len(total):,} "
        note += f"orders come to {self.found[role]}{'; prices hold their tax, which is taken out' if inside else ''}"
        return Reading(revenue, note=note, discount=self._discount(), shipping=self._shipping())

    def _sql_of_line(self, role: str) -> str:
        return f"amount({_quoted(self.found[role])})"

    def _spread(self, targets: dict[tuple[str, ...], pd.Series]) -> Reading:
        """Where only the order says its money: spread over its lines by quantity."""
        role = next(r for r in ORDERS if r in self.n)
        less = [r for r in ("shipping_cost", "tax") if r in self.n and role != "subtotal"]
        said = " - ".join(self._whole(r) for r in (role, *less))
        weight = self._sql("quantity") if "quantity" in self.found else "1"
        share = f"{weight} / nullif(sum({weight}) OVER (PARTITION BY source_file, {self.order}), 0)"
        n = int(self.several.groupby(self.key).any().sum())
        note = f"{self.found[role]} is the order's and stands on each of its lines ({n:,} orders): spread by quantity"
        return Reading(f"({said}) * coalesce({share}, 0)", note=note, shipping=self._shipping())

    def _price(self, how: str, revenue: str) -> str:
        if "unit_price" in self.found and how != "price as the line's own":
            return f"amount({_quoted(self.found['unit_price'])})"
        quantity = self._sql("quantity") if "quantity" in self.found else "1"
        return f"({revenue}) / nullif({quantity}, 0)"

    def _discount(self) -> str:
        if self.level.get("discount") != "line":
            return ""
        amount = self._sql("discount")
        return f"abs({amount})" if (self.n["discount"] < 0).any() else amount

    def _named(self, target: tuple[str, ...]) -> str:
        further = (f"{'plus' if r == 'discount' else 'less'} {self.found[r]}" for r in target[1:])
        return " ".join([self.found[target[0]], *further])

    def _columns(self) -> str:
        return ", ".join(self.found[r] for r in self.n if r in self.found and re.search("total|price|revenue", r))


def _is_rate(values: pd.Series) -> bool:
    """Whether numbers are shares and no money: all between nothing and one, some of them broken."""
    return bool(values.between(0, 1).all() and ((values > 0) & (values < 1)).any())


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
