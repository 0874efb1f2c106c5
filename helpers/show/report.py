"""The report: an index page made of findings and tables, and a page a notebook. One file each, no
script.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import nbformat
import nh3
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup, escape

from helpers import languages
from helpers.client import Client
from helpers.languages import fixed
from helpers.show import phrases, words
from helpers.show.findings import Finding, all_findings

MOST_FINDINGS, LEAST_FINDINGS = 7, 3
PHONE = 48  # letters in a row of a table that a phone still shows as one
SHORT = 16  # letters of a cell of which a phone shows two side by side
OVER = "The period is over: this is how it ended."
ON_THE_WAY = "{gone} of the period is gone; where it is heading if nothing changes."
LARGE = 0.01  # part of a year's sales from which what a finding is worth is the answer of a report
TINY = 0.001  # part of a year's sales below which what a finding is worth does not put it first
COURSE = {"course", "exercise"}  # tags of cells that are for learners alone
UNSHOWN = COURSE | {"no-report", "parameters", "injected-parameters"}
TAGS = {
    "h2",
    "h3",
    "h4",
    "p",
    "ul",
    "ol",
    "li",
    "table",
    "caption",
    "thead",
    "tbody",
    "tfoot",
    "tr",
    "th",
    "td",
    "b",
    "strong",
    "i",
    "em",
    "code",
    "pre",
    "div",
    "span",
    "br",
    "a",
    "blockquote",
    "hr",
}
ATTRIBUTES = {
    "*": {"class"},
    "a": {"href"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan", "scope"},
}
INWARD = re.compile(r"(\w[\w-]*\.html)?(#[\w-]+)?", re.ASCII)
LEFT_OUT = '<p class="source">A table with customer numbers is left out of the report.</p>'

_markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
_templates = Environment(
    loader=PackageLoader("helpers.show"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)

_templates.globals["t"] = fixed
_templates.filters["ended"] = words.sentence


@dataclass
class Page:
    """One notebook's page."""

    name: str
    title: str
    heading: Markup
    content: Markup
    toc: list[tuple[str, str]]
    note: str = ""
    untranslated: bool = False

    @property
    def file(self) -> str:
        """File name beside the index."""
        return f"{self.name}.html"

    @property
    def step(self) -> str:
        """The step it belongs to: 04 for 04_segment and its chapters."""
        return self.name[:2]


def build(folder: Path, client: Client) -> Path:
    """Write the report of a finished run into its folder and give back the index page."""
    with languages.speaking(client.settings.language):
        return _build(folder, client)


def _build(folder: Path, client: Client) -> Path:
    place = folder / "report"
    place.mkdir(exist_ok=True)
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    found = all_findings(folder)
    pages = [read_page(p) for p in sorted((folder / "notebooks").glob("*.ipynb"))]
    for page in pages:
        n = sum(f.notebook == page.name and f.kind == "finding" for f in found)
        page.note = words.agree(fixed("{n} findings", n=n))
        page.untranslated = _untranslated(page.name)
    common = {
        "client": client.settings.title,
        "as_of": words.day(record["as_of"]),
        "language": languages.spoken(),
        "footer": _footer(record, client),
        "style": Markup(_templates.loader.get_source(_templates, "style.css")[0]),
    }
    for before, page, after in zip([None, *pages], pages, [*pages[1:], None], strict=False):
        _write(
            place / page.file,
            "page.html.j2",
            common
            | {
                "title": f"{page.title} · {client.settings.title}",
                "heading": page.heading,
                "content": page.content,
                "untranslated": page.untranslated,
                "toc": page.toc,
                "before": before,
                "after": after,
                "chapters": [
                    p for p in pages if p.step == page.step and p != page and page.name[2] == "_"
                ],
            },
        )
    _write(place / "index.html", "index.html.j2", common | _index(folder, client, found, pages))
    return place / "index.html"


