"""What a run came to, in plain text for the terminal: the answer, the largest findings, what is still open."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill

import pandas as pd

from helpers.show.findings import Finding, all_findings
from helpers.show.report import TOLD, rank
from helpers.show.words import count, money, sentence

FINDINGS, QUESTIONS, WIDTH = 5, 4, 100


def in_words(folder: Path, currency: str) -> str:
    """The summary of the run in `folder`; money in `currency`."""
    found = all_findings(folder)
    ranked = [f for f in rank(found) if f.id not in TOLD["Lead"]][:FINDINGS]
    answer = [f.headline for f in found if f.id in TOLD["Lead"]]
    parts = [_lines("In short", answer), _lines("Largest findings", [_with_worth(f, currency) for f in ranked])]
    open_questions = [
        *_suspicions(folder),
        *(f"Not seen: {sentence(f.headline)} It would take: {f.action}" for f in found if f.kind == "unseen"),
    ]
    more = len(open_questions) - QUESTIONS
    parts.append(_lines("Open questions", open_questions[:QUESTIONS]))
    if more > 0:
        parts[-1] += f"\n  and {count(more)} more, in the report."
    return "\n\n".join(p for p in parts if p)


def _suspicions(folder: Path) -> list[str]:
    file = folder / "tables" / "suspicions.parquet"
    found = pd.read_parquet(file) if file.is_file() else pd.DataFrame({"status": [], "rule": []})
    rules = found.loc[found["status"] == "open", "rule"].unique()
    if not len(rules):
        return []
    listed = ", ".join(rules[:3]) + (", ..." if len(rules) > 3 else "")
    return [f"Suspicions about the data to settle, page 2 of the report ({count(len(rules))}): {listed}"]


def _with_worth(found: Finding, currency: str) -> str:
    if not found.value or money(found.value, currency) in found.headline:
        return found.headline
    span = f" ({money(found.low)} to {money(found.high)})" if found.low is not None and found.high is not None else ""
    return f"{sentence(found.headline)} Worth {money(found.value, currency)} a year{span}."


def _lines(title: str, sentences: list[str]) -> str:
    wrapped = [fill(sentence(s), WIDTH, initial_indent="  - ", subsequent_indent="    ") for s in sentences]
    return "\n".join([f"{title}:", *wrapped]) if wrapped else ""
