"""What a stakeholder opens: safe, whole, readable, and free of customers' ids."""

import re
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise

import nbformat
import pandas as pd
import pytest
from conftest import SCRIPT, frames

from helpers.client import Client
from helpers.show import report
from helpers.show.findings import Finding


def pages(index):
    return {p.name: p.read_text(encoding="utf-8") for p in sorted(index.parent.glob("*.html"))}


class Tags(HTMLParser):
    """Collect tags with their attributes, and headings."""

    def __init__(self, html):
        super().__init__()
        self.tags = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


@pytest.fixture(scope="module", params=["corner", "grocer"])
def index(request, corner_report):
    return corner_report if request.param == "corner" else request.getfixturevalue("grocer_report")


def test_pages_hold_no_script_no_address_and_a_policy(index):
    for name, html in pages(index).items():
        tags = Tags(html).tags
        assert not [
            t for t, _ in tags if t in ("script", "iframe", "object", "link", "base", "form")
        ], name
        assert not [a for _, a in tags if any(k.startswith("on") for k in a)], name
        policy = next(a["content"] for t, a in tags if t == "meta" and "http-equiv" in a)
        assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
        text = re.sub(r'"data:image/png;base64,[^"]*"', "", html)
        assert "://" not in text, name
        assert len(html) < 3_000_000, name


def test_links_lead_somewhere(index):
    every = pages(index)
    for name, html in every.items():
        ids = {a["id"] for _, a in Tags(html).tags if "id" in a}
        for tag, a in Tags(html).tags:
            if tag == "a":
                file, _, anchor = a["href"].partition("#")
                assert file in every or (not file and anchor in ids), (name, a)
    overview = [a["href"] for tag, a in Tags(every["03_analyze.html"]).tags if tag == "a"]
    assert {name for name in every if name.startswith("03") and name != "03_analyze.html"} <= set(
        overview
    )


def test_headings_step_down_one_at_a_time(index):
    for name, html in pages(index).items():
        levels = [int(t[1]) for t, _ in Tags(html).tags if re.fullmatch("h[1-6]", t)]
        assert levels[0] == 1, name
        assert levels.count(1) == 1, name
        assert all(b - a <= 1 for a, b in pairwise(levels)), name


def test_pictures_have_words(index):
    for name, html in pages(index).items():
        for tag, a in Tags(html).tags:
            if tag == "img":
                assert len(a["alt"]) > 25, name
            if tag == "svg":
                assert a.get("aria-label") or a.get("aria-hidden"), name


def test_a_hostile_name_comes_out_as_text(corner_report):
    every = pages(corner_report)
    seen = [n for n, html in every.items() if "&lt;script&gt;alert(1)&lt;/script&gt;" in html]
    assert "index.html" in seen
    assert "03_analyze.html" in seen
    assert not [n for n, html in every.items() if SCRIPT in html]


def test_no_customer_id_is_under_reports(corner_report):
    for file in corner_report.parents[1].rglob("*"):
        assert file.is_dir() or b"SHOPPER-" not in file.read_bytes(), file


def test_the_index_makes_sense_alone(grocer_report):
    html = pages(grocer_report)["index.html"]
    tags = Tags(html).tags
    found = [a for t, a in tags if t == "li" and a.get("class") == "found"]
    assert 3 <= len(found) <= 7
    assert len([a for t, a in tags if a.get("class") == "kpi"]) >= 4
    for words in (
        "Against target",
        "Can you trust this?",
        "What we could not see",
        "simulated",
        "Who:",
        "Check on:",
        "30 November 2017",
    ):
        assert words in html, words


def test_contrast_of_text_is_enough():
    css = report._templates.loader.get_source(report._templates, "style.css")[0]
    blocks = re.findall(r":root\{([^}]*)\}", css)
    light, dark = (dict(re.findall(r"--([\w-]+):(#[0-9a-f]{6})", block)) for block in blocks[:2])

    def luminance(color):
        parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for colors in (light, dark):
        for ink in ("ink", "soft", "accent", "good", "amber", "bad"):
            for ground in ("paper", "card"):
                a, b = sorted((luminance(colors[ink]), luminance(colors[ground])))
                assert (b + 0.05) / (a + 0.05) >= 4.5, (ink, ground)


