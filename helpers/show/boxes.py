"""Sentences in a box of their own: what was said, and why there is nothing to see."""

from __future__ import annotations

import html

from IPython.display import HTML, display

from helpers.show import phrases, words


def text(name: str, result: object = (), **more: object) -> None:
    """Show a sentence that is built from the data; nothing where there is no result.

    `name` names a template in the words of the notebook, filled with the numbers of `result` (see
    `phrases.values`) and with `more`. Any other text is shown as it is.
    """
    template = phrases.find("texts", name)
    known = phrases.values(result, more)
    sentence = phrases.say(template, known) if template and known is not None else ""
    sentence = sentence if template else name
    if sentence:
        box("said", f"<p>{html.escape(words.agree(sentence))}</p>")


def nothing(sentence: str) -> None:
    """Say why there is no table or picture; a report leaves out the words below that tell how to
    read it.
    """
    box("nothing", f"<p>{html.escape(words.agree(sentence))}</p>")


def box(kind: str, inner: str) -> None:
    """Show HTML of a kind that the report's style knows."""
    bar = (
        "border-left:3px solid #0f6b66;padding:.2rem .9rem;margin:.4rem 0"
        if kind not in ("said", "nothing", "chart")
        else ""
    )
    display(HTML(f'<div class="{kind}" style="{bar}">{inner}</div>'))
