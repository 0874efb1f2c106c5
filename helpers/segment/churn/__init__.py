"""Who is leaving, why, and whom to win back."""
