"""What prices, promotions, stock and rivals do to sales."""
