"""The studies on the simulated client, whose truth is known: one twin a seed, collected and cleaned once for all.

    python tests/evidence [--customers N] [--seeds N] [--only STUDY]

Each study is a module beside this file with `score(world)`, which gives frames by the name of their CSV, and
`summary(name, rows)`, which turns the rows of all seeds into what is written there.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from importlib import import_module
from pathlib import Path

import pandas as pd

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
STUDIES = ["collect_clean", "accounts", "lifetime_value", "churn", "habits", "groups", "prices"]
STUDIES += ["voice", "predictions", "relations", "journeys"]


def main() -> None:
    """Run the studies and write their tables."""
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--customers", type=int, default=1500)
    ask.add_argument("--seeds", type=int, default=10)
    ask.add_argument("--only", choices=STUDIES)
    asked = ask.parse_args()
    studies = [import_module(name) for name in STUDIES if name == (asked.only or name)]
    found: dict[str, list[pd.DataFrame]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["PLAYBOOK_HOME"] = scratch
        (Path(scratch) / "notebooks").symlink_to(HERE.parents[1] / "notebooks")
        from twins import world

        for seed in range(11, 11 + asked.seeds):
            made = world(Path(scratch) / "data" / f"twin{seed}", asked.customers, seed)
            for study in studies:
                for name, rows in study.score(made).items():
                    found.setdefault(f"{study.__name__}.{name}", []).append(rows.assign(seed=seed))
            print(f"seed {seed} done", flush=True)
    for name, rows in found.items():
        study, file = name.split(".")
        table = import_module(study).summary(file, pd.concat(rows, ignore_index=True))
        table.to_csv(HERE / f"{file}.csv", index=False, lineterminator="\n")
        print(f"\n{file}\n{table.to_string(index=False)}")


if __name__ == "__main__":
    main()