def test_a_page_shows_headings_outputs_and_report_markdown_only(tmp_path):
    nb = nbformat.v4.new_notebook()
    frame = pd.DataFrame({"customer_id": ["C1"], "n": [1]})
    html = nbformat.v4.new_output(
        "execute_result", {"text/html": frame.to_html(), "text/plain": "x"}
    )
    fine = nbformat.v4.new_output(
        "execute_result", {"text/html": pd.DataFrame({"n": ["<b>1</b>"]}).to_html()}
    )
    noise = nbformat.v4.new_output("stream", name="stderr", text="a warning")
    nothing = nbformat.v4.new_output(
        "display_data", {"text/html": '<div class="nothing"><p>Nothing to draw.</p></div>'}
    )
    unseen = nbformat.v4.new_output(
        "display_data", {"text/html": '<div class="unseen"><p>Not seen: rivals.</p></div>'}
    )
    nb.cells = [
        nbformat.v4.new_markdown_cell("# 9 Test\n\n**Why?**\n\nCourse text."),
        nbformat.v4.new_markdown_cell("## Heading\n\nCourse text."),
        nbformat.v4.new_code_cell("secret_code()", outputs=[html, fine, noise]),
        nbformat.v4.new_markdown_cell(
            "Read *this*. <script>x</script>", metadata={"tags": ["report"]}
        ),
        nbformat.v4.new_code_cell("show.lines()", outputs=[nothing]),
        nbformat.v4.new_markdown_cell("A dot is a week.", metadata={"tags": ["report"]}),
        nbformat.v4.new_code_cell("show.unseen()", outputs=[unseen]),
        nbformat.v4.new_markdown_cell("A bar is a rival.", metadata={"tags": ["report"]}),
        nbformat.v4.new_markdown_cell("## Exercises"),
        nbformat.v4.new_code_cell("x", outputs=[]),
    ]
    nbformat.write(nb, tmp_path / "09_test.ipynb")
    page = report.read_page(tmp_path / "09_test.ipynb")
    assert page.title == "9 Test"
    assert [t for _, t in page.toc] == ["Heading"]
    assert "Course text" not in page.heading + page.content
    assert "secret_code" not in page.content
    assert "C1" not in page.content
    assert "left out of the report" in page.content
    assert "a warning" not in page.content
    assert "<em>this</em>" in page.content
    assert "Nothing to draw" in page.content
    assert "Not seen: rivals" in page.content
    for how_to_read in ("A dot is a week", "A bar is a rival"):
        assert how_to_read not in page.content  # what is not there
    assert "<script>" not in page.content
    assert "&lt;b&gt;1&lt;/b&gt;" in page.content


def test_findings_are_ranked_by_value_then_by_advice():
    def make(i, **more):
        return Finding(id=str(i), kind="finding", headline=str(i), **more)

    found = [
        make(1),
        make(2, action="do"),
        make(3, action="do", value=10.0),
        make(4, value=99.0),
        make(5),
    ]
    assert [f.id for f in report.rank(found)][:3] == ["4", "3", "2"]
    assert len(report.rank([make(i, value=float(i + 1)) for i in range(12)])) == 7
    assert len(report.rank([make(i) for i in range(5)])) == 3
    assert report.rank([]) == []


def test_advice_without_a_worth_comes_in_the_order_of_its_days_and_is_not_the_answer():
    def make(i, **more):
        return Finding(id=i, kind="finding", headline=f"{i}.", action="do", **more)

    found = [
        make("late", check_on="2024-04-01"),
        make("never"),
        make("soon", check_on="2024-01-14"),
    ]
    ranked = report.rank(found)
    assert [f.id for f in ranked] == ["soon", "late", "never"]
    assert report._headline(ranked, ["Sales rise."]) == "Sales rise."
    worth = make("worth", value=2000.0)
    assert report._headline([worth, *ranked], ["Sales rise."]) == "worth."
    assert report._headline([worth, *ranked], ["Sales rise."], 1e6) == "Sales rise."
    assert report._headline(ranked, []) == "soon."
    assert report._headline([], []) == "No finding in this run"