def read_page(path: Path) -> Page:
    """The page of an executed notebook: headings, outputs, and markdown tagged `report`; all of it
    made safe.

    Markdown that says how to read the cell above it is left out where that cell had nothing to
    show, or only that it takes other data to show it.
    """
    nb, parts, toc, heading, title = nbformat.read(path, as_version=4), [], [], "", path.stem
    own = phrases.cells(path.stem)
    for above, cell in zip([None, *nb.cells], nb.cells, strict=False):
        tags = set(cell.metadata.get("tags", []))
        if tags & UNSHOWN:
            continue
        if cell.cell_type == "markdown":
            source = own.get(cell.get("id"), cell.source)
            lines = source.splitlines()
            if any(line.startswith("# ") for line in lines):
                title = next(line for line in lines if line.startswith("# "))[2:].strip()
                question = next((line for line in lines if line.startswith("**")), "")
                heading = Markup('<h1>{}</h1><p class="lead">{}</p>').format(
                    title, question.strip("*")
                )
                continue
            for line in lines if "report" not in tags else []:
                if re.match(r"#{2,3} ", line):
                    parts.append(_heading(line, toc))
            if "report" in tags and not _shows_nothing(above):
                parts.append(safe(_markdown.render(source)))
        else:
            parts += [_output(o) for o in cell.outputs]
    filled = [p for p in parts if p]
    return Page(path.stem, title, heading, Markup("\n").join(_without_empty(filled, toc)), toc)


def _untranslated(notebook: str) -> bool:
    """Whether a page has no words in the language that is spoken, and so is shown in English."""
    file = phrases.words_file(notebook, languages.spoken())
    return languages.spoken() != languages.ENGLISH and not file.is_file()


def _shows_nothing(cell: dict | None) -> bool:
    if cell is None or cell.cell_type != "code":
        return False
    shown = (output.get("data", {}).get("text/html", "") for output in cell.outputs)
    return all(re.match(r'<div class="(nothing|unseen)"', html) for html in shown)


def safe(html: str) -> Markup:
    """HTML with only the tags and attributes that a page needs: no script, no style, no address.

    A link leads to another page of the report or to a place on a page; any other, such as //host,
    is taken out.

    >>> safe('<a href="04_segment.html#s1">a</a> <a href="//host">b</a> <a href="https://host">c</a>')
    Markup('<a href="04_segment.html#s1">a</a> <a>b</a> <a>c</a>')
    """
    cleaned = nh3.clean(
        html,
        tags=TAGS,
        attributes=ATTRIBUTES,
        attribute_filter=_inward,
        url_schemes=set(),
        link_rel=None,
    )
    return Markup(cleaned)


def _inward(tag: str, attribute: str, value: str) -> str | None:
    return value if attribute != "href" or INWARD.fullmatch(value) else None


def _heading(line: str, toc: list[tuple[str, str]]) -> Markup:
    marks, text = line.split(" ", 1)
    level, text = len(marks), text.strip()
    if level != 2:
        return Markup("<h{0}>{1}</h{0}>").format(level, text)
    toc.append((f"s{len(toc) + 1}", text))
    return Markup('<h2 id="{}">{}</h2>').format(toc[-1][0], text)


def _without_empty(parts: list[Markup], toc: list[tuple[str, str]]) -> list[Markup]:
    # A heading with nothing under it (a section of the course only) would puzzle a reader.
    kept = [
        p
        for p, after in zip(parts, [*parts[1:], Markup("<h2")], strict=True)
        if not (p.startswith("<h2") and after.startswith("<h2"))
    ]
    ids = " ".join(p[:16] for p in kept)
    toc[:] = [t for t in toc if f'"{t[0]}"' in ids]
    return kept


def _output(output: dict) -> Markup:
    data = output.get("data", {})
    if output.output_type not in ("display_data", "execute_result"):
        return Markup("")
    if "text/html" in data:
        return _table(safe(data["text/html"]))
    if "image/png" in data:
        alt = output.metadata.get("image/png", {}).get("alt") or output.metadata.get("alt", "Chart")
        png = data["image/png"].replace("\n", "")
        return Markup('<figure><img alt="{}" src="data:image/png;base64,{}"></figure>').format(
            alt, png
        )
    return Markup("")


def _table(cleaned: Markup) -> Markup:
    html = str(cleaned)  # a Markup would escape what we put in
    if "<table" not in html:
        return cleaned
    if re.search(r"<th\b[^>]*>\s*customer[ _]id\s*<", html, re.IGNORECASE):
        return Markup(LEFT_OUT)
    found = re.search(r'<tr class="gt_heading">\s*<td[^>]*>(.*?)</td>\s*</tr>', html, re.DOTALL)
    caption = found.group(1).strip() if found else "Table"
    names = re.findall(r"<th\b[^>]*>(.*?)</th>", html, re.DOTALL)
    body = html.replace(found.group(0), "") if found else html
    widths = _widths(body)
    fits = ""
    if sum(widths) + 2 * len(widths) <= PHONE:
        fits = " data-fits"
    elif max(widths, default=0) <= SHORT:
        fits = " data-short"
    body = re.sub(
        r"(<table)([^>]*>)",
        rf'\1 data-columns="{len(names)}"{fits}\2<caption>{{}}</caption>',
        body,
        count=1,
    )
    body = re.sub(r"<tr>(.*?)</tr>", lambda row: _labelled(row, names), body, flags=re.DOTALL)
    label = escape(Markup(caption).striptags())
    return Markup(
        f'<div class="scroll" tabindex="0" role="region" aria-label="{label}">'
        f"{body.replace('<caption>{}', f'<caption>{caption}', 1)}</div>"
    )


