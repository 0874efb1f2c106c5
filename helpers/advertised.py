"""What a shop would never advertise: coupons, deposits, bags and other lines that are no goods to
lead with.
"""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd


def worth_telling(names: pd.Series, never: Collection[str]) -> pd.Series:
    """Whether each name of a product or category may be recommended: none of `never` is in it,
    whatever the case.

    `never` is `not_advertised` of client.yaml.

    >>> worth_telling(pd.Series(["Cakes (pastry)", "COUPON/MISC ITEMS"]), ["coupon"]).tolist()
    [True, False]
    """
    text = names.astype("str").str.casefold()
    found = pd.Series(False, names.index)
    for word in never:
        found |= text.str.contains(word.casefold(), regex=False)
    return ~found
