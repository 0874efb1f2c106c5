"""Findings: shown in the notebook as a call-out, and kept for the report and the decision log."""

from __future__ import annotations

import html
import json
import os
import re
import warnings
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from IPython.display import HTML, display

from helpers import tables
from helpers.client import quiet_ibis
from helpers.show import words

if TYPE_CHECKING:
    from helpers.store import Store


@dataclass
class Finding:
    """One finding. `value` is money a year, with its likely range; `id` is stable from run
    to run.
    """

    id: str
    kind: str  # finding, or unseen
    headline: str
    evidence: str = ""
    action: str = ""
    who: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    sure: str = ""
    practice: str = ""
    metric: str = ""
    check_on: str = ""
    notebook: str = ""


_run: Store | None = None
_findings: list[Finding] = []


def begin(run: Store) -> None:
    """Start a notebook's list of findings anew, set the look, quieten one warning of Ibis."""
    global _run
    from helpers.show import charts

    _run = run
    _findings.clear()
    if os.environ.get("PLAYBOOK_WARNINGS"):  # the tests make warnings errors
        warnings.simplefilter(os.environ["PLAYBOOK_WARNINGS"])
    quiet_ibis()
    charts.theme()
    _save()


def finding(
    headline: str,
    *,
    id: str = "",
    evidence: str = "",
    action: str = "",
    who: str = "",
    value: float | None = None,
    low: float | None = None,
    high: float | None = None,
    sure: str = "",
    practice: str = "",
    metric: str = "",
    check_on: date | None = None,
) -> None:
    """Show a finding and keep it.

    Build every sentence from the data. `value` is what acting on it is worth in a year, in the
    client's currency, with the range `low` to `high`; leave it out where the finding is not about
    money. Give an `id` to a finding that advises something, so that it stays the same decision in
    the next run.
    """
    headline, evidence, action, sure = (words.agree(t) for t in (headline, evidence, action, sure))
    _keep(
        Finding(
            id or _slug(headline),
            "finding",
            headline,
            evidence,
            action,
            who,
            _number(value),
            _number(low),
            _number(high),
            sure,
            practice,
            metric,
            check_on.isoformat() if check_on else "",
            _run.notebook,
        )
    )
    parts = [f"<strong>{html.escape(headline)}</strong>"]
    parts += [f"<p>{html.escape(evidence)}</p>"] if evidence else []
    if action:
        who_when = "".join(
            [
                f" <b>Who:</b> {html.escape(who)}." if who else "",
                f" <b>Check on:</b> {check_on.day} {check_on:%B %Y}." if check_on else "",
            ]
        )
        parts.append(f"<p><b>Do:</b> {html.escape(action.rstrip('.'))}.{who_when}</p>")
    parts += [f"<p><i>How sure:</i> {html.escape(sure)}</p>"] if sure else []
    _box("finding", "".join(parts))


def unseen(what: str, needs: str) -> None:
    """Say what the data cannot show, and which data would show it."""
    what, needs = words.agree(what), words.agree(needs)
    _keep(Finding(_slug(what), "unseen", what, action=needs, notebook=_run.notebook))
    what, needs = (f"{html.escape(text.rstrip('.'))}." for text in (what, needs))
    _box("unseen", f"<p><b>Not seen:</b> {what} <b>It would take:</b> {needs}</p>")


def needs(*names: str, what: str) -> bool:
    """True where the client brings all the tables that `what` needs; else say so in one sentence.

    So too in the lab for a table that a later notebook makes and that is not there yet.
    """
    later = [n for n in names if _run.comes_later(n)]
    missing = [n for n in names if n in later or _empty(n)]
    if missing:
        where = [
            f"{n} ({'made by' if n in later else 'from the'} {tables.get(n).by})" for n in missing
        ]
        unseen(f"{what[0].upper()}{what[1:]}.", f"{' and '.join(where)}.")
    return not missing


def sources(names: str) -> str:
    """The tables in a list (`orders, stock`) that have rows here, and whatever is not a table."""
    if _run is None:
        return names
    return ", ".join(n for n in names.split(", ") if n not in tables.CANONICAL or not _empty(n))


def _empty(name: str) -> bool:
    return not _run.count(name)


def text(sentence: str) -> None:
    """Show a sentence that was built from the data; nothing where there is none."""
    if sentence:
        _box("said", f"<p>{html.escape(words.agree(sentence))}</p>")


def nothing(sentence: str) -> None:
    """Say why there is no table or picture; a report leaves out the words below that tell how to
    read it.
    """
    _box("nothing", f"<p>{html.escape(words.agree(sentence))}</p>")


def takeaways() -> None:
    """List what this notebook found, in its own words."""
    items = [f.headline if f.kind == "finding" else f"Not seen: {f.headline}" for f in _findings]
    _box("takeaways", "<ul>" + "".join(f"<li>{html.escape(i)}</li>" for i in items) + "</ul>")


def all_findings(folder: Path) -> list[Finding]:
    """Every finding of a run, in the order of the notebooks."""
    files = sorted((folder / "findings").glob("*.json"))
    return [Finding(**f) for file in files for f in json.loads(file.read_text(encoding="utf-8"))]


def _keep(found: Finding) -> None:
    _findings[:] = [f for f in _findings if f.id != found.id] + [found]
    _save()


def _save() -> None:
    folder = _run.folder / "findings"
    folder.mkdir(parents=True, exist_ok=True)
    rows = [asdict(f) for f in _findings]
    (folder / f"{_run.notebook}.json").write_text(
        json.dumps(rows, indent=1, ensure_ascii=False), encoding="utf-8"
    )


def _box(kind: str, inner: str) -> None:
    bar = (
        "border-left:3px solid #0f6b66;padding:.2rem .9rem;margin:.4rem 0"
        if kind not in ("said", "nothing")
        else ""
    )
    display(HTML(f'<div class="{kind}" style="{bar}">{inner}</div>'))


def _number(value: float | None) -> float | None:
    return None if value is None or value != value else round(float(value), 2)


def _slug(headline: str) -> str:
    return re.sub(r"[^a-z]+", "-", re.sub(r"\d[\d,.]*", "", headline.lower())).strip("-")[:60]
