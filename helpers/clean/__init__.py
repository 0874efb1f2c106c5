"""Step 2, clean: suspicions raised by general rules, settled by the client, every row accounted
for.
"""
