"""Step 4, segment: who is worth what, who is about to go, and who moved."""
