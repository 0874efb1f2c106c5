"""Findings: shown in the notebook as a call-out, and kept for the report and the decision log."""

from __future__ import annotations

import html
import json
import re
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from helpers import tables
from helpers.show import words
from helpers.show.boxes import box
from helpers.start import current, is_started


@dataclass(kw_only=True)
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
            id=id or _slug(headline),
            kind="finding",
            headline=headline,
            evidence=evidence,
            action=action,
            who=who,
            value=_number(value),
            low=_number(low),
            high=_number(high),
            sure=sure,
            practice=practice,
            metric=metric,
            check_on=check_on.isoformat() if check_on else "",
            notebook=current().notebook,
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
    box("finding", "".join(parts))


def unseen(what: str, needs: str) -> None:
    """Say what the data cannot show, and which data would show it."""
    what, needs = words.agree(what), words.agree(needs)
    _keep(
        Finding(
            id=_slug(what), kind="unseen", headline=what, action=needs, notebook=current().notebook
        )
    )
    what, needs = (f"{html.escape(text.rstrip('.'))}." for text in (what, needs))
    box("unseen", f"<p><b>Not seen:</b> {what} <b>It would take:</b> {needs}</p>")


def needs(*names: str, what: str) -> bool:
    """True where the client brings all the tables that `what` needs; else say so in one sentence.

    So too in the lab for a table that a later notebook makes and that is not there yet.
    """
    later = [n for n in names if current().comes_later(n)]
    missing = [n for n in names if n in later or _empty(n)]
    if missing:
        where = [
            f"{n} ({'made by' if n in later else 'from the'} {tables.get(n).by})" for n in missing
        ]
        unseen(f"{what[0].upper()}{what[1:]}.", f"{' and '.join(where)}.")
    return not missing


def sources(names: str) -> str:
    """The tables in a list (`orders, stock`) that have rows here, and whatever is not a table."""
    if not is_started():
        return names
    return ", ".join(n for n in names.split(", ") if n not in tables.CANONICAL or not _empty(n))


def _empty(name: str) -> bool:
    return not current().count(name)


def takeaways() -> None:
    """List what this notebook found, in its own words."""
    items = [
        f.headline if f.kind == "finding" else f"Not seen: {f.headline}"
        for f in _kept(current().findings_file)
    ]
    box("takeaways", "<ul>" + "".join(f"<li>{html.escape(i)}</li>" for i in items) + "</ul>")


def all_findings(folder: Path) -> list[Finding]:
    """Every finding of a run, in the order of the notebooks."""
    files = sorted((folder / "findings").glob("*.json"))
    return [f for file in files for f in _kept(file)]


def _kept(file: Path) -> list[Finding]:
    return [Finding(**f) for f in json.loads(file.read_text(encoding="utf-8"))]


def _keep(found: Finding) -> None:
    file = current().findings_file
    every = [f for f in _kept(file) if f.id != found.id] + [found]
    rows = [asdict(f) for f in every]
    file.write_text(json.dumps(rows, indent=1, ensure_ascii=False), encoding="utf-8")


def _number(value: float | None) -> float | None:
    return None if value is None or value != value else round(float(value), 2)


def _slug(headline: str) -> str:
    return re.sub(r"[^a-z]+", "-", re.sub(r"\d[\d,.]*", "", headline.lower())).strip("-")[:60]
