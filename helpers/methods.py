"""Choices of method: usual values in methods.yaml, overruled by `methods:` of client.yaml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import resources

import yaml

USUAL = yaml.safe_load(
    resources.files("helpers").joinpath("methods.yaml").read_text(encoding="utf-8")
)
_chosen: dict[str, float] = {}  # of the client whose notebook is in progress


def value(name: str) -> float:
    """The value of a choice: the client's, else the usual one; KeyError for an unknown name.

    >>> value("margin_known")
    0.8
    """
    return _chosen.get(name, USUAL[name]["value"])


def choose(chosen: Mapping[str, float]) -> None:
    """Take a client's values from here on, and the usual ones for all others; `start` does it."""
    unknown = set(chosen) - set(USUAL)
    if unknown:
        raise KeyError(f"no choice of method called {min(unknown)!r} in methods.yaml")
    _chosen.clear()
    _chosen.update(chosen)


@contextmanager
def overruled(**chosen: float) -> Iterator[None]:
    """Within it these values stand, after it those from before: to see what a choice changes."""
    before = dict(_chosen)
    choose(before | chosen)
    try:
        yield
    finally:
        choose(before)
