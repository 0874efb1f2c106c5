"""Step 7, optimize: what campaigns brought, what experiment would settle it, and the log of
decisions.
"""
