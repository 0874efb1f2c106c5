"""Step 4, segment: who is worth what, who is about to go, and who moved."""

from helpers.segment.accounts import (
    ACCOUNT_VERSION,
    account_card,
    account_changes,
    account_checks,
    account_ids,
    account_points,
    account_system,
    account_values,
    add_win_rate,
    advice_groups,
    advise_accounts,
    cards_to_read,
    checks_made,
    foretell,
    light_counts,
    point_scale,
    risk_card,
    scale_in_words,
)
from helpers.segment.acquisition import cost_by_campaign, cost_to_win, payback, won
from helpers.segment.backtest import Rules, best_sign, past_signs, segments_on, warning_signs
from helpers.segment.churn import (
    CHURN,
    Watch,
    alive_in_words,
    by_rhythm,
    by_rule,
    by_threshold,
    gap_curve,
    gap_shares,
    key_lines,
    line_counts,
    look_days,
    looks,
    set_horizon,
)
from helpers.segment.churn_model import (
    WAYS,
    add_alive,
    add_risk,
    agreement,
    best_in_words,
    best_way,
    by_votes,
    compare_ways,
    flag_counts,
    money_in_words,
    reliability,
    risk_drivers,
    risk_in_words,
)
from helpers.segment.complaints import complaint_loss, first_cases
from helpers.segment.contribution import (
    contribution,
    contribution_parts,
    in_period,
    referral_value,
    serve_costs,
    standing,
)
from helpers.segment.features import habit_periods, habits_kept
from helpers.segment.groups import (
    GROUPS_VERSION,
    METHODS,
    VERDICTS,
    assign_groups,
    beside_the_rule,
    best_foresight,
    choose_method,
    choose_number,
    compare_methods,
    draw_map,
    group_numbers,
    make_groups,
    match_groups,
    plain_groups,
    stability,
    what_follows,
)
from helpers.segment.historic import add_historic, historic_parts
from helpers.segment.holdout import against_rule, backtest, deciles, level_needed, score_values, silent, tracked
from helpers.segment.lifetime import (
    PLAIN,
    VALUE_VERSION,
    add_history,
    alive_curves,
    fit_models,
    histories,
    parameters,
    period,
    plain_values,
    predict,
    too_thin,
    value_by,
    value_customers,
    value_silent,
)
from helpers.segment.moves import (
    bridge,
    changed_since,
    drivers,
    in_words,
    migration,
    movers,
    moves,
    parts_of_change,
    profile,
    sales_change,
)
from helpers.segment.needs import brand_loyalty, find_needs, loyalty, need_table, relation
from helpers.segment.personas import (
    CARD,
    MEASURES,
    PERSONAS_VERSION,
    answer_tests,
    compare_answers,
    contacts,
    name_groups,
    persona_cards,
    persona_changes,
    persona_figures,
    persona_rows,
    persona_told,
    portrait,
    standing_out,
    with_traits,
)
from helpers.segment.profiles import (
    answered,
    beyond_past,
    conduct,
    described,
    dimensions,
    groupings,
    habits,
    move_signs,
    past_groupings,
    side_by_side,
    telling,
    with_goods,
)
from helpers.segment.reasons import (
    best_test,
    churn_reasons,
    experiment_effects,
    rivals,
    rivals_in_words,
    sign_effects,
    sign_panel,
    strongest_sign,
)
from helpers.segment.rfm import VERSION, add_type, comparable_window, cut_lines, everyone, rfm, types
from helpers.segment.stage import add_stage, gap_ratios, rhythm, share_longer
from helpers.segment.tiers import (
    add_benefits,
    add_tier,
    add_year,
    advise_tiers,
    large_enough,
    member_cards,
    propose_tiers,
    tier_table,
    ways_up,
    yearly,
)
from helpers.segment.value import add_abc, add_value_type, by_standing, pareto, value_lines
from helpers.segment.weights import (
    account_weights,
    add_ranks,
    compare_weights,
    entropy_weights,
    first_accounts,
    pair_consistency,
    pair_weights,
    score_accounts,
    top_size,
)
from helpers.segment.win_back import (
    Terms,
    add_stakes,
    churn_changes,
    last_looks,
    left_out,
    list_in_words,
    list_range,
    message_response,
    win_back_list,
)
