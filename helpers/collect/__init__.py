"""Step 1, collect: sources in, canonical tables out, nothing changed and nothing lost."""

from helpers.collect.catalogue import catalogue, control_totals, mapping_sheet
from helpers.collect.sources import data_span, missing_days, open_sources, source_cards, stage

__all__ = [
    "catalogue",
    "control_totals",
    "data_span",
    "mapping_sheet",
    "missing_days",
    "open_sources",
    "source_cards",
    "stage",
]