def _widths(table: str) -> list[int]:
    """By column, the letters of its longest cell, or of the longest word of its heading."""
    rows = re.findall(r"<tr\b[^>]*>(.*?)</tr>", table, re.DOTALL)
    cells = [re.findall(r"<t[dh]\b[^>]*>(.*?)</t[dh]>", row, re.DOTALL) for row in rows]
    cells = [[Markup(cell).striptags() for cell in row] for row in cells]
    heads, body = (cells[0], cells[1:]) if cells else ([], [])
    longest = [max(head.split(), key=len, default="") for head in heads]
    columns = zip(longest, *[row for row in body if len(row) == len(heads)], strict=True)
    return [max(map(len, column)) for column in columns]


def _labelled(row: re.Match, names: list[str]) -> str:
    # On a phone a row becomes a card, and each cell needs its heading beside it.
    labels = iter(escape(Markup(n).striptags()) for n in names)
    return re.sub(r"<td", lambda _: f'<td data-label="{next(labels, "")}"', row[0])


def _index(folder: Path, client: Client, found: list[Finding], pages: list[Page]) -> dict:
    currency, titles = client.settings.currency, {p.name: p.title for p in pages}
    sales = stored_frame(folder, "sales_daily")
    ranked = rank(found, year_of_sales(sales))
    top = max((abs(v) for f in ranked for v in (f.value, f.high) if v), default=1.0)
    kpis, pacing = stored_frame(folder, "kpis"), stored_frame(folder, "pacing")
    told = {
        place: [words.sentence(f.headline) for f in found if f.place == place]
        for place in ("lead", "data", "methods")
    }
    lead = told.pop("lead")
    headline = _headline(ranked, lead, year_of_sales(sales))
    advice = sum(f.kind == "finding" and bool(f.action) for f in found)
    if advice:
        lead.append(
            fixed("{n} pieces of advice follow from the data; those below come first.", n=advice)
        )
    trust = [(fixed(place.capitalize()), " ".join(told[place])) for place in told]
    trust.append((fixed("About the data"), client.settings.about))
    return {
        "title": f"{client.settings.title}: {fixed('report of {day}', day=folder.name[:10])}",
        "badges": _badges(folder, client),
        "headline": headline.rstrip(".。"),
        "lead": " ".join(sentence for sentence in lead if sentence != headline),
        "kpis": _kpis(kpis, sales),
        "kpi_note": _kpi_note(kpis, currency),
        "findings": [_shown(f, top, currency, titles) for f in ranked],
        **_targets(pacing, client),
        "trust": [(n, t) for n, t in trust if t],
        "assumed": _assumed(stored_frame(folder, "assumptions"), currency, titles),
        "unseen": _unseen([f for f in found if f.kind == "unseen"]),
        "pages": pages,
    }


def _headline(ranked: list[Finding], lead: list[str], sales: float = 0.0) -> str:
    """What the report says first: how sales stand, or the advice that is worth most where that is a
    hundredth of a year's `sales` or more.
    """
    if ranked and ranked[0].value and abs(ranked[0].value) >= LARGE * sales:
        return ranked[0].headline
    known = lead + [f.headline for f in ranked]
    return known[0] if known else fixed("No finding in this run")


def _kpi_note(kpis: pd.DataFrame, currency: str) -> str:
    if kpis.empty:
        return ""
    period = kpis["period"].iloc[0]
    return fixed("{period}; money in {currency}.", period=period, currency=currency)


def _assumed(rows: pd.DataFrame, currency: str, titles: dict[str, str]) -> list[dict]:
    """What the report takes for granted: one row a figure, with the pages that use it."""
    return [
        {
            "about": fixed(row.about),
            "value": _in_unit(row.value, row.unit, currency),
            "source": _with_titles(row.source, titles),
            "key": row.key,
            "pages": [(f"{n}.html", titles.get(n, n)) for n in row.used_by.split(", ")],
        }
        for row in rows.itertuples()
    ]


