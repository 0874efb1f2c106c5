"""What people see: charts, tables, findings, sentences, and the report made of them.

Notebooks write `show.table(...)` or `show.finding(...)`. The modules are loaded when they are first
asked for: a command that only needs words draws nothing, and charts take a second to load.
"""

from importlib import import_module

_HOLDS = {
    "boxes": ("text",),
    "wall_cards": ("cards",),
    "charts": ("bars", "dots", "graph", "heat", "lines", "scatter", "tree"),
    "findings": ("finding", "needs", "takeaways", "unseen"),
    "tables": ("table",),
    "words": ("count", "day", "listing", "money", "percent"),
}


def __getattr__(name: str) -> object:
    """What notebooks call by name, from the module that holds it."""
    for module, names in _HOLDS.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
