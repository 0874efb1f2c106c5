"""A simulated client, collected and cleaned, with its truth at hand."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from helpers import store, tables
from helpers.clean import chain
from helpers.client import Client
from helpers.collect import catalogue, sources, who
from helpers.collect.opened import Opened
from simulator import write_twin


@dataclass
class World:
    """One twin: its folder, what collect found, the cleaned tables, and a run that reads every canonical table."""

    folder: Path
    opened: Opened
    run: store.Store
    cleaned: dict

    def truth(self, name: str) -> pd.DataFrame:
        """A file of the truth."""
        return pd.read_csv(self.folder / "truth" / f"{name}.csv", low_memory=False)

    @cached_property
    def people(self) -> pd.DataFrame:
        """The truth of people.csv by our customer_id: the person who made most of the lines that we put under it.

        Only ids with orders. Where one person was found as two, both get that person's truth.
        """
        lines = self.truth("orders")[["file", "line", "person"]].drop_duplicates(["file", "line"])
        ours = self.run.con.read_parquet(str(self.run.folder / "tables" / "staged_orders.parquet"))
        ours = (
            ours.select("customer_id", file="source_file", line="source_line")
            .distinct()
            .to_pandas()
            .dropna()
        )
        both = ours.merge(lines, on=["file", "line"])
        who = both.groupby("customer_id")["person"].agg(lambda p: p.mode().iloc[0]).reset_index()
        return who.merge(self.truth("people"), on="person")


def world(folder: Path, customers: int, seed: int) -> World:
    """Write a twin and take it through steps 1 and 2, in this process."""
    write_twin(folder, customers, seed)
    client, lab = Client(folder.name), folder / "runs" / "lab"
    first = store.Store("01_collect", client, lab)
    opened = sources.open_sources(first.con, client)
    everybody = who.identify(opened)
    for table in tables.CANONICAL:
        first.write(f"staged_{table}", sources.stage(opened, table, everybody))
    first.write("sources", sources.source_cards(opened, first.as_of))
    first.write("rules", catalogue.preset_rules(opened))
    second = store.Store("02_clean", client, lab, str(first.as_of))
    cleaned = {"products": chain.clean_table(second, "products", second.as_of)}
    for table in tables.CANONICAL:
        if table != "products":
            cleaned[table] = chain.clean_table(
                second, table, second.as_of, cleaned["products"].rows
            )
        second.write(table, cleaned[table].rows)
    return World(folder, opened, second, cleaned)
