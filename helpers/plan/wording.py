"""The words of this step, from words.yaml."""

from __future__ import annotations

from functools import cache
from importlib import resources

import yaml


@cache
def wording(part: str) -> dict:
    """One part of words.yaml: choices, actions, lists, or degrees of difficulty."""
    return yaml.safe_load(
        resources.files(__package__).joinpath("words.yaml").read_text(encoding="utf-8")
    )[part]
