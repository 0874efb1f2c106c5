"""The marketing playbook: thin helpers under notebooks in seven steps.

A notebook starts with `run = start("03_analyze", client, as_of)` and from there on
reads and writes tables by name.
"""

__all__ = ["start"]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """`start`, imported when it is asked for: a command that is stopped in its first second ends in
    one line.
    """
    if name == "start":
        from helpers.store import start

        return start
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
