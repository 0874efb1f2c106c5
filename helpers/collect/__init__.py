"""Step 1, collect: sources in, canonical tables out, nothing changed and nothing lost."""

from helpers.collect.catalogue import (
    catalogue,
    claims,
    consent_sentence,
    control_totals,
    mapping_sheet,
    preset_rules,
)
from helpers.collect.privacy import laws, scan
from helpers.collect.sources import (
    Opened,
    days_of_orders,
    missing_days,
    open_sources,
    source_cards,
    stage,
)
from helpers.collect.who import contradictions, held_originals, how_sure, people_stages
from helpers.store import body, order_days
