"""Raw files in the making: text cells, the defects planted in them, and the line where each record
starts.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from simulator.constants import load

BAD_BYTE = "\ue000"  # stands for a byte that is no UTF-8 until the file is written


def _swap(cell: str) -> str:
    return re.sub(
        r"^(\d{4})-(\d\d)-(\d\d)",
        lambda m: f"{m[1]}-{m[3]}-{m[2]}" if int(m[3]) <= 12 else m[0],
        cell,
    )


def _stray(cell: str) -> str:
    return cell and (
        f" {cell.upper()} "
        if len(cell) % 2
        else f"{cell.lower()}  "
        if cell != cell.lower()
        else f" {cell}"
    )


def _spoil(cell: str) -> str:
    return cell[: len(cell) // 2] + BAD_BYTE + cell[len(cell) // 2 :] if len(cell) > 3 else cell


# what may be done to one cell; a change that leaves the cell as it was is tried on another row
CHANGES = {
    "swap": _swap,
    "stray": _stray,
    "bytes": _spoil,
    "negate": lambda c: f"-{c}" if re.match(r"[1-9]", c) else c,
    "times100": lambda c: re.sub(r"^(\d+)([.,])(\d\d)$", r"\1\3\g<2>00", c),
    "scientific": lambda c: re.sub(r"^(\d)(\d{5})\d{12}$", lambda m: f"{m[1]}.{m[2]}E+17", c),
    "half": lambda c: c[: len(c) // 2],
}


class Sheet:
    """One raw file: a column of text cells for each header name, hidden columns beside them, and
    its defects.

    `person` (index, -1 for none), `order` (index of a true order line, -1 for none), `whole` (the
    row is a record by itself), `safe` (no other row needs it) and `locked` (no defect may be
    planted) have one entry a row. `above` and `below` hold layout rows (lists of cells), `titles`
    of which are no header. A sheet without header has one column, whose cells are whole lines.
    """

    def __init__(self, file: str, columns: dict, **options) -> None:
        o = SimpleNamespace(
            header=list(columns), sep=",", encoding="utf-8", above=[], below=[], person=-1, order=-1
        )
        o.__dict__.update({"whole": True, "safe": True, "locked": False, "titles": 0} | options)
        self.file, self.o = file, o
        self.n = len(next(iter(columns.values())))
        self.cells = {c: np.array(v, dtype=object) for c, v in columns.items()}
        self.hidden = {
            k: np.array(np.broadcast_to(getattr(o, k), self.n))
            for k in ("person", "order", "whole", "safe", "locked")
        }
        # place in the file; copies stand half a step below
        self.at = np.arange(self.n, dtype=float)
        self.defects: list[tuple] = []  # row, column, kind, expect

    def note(self, rows: np.ndarray, kind: str, expect: str, column: str = "") -> None:
        """Record rows (a mask or numbers) that are as they are on purpose; nothing more is planted
        in them.
        """
        rows = np.asarray(rows)
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows.astype(int)
        self.hidden["locked"][rows] = True
        self.defects += [(int(r), column, kind, expect) for r in rows]

    def plant(self, rules: str, rng: np.random.Generator, number: int = 1) -> Sheet:
        """Plant the defects of this source; its first file gets at least one of each kind, rates
        permitting.
        """
        rows = self.n
        for rule in load("dirt")[rules] if rows else []:
            if rule["do"] == "cut":
                last = int(np.argmax(self.at))
                if rule["file"] == number and not self.hidden["locked"][last]:
                    self.note([last], rule["kind"], rule["expect"])
                continue
            if rule.get("column") and self.o.header and rule["column"] not in self.cells:
                continue
            wanted = max(int(rng.binomial(rows, rule["rate"])), int(number == 1))
            self._plant(rule, wanted, rng)
        return self

    def _plant(self, rule: dict, wanted: int, rng: np.random.Generator) -> None:
        do, column, values = rule["do"], rule.get("column", ""), rule.get("values", [])
        free = ~self.hidden["locked"]
        if "rows" in rule:
            free &= self.hidden[rule["rows"]]
        cells = self.cells[column] if column in self.cells else next(iter(self.cells.values()))
        chosen = []
        for row in rng.permutation(np.flatnonzero(free)):
            if len(chosen) == wanted:
                break
            if do in CHANGES or do in ("set", "replace"):
                value = self._change(do, cells[row], values, rng)
                if value == cells[row]:
                    continue
                if "also" in rule and rule["also"] in self.cells:
                    self.cells[rule["also"]][row] = self._change(
                        do, self.cells[rule["also"]][row], values, rng
                    )
                cells[row] = value
            chosen.append(int(row))
        if do in ("copy", "alter"):
            self.hidden["locked"][chosen] = True
            chosen = self._copy(chosen, values if do == "alter" else {})
        self.note(chosen, rule["kind"], rule["expect"], column)

    @staticmethod
    def _change(do: str, cell: str, values: list, rng: np.random.Generator) -> str:
        if do == "replace":
            return re.sub(values[0], values[1], cell, count=1)
        return str(rng.choice(values)) if do == "set" else CHANGES[do](cell)

    def _copy(self, rows: list[int], values: dict) -> list[int]:
        new = list(range(len(self.at), len(self.at) + len(rows)))
        for c in self.cells:
            self.cells[c] = np.append(self.cells[c], self.cells[c][rows])
            if c in values:
                self.cells[c][new] = [str(values[c]).format(n=1000 + r) for r in rows]
        for k in self.hidden:
            self.hidden[k] = np.append(self.hidden[k], self.hidden[k][rows])
        self.hidden["order"][new] = -1
        if "Email" in values:  # a test order is nobody's
            self.hidden["person"][new] = -1
        self.at = np.append(self.at, self.at[rows] + 0.5)
        return new

    def write(self, folder: Path) -> SimpleNamespace:
        """Write the file; return its `defects`, `people` and `orders` with the line where each
        record starts.
        """
        order = np.argsort(self.at, kind="stable")
        chunks: list[str] = []
        out = csv.writer(
            SimpleNamespace(write=chunks.append), delimiter=self.o.sep, lineterminator="\n"
        )
        columns = [c[order].tolist() for c in self.cells.values()]
        head = [*self.o.above, self.o.header] if self.o.header else []
        out.writerows(head)
        if self.o.header:
            out.writerows(zip(*columns, strict=True))
        else:
            chunks += [f"{line}\n" for line in columns[0]]
        out.writerows(self.o.below)
        place = np.empty(len(order), dtype=int)
        place[order] = np.arange(len(order)) + len(head)
        last = len(chunks) - 1
        for row, _, kind, _ in self.defects:
            i = place[row]
            if kind == "too few cells":
                out.writerow([c[row] for c in self.cells.values()][:-3])
                chunks[i] = chunks.pop()
            elif kind == "too many cells":
                chunks[i] = chunks[i].rstrip("\n") + f"{self.o.sep}x{self.o.sep}y\n"
            elif kind == "truncated last line" and i == last:
                chunks[i] = chunks[i][: len(chunks[i]) // 2].rstrip("\n")
        starts = np.concatenate([[1], 1 + np.cumsum([c.count("\n") for c in chunks])]).astype(int)
        body = "".join(chunks).encode(self.o.encoding).replace(BAD_BYTE.encode(), b"\xfc")
        folder.joinpath(self.file).write_bytes(body)
        layout = [(starts[i], "", "title row", "layout") for i in range(self.o.titles)]
        layout += [
            (starts[len(chunks) - len(self.o.below) + i], "", "total row", "layout")
            for i in range(len(self.o.below))
        ]
        found = layout + [
            (starts[place[r]], column, kind, expect) for r, column, kind, expect in self.defects
        ]
        named = np.flatnonzero(self.hidden["person"] >= 0)
        lines = np.flatnonzero(self.hidden["order"] >= 0)
        return SimpleNamespace(
            file=self.file,
            rows=len(order),
            defects=sorted(found),
            people=(starts[place[named]], self.hidden["person"][named]),
            orders=(starts[place[lines]], self.hidden["order"][lines]),
        )
