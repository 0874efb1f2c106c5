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
def parts_of_first_taste(run: Store) -> Answers:
    """Parts of the range whose loading belongs to the first taste, whatever its sign."""
    found = run.frame("factor_loadings")
    bought = found[found["source"] == "purchases"]
    first = bought[bought["number"] == 1]
    return int(first["own"].sum()), {
        "That is every part with a loading on it. Which of them belong (`own`)?": len(first),
        "That is of all tastes. Take number 1 alone.": int(bought["own"].sum()),
        "That leaves out the parts that these people buy less of. They belong, too.": int(
            (first["own"] & (first["loading"] > 0)).sum()
        ),
    }


@exercise
def lift_by_hand(run: Store) -> Answers:
    """Lift of bread and milk: 20 of 200 baskets hold both, 40 the one, 50 the other."""
    both, bread, milk, baskets = 20, 40, 50, 200
    return both * baskets / (bread * milk), {
        "That is the confidence. Divide it by the share of baskets with milk.": both / bread,
        "That is the support.": both / baskets,
        "That is the confidence of the rule from milk to bread.": both / milk,
        "That is the share that chance alone would bring.": bread / baskets * milk / baskets,
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
def willing_by_hand(run: Store) -> Answers:
    """The distance of two part-worths over the points of one euro."""
    fast, slow, euro = 0.9, -0.5, 0.05
    return (fast - slow) / euro, {
        "That is against the mean of the levels. In place of a week: take the difference.": (
            fast / euro
        ),
        "Those are points. Divide by the points of one euro.": fast - slow,
        "That multiplies points by points. Divide by the points of one euro.": (
            (fast - slow) * euro
        ),
        "Minus a half below zero: the distance from 0.9 to −0.5 is more than 0.9.": (
            (fast + slow) / euro
        ),
    }
