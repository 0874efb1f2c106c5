"""Step 1, collect: sources in, canonical tables out, nothing changed and nothing lost."""
