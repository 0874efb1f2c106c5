"""Step 3, analyze: how sales are spread over time, place and amount, who comes back, and what comes
next.
"""
