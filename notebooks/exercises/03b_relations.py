"""Exercises of 03b_relations."""

from helpers.learn import Answers, exercise
from helpers.store import Store


@exercise
def lost_by_correction(run: Store) -> Answers:
    """Pairs with p at most 0.05 that are not sure."""
    found = run.frame("associations")
    looks = found["p"] <= 0.05
    return int((looks & ~found["sure"]).sum()), {
        "That is how many look significant before the correction.": int(looks.sum()),
        "That is how many are sure after it.": int(found["sure"].sum()),
        "That is all that are not sure, also those that never looked significant.": int(
            (~found["sure"]).sum()
        ),
    }


@exercise
def rules_that_held(run: Store) -> Answers:
    """Rules on groups of goods with `holds`, over all of them."""
    rules = run.frame("basket_rules")
    kinds = rules[rules["level"] != "product_id"]
    return kinds["holds"].mean(), {
        "That is their number. Divide by the number of rules.": int(kinds["holds"].sum()),
        "That is the share that did not hold.": (~kinds["holds"]).mean(),
        "Beyond one is not yet beyond chance: take `holds`.": (kinds["alike_later"] > 1).mean(),
    }


@exercise
def beyond_chance(run: Store) -> Answers:
    """extra over baskets of the rule with most baskets."""
    rules = run.frame("basket_rules")
    top = rules[rules["level"] != "product_id"].nlargest(1, "baskets").iloc[0]
    return top["extra"] / top["baskets"], {
        "That is a number of baskets. Divide it by the baskets of the rule.": top["extra"],
        "That is the part that chance explains.": 1 - top["extra"] / top["baskets"],
        "That takes lift for a bond: baskets of like size were not compared.": 1 - 1 / top["lift"],
    }
