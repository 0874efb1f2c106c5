"""How well collect and clean do on the simulated client, whose truth is known: five seeds, tables beside this file.

    python tests/evidence/collect_clean.py [--customers N] [--seeds N]

matching.csv: pairs of records of one person, found by us and by equal e-mail alone, as precision and recall.
defects.csv: of each kind of planted defect how many were met as a careful reader would, and how many good lines
were wrongly held.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import pandas as pd

HERE = Path(__file__).parent
MET = {  # what may become of a line with a defect, by what a careful reader should make of it
    "layout": {"layout"},
    "duplicate": {"duplicate"},
    "held": {"held", "filtered", "duplicate"},
    "mended": {"loaded"},
    "kept-and-reported": {"loaded", "held"},
}


def collect_and_clean(folder: Path):
    """Steps 1 and 2 on one client, in this process: the opened sources and the marked tables."""
    from helpers import clean, collect, store, tables
    from helpers.client import Client

    client, lab = Client(folder.name), folder / "runs" / "lab"
    first = store.Store("01_collect", client, lab)
    opened = collect.open_sources(first.con, client)
    for table in tables.CANONICAL:
        first.write(f"staged_{table}", collect.stage(opened, table))
    first.write("sources", collect.source_cards(opened, first.as_of))
    first.write("rules", collect.preset_rules(opened))
    second = store.Store("02_clean", client, lab, str(first.as_of))
    cleaned = {"products": clean.clean_table(second, "products", second.as_of)}
    for table in tables.CANONICAL:
        if table != "products":
            cleaned[table] = clean.clean_table(second, table, second.as_of, cleaned["products"].rows)
    return opened, second, cleaned


def fates(opened, run, cleaned) -> pd.DataFrame:
    """What became of every line: file, line, fate, rule, held_in_part; of several rows of a line the best fate."""
    from helpers import clean

    clean.ledgers(run, cleaned, run.frame("sources"))  # raises where a line is lost
    seen = []
    for table, done in cleaned.items():
        counted = {g for g in opened.groups if opened.counted_in(g) == table}
        lines = done.marked.filter(done.marked.source_line.notnull())
        lines = lines.select("source_name", "source_file", "source_line", "fate", "rule").to_pandas()
        seen.append(lines[lines["source_name"].isin(counted)])
    lines = pd.concat(seen).rename(columns={"source_file": "file", "source_line": "line"})
    held = (
        lines.groupby(["file", "line"])["fate"].agg(lambda f: (f == "held").any()).rename("held_in_part").reset_index()
    )
    lines["fate"] = pd.Categorical(
        lines["fate"].fillna("loaded"), ["loaded", "duplicate", "filtered", "held"], ordered=True
    )
    best = lines.sort_values("fate").drop_duplicates(["file", "line"])[["file", "line", "fate", "rule"]]
    return best.merge(held, on=["file", "line"])


def score_defects(folder: Path, lines: pd.DataFrame, seed: int) -> pd.DataFrame:
    """For each kind of defect: planted, met; and the good lines, with how many were held."""
    planted = pd.read_csv(folder / "truth" / "defects.csv").drop_duplicates(["file", "line", "kind"])
    both = planted.merge(lines, on=["file", "line"], how="left")
    both["fate"] = both["fate"].astype("str").fillna("layout")  # no data row came of it
    both["met"] = [fate in MET[e] for fate, e in zip(both["fate"], both["expect"], strict=True)]
    both.loc[both["kind"] == "swapped day and month", "met"] = (
        both["fate"] == "held"
    )  # loaded with a wrong day is no mending
    both["met"] |= (both["expect"] == "held") & both["held_in_part"].eq(True)  # one answer of a questionnaire
    twice = _older_copies(folder, both[(both["kind"] == "overlap row") & ~both["met"]], lines)
    both["met"] |= both.set_index(["file", "line"]).index.isin(list(twice))  # its older copy was left out instead
    kinds = both.groupby(["kind", "expect"]).agg(planted=("met", "size"), met=("met", "sum")).reset_index()
    good = lines.merge(planted[["file", "line"]].drop_duplicates(), on=["file", "line"], how="left", indicator=True)
    good = good[(good["_merge"] == "left_only") & ~good.set_index(["file", "line"]).index.isin(list(twice.values()))]
    bad = good["fate"].astype("str").isin(["held", "duplicate"]) | (
        (good["fate"] == "filtered")
        & ~good["rule"].isin(["cancelled web order", "cancelled receipt", "after the last day"])
    )
    none = {"kind": "good lines wrongly left out", "expect": "loaded", "planted": len(good), "met": int((~bad).sum())}
    return pd.concat([kinds, pd.DataFrame([none])]).assign(seed=seed)


def _older_copies(folder: Path, rows: pd.DataFrame, lines: pd.DataFrame) -> dict[tuple, tuple]:
    """For each of these lines the equal line of another file that was taken as the duplicate."""
    shop = [f for f in lines["file"].unique() if f.startswith("shopify")]
    texts = {f: (folder / "raw" / f).read_text(encoding="utf-8", errors="replace").splitlines() for f in shop}
    left_out = lines[(lines["fate"] == "duplicate") & lines["file"].isin(list(texts))]
    known = {texts[f][n - 1]: (f, n) for f, n in zip(left_out["file"], left_out["line"], strict=True)}
    asked = zip(rows["file"], rows["line"], strict=True)
    return {(f, n): known[texts[f][n - 1]] for f, n in asked if texts[f][n - 1] in known}


def score_matching(folder: Path, opened, seed: int) -> pd.DataFrame:
    """Precision and recall over pairs of records, ours and those of equal e-mail."""
    truth = pd.read_csv(folder / "truth" / "records.csv")
    found = opened.identity.records
    lines = []
    for part in {p.group: p for parts in opened.parts.values() for p in parts if p.person}.values():
        style = opened.style(part.group)
        record = part.sql(part.person["record"], style)
        query = f"""SELECT DISTINCT source_file AS file, source_line AS line, '{part.group}|' || ({record}) AS record
            FROM {part.sql(part.rows, style)}"""
        lines.append(opened.query(query).df())
    known = pd.concat(lines).dropna().merge(truth, on=["file", "line"])
    who = known.groupby("record")["person"].agg(lambda s: s.mode().iloc[0]).rename("true").reset_index()
    who = who.merge(found[["record", "person", "email"]], on="record")
    mail = who["email"].str.strip().str.lower().fillna(who["record"])
    return pd.DataFrame(
        [
            {"seed": seed, "method": m, "records": len(who), "people": who["true"].nunique()}
            | pairs(who["true"], label)
            for m, label in (("ours", who["person"]), ("equal e-mail", mail))
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


def main() -> None:
    """Run the study and write its tables."""
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--customers", type=int, default=1500)
    ask.add_argument("--seeds", type=int, default=5)
    asked = ask.parse_args()
    matching, defects = [], []
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        (home / "notebooks").symlink_to(HERE.parents[1] / "notebooks")
        os.environ["PLAYBOOK_HOME"] = scratch
        from helpers.demo import write_twin

        for seed in range(11, 11 + asked.seeds):
            folder = write_twin(home / "data" / f"twin{seed}", asked.customers, seed)
            opened, run, cleaned = collect_and_clean(folder)
            lines = fates(opened, run, cleaned)
            defects.append(score_defects(folder, lines, seed))
            matching.append(score_matching(folder, opened, seed))
            print(f"seed {seed} done", flush=True)
    whole = pd.concat(matching).round(4)
    whole.to_csv(HERE / "matching.csv", index=False)
    print(whole.to_string(index=False))
    kinds = pd.concat(defects).groupby(["kind", "expect"])[["planted", "met"]].sum().reset_index()
    kinds["share"] = (kinds["met"] / kinds["planted"]).round(4)
    kinds.to_csv(HERE / "defects.csv", index=False)
    print(kinds.to_string(index=False))


if __name__ == "__main__":
    main()
