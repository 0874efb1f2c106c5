"""Groups of customers with like habits, their personas and their needs."""