def _in_unit(value: float, unit: str, currency: str) -> str:
    if unit == "currency":
        return words.money(value, currency)
    if unit.startswith("share"):
        return f"{words.percent(value, 1)} {fixed(unit.removeprefix('share').strip())}"
    return f"{words.count(value)} {fixed(unit)}"


def _with_titles(source: str, titles: dict[str, str]) -> str:
    """Where a figure comes from, with the title of the page that measured it."""
    by = source.removeprefix("measured by ")
    return fixed("measured by {page}", page=titles[by]) if by in titles else fixed(source)


def _unseen(found: list[Finding]) -> list[dict[str, str]]:
    """What could not be seen, one row for each thing that would show it."""
    takes = dict.fromkeys(f.action for f in found)
    return [
        {"headline": " ".join(f.headline for f in found if f.action == a), "action": a}
        for a in takes
    ]


def rank(found: list[Finding], sales: float = 0.0) -> list[Finding]:
    """The three to seven findings for the index: by value, then those that advise, the soonest due
    first, then what to know.

    `sales` are those of a year: what is worth less than a thousandth of them comes after all advice
    whose worth nobody has put into money.
    """
    listed = [f for f in found if f.kind == "finding"]
    valued = sorted((f for f in listed if f.value), key=lambda f: -f.value)
    worth = [f for f in valued if abs(f.value) >= TINY * sales]
    tiny = [f for f in valued if f not in worth]
    advising = [f for f in reversed(listed) if f.action and not f.value]
    advising.sort(key=lambda f: f.check_on or "9999")
    chosen = (worth + advising + tiny)[:MOST_FINDINGS]
    rest = [f for f in reversed(listed) if f not in chosen]
    return chosen + rest[: max(0, LEAST_FINDINGS - len(chosen))]


def _shown(f: Finding, top: float, currency: str, titles: dict[str, str]) -> dict:
    shown = {
        "headline": f.headline,
        "evidence": f.evidence,
        "action": f.action,
        "who": f.who,
        "sure": f.sure,
        "check_on": words.day(f.check_on) if f.check_on else "",
        "page": f"{f.notebook}.html",
        "page_title": titles.get(f.notebook, f.notebook),
        "range": None,
        "worth": words.money(f.value, currency) if f.value else "",
    }
    if f.value and f.low is not None and f.high is not None:
        floor = min(0.0, f.low)
        scale = 99 / max(top - floor, 1e-9)
        shown["range"] = {
            "left": round((f.low - floor) * scale, 1),
            "width": round((f.high - f.low) * scale, 1),
            "at": round((f.value - floor) * scale, 1),
            "low": words.money(f.low),
            "high": words.money(f.high),
        }
    return shown


def _kpis(kpis: pd.DataFrame, sales: pd.DataFrame) -> list[dict]:
    style = {"money": words.money, "share": lambda v: words.percent(v, 1), "count": words.count}
    weeks = _weekly(sales)
    kpis = (
        kpis.sort_values("metric", key=lambda m: m != "sales", kind="stable") if len(kpis) else kpis
    )
    kpis = kpis[kpis["value"].notna()] if len(kpis) else kpis
    cards = [
        {
            "name": fixed(k.metric),
            "value": style.get(k.unit, words.count)(k.value),
            "points": "",
            "alt": "",
            "change": _moved(k),
        }
        for k in kpis.itertuples()
    ]
    if cards and len(weeks) > 2:
        span = max(weeks.max() - weeks.min(), 1e-9)
        cards[0]["points"] = " ".join(
            f"{i * 120 / (len(weeks) - 1):.1f},{22 - 20 * (v - weeks.min()) / span:.1f}"
            for i, v in enumerate(weeks)
        )
        cards[0]["alt"] = fixed(
            "Sales by week over {n} whole weeks, from {low} to {high}",
            n=len(weeks),
            low=words.money(weeks.min()),
            high=words.money(weeks.max()),
        )
    return cards


def _moved(k: object) -> str:
    if pd.isna(k.change):
        return fixed("no earlier period")
    if k.unit == "share":
        points = f"{(k.value - k.previous) * 100:+.1f}"
        return fixed("{points} points on the period before", points=points)
    change = words.percent(k.change, 1, signed=True)
    return fixed("{change} on the period before", change=change)


def year_of_sales(sales: pd.DataFrame) -> float:
    """What a year sells at the pace of the last one (or of fewer days) in the table `sales_daily`."""
    if sales.empty:
        return 0.0
    daily = sales.groupby("ordered_on")["revenue"].sum().tail(365)
    return float(daily.mean() * 365)


