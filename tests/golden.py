"""Whether the reports' tables and findings are those of an earlier commit: what a move of code must leave equal.

    python tests/golden.py BASE [--client CLIENT ...] [--keep FOLDER]

BASE is checked out beside this tree, both run the demo clients in homes of their own with one key for pseudonyms, and
the stored tables are compared, sorted by their keys. Each column that differs is named with one row as an example.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).parents[1]
NEAR = 1e-8  # relative; between 0 and a number, absolute
SORTED = 500_000  # rows up to which a table is sorted
CLOCK = {"seconds", "made_at", "checked_at"}  # columns that tell how long or when, not what


def main() -> None:
    """Run both trees and print what differs; exit code 1 if anything does."""
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("base", help="a commit")
    ask.add_argument("--client", nargs="+", default=["grocer", "twin"])
    ask.add_argument(
        "--keep",
        type=Path,
        help="folder of runs, used again where it already holds one of that commit",
    )
    asked = ask.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        place = asked.keep or Path(scratch)
        tree = checked_out(asked.base, Path(scratch) / "tree")
        try:
            told = [line for c in asked.client for line in compared(c, tree, place)]
        finally:
            git("worktree", "remove", "--force", str(tree))
    print("\n".join(told) or "equal")
    sys.exit(bool(told))


def git(*arguments: str) -> str:
    """What git prints."""
    return subprocess.run(
        ["git", "-C", ROOT, *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


def checked_out(commit: str, place: Path) -> Path:
    """The files of a commit, in a folder of their own."""
    git("worktree", "add", "--detach", str(place), commit)
    return place


def compared(client: str, tree: Path, place: Path) -> list[str]:
    """One line for each difference between the runs of both trees."""
    commit = subprocess.run(
        ["git", "-C", tree, "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout
    before = finished(client, place / commit.strip()[:12]) or a_run(
        client, tree, place / commit.strip()[:12]
    )
    now = a_run(client, ROOT, place / "now")
    lines = [f"{client}, {line}" for line in different_tables(before, now)]
    return lines + [f"{client}, {line}" for line in different_findings(before, now)]


def finished(client: str, home: Path) -> Path | None:
    """The folder of a client's last finished run in a home; None if there is none."""
    latest = home / "data" / client / "latest"
    return (
        latest.parent / "runs" / latest.read_text(encoding="utf-8").strip()
        if latest.is_file()
        else None
    )


def a_run(client: str, tree: Path, home: Path) -> Path:
    """Run a client with the code and the notebooks of a tree; give back the folder of the run."""
    (home / "data" / client).mkdir(parents=True, exist_ok=True)
    if not (home / "notebooks").exists():
        (home / "notebooks").symlink_to(tree / "notebooks")
    settings = tree / "data" / client / "client.yaml"
    if settings.is_file():
        (home / "data" / client / "client.yaml").write_bytes(settings.read_bytes())
    environment = os.environ | {
        "PLAYBOOK_HOME": str(home),
        "PYTHONPATH": str(tree),
        "PLAYBOOK_KEY": "k" * 32,
    }
    commands = [["run", client]] if settings.is_file() else [["demo", client], ["run", client]]
    for command in commands:
        print(f"{tree.name}: playbook {' '.join(command)}", flush=True)
        subprocess.run(
            [sys.executable, "-m", "helpers", *command],
            cwd=tree,
            env=environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )
    return finished(client, home)


def different_tables(before: Path, now: Path) -> list[str]:
    """What differs between the stored tables of two runs."""
    names = {p.stem for run in (before, now) for p in (run / "tables").glob("*.parquet")}
    return [line for name in sorted(names) for line in different_rows(name, before, now)]


def different_rows(name: str, before: Path, now: Path) -> list[str]:
    """What differs between two tables of one name."""
    files = [run / "tables" / f"{name}.parquet" for run in (before, now)]
    if not all(f.is_file() for f in files):
        return [f"table {name}: {'new' if files[1].is_file() else 'gone'}"]
    old, new = (pd.read_parquet(f) for f in files)
    told = [f"table {name}: column {c} is gone" for c in old.columns.difference(new.columns)]
    told += [f"table {name}: column {c} is new" for c in new.columns.difference(old.columns)]
    if len(old) != len(new):
        return [*told, f"table {name}: {len(old):,} rows before, {len(new):,} now"]
    both = [c for c in old.columns if c in new.columns and c not in CLOCK]
    old, new = in_order(old[both]), in_order(new[both])
    for c in both:
        differs = ~equal(old[c], new[c])
        if differs.any():
            i = int(np.flatnonzero(differs)[0])
            told.append(
                f"table {name}, column {c}: {differs.sum():,} of {len(old):,}, as {old[c][i]!r}, {new[c][i]!r}"
            )
    return told


def in_order(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows sorted by their columns, numbers last and rounded, so that a last digit does not move a row.

    Large tables stay as they are: they are stored in the order of their files.
    """
    if len(rows) > SORTED:
        return rows
    texts = {c: rows[c].astype(str) for c in rows if not pd.api.types.is_float_dtype(rows[c])}
    numbers = {c: rows[c].map("{:.6g}".format) for c in rows if c not in texts}
    by = pd.DataFrame(texts | numbers)
    return rows.loc[by.sort_values(list(by.columns), kind="stable").index].reset_index(drop=True)


def equal(old: pd.Series, new: pd.Series) -> np.ndarray:
    """Which values are equal; numbers nearly."""
    if old.equals(new):
        return np.ones(len(old), bool)
    if pd.api.types.is_float_dtype(old) and pd.api.types.is_numeric_dtype(new):
        return np.isclose(
            old.to_numpy(float), new.to_numpy(float), rtol=NEAR, atol=NEAR, equal_nan=True
        )
    return (old.astype(str).fillna("") == new.astype(str).fillna("")).to_numpy()


def different_findings(before: Path, now: Path) -> list[str]:
    """Findings that are new, gone or say something else."""
    old, new = findings(before), findings(now)
    told = [f"finding {i}: gone" for i in old if i not in new] + [
        f"finding {i}: new" for i in new if i not in old
    ]
    for i in old.keys() & new.keys():
        parts = [k for k in old[i] if old[i][k] != new[i].get(k)]
        told += [f"finding {i}, {k}: {old[i][k]!r}, now {new[i].get(k)!r}" for k in parts]
    return sorted(told)


def findings(run: Path) -> dict[str, dict]:
    """The findings of a run by notebook and id."""
    every = [
        f
        for p in sorted((run / "findings").glob("*.json"))
        for f in json.loads(p.read_text(encoding="utf-8"))
    ]
    return {f"{f['notebook']}/{f['id']}": f for f in every}


if __name__ == "__main__":
    main()
