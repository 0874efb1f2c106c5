"""Step 7, optimize: what campaigns brought, what experiment would settle it, and the log of
decisions.
"""

from helpers.optimize.decisions import (
    advice,
    merge_decisions,
    read_decisions,
    say_log,
    what_came,
    write_decisions,
)
from helpers.optimize.experiments import plan_experiment, say_held_out, say_plan
from helpers.optimize.matching import (
    FEWEST,
    METHODS,
    Window,
    balance,
    before_after,
    choose_window,
    contacts,
    customer_history,
    estimate_effects,
    match_pairs,
    pair_differences,
    say_effect,
    share_reached,
    with_room,
)
