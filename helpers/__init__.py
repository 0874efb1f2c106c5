"""The marketing playbook: thin helpers under notebooks in seven steps.

A notebook starts with `run = start("03_analyze", client, as_of)` and from there on
reads and writes tables by name.
"""

from helpers.store import start

__all__ = ["start"]
__version__ = "0.1.0"