def test_what_is_worth_next_to_nothing_does_not_lead():
    def make(i, **more):
        return Finding(id=i, kind="finding", headline=i, **more)

    found = [make("tiny", value=900.0), make("advice", action="do"), make("large", value=2000.0)]
    assert [f.id for f in report.rank(found, 1e6)] == ["large", "advice", "tiny"]
    assert [f.id for f in report.rank(found)] == ["large", "tiny", "advice"]
    days = pd.DataFrame({"ordered_on": pd.date_range("2024-01-01", periods=10), "revenue": 2.0})
    assert report.year_of_sales(days) == 730.0
    assert report.year_of_sales(pd.DataFrame()) == 0.0


def test_a_table_of_short_cells_stays_a_table_on_a_phone():
    def table(cell):
        heads = "".join(f"<th>{h}</th>" for h in ("department", "January", "quarter", "year"))
        row = "<tr>" + f"<td>{cell}</td>" * 4 + "</tr>"
        return report._table(report.safe(f"<table><tr>{heads}</tr>{row}</table>"))

    assert "data-fits" in table("206 k")
    assert "data-short" in table("206 k of 310 k")
    long = table("206 k (190 k to 230 k)")
    assert "data-fits" not in long
    assert "data-short" not in long


def test_a_finding_says_itself_where_the_first_page_tells_it():
    with pytest.raises(ValueError, match='place "top" is not one of'):
        Finding(id="rise", kind="finding", headline="Sales rise.", place="top")


@pytest.mark.parametrize(
    "address",
    [
        *(
            "//host",
            "///host",
            "\\\\host",
            "/\\host",
            "\\/host",
            "/\t/host",
            "\n//host",
            " //host",
            "\x01//host",
        ),
        *(
            "//host#s1",
            "&#47;&#47;host",
            "java\tscript:alert(1)",
            "JAVASCRIPT:alert(1)",
            "&#106;avascript:alert(1)",
        ),
        *(
            "https://host",
            "http:host",
            "host.example/x.html",
            "../x.html",
            "/x.html",
            "?q=1",
            "x.html?q=1",
        ),
        *(
            "x.html\n//host",
            "ftp:x",
            "mailto:a@b.example",
            "file:///x",
            "．．／x.html",
            "data:text/html,x",
        ),
        *("blob:x", "vbscript:x"),
    ],
)
@pytest.mark.parametrize("quote", ['"', "'"])
def test_a_link_out_of_the_report_is_taken_out(address, quote):
    for tag in ("a", "A", "svg><a"):
        assert "href" not in report.safe(f"<{tag} href={quote}{address}{quote}>x</a>").lower()
    assert "host" not in report.safe(
        f'<a xlink:href="{address}" ping="{address}" formaction="{address}">x</a>'
    )
    assert "host" not in report.safe(
        f'<img src="{address}"><p style="background:url({address})">x</p>'
    )


@pytest.mark.parametrize(
    "address", ["04_segment.html", "04_segment.html#s1", "#s12", "03a_relations.html"]
)
def test_a_link_within_the_report_stays(address):
    assert report.safe(f'<a href="{address}">x</a>') == f'<a href="{address}">x</a>'


def test_the_first_page_says_what_is_taken_for_granted_each_figure_once(grocer_report):
    taken = frames(Client("grocer").latest)["assumptions"]
    assert taken["name"].is_unique
    assert {"contact_cost", "discount_rate", "horizon_days", "margin"} <= set(taken["name"])
    first = unescape(pages(grocer_report)["index.html"])
    shown = first.split("What this report takes for granted")[1]
    for row in taken.itertuples():
        assert row.about in shown
        assert row.key in shown
        assert all(f'href="{name}.html"' in shown for name in row.used_by.split(", "))
