"""Which of a file's money columns is what: the reading under which its own orders add up.

A file may say the same money several times: on the line, as unit price times quantity, as the
order's total. Each reading is tried on the rows, and the one that makes most orders come to what
the order itself says is taken.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import product

import pandas as pd

CENT = 0.021  # two roundings of a cent may lie between a sum and its parts
_PART_PAID = re.compile(
    "balance|deposit|outstanding|points|gift"
    " ?card|voucher|anzahlung|restbetrag|gutschein|acompte|solde|ポイント|积分|定金|余额|尾款"
)  # headings that tell why less was paid than the goods cost
TAX_RATES = {
    0,
    2.1,
    2.5,
    4,
    5,
    5.5,
    6,
    7,
    7.7,
    8,
    8.1,
    9,
    10,
    12,
    13,
    16,
    18,
    19,
    20,
    21,
    22,
    23,
    24,
    25,
    27,
    28,
}
_WITHOUT_TAX = re.compile(
    r"(?i)\bnet|taxable|\bht\b|exc|before tax|ohne|hors tax|sin iva|税抜|不含税|未稅"
)
_WITH_TAX = re.compile(r"(?i)\bpvp\b|\bttc\b|brutto|\binc|inkl|con iva|税込|含税|含稅")
ORDERS = ["order_total", "subtotal", "revenue"]  # what may be said once an order, the fullest first
ROLES = [
    *ORDERS,
    "unit_price",
    "quantity",
    "discount",
    "tax",
    "shipping_cost",
    "fees",
    "prepaid",
    "refunded",
]


@dataclass
class Reading:
    """How the money of a line is read: SQL over the file's columns, what it rests on, or why it is
    refused.
    """

    revenue: str
    unit_price: str = ""
    note: str = ""
    discount: str = ""
    refused: str = ""
    shipping: str = ""  # of the whole order
    agree: int = 0  # orders that bear it out
    # of a line: condition, text, nothing
    doubts: list[tuple[str, str, str]] = field(default_factory=list)

    def doubt(self, where: str, text: str) -> None:
        """Add what is not certain of the lines where an SQL condition holds."""
        self.doubts.append((where, text, ""))


@dataclass
class _Fit:
    """A reading of the lines and what their orders come to: which of them agree, and by how much
    the others differ.
    """

    how: str
    target: tuple[str, ...]
    agree: pd.Series
    off: pd.Series
    said: pd.Series

    @property
    def contradicts(self) -> bool:
        """Whether most orders do not add up, some above and some below what they say, or none and
        by far.
        """
        n = len(self.agree)
        both = (self.off > CENT).any() and (self.off < -CENT).any()
        far = not self.agree.any() and self.off.abs().sum() > 0.5 * self.said.abs().sum()
        return bool(self.agree.sum() < 0.5 * n and n >= 3 and (both or far))


def amounts(cells: pd.Series, mark: str = ".") -> pd.Series:
    """Cells as numbers, with whatever currency stands beside them; NaN where there is none.

    >>> amounts(pd.Series(["$1,200.50", "(3.00)", "1,23,456.78", "", "free", "15 %"])).tolist()
    [1200.5, -3.0, 123456.78, nan, nan, 0.15]
    >>> amounts(pd.Series(["Rs. 1,200.50", "1,200.50 kr."])).tolist()
    [1200.5, 1200.5]
    """
    text = cells.astype("str").str.normalize("NFKC").str.replace(r"[\s'’]", "", regex=True)
    text = text.str.replace(r"^\((.*)\)$", r"-\1", regex=True).str.replace(
        r"^(.*\d)-$", r"-\1", regex=True
    )
    share = text.str.endswith("%")
    text = text.str.replace(r"[^\W\d_]+\.?|[^\d.,+-]", "", regex=True)
    thousands = "," if mark == "." else "."
    text = text.str.replace(thousands, "").str.replace(mark, ".")
    numbers = pd.to_numeric(text, errors="coerce")
    return numbers.where(~share.fillna(False).astype("bool"), numbers / 100)


def settle(
    rows: pd.DataFrame, found: dict[str, str], order: str, mark: str, also: dict[str, list[str]]
) -> Reading:
    """The reading of a file of order lines; `found` names its columns, `order` the SQL of what
    names an order.

    `also` names further columns of the same money, such as a second tax: they are added to the
    first. `rows` is a sample with all its columns as text and `order_key` beside them.
    """
    together = _File(rows, found, order, mark, also).reading()
    alone = _File(rows, found, order, mark, {}).reading() if also else together
    return max(together, alone, key=lambda r: (not r.refused, r.agree))


class _File:
    def __init__(
        self,
        rows: pd.DataFrame,
        found: dict[str, str],
        order: str,
        mark: str,
        also: dict[str, list[str]],
    ) -> None:
        self.found, self.order = found, order
        self.part_paid = any(_PART_PAID.search(c.lower()) for c in rows.columns)
        self.columns = {r: [found[r]] for r in ROLES if r in found}
        self.n = {r: amounts(rows[c], mark) for r, (c,) in self.columns.items()}
        self.rates = {
            r: _rate(self.found[r], rows[found[r]], self.n)
            for r in ("discount", "tax")
            if r in self.n
        }
        self.rates = {r: rate for r, rate in self.rates.items() if rate}
        self.share = {
            r: self.n.pop(r).fillna(0) / (100 if rate == "per cent" else 1)
            for r, rate in self.rates.items()
        }
        self.key = rows["order_key"]
        self.n.setdefault("quantity", pd.Series(1.0, rows.index))
        self.several = self.key.map(self.key.value_counts()) > 1
        differ = rows[
            [
                found[c]
                for c in ("product_id", "product_name", "quantity", "unit_price")
                if c in found
            ]
        ]
        said = (
            differ.fillna("").agg("|".join, axis=1)
            if len(differ.columns)
            else pd.Series("", rows.index)
        )
        self.telling = self.several & (said.groupby(self.key).transform("nunique") > 1)
        for role, more in also.items():
            if role not in self.share:
                self._add(role, {c: amounts(rows[c], mark) for c in more})
        self.level = {r: self._level(r, self.n[r]) for r in self.n}

    def _level(self, role: str, said: pd.Series) -> str:
        """Whether a column is the line's or the order's: then it is the same on all lines, or on
        the first alone.
        """
        usual = (
            "order"
            if role in ("order_total", "subtotal", "shipping_cost", "fees", "prepaid", "refunded")
            else "line"
        )
        if role in ("quantity", "unit_price") or not self.telling.any():
            return usual
        # what came back says its own
        sold = self.telling & ~((said < 0) | (self.n["quantity"] < 0))
        by = said[sold].groupby(self.key[sold])
        filled, values, lines = by.count(), by.nunique(), by.size()
        same = ((values <= 1) & ((filled == lines) | (filled <= 1)))[filled > 0]
        if role not in (*ORDERS, "unit_price", "quantity"):
            # nothing on all lines tells nothing
            same = same[by.max().reindex(same.index).abs() > 0]
        return usual if same.empty else "order" if same.mean() >= 0.9 else "line"

    def _add(self, role: str, further: dict[str, pd.Series]) -> None:
        """Add further columns to a role, unless one of them all is the sum of the others: then it
        alone counts.

        A discount that is said twice is one, and that of a line and that of an order are no sum.
        """
        first = self.n[role]
        if role == "discount":
            of = self._level(role, first)
            further = {
                c: more
                for c, more in further.items()
                if self._level(role, more) == of and not more.fillna(0).equals(first.fillna(0))
            }
        every = {self.found[role]: first} | further
        whole = pd.concat(every, axis=1).sum(axis=1, min_count=1)
        sums = [
            c
            for c, v in every.items()
            if ((2 * v.fillna(0) - whole.fillna(0)).abs() < CENT).mean() > 0.9
        ]
        if sums and sum(v.abs().sum() > 0 for v in every.values()) > 2:
            self.columns[role], self.n[role] = sums[:1], every[sums[0]]
        else:
            self.columns[role], self.n[role] = list(every), whole

    def _sql_of_line(self, role: str) -> str:
        each = [f"amount({_quoted(c)})" for c in self.columns[role]]
        return each[0] if len(each) == 1 else f"({' + '.join(f'coalesce({e}, 0)' for e in each)})"

    def _sql(self, role: str) -> str:
        amount = self._sql_of_line(role)
        if self.level[role] == "order":
            return f"max({amount}) OVER (PARTITION BY source_file, {self.order})"
        return amount

    def _share_sql(self, role: str) -> str:
        """A column of shares, as a number between nothing and one."""
        amount = f"coalesce(amount({_quoted(self.found[role])}), 0)"
        return f"{amount} / 100" if self.rates[role] == "per cent" else amount

    def _of_order(self, values: pd.Series) -> pd.Series:
        return values.fillna(0).groupby(self.key).sum()

    def _said(self, role: str) -> pd.Series:
        by = self.n[role].groupby(self.key)
        return by.max() if self.level[role] == "order" else by.sum()

    def _lines(self) -> dict[str, tuple[pd.Series, str]]:
        """By how it is read what a line comes to, and its money without tax as SQL; the likeliest
        first.
        """
        off, off_sql = 0.0, ""
        if self.level.get("discount") == "line":
            amount = f"coalesce({self._sql('discount')}, 0)"
            off_sql = f" - abs({amount})" if (self.n["discount"] < 0).any() else f" - {amount}"
            off = self.n["discount"].abs().fillna(0)
        found = {}
        if own := self._own():
            found["revenue"] = (self.n[own], self._sql(own))
            if off_sql:
                found["revenue less discount"] = (self.n[own] - off, self._sql(own) + off_sql)
        if "unit_price" in self.n:
            times = f" * {self._sql('quantity')}" if "quantity" in self.found else ""
            price = self.n["unit_price"] * self.n["quantity"]
            by_price = self._sql("unit_price") + times
            if off_sql:
                found["price times quantity less discount"] = (price - off, by_price + off_sql)
            if "discount" in self.share:
                left = 1 - self.share["discount"]
                left_sql = f"{by_price} * (1 - {self._share_sql('discount')})"
                found["price times quantity less discount"] = (price * left, left_sql)
            found["price times quantity"] = (price, by_price)
            if times:
                found["price as the line's own"] = (
                    self.n["unit_price"] - off,
                    self._sql("unit_price") + off_sql,
                )
        return self._taxed(found)

    def _taxed(self, lines: dict[str, tuple[pd.Series, str]]) -> dict[str, tuple[pd.Series, str]]:
        """With a rate of tax each reading may have it on top or inside: on top is tried first."""
        if "tax" not in self.share:
            return lines
        rate, found = 1 + self.share["tax"], {}
        for how, (money, sql) in lines.items():
            found[f"{how} with {self.found['tax']} on top"] = (money * rate, sql)
            found[f"{how}, {self.found['tax']} inside"] = (
                money,
                f"({sql}) / (1 + {self._share_sql('tax')})",
            )
        return found

    def _targets(self) -> dict[tuple[str, ...], pd.Series]:
        """What the lines of an order may come to: what it says, less shipping, less tax, before its
        discount.
        """
        found = {}
        further = [
            r
            for r in ("shipping_cost", "fees", "tax")
            if r in self.n and self._said(r).abs().sum() > 0
        ]
        off = ["discount"] if self.level.get("discount") == "order" else []
        off += ["prepaid"] if "prepaid" in self.n and self._said("prepaid").abs().sum() > 0 else []
        for role in (r for r in ORDERS if r in self.n and self.level[r] == "order"):
            for picks in product(*([False, True] for _ in further + off)):
                left = [r for r, picked in zip(further + off, picks, strict=True) if picked]
                value = self._said(role)
                for r in left:
                    value = value + (1 if r in off else -1) * self._said(r).abs().fillna(0)
                found[role, *left] = value
        return dict(sorted(found.items(), key=lambda item: len(item[0])))

    def reading(self) -> Reading:
        """The reading that most orders bear out; what is equal on all lines of an order may still
        be the line's own.
        """
        if (
            self.level.get("revenue") == "order"
            and self._is_filled("revenue")
            and not self._differs_by_line()
        ):
            self.level["revenue"] = "line"
        roles = ("shipping_cost", "fees", "tax", "discount")
        unsure = [r for r in roles if self.level.get(r) == "order" and self._is_filled(r)]
        best = None
        for levels in product(*(("order", "line") for _ in unsure)):
            self.level |= dict(zip(unsure, levels, strict=True))
            found = self._best()
            if best is None or found.agree > best.agree:
                best = found
        self._doubt_tax(best)
        return self._less_refunds(best)

    def _doubt_tax(self, reading: Reading) -> None:
        """Where headings say that the money holds tax and no column tells how much."""
        money = [self.found[r] for r in (*ORDERS, "unit_price") if r in self.n]
        holds = [c for c in money if _WITH_TAX.search(c)]
        told = self._tells_tax() or any(_WITHOUT_TAX.search(c) for c in money)
        if holds and not told and not reading.refused:
            reading.doubt(
                "TRUE", f"{holds[0]} holds a tax that no column tells: taken as it stands"
            )

    def _less_refunds(self, reading: Reading) -> Reading:
        """Take off the share of an order, or of a line, that its own column says was paid back."""
        if reading.refused or "refunded" not in self.n or not self.n["refunded"].abs().sum():
            return reading
        name = self.found["refunded"]
        if any((self.n[r] < 0).any() for r in (*ORDERS, "quantity", "unit_price") if r in self.n):
            reading.doubt(
                f"{self._sql_of_line('refunded')} <> 0",
                f"{name} is not taken off: returns are lines too",
            )
            return reading
        paid = next((r for r in ORDERS if r in self.n), "")
        whole = (
            self._whole(paid)
            if paid
            else f"sum({reading.revenue}) OVER (PARTITION BY source_file, {self.order})"
        )
        if self.level["refunded"] == "line":
            whole = self._sql(paid) if paid and self.level[paid] == "line" else reading.revenue
        share = f"least(abs(coalesce({self._sql('refunded')}, 0)) / nullif({whole}, 0), 1)"
        reading.revenue = f"({reading.revenue}) * (1 - coalesce({share}, 0))"
        reading.note += f"; less what {name} says was paid back"
        return reading

    def _differs_by_line(self) -> bool:
        """Whether lines of one order would cost differently: only then equal sums on them show the
        order's own.

        Without prices, goods in different numbers show it.
        """
        price = self.n["unit_price"] if "unit_price" in self.n else pd.Series(1.0, self.key.index)
        each = (price * self.n["quantity"]).where(self.telling)
        return bool((each.groupby(self.key).nunique() > 1).any())

    def _is_filled(self, role: str) -> bool:
        """Whether a column is filled on several lines of an order."""
        return bool((self.n[role][self.several].groupby(self.key[self.several]).count() > 1).any())

    def _best(self) -> Reading:
        """The reading under the levels taken."""
        if goods := self._goods_of_order():
            return goods
        lines, targets = self._lines(), self._targets()
        if not lines:
            return self._spread(targets)
        if not targets:
            return self._by_line(lines)
        fit = self._closest(lines, targets)
        agree, n = int(fit.agree.sum()), len(fit.agree)
        if fit.contradicts:
            refused = (
                f"no reading of its money makes most of {n} orders add up, at best {agree}:"
                f" {self._columns()}"
            )
            return Reading("", refused=refused)
        found = Reading(
            lines[fit.how][1], shipping=self._shipping(), discount=self._discount(), agree=agree
        )
        found.note = (
            f"{fit.how}: {agree:,} of {n:,} orders looked at come to {self._named(fit.target)}"
        )
        self._take_out_tax(found, fit)
        self._share_out(found, fit, lines[fit.how][1])
        self._cross_check(found, fit, lines[fit.how], targets)
        found.unit_price = self._price(fit.how, found.revenue)
        return found

    def _closest(
        self, lines: dict[str, tuple[pd.Series, str]], targets: dict[tuple[str, ...], pd.Series]
    ) -> _Fit:
        """The reading and the sum that most orders bear out; of equals the likeliest."""
        sums = {how: self._of_order(money) for how, (money, _) in lines.items()}
        off = {
            (how, target): sums[how] - said
            for (how, (target, said)) in product(sums, targets.items())
        }
        agree = {t: (off[t].abs() < CENT).sum() for t in off}
        how, target = max(off, key=agree.get)
        # goods before a discount may stand there: the total shows whether one was given
        if target == ("subtotal",):
            given = {
                t: n for t, n in agree.items() if t[1][0] == "order_total" and "discount" in t[1]
            }
            if given and max(given.values()) >= 0.5 * self.key.nunique():
                how, target = max(given, key=given.get)
        return _Fit(how, target, off[how, target].abs() < CENT, off[how, target], targets[target])

    def _take_out_tax(self, found: Reading, fit: _Fit) -> None:
        """Where the lines come to a sum that holds the tax, their prices hold it too."""
        taxed = "tax" in self.n and self._said("tax").abs().sum() > 0
        if taxed and "tax" not in fit.target and fit.target[0] != "subtotal":
            share = f"coalesce({self._whole('tax')} / nullif({self._whole(fit.target[0])}, 0), 0)"
            found.revenue = f"({found.revenue}) * (1 - {share})"
            found.note += "; prices hold their tax, which is taken out"

    def _share_out(self, found: Reading, fit: _Fit, line: str) -> None:
        """What an order says less than its lines is their discount; what it says more is a
        doubt.
        """
        less = [r for r in fit.target[1:] if r not in ("discount", "prepaid")]
        said = " - ".join(self._whole(r) for r in (fit.target[0], *less))
        if "prepaid" in fit.target:
            said += f" + abs({self._whole('prepaid')})"
        whole = f"sum({line}) OVER (PARTITION BY source_file, {self.order})"
        under, expected = fit.off[~fit.agree], "discount" in fit.target
        if expected or ((under > CENT).any() and not self.part_paid):
            found.revenue = (
                f"({found.revenue}) * coalesce(least(1, ({said}) / nullif({whole}, 0)), 1)"
            )
            found.note += self._less(under, "that is taken as a discount")
        elif (under > CENT).any():
            found.note += self._less(under, "taken as a deposit or a gift card, not off the goods")
        if (under > CENT).any():
            taken = (
                "not off the goods: a deposit or a gift card"
                if self.part_paid and not expected
                else "as a discount"
            )
            off = f" + abs({self._whole('discount')})" if expected else ""
            where = f"{whole} - ({said}{off}) > {CENT}"
            found.doubt(
                where,
                f"{self.found[fit.target[0]]} says less than the lines of its order: taken {taken}",
            )
        if over := int((fit.off < -CENT).sum()):
            more = -fit.off[fit.off < -CENT].sum()
            found.note += (
                f"; {over:,} orders say {more:,.2f} more than their lines: shipping, tax or fees?"
            )
            text = "says more than the lines of its order: shipping, tax, fees or a line lost?"
            found.doubt(f"({said}) - {whole} > {CENT}", f"{self.found[fit.target[0]]} {text}")

    def _cross_check(
        self,
        found: Reading,
        fit: _Fit,
        line: tuple[pd.Series, str],
        targets: dict[tuple[str, ...], pd.Series],
    ) -> None:
        """What the order says under another heading: a doubt where its lines with all beside them
        miss it.
        """
        goods = self._of_order(line[0])
        off = {
            t: goods - said
            for t, said in targets.items()
            if t[0] not in (fit.target[0], "subtotal")
        }
        if not off:
            return
        target = min(off, key=lambda t: (off[t].abs() >= CENT).sum())
        if (off[target].abs() >= CENT).any():
            parts = (
                f" {'+' if r in ('discount', 'prepaid') else '-'} abs({self._whole(r)})"
                for r in target[1:]
            )
            said = self._whole(target[0]) + "".join(parts)
            whole = f"sum({line[1]}) OVER (PARTITION BY source_file, {self.order})"
            text = (
                f"{self.found[target[0]]} is not what the lines come to: a discount or a fee in no"
                " column?"
            )
            found.doubt(f"abs({whole} - ({said})) > {CENT}", text)

    def _less(self, under: pd.Series, taken: str) -> str:
        """What to say of orders that say less than their lines come to."""
        n = int((under > CENT).sum())
        return (
            f"; {n:,} orders say {under[under > CENT].sum():,.2f} less than their lines: {taken}"
            if n
            else ""
        )

    def _shipping(self) -> str:
        return self._whole("shipping_cost") if "shipping_cost" in self.n else ""

    def _whole(self, role: str) -> str:
        """A column's money of a whole order."""
        if self.level[role] == "order":
            return f"coalesce({self._sql(role)}, 0)"
        return f"coalesce(sum({self._sql(role)}) OVER (PARTITION BY source_file, {self.order}), 0)"

    def _by_line(self, lines: dict[str, tuple[pd.Series, str]]) -> Reading:
        """Where no order says its sum: the line's own money, checked against price and quantity."""
        lines = {
            how.removesuffix(f" with {self.found.get('tax')} on top"): line
            for how, line in lines.items()
        }
        priced = {
            how: line
            for how, line in lines.items()
            if how.startswith("price") and not how.endswith(" inside")
        }
        how, beside, note, doubt = next(iter(lines)), [], "worked out from price and quantity", ""
        if how == "revenue":
            how, beside, note, doubt = self._against_price(lines["revenue"][0], priced)
        if self._holds_tax(how, beside):
            how, note = self._without_tax(how, lines, note)
        revenue = lines[how][1]
        found = Reading(
            revenue, self._price(how, revenue), note, self._discount(), shipping=self._shipping()
        )
        if doubt:
            where = f"abs(({revenue}) - ({next(iter(priced.values()))[1]})) > {CENT}"
            found.doubt(
                where if "holds" in doubt else f"coalesce({self._sql('discount')}, 0) <> 0", doubt
            )
        if self._tells_tax() and "tax" not in beside and "taken out" not in note:
            heading = self._heading(how)
            if not _WITHOUT_TAX.search(heading):
                found.note += "; whether prices hold the tax cannot be seen"
                where = f"coalesce(amount({_quoted(self.found['tax'])}), 0) <> 0"
                found.doubt(
                    where, f"{heading} may hold {self.found['tax']} or not: taken as it stands"
                )
        found.note = found.note.removeprefix("; ")
        return found

    def _tells_tax(self) -> bool:
        return "tax" in self.share or ("tax" in self.n and self.n["tax"].abs().sum() > 0)

    def _against_price(
        self, money: pd.Series, priced: dict[str, tuple[pd.Series, str]]
    ) -> tuple[str, list[str], str, str]:
        """How a line's own money is to be read beside price and quantity: the reading, what it
        holds beside, words.

        Where it is price times quantity with tax, shipping or a tip on top, these are left out.
        """
        name = self.found[self._own()]
        if not priced or not money.notna().any():
            return "revenue", [], "", ""
        n = {
            r: self.n[r].abs().fillna(0)
            for r in ("shipping_cost", "fees", "tax", "prepaid")
            if r in self.n
        }
        if "tax" in self.share:
            n["tax"] = self.share["tax"]
        fits = {}
        for picks in product(*([False, True] for _ in n)):
            beside = [r for r, picked in zip(n, picks, strict=True) if picked]
            for how, (price, _) in priced.items():
                whole = price
                for r in beside:
                    part = price * n[r] if r in self.share else n[r]
                    whole = whole - part if r == "prepaid" else whole + part
                fits[how, *beside] = (money - whole).abs() < CENT
        best = max(fits, key=lambda k: (fits[k].sum(), -len(k)))
        how, beside = best[0], [r for r in best[1:] if n[r].sum() > 0]
        several = (self.n["quantity"].abs() > 1) & money.notna() & self.n["unit_price"].notna()
        one = (money - self.n["unit_price"]).abs() < CENT
        if several.any() and one[several].mean() > 0.5 and not fits[best][several].mean() > 0.5:
            return next(iter(priced)), [], f"{name} repeats the price of one", ""
        if beside and fits[best].mean() > 0.5:
            on_top = " and ".join(self.found[r] for r in beside)
            return how, beside, f"{name} is {how} with {on_top} on top, which is left out", ""
        if rate := self._rate_on_top(money, priced["price times quantity"][0]):
            return (
                "price times quantity",
                ["tax"],
                f"{name} is price times quantity with {rate:.0%} on top: tax, left out",
                "",
            )
        note = f"{int(fits[best].sum()):,} of {int(money.count()):,} lines are {how}"
        off = self.n.get("discount")
        if (
            how == "price times quantity"
            and off is not None
            and fits[best].mean() > 0.9
            and off.abs().sum() > 0
        ):
            less = f"; {self.found['discount']} is taken off"
            doubt = (
                f"{name} is price times quantity: {self.found['discount']} is taken off, or is it"
                " already?"
            )
            return (
                ("revenue less discount", [], note + less, doubt)
                if self._is_line("discount")
                else ("revenue", [], note, "")
            )
        told = money.notna() & priced[how][0].notna() & (money != 0)
        unlike = told.sum() > 1 and not fits[best][told].mean() >= 0.5
        doubt = f"{name} is not price times quantity: it holds a tax, or less a discount?"
        return "revenue", [], note, doubt if unlike else ""

    def _is_line(self, role: str) -> bool:
        return self.level.get(role) == "line"

    def _rate_on_top(self, money: pd.Series, price: pd.Series) -> float:
        """The share by which all lines cost more than price times quantity, as a tax does; 0 where
        there is none.
        """
        rate = (money / price)[price.abs() > 1].dropna()
        alike = len(rate) >= 3 and rate.between(1.02, 1.3).all() and rate.std() < 0.003
        return float(rate.mean() - 1) if alike else 0.0

    def _holds_tax(self, how: str, beside: list[str]) -> bool:
        """Whether the heading that a reading rests on says that its money holds the tax."""
        heading = self._heading(how)
        if not self._tells_tax() or "tax" in beside or _WITHOUT_TAX.search(heading):
            return False
        return bool(_WITH_TAX.search(f"{heading} {self.found.get('unit_price', '')}"))

    def _without_tax(
        self, how: str, lines: dict[str, tuple[pd.Series, str]], note: str
    ) -> tuple[str, str]:
        """The reading with its tax taken out, which is added to the lines."""
        inside = f"{how}, {self.found['tax']} inside"
        if "tax" not in self.share:
            lines[inside] = (
                lines[how][0],
                f"{lines[how][1]} - coalesce({self._sql_of_line('tax')}, 0)",
            )
        return inside, f"{note}; {self._heading(how)} holds its tax, which is taken out"

    def _own(self) -> str:
        """The role of the column that says the money of a line."""
        return next((r for r in ("revenue", "order_total", "subtotal") if self._is_line(r)), "")

    def _heading(self, how: str) -> str:
        """The heading of the column that a reading rests on."""
        return self.found["unit_price" if how.startswith("price") else self._own()]

    def _goods_of_order(self) -> Reading | None:
        """Of a file with a row an order: what it says of its goods, less its discount, without tax
        and shipping.
        """
        role = next((r for r in ("order_total", "revenue") if r in self.n), "")
        if "unit_price" in self.n or "subtotal" not in self.n or not role or self.several.any():
            return None
        n = {
            r: self.n[r].abs().fillna(0)
            for r in ("shipping_cost", "fees", "tax", "discount", "prepaid")
            if r in self.n
        }
        beside = n.get("shipping_cost", 0) + n.get("fees", 0) - n.get("prepaid", 0)
        total, said = self.n[role], {}
        for off, taxed in product([True, False], [False, True]):
            net = self.n["subtotal"] - n.get("discount", 0) if off else self.n["subtotal"]
            said[off, taxed] = (
                net + beside + (0 if taxed else n.get("tax", 0)) - total
            ).abs() < CENT
        off, taxed = max(said, key=lambda k: said[k].sum())
        goods = self._sql_of_line("subtotal")
        if off and "discount" in n:
            goods += f" - abs(coalesce({self._sql_of_line('discount')}, 0))"
        words = self.found["subtotal"] + (" less the discount" if off and "discount" in n else "")
        note = (
            f"{words}: with shipping{'' if taxed else ' and tax'} {int(said[off, taxed].sum()):,}"
            f" of {len(total):,} "
        )
        note += f"orders come to {self.found[role]}"
        found = Reading(goods, note=note, discount=self._discount(), shipping=self._shipping())
        if taxed and "tax" in n:
            share = (
                f"coalesce({self._sql_of_line('tax')} / nullif({self._sql_of_line(role)}, 0), 0)"
            )
            found.revenue = f"({goods}) * (1 - {share})"
            found.note += "; prices hold their tax, which is taken out"
        if not said[off, taxed].all():
            parts = [
                r for r in ("shipping_cost", "fees", "tax") if r in n and not (taxed and r == "tax")
            ]
            whole = goods + "".join(f" + abs(coalesce({self._sql_of_line(r)}, 0))" for r in parts)
            whole += (
                f" - abs(coalesce({self._sql_of_line('prepaid')}, 0))" if "prepaid" in n else ""
            )
            found.doubt(
                f"abs({whole} - {self._sql_of_line(role)}) > {CENT}",
                f"the order's parts do not come to {self.found[role]}",
            )
        return found

    def _spread(self, targets: dict[tuple[str, ...], pd.Series]) -> Reading:
        """Where only the order says its money: spread over its lines by quantity."""
        role = next(r for r in ORDERS if r in self.n)
        less = [r for r in ("shipping_cost", "fees", "tax") if r in self.n and role != "subtotal"]
        said = " - ".join(self._whole(r) for r in (role, *less))
        lines = f"OVER (PARTITION BY source_file, {self.order})"
        weight = self._sql("quantity") if "quantity" in self.found else ""
        share = (
            f"{weight} / nullif(sum({weight}) {lines}, 0)" if weight else f"1.0 / count(*) {lines}"
        )
        n = int(self.several.groupby(self.key).any().sum())
        note = (
            f"{self.found[role]} is the order's and stands on each of its lines ({n:,} orders):"
            " spread by quantity"
        )
        return Reading(f"({said}) * coalesce({share}, 0)", note=note, shipping=self._shipping())

    def _price(self, how: str, revenue: str) -> str:
        if "unit_price" in self.found and how != "price as the line's own":
            return f"amount({_quoted(self.found['unit_price'])})"
        return (
            f"({revenue}) / nullif({self._sql('quantity')}, 0)"
            if "quantity" in self.found
            else revenue
        )

    def _discount(self) -> str:
        if self.level.get("discount") != "line":
            return ""
        amount = self._sql("discount")
        return f"abs({amount})" if (self.n["discount"] < 0).any() else amount

    def _named(self, target: tuple[str, ...]) -> str:
        further = (f"{'plus' if r == 'discount' else 'less'} {self.found[r]}" for r in target[1:])
        return " ".join([self.found[target[0]], *further])

    def _columns(self) -> str:
        return ", ".join(
            self.found[r] for r in self.n if r in self.found and re.search("total|price|revenue", r)
        )


