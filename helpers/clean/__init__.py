"""Step 2, clean: suspicions raised by general rules, settled by the client, every row accounted
for.
"""

from helpers.clean.chain import (
    Cleaned,
    by_rule,
    chain_log,
    clean_table,
    filled_shares,
    ledgers,
    outlier_effect,
    quarantined,
    with_outliers,
)
from helpers.clean.quality import PARTS, quality, trend
from helpers.clean.suspicions import suspicions, told_doubts
