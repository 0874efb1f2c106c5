"""The marketing playbook: thin helpers under notebooks in seven steps.

A notebook begins with `from helpers.start import start` and `run = start("03_analyze", client,
as_of)`, and from there on reads and writes tables by name.
"""

__version__ = "0.1.0"
