"""Exercises of 04d_business_accounts; their answers hang on no client's data, for many clients have
no accounts.
"""

from datetime import timedelta

import pandas as pd

from helpers.client import AccountIndicator, AccountRules
from helpers.learn import Answers, exercise
from helpers.segment.business import accounts, weighting
from helpers.store import Store


@exercise
def entropy_of_two(run: Store) -> Answers:
    """The entropy weight of the more uneven of two indicators."""
    first, second = weighting.entropy_weights(
        pd.DataFrame({"a": [0.0, 0.0, 100.0], "b": [0.0, 50.0, 50.0]})
    )
    return first, {
        "That is the other indicator. The first is the more uneven one.": second,
        "That would be equal weights. Entropy gives more to what is more uneven.": 0.5,
    }


@exercise
def contradiction(run: Store) -> Answers:
    """The consistency ratio of a circle of pairs."""
    _weights, ratio = weighting.pair_weights(
        {"credit / value": 2, "value / risk": 2, "risk / credit": 1}, ["credit", "value", "risk"]
    )
    return ratio, {
        "That is the consistency index. Divide it by that of random pairs among three things.": (
            ratio * 0.58
        ),
        "They do contradict one another: by the first two, credit is four times as important as risk.": (
            0
        ),
    }


@exercise
def score_with_a_gap(run: Store) -> Answers:
    """The score where one of three indicators is not known."""
    points = pd.DataFrame(
        {"credit": [80.0, 80.0, 80.0], "value": [20.0, 20.0, 20.0], "licence": [None, 100.0, 100.0]}
    )
    weights = pd.Series({"credit": 0.5, "value": 0.3, "licence": 0.2})
    score = (
        weighting.score_accounts(points.astype(float), weights).query("known < 1")["score"].item()
    )
    return score, {
        "That counts the gap as no points, and so punishes the account for our neglect.": 46,
        "That averages what is known. A gap counts as the median account.": 57.5,
    }


@exercise
def light_of_half(run: Store) -> Answers:
    """The light of an area of which one check in two was made."""
    system = AccountRules(
        indicators={
            name: AccountIndicator(group="verification", better="low", red=1)
            for name in ("one", "other")
        }
    )
    facts = pd.DataFrame({"customer_id": ["a"], "indicator": ["one"], "value": ["0"]})
    facts["checked_on"] = [run.as_of - timedelta(days=30)]
    checks = accounts.account_checks(facts, pd.DataFrame({"customer_id": ["a"]}), system, run.as_of)
    return accounts.risk_card(checks)["verification"].item(), {
        "Green is only for areas of which every check was made. Silence is no good news.": "green",
        "One check was made, so something is known.": "not checked",
        "Nothing was found, so nothing warns. Something is missing, though.": "amber",
    }