def _weekly(sales: pd.DataFrame) -> pd.Series:
    if sales.empty:
        return pd.Series(dtype=float)
    daily = sales.groupby(pd.to_datetime(sales["ordered_on"]))["revenue"].sum().resample("D").sum()
    weeks = daily.resample("W-SUN").agg(["sum", "size"])
    return weeks.loc[weeks["size"] == 7, "sum"]


def _targets(pacing: pd.DataFrame, client: Client) -> dict:
    if pacing.empty:
        return {"targets": [], "targets_done": False, "target_note": "", "target_caption": ""}
    whole, currency = pacing[pacing["scope"] == "all"].iloc[0], client.settings.currency
    made = fixed(
        "A target is the forecast from before the period plus {growth}.",
        growth=words.percent(client.settings.sales_growth),
    )
    parts = pacing[pacing["scope"] != "all"].sort_values("target", ascending=False).head(9)
    rows = pacing[pacing["scope"] == "all"].head(1)
    rows = pd.concat([rows, parts]) if len(parts) > 1 else rows  # a lone part says the same as all
    done = whole["elapsed"] >= 1
    shown = [
        {
            "scope": fixed("All") if r.scope == "all" else words.category(r.scope_value),
            "target": words.money(r.target),
            "actual": words.money(r.actual),
            "light": r.light,
            "expected": (
                words.money(r.expected)
                if done
                else f"{words.money(r.expected)} ({_span(words.money(r.low), words.money(r.high))})"
            ),
            "words": _pace(r, done),
        }
        for r in rows.itertuples()
    ]
    span = _span(words.day(whole["starts_on"]), words.day(whole["ends_on"]))
    gone = words.percent(whole["elapsed"])
    return {
        "targets": shown,
        "targets_done": done,
        "target_caption": fixed(
            "Sales against target, {span}, {currency}", span=span, currency=currency
        ),
        "target_note": f"{fixed(OVER) if done else fixed(ON_THE_WAY, gone=gone)} {made}",
    }


def _pace(r: object, done: bool) -> str:
    if done:
        if r.actual >= r.target:
            return fixed("reached")
        return fixed("missed by {share}", share=words.percent(1 - r.actual / r.target, 1))
    return fixed("{chance} likely to reach", chance=words.percent(r.chance))


def _span(first: str, last: str) -> str:
    return fixed("{first} to {last}", first=first, last=last)


def _badges(folder: Path, client: Client) -> list[str]:
    sales = stored_frame(folder, "sales_daily")
    span = (
        [_span(words.day(sales["ordered_on"].min()), words.day(sales["ordered_on"].max()))]
        if len(sales)
        else []
    )
    return client.settings.badges + span


def _footer(record: dict, client: Client) -> str:
    extra = {
        k: v
        for ps in record["parameters"].values()
        for k, v in ps.items()
        if k not in ("client", "as_of")
    }
    inputs = ", ".join(f"{n} {h[:8]}" for n, h in record["inputs"].items())
    chosen = ", ".join(f"{k}={v}" for k, v in extra.items())
    parts = [
        fixed(
            "Made by the marketing playbook {version} from {files} files in {seconds} seconds; run {run}.",
            version=record["versions"]["marketing-playbook"],
            files=len(client.sources()),
            seconds=f"{record.get('seconds', 0):.0f}",
            run=record["run_id"],
        ),
        fixed("Parameters: {chosen}.", chosen=chosen or fixed("as in the notebooks")),
        fixed(
            "Figures are computed from the data; amounts in {currency}.",
            currency=client.settings.currency,
        ),
        fixed("Fingerprints of the inputs: {inputs}.", inputs=inputs),
    ]
    if record.get("copied_from"):
        parts.append(
            fixed(
                "Only {only} was run again, on a copy of {base}; the other pages are older.",
                only=record["only"],
                base=record["copied_from"],
            )
        )
    return " ".join(parts)


def stored_frame(folder: Path, table: str) -> pd.DataFrame:
    """A table of the run in `folder`; without rows and columns where it has none of that name."""
    path = folder / "tables" / f"{table}.parquet"
    return pd.read_parquet(path) if path.is_file() else pd.DataFrame()


def _write(path: Path, template: str, values: dict) -> None:
    path.write_text(
        _templates.get_template(template).render(values), encoding="utf-8", newline="\n"
    )
