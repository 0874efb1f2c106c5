"""Findings: shown in the notebook as a call-out, and kept for the report and the decision log."""

from __future__ import annotations

import html
import json
import re
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from helpers import tables
from helpers.languages import fixed
from helpers.show import phrases, words
from helpers.show.boxes import box
from helpers.start import current, is_started

PLACES = ("", "lead", "data", "methods")  # where the first page tells a finding, beside the list


@dataclass(kw_only=True)
class Finding:
    """One finding. `value` is money a year, with its likely range; `id` is stable from run
    to run; `place` is one of `PLACES`.
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
    place: str = ""
    notebook: str = ""

    def __post_init__(self) -> None:
        if self.place not in PLACES:
            raise ValueError(f'place "{self.place}" is not one of {PLACES}')


def finding(
    name: str = "",
    result: object = (),
    *,
    value: float | None = None,
    low: float | None = None,
    high: float | None = None,
    check_on: date | None = None,
    **more: object,
) -> None:
    """Show a finding and keep it for the report and the decision log.

    `name` is its id and names its template in the words of the notebook, which is filled with the
    numbers of `result` (see `phrases.values`) and with `more`. Where there is no result, the
    template's `missing` says what is not seen and what it would take; without one nothing is shown.
    `value` is what acting on it is worth in a year, in the client's currency, with the range `low`
    to `high`; leave it out where the finding is not about money.

    A template's `place` has the first page tell the headline outside the list of findings as well:
    under the title ("lead"), or where it says how far to trust the "data" and the "methods"; any
    other word raises ValueError.
    """
    template = phrases.find("findings", name)
    worth = {"value": _number(value), "low": _number(low), "high": _number(high)}
    due = {"check_on": check_on.isoformat() if check_on else ""}
    if template is None:
        return _show(_typed(name, **worth, **due, **more))
    given = {k: v for k, v in (worth | {"check_on": check_on}).items() if v is not None}
    known = phrases.values(result, {**more, **given})
    if known is None:
        return _unseen(name, template["missing"], more) if "missing" in template else None
    said = {part: phrases.say(text, known) for part, text in template.items() if part != "missing"}
    if said["headline"]:
        _show(Finding(id=name, kind="finding", notebook=current().notebook, **said, **worth, **due))


def _typed(name: str, *, headline: str = "", id: str = "", **parts: object) -> Finding:
    """A finding whose sentences the notebook built itself."""
    spoken = ("evidence", "action", "sure")
    parts = {k: words.agree(v) if k in spoken else v for k, v in parts.items()}
    headline = words.agree(headline or name)
    return Finding(
        id=id or _slug(headline),
        kind="finding",
        headline=headline,
        notebook=current().notebook,
        **parts,
    )


def _show(found: Finding) -> None:
    _keep(found)
    lines = [f"<strong>{html.escape(found.headline)}</strong>"]
    if found.evidence:
        lines.append(f"<p>{html.escape(found.evidence)}</p>")
    if found.action:
        lines.append(f"<p>{_advice(found)}</p>")
    if found.sure:
        lines.append(f"<p><i>{fixed('How sure:')}</i> {html.escape(found.sure)}</p>")
    box("finding", "".join(lines))


def _advice(found: Finding) -> str:
    advice = f"<b>{fixed('Do:')}</b> {_ended(found.action)}"
    if found.who:
        advice += f" <b>{fixed('Who:')}</b> {_ended(found.who)}"
    if found.check_on:
        advice += f" <b>{fixed('Check on:')}</b> {_ended(words.day(found.check_on))}"
    return advice


def _ended(text: str) -> str:
    return html.escape(words.sentence(text))


def unseen(what: str, needs: str = "", **more: object) -> None:
    """Say what the data cannot show, and which data would show it.

    `what` names a template in the words of the notebook, which is filled with `more`; with `needs`
    both are sentences.
    """
    template = None if needs else phrases.find("unseen", what)
    if template:
        _unseen(what, template, more)
    else:
        _unseen(_slug(what), {"what": what, "needs": needs}, {})


def _unseen(name: str, template: dict[str, str], values: dict[str, object]) -> None:
    what, needs = (phrases.say(template[part], values) for part in ("what", "needs"))
    _keep(Finding(id=name, kind="unseen", headline=what, action=needs, notebook=current().notebook))
    not_seen = f"<b>{fixed('Not seen:')}</b> {_ended(what)}"
    box("unseen", f"<p>{not_seen} <b>{fixed('It would take:')}</b> {_ended(needs)}</p>")


def needs(*names: str, what: str) -> bool:
    """True where the client brings all the tables that `what` needs; else say so in one sentence.

    So too in the lab for a table that a later notebook makes and that is not there yet.
    """
    later = [n for n in names if current().comes_later(n)]
    missing = [n for n in names if n in later or _empty(n)]
    if missing:
        unseen(f"{what[0].upper()}{what[1:]}.", f"{' and '.join(_origin(n) for n in missing)}.")
    return not missing


def _origin(name: str) -> str:
    made = fixed("made by") if current().comes_later(name) else fixed("from the")
    return f"{name} ({made} {fixed(tables.get(name).by)})"


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
        f.headline if f.kind == "finding" else f"{fixed('Not seen:')} {f.headline}"
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
    every = {f.id: f for f in _kept(file)} | {found.id: found}  # one shown again keeps its place
    rows = [asdict(f) for f in every.values()]
    file.write_text(json.dumps(rows, indent=1, ensure_ascii=False), encoding="utf-8")


def _number(value: float | None) -> float | None:
    return None if value is None or value != value else round(float(value), 2)


def _slug(headline: str) -> str:
    return re.sub(r"[\W\d_]+", "-", re.sub(r"\d[\d,.]*", "", headline.lower())).strip("-")[:60]
