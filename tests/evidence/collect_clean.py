"""How well collect and clean do: people matched, defects met, good lines kept.

matching.csv: pairs of records of one person, found by us and by equal e-mail alone, as precision and recall.
defects.csv: of each kind of planted defect how many were met as a careful reader would, and how many good lines
were wrongly held.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from twins import World

from helpers.collect.who import identify

MET = {  # what may become of a line with a defect, by what a careful reader should make of it
    "layout": {"layout"},
    "duplicate": {"duplicate"},
    "held": {"held", "filtered", "duplicate"},
    "mended": {"loaded"},
    "kept-and-reported": {"loaded", "held"},
}


def score(made: World) -> dict[str, pd.DataFrame]:
    """Matching and defects of one twin."""
    lines = fates(made.opened, made.run, made.cleaned)
    return {
        "matching": score_matching(made.folder, made.opened),
        "defects": score_defects(made.folder, lines),
    }


def summary(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    """One row a seed and method of matching; one row a kind of defect, all seeds together."""
    if name == "matching":
        return rows.round(4)
    kinds = rows.groupby(["kind", "expect"])[["planted", "met"]].sum().reset_index()
    return kinds.assign(share=(kinds["met"] / kinds["planted"]).round(4))


def fates(opened, run, cleaned) -> pd.DataFrame:
    """What became of every line: file, line, fate, rule, held_in_part; of several rows of a line the best fate."""
    from helpers.clean import chain

    chain.ledgers(run, cleaned, run.frame("sources"))  # raises where a line is lost
    seen = []
    for table, done in cleaned.items():
        counted = {g for g in opened.groups if opened.counted_in(g) == table}
        lines = done.marked.filter(done.marked.source_line.notnull())
        lines = lines.select(
            "source_name", "source_file", "source_line", "fate", "rule"
        ).to_pandas()
        seen.append(lines[lines["source_name"].isin(counted)])
    lines = pd.concat(seen).rename(columns={"source_file": "file", "source_line": "line"})
    held = (
        lines.groupby(["file", "line"])["fate"]
        .agg(lambda f: (f == "held").any())
        .rename("held_in_part")
        .reset_index()
    )
    lines["fate"] = pd.Categorical(
        lines["fate"].fillna("loaded"), ["loaded", "duplicate", "filtered", "held"], ordered=True
    )
    best = lines.sort_values("fate").drop_duplicates(["file", "line"])[
        ["file", "line", "fate", "rule"]
    ]
    return best.merge(held, on=["file", "line"])


def score_defects(folder: Path, lines: pd.DataFrame) -> pd.DataFrame:
    """For each kind of defect: planted, met; and the good lines, with how many were held."""
    planted = pd.read_csv(folder / "truth" / "defects.csv").drop_duplicates(
        ["file", "line", "kind"]
    )
    both = planted.merge(lines, on=["file", "line"], how="left")
    both["fate"] = both["fate"].astype("str").fillna("layout")  # no data row came of it
    both["met"] = [fate in MET[e] for fate, e in zip(both["fate"], both["expect"], strict=True)]
    both.loc[both["kind"] == "swapped day and month", "met"] = (
        both["fate"] == "held"
    )  # loaded with a wrong day is no mending
    both["met"] |= (both["expect"] == "held") & both["held_in_part"].eq(
        True
    )  # one answer of a questionnaire
    twice = _older_copies(folder, both[(both["kind"] == "overlap row") & ~both["met"]], lines)
    both["met"] |= both.set_index(["file", "line"]).index.isin(
        list(twice)
    )  # its older copy was left out instead
    kinds = (
        both.groupby(["kind", "expect"])
        .agg(planted=("met", "size"), met=("met", "sum"))
        .reset_index()
    )
    good = lines.merge(
        planted[["file", "line"]].drop_duplicates(), on=["file", "line"], how="left", indicator=True
    )
    good = good[
        (good["_merge"] == "left_only")
        & ~good.set_index(["file", "line"]).index.isin(list(twice.values()))
    ]
    bad = good["fate"].astype("str").isin(["held", "duplicate"]) | (
        (good["fate"] == "filtered")
        & ~good["rule"].isin(["cancelled web order", "cancelled receipt", "after the last day"])
    )
    none = {
        "kind": "good lines wrongly left out",
        "expect": "loaded",
        "planted": len(good),
        "met": int((~bad).sum()),
    }
    return pd.concat([kinds, pd.DataFrame([none])])


def _older_copies(folder: Path, rows: pd.DataFrame, lines: pd.DataFrame) -> dict[tuple, tuple]:
    """For each of these lines the equal line of another file that was taken as the duplicate."""
    shop = [f for f in lines["file"].unique() if f.startswith("shopify")]
    texts = {
        f: (folder / "raw" / f).read_text(encoding="utf-8", errors="replace").splitlines()
        for f in shop
    }
    left_out = lines[(lines["fate"] == "duplicate") & lines["file"].isin(list(texts))]
    known = {
        texts[f][n - 1]: (f, n) for f, n in zip(left_out["file"], left_out["line"], strict=True)
    }
    asked = zip(rows["file"], rows["line"], strict=True)
    return {(f, n): known[texts[f][n - 1]] for f, n in asked if texts[f][n - 1] in known}


def score_matching(folder: Path, opened) -> pd.DataFrame:
    """Precision and recall over pairs of records, ours and those of equal e-mail."""
    truth = pd.read_csv(folder / "truth" / "records.csv")
    found = identify(opened).records
    lines = []
    for part in {p.group: p for parts in opened.parts.values() for p in parts if p.person}.values():
        style = opened.style(part.group)
        record = part.sql(part.person["record"], style)
        query = f"""SELECT DISTINCT source_file AS file, source_line AS line, '{part.group}|' || ({record}) AS record
            FROM {part.sql(part.rows, style)}"""
        lines.append(opened.query(query).df())
    known = pd.concat(lines).dropna().merge(truth, on=["file", "line"])
    whose = (
        known.groupby("record")["person"]
        .agg(lambda s: s.mode().iloc[0])
        .rename("true")
        .reset_index()
    )
    whose = whose.merge(found[["record", "person", "email"]], on="record")
    mail = whose["email"].str.strip().str.lower().fillna(whose["record"])
    return pd.DataFrame(
        [
            {"method": m, "records": len(whose), "people": whose["true"].nunique()}
            | pairs(whose["true"], label)
            for m, label in (("ours", whose["person"]), ("equal e-mail", mail))
        ]
    )


def pairs(true: pd.Series, found: pd.Series) -> dict[str, float]:
    """Precision and recall over pairs of records that are put together."""
    n = lambda s: (s.value_counts() * (s.value_counts() - 1) // 2).sum()  # noqa: E731
    right = n(true.astype(str) + "\n" + found.astype(str))
    return {
        "found_pairs": int(n(found)),
        "true_pairs": int(n(true)),
        "precision": right / n(found),
        "recall": right / n(true),
    }
