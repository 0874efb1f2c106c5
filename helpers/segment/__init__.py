"""Step 4, segment: who is worth what, who is about to go, and who moved."""

from helpers.segment.moves import GONE, UNSEEN, bridge, migration, moves, profile, sales_change, silence_costs
from helpers.segment.rfm import VERSION, add_type, comparable_window, cut_lines, everyone, rfm, types
from helpers.segment.stage import add_stage, gap_ratios, rhythm, share_longer
from helpers.segment.value import add_abc, add_value_type, pareto, value_lines

__all__ = ["GONE", "UNSEEN", "VERSION", "add_abc", "add_stage", "add_type", "add_value_type", "bridge",
           "comparable_window", "cut_lines", "everyone", "gap_ratios", "migration", "moves", "pareto", "profile", "rfm",
           "rhythm", "sales_change", "share_longer", "silence_costs", "types", "value_lines"]
