"""Business accounts: points, weights, ranks."""
