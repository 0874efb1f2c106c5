"""Step 6, monitor: response, key figures, targets against actual, alerts, what changed."""

from helpers.monitor.alerts import (
    daily_parts,
    daily_totals,
    every_day,
    false_alarms,
    find_alerts,
    say_alerts,
    watch,
)
from helpers.monitor.figures import (
    changes,
    count_periods,
    figures,
    key_figures,
    readable,
    say_changes,
)
from helpers.monitor.pacing import pace, rest, say_pace
from helpers.monitor.response import (
    ANSWERS,
    FIFTHS,
    add_rates,
    answered_by,
    count_by_earlier_spend,
    count_responses,
    pool_rates,
    reached,
    say_types,
    with_rate,
)
