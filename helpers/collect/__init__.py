"""Step 1, collect: sources in, canonical tables out, nothing changed and nothing lost."""

from helpers.collect.catalogue import catalogue, claims, consent_sentence, control_totals, mapping_sheet, preset_rules
from helpers.collect.privacy import laws, scan
from helpers.collect.sources import Opened, data_span, missing_days, open_sources, order_times, source_cards, stage
from helpers.collect.who import contradictions, held_originals, how_sure, people_stages
from helpers.store import body

__all__ = [
    "Opened",
    "body",
    "catalogue",
    "claims",
    "consent_sentence",
    "contradictions",
    "control_totals",
    "data_span",
    "held_originals",
    "how_sure",
    "laws",
    "mapping_sheet",
    "missing_days",
    "open_sources",
    "order_times",
    "people_stages",
    "preset_rules",
    "scan",
    "source_cards",
    "stage",
]
