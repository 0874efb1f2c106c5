"""Step 5, plan strategy: targets that add up, a strategy a segment, lists of people to act on."""
