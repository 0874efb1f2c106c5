"""Step 4, segment: who is worth what, who is about to go, and who moved."""

from helpers.segment.backtest import Rules, best_sign, past_signs, segments_on, warning_signs
from helpers.segment.moves import bridge, migration, moves, profile, sales_change
from helpers.segment.rfm import VERSION, add_type, comparable_window, cut_lines, everyone, rfm, types
from helpers.segment.stage import add_stage, gap_ratios, rhythm, share_longer
from helpers.segment.value import add_abc, add_value_type, pareto, value_lines

__all__ = [
    "VERSION",
    "Rules",
    "add_abc",
    "add_stage",
    "add_type",
    "add_value_type",
    "best_sign",
    "bridge",
    "comparable_window",
    "cut_lines",
    "everyone",
    "gap_ratios",
    "migration",
    "moves",
    "pareto",
    "past_signs",
    "profile",
    "rfm",
    "rhythm",
    "sales_change",
    "segments_on",
    "share_longer",
    "types",
    "value_lines",
    "warning_signs",
]