def _rate(heading: str, cells: pd.Series, n: dict[str, pd.Series]) -> str:
    """Whether a column tells rates and no money: "share" of one, "per cent", or "" for money.

    Its heading or its cells say so, or all of it lies between nothing and one; a tax that is one of
    few usual rates whatever the money beside it is one too.
    """
    is_tax = (
        heading
        and n.get("tax") is not None
        and bool(re.search("(?i)tax|vat|gst|mwst|ust|steuer|tva|iva|税|稅", heading))
    )
    values = amounts(cells).dropna()
    if values.empty:
        return ""
    if cells.dropna().astype("str").str.contains("%").mean() > 0.5:
        return "share"
    if values.between(0, 1).all() and ((values > 0) & (values < 1)).any():
        return "share"
    if (
        re.search(
            r"(?i)(^|[^\d\s])\s*%|per ?cent|\bpct\b|prozent|\brate\b|satz\b|taux|porcentaje|税率|折扣率",
            heading,
        )
        and values.abs().max() <= 100
    ):
        return "per cent"
    money = next(
        (n[r] for r in ("revenue", "unit_price", "order_total") if r in n),
        pd.Series(dtype="float64"),
    )
    few = values.nunique() <= 3 and money[values.index.intersection(money.index)].nunique() > max(
        3, values.nunique()
    )
    return (
        "per cent" if is_tax and few and values.isin(TAX_RATES).all() and values.max() > 0 else ""
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
