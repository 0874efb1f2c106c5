"""What customers were worth, will be worth, and cost to win."""
