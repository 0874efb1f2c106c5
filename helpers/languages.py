"""The language that a report speaks, and what its fixed words are in it.

English texts are the keys: `fixed("How sure")` is what stands for it in `languages.zh.yaml` while
Chinese is spoken, and the text itself otherwise. Sentences with numbers stand beside the notebooks
(`helpers.show.phrases`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import resources

import yaml

ENGLISH = "en"
_spoken = ENGLISH


def speak(language: str) -> None:
    """Speak a language from here on: en or zh. `start` does it for the client of a notebook."""
    global _spoken
    _spoken = language


def spoken() -> str:
    """The language that is spoken."""
    return _spoken


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Within it this language is spoken, after it the one from before."""
    before = _spoken
    speak(language)
    try:
        yield
    finally:
        speak(before)


def fixed(text: str, **values: object) -> str:
    """A fixed text in the language that is spoken, with its places filled.

    >>> fixed("How sure"), fixed("reached by {n} people", n=3)
    ('How sure', 'reached by 3 people')
    >>> with speaking("zh"):
    ...     fixed("How sure"), fixed("a text that nobody translated")
    ('把握程度', 'a text that nobody translated')
    """
    found = text if _spoken == ENGLISH else known(_spoken).get(text, text)
    return found.format(**values) if values else found


@cache
def known(language: str) -> dict[str, str]:
    """The fixed texts of a language, by the English ones."""
    file = resources.files("helpers").joinpath(f"languages.{language}.yaml")
    return yaml.safe_load(file.read_text(encoding="utf-8"))
