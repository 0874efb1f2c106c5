"""Step 3, analyze: how sales are spread over time, place and amount, who comes back, and what comes
next.
"""

from helpers.analyze import baskets, conjoint, factors, sessions
from helpers.analyze.association import (
    ASSOCIATION_VERSION,
    association_grid,
    associations,
    customer_measures,
    relation_in_words,
    say_corrected,
    tell_relations,
)
from helpers.analyze.assortment import (
    assortment,
    name_matches,
    product_sales,
    range_ends,
    search_terms,
    searches,
    searches_in_vain,
    stock_list,
    stock_now,
    unit_costs,
)
from helpers.analyze.baskets import (
    BASKETS_VERSION,
    advise,
    basket_items,
    count_baskets,
    larger_sets,
    pair_rules,
    range_level,
    rule_in_words,
    say_rules,
    stack_rules,
)
from helpers.analyze.beta_geometric import (
    RULES,
    SBG,
    by_period,
    fit_retention,
    hold_out_retention,
    lifetimes,
    plan_in_words,
    published,
    retention_table,
    score_retention,
    stay_in_words,
)
from helpers.analyze.carts import (
    cart_fates,
    carts,
    carts_a_year,
    carts_in_words,
    follow_carts,
    later_purchases,
    reminder_effect,
    usual_prices,
    won_back,
)
from helpers.analyze.coders import cohen_kappa, theme_table, themes_in_words, to_discuss
from helpers.analyze.cohorts import (
    FROM_THE_START,
    LATER,
    as_triangle,
    cohorts,
    half_life,
    retention,
    retention_curves,
)
from helpers.analyze.competitors import competitors, share_over_time
from helpers.analyze.conjoint import (
    BEST,
    CONJOINT_VERSION,
    NO_WORTHS,
    describe_products,
    fit_choices,
    foretell_choices,
    importance,
    part_worths,
    preference,
    price_in_words,
    read_tasks,
    say_product,
    say_worths,
    worth_in_words,
)
from helpers.analyze.describe import (
    add_shares,
    basket_sizes,
    by_hour,
    by_month_part,
    by_store,
    by_weekday,
    complete_days,
    daily_total,
    described,
    frequencies,
    full_weeks,
    order_values,
    quantile,
    rows_for,
    sales_by_day,
    week_grid,
)
from helpers.analyze.elasticity import by_scope, elasticities, fit_all, fit_log_log, fit_segments
from helpers.analyze.emotion import (
    add_emotion,
    campaign_styles,
    compare_styles,
    emotion_shares,
    emotions_in_words,
    style_outcomes,
    styles_in_words,
)
from helpers.analyze.factors import (
    FACTORS_VERSION,
    adequacy,
    factor_table,
    find_factors,
    find_tastes,
    line_counts,
    part_counts,
    say_adequacy,
    stack_factors,
    survey_answers,
)
from helpers.analyze.forecast import (
    by_month,
    by_week,
    forecast,
    looking_back,
    simulate,
    year_ago_in_words,
)
from helpers.analyze.funnel import (
    by_part,
    compare_ways,
    deeds,
    funnels,
    leak,
    one_funnel,
    parts_in_words,
    reach,
    tracked_in_words,
    tracked_share,
    where_visits_end,
)
from helpers.analyze.ladder import (
    check_ladder,
    history,
    ladder_curves,
    ladder_table,
    order_waits,
    repeat_ladder,
    weakest_step,
)
from helpers.analyze.line_forecast import (
    backtest_lines,
    forecast_lines,
    line_sales,
    lines_in_words,
    longest_span,
    part_days,
    score_ways,
    total_ahead,
    with_total,
)
from helpers.analyze.mood import add_mood, check_mood, mood_in_words, mood_tells
from helpers.analyze.paths import (
    busiest,
    name_transitions,
    step_by_step,
    top_paths,
    transitions,
    walk_order,
)
from helpers.analyze.price_ladder import best_steps, ladder_shown, price_ladder, prices_seen
from helpers.analyze.price_words import (
    coverage_in_words,
    extremes_in_words,
    ladder_in_words,
    lift_in_words,
    plain_in_words,
    promotion_profit_in_words,
    range_in_words,
    rivals_in_words,
    searches_in_words,
    segments_in_words,
    seldom_in_words,
    steps_in_words,
    stock_in_words,
    stock_reading,
)
from helpers.analyze.prices import (
    PRICES,
    choose_products,
    coverage,
    price_panel,
    product_totals,
    promoted_weeks,
    segment_panel,
    segment_sales,
    weekly_sales,
)
from helpers.analyze.promotion import add_demand, promotion_effects
from helpers.analyze.purchase import PURCHASE, choose_period, cut_days, known_on, too_young
from helpers.analyze.purchase_models import (
    buyers_ahead_in_words,
    calibration_in_words,
    compare_models,
    models_in_words,
    models_to_show,
    purchase_scores,
    race,
    said_and_seen,
    teaching_tree,
    what_drives,
)
from helpers.analyze.purchase_profit import (
    Terms,
    contact_plans,
    contact_terms,
    plans_to_show,
    profit_curve,
    profit_in_words,
)
from helpers.analyze.sales_drivers import (
    check_regression,
    driver_effects,
    drivers_in_words,
    explain_sales,
    feast_days,
    known_moves,
)
from helpers.analyze.service import (
    cases_to_answer,
    load_by_topic,
    load_in_words,
    reply_weeks,
    service_cases,
    service_load,
    slow_cost,
    slow_in_words,
    stage_source,
    waiting_in_words,
)
from helpers.analyze.sessions import (
    act_words,
    add_sessions,
    compare_sessions,
    describe_visits,
    visits,
    visits_in_words,
)
from helpers.analyze.texts import (
    NOTHING_SAID,
    READING,
    VOICE_VERSION,
    gather_texts,
    lesson,
    read_texts,
    texts_in_words,
)
from helpers.analyze.topic_links import (
    asking_in_words,
    leaving_by_topic,
    leaving_in_words,
    leaving_panel,
    quarter_grid,
    top_topic,
    topic_shares,
    topic_table,
    topic_trends,
    trend_in_words,
    unhappy_by_topic,
    unhappy_in_words,
)
from helpers.analyze.topics import (
    add_new_topics,
    add_topics,
    search_in_words,
    search_topics,
    typical_quotes,
)
from helpers.analyze.touchpoints import as_map, journey_map, map_table, sore_point

# How to read a chart or table, by name.
READ = (
    sessions.READ | baskets.ADVICE["reading"] | factors.WORDS["reading"] | conjoint.SAYS["reading"]
)
