"""Step 5, plan strategy: targets that add up, a strategy a segment, lists of people to act on."""

from helpers.plan.audiences import (
    QUARTER,
    add_consent,
    buying,
    contact_helps,
    list_audiences,
    look_back,
    smallest_effect,
    summary,
    with_holdout,
    write_lists,
    yearly_value,
)
from helpers.plan.strategy import (
    TRAITS,
    coupon_response,
    discount_depth,
    profile,
    strategy_table,
    with_traits,
)
from helpers.plan.targets import (
    by_month,
    checked,
    grid,
    group_small,
    largest_difference,
    parts_apart,
    target_tree,
)
