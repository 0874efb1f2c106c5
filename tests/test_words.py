"""The words of the notebooks: every template has cases, every condition went both ways, none is left over."""

import ast
import re
from inspect import signature

import jinja2
import nbformat
import pandas as pd
import pytest
import yaml
from conftest import CHECKOUT, tags
from jinja2 import nodes
from jinja2.meta import find_undeclared_variables

from helpers import languages, start
from helpers.client import PlaybookError
from helpers.show import boxes, charts, findings, phrases, report, tables, words

WORDS = CHECKOUT / "notebooks" / "words"
NAMES = sorted(p.stem for p in WORDS.glob("*.yaml") if "." not in p.stem)
TRANSLATED = sorted(p.stem.split(".")[0] for p in WORDS.glob("*.zh.yaml"))
SHOWN_BY = {
    "finding": "findings",
    "text": "texts",
    "unseen": "unseen",
    "table": "tables",
} | dict.fromkeys(("bars", "dots", "graph", "heat", "lines", "scatter", "tree"), "charts")
CHINESE = "[\u4e00-\u9fff]"
PLACES = {"title", "x", "y", "unit", "says", "labels", "alt"}  # what the words of a chart may give


def templates(entry, part):
    """The templates of an entry by name of their part: a text, or what a finding or table says."""
    if part == "tables":
        return {"says": entry["caption"]} | entry.get("rename", {})
    if part == "charts":
        labels = entry.get("labels", {})
        return {k: v for k, v in (entry | labels).items() if isinstance(v, str)}
    if isinstance(entry, str):
        return {"says": entry}
    return {k: v for k, v in entry.items() if k != "missing"} | entry.get("missing", {})


def of(name):
    """All templates of a notebook: (part, name, place, template)."""
    found = phrases.read(WORDS / f"{name}.yaml")
    return [
        (part, key, place, template)
        for part, entries in found.items()
        if part != phrases.CELLS
        for key, entry in entries.items()
        for place, template in templates(entry, part).items()
    ]


def asks(template):
    """Whether a template needs values, beyond the client's currency."""
    return find_undeclared_variables(phrases.environment().parse(template)) - {"currency"}


def cases(name):
    file = WORDS / "cases" / f"{name}.yaml"
    return yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else {}


@pytest.mark.parametrize("name", NAMES)
def test_each_template_says_what_its_cases_expect(name):
    known = {(part, key, place): template for part, key, place, template in of(name)}
    for part, entries in cases(name).items():
        for key, given in entries.items():
            for case in given:
                numbers = {"currency": "EUR"} | case["given"]
                for place, expected in case.items():
                    if place != "given":
                        said = phrases.say(known[part, key, place], numbers)
                        assert said.replace("\u00a0", " ") == expected, (key, place)


@pytest.mark.parametrize("name", NAMES)
def test_each_template_that_is_filled_has_a_case_and_each_condition_goes_both_ways(name):
    filled = {(part, key, place): t for part, key, place, t in of(name) if asks(t)}
    went = {}
    for part, entries in cases(name).items():
        for key, given in entries.items():
            for case in given:
                for place in [p for p in case if p != "given" and (part, key, p) in filled]:
                    numbers = {"currency": "EUR"} | case["given"]
                    watched(
                        filled[part, key, place], numbers, went.setdefault((part, key, place), {})
                    )
    assert not sorted(set(filled) - set(went)), "no case"
    one_way = [
        (where, line)
        for where, ways in went.items()
        for line, seen in ways.items()
        if len(seen) < 2
    ]
    assert not one_way, "a condition that went one way only"


def watched(template, values, ways):
    """Fill a template and note which way each of its conditions goes."""

    def note(n, outcome):
        ways.setdefault(n, set()).add(bool(outcome))
        return outcome

    made = phrases.environment()
    made.globals["note"] = note
    tree = made.parse(template)
    tests = [*tree.find_all((nodes.If, nodes.CondExpr))]
    for n, node in enumerate(tests):
        ways.setdefault(n, set())
        node.test = nodes.Call(
            nodes.Name("note", "load"), [nodes.Const(n), node.test], [], None, None
        )
    tree.set_environment(made)
    code = made.compile(tree)
    jinja2.Template.from_code(made, code, dict(made.globals)).render(values)


def test_a_condition_that_goes_one_way_is_noticed():
    ways = {}
    watched("{% if a %}x{% elif b %}y{% endif %}", {"a": True, "b": True}, ways)
    assert ways == {0: {True}, 1: set()}
    watched("{% if a %}x{% elif b %}y{% endif %}", {"a": False, "b": True}, ways)
    assert ways == {0: {True, False}, 1: {True}}


@pytest.mark.parametrize("name", NAMES)
def test_templates_state_no_result_of_their_own(name):
    for part, key, place, template in of(name):
        if place in ("practice", "rename", "labels"):
            continue
        typed = re.sub(r"\{\{.*?\}\}|\{%.*?%\}|\b90 %|\(\d{4}\)", "", template, flags=re.DOTALL)
        assert not re.search(r"\d", typed), (part, key, place, typed)


def used(name):
    """The names of templates that the cells of a notebook ask for, by part."""
    nb = nbformat.read(CHECKOUT / "notebooks" / f"{name}.ipynb", as_version=4)
    found = {part: set() for part in phrases.PARTS}
    for cell in nb.cells:
        if cell.cell_type == "code":
            for node in ast.walk(ast.parse(cell.source)):
                part = SHOWN_BY.get(shower(node))
                if part:
                    names = [a for a in node.args if isinstance(a, ast.Constant)]
                    found[part] |= {a.value for a in names if isinstance(a.value, str)}
    return found


def shower(node):
    """The X of a call show.X(...)."""
    is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    named = is_call and isinstance(node.func.value, ast.Name) and node.func.value.id == "show"
    return node.func.attr if named else None


@pytest.mark.parametrize("name", NAMES)
def test_the_notebook_uses_each_of_its_words(name):
    asked = used(name)
    for part, entries in phrases.read(WORDS / f"{name}.yaml").items():
        assert not set(entries) - asked[part], part


@pytest.mark.parametrize("name", NAMES)
def test_charts_and_tables_are_given_what_they_know(name):
    found = phrases.read(WORDS / f"{name}.yaml")
    assert not [c for c in found.get("charts", {}).values() if set(c) - PLACES]
    known = set(signature(tables.table).parameters) - {"frame", "more"}
    assert not [t for t in found.get("tables", {}).values() if set(t) - known]


class Notebook:
    """A notebook in progress with words of its own."""

    notebook = "09_words"

    def __init__(self, folder):
        self.folder = folder
        self.findings_file = folder / "09_words.json"
        self.findings_file.write_text("[]", encoding="utf-8")
        self.settings = type("Settings", (), {"currency": "EUR"})()


@pytest.fixture
def wording(tmp_path, monkeypatch):
    file = tmp_path / "09_words.yaml"

    def write(text):
        file.write_text(text, encoding="utf-8")
        phrases._read.cache_clear()
        return Notebook(tmp_path)

    monkeypatch.setattr(phrases, "words_file", lambda notebook: file)
    monkeypatch.setattr(start, "_current", Notebook(tmp_path))
    yield write
    phrases._read.cache_clear()


RISE = """
findings:
  rise:
    practice: "3.1"
    headline: Sales rose by {{ share | percent }}{% if money %}, or {{ money | money }}{% endif %}.
    missing: {what: Whether sales rose., needs: "a year of orders; there are {{ days }} days."}
texts:
  seen: "{{ days | count }} days are seen."
"""


def test_a_finding_is_filled_with_a_result_and_kept(wording, monkeypatch):
    store = wording(RISE)
    findings.finding("rise", {"share": 0.2, "money": 1200}, value=1200, low=800, high=1500)
    kept = findings._kept(store.findings_file)
    assert [(f.id, f.headline.replace("\u00a0", " "), f.value) for f in kept] == [
        ("rise", "Sales rose by 20 %, or 1,200 EUR.", 1200)
    ]
    assert kept[0].practice == "3.1"


@pytest.mark.parametrize("result", [None, {"share": 0.2, "enough": False}])
def test_where_there_is_no_result_the_template_says_what_is_missing(wording, result):
    store = wording(RISE)
    findings.finding("rise", result, days=30)
    (kept,) = findings._kept(store.findings_file)
    assert (kept.kind, kept.headline, kept.action) == (
        "unseen",
        "Whether sales rose.",
        "a year of orders; there are 30 days.",
    )


def test_a_text_is_filled_and_a_name_without_value_is_an_error(wording, capsys):
    wording(RISE)
    boxes.text("seen", days=1)
    with pytest.raises(jinja2.UndefinedError, match="days"):
        boxes.text("seen")


def test_a_table_with_words_takes_its_looks_from_them(wording):
    wording("tables: {days: {caption: Days, percent: [share]}}")
    rows = pd.DataFrame({"share": [0.5]})
    tables.table(rows, "days")
    with pytest.raises(TypeError, match="stands in the words"):
        tables.table(rows, "days", most=3)


def test_a_part_that_is_none_is_named(wording, tmp_path):
    wording("headings: {}")
    with pytest.raises(PlaybookError, match="no part headings"):
        phrases.find("texts", "any")


def test_a_result_that_is_gone_takes_its_old_words_along(wording):
    store = wording(RISE)
    findings.finding("rise", {"share": 0.2, "money": None}, days=30)
    findings.finding("rise", None, days=30)
    assert [(f.id, f.kind) for f in findings._kept(store.findings_file)] == [("rise", "unseen")]


def test_a_name_that_is_none_and_a_name_given_twice_are_errors(wording):
    wording(RISE)
    with pytest.raises(PlaybookError, match='no "sene" under texts'):
        boxes.text("sene", days=1)
    with pytest.raises(ValueError, match="given twice: days"):
        boxes.text("seen", {"days": 1}, days=2)
    with pytest.raises(ValueError, match="this frame 2"):
        boxes.text("seen", pd.DataFrame({"days": [1, 2]}))


@pytest.mark.parametrize("name", TRANSLATED)
def test_a_second_language_says_all_that_the_first_says_with_the_same_numbers(name):
    english = {(part, key, place): template for part, key, place, template in of(name)}
    spoken = {(part, key, place): t for part, key, place, t in of(f"{name}.zh")}
    assert not set(spoken) - set(english)
    fixed = {"practice", "metric", "place"}
    missing = [where for where in english if where not in spoken and where[2] not in fixed]
    assert not missing
    other = [where for where, t in spoken.items() if asks(t) - asks(english[where])]
    assert not other, "a number that the notebook does not hand over"


@pytest.mark.parametrize("name", TRANSLATED)
def test_headings_and_typed_lines_have_their_second_text(name):
    nb = nbformat.read(CHECKOUT / "notebooks" / f"{name}.ipynb", as_version=4)
    shown = [c for c in nb.cells if c.cell_type == "markdown" and not report.COURSE & tags(c)]
    wanted = {c.id for c in shown if "report" in tags(c) or re.search("(?m)^##? ", c.source)}
    cells = phrases.read(WORDS / f"{name}.zh.yaml")["cells"]
    assert set(cells) == wanted
    for c in shown:
        if c.id in wanted:
            marks = [re.findall("(?m)^#+ ", text) for text in (c.source, cells[c.id])]
            assert marks[0] == marks[1], c.id


@pytest.mark.parametrize("name", TRANSLATED)
def test_cases_can_be_said_in_the_second_language(name):
    known = {(part, key, place): t for part, key, place, t in of(f"{name}.zh")}
    with languages.speaking("zh"):
        for part, entries in cases(name).items():
            for key, given in entries.items():
                for case in given:
                    numbers = {"currency": "EUR"} | case["given"]
                    for place in [p for p in case if (part, key, p) in known]:
                        said = phrases.say(known[part, key, place], numbers)
                        assert bool(said) == bool(case[place]), (key, place, said)
                        of_numbers_alone = not re.search(CHINESE, known[part, key, place])
                        assert not said or of_numbers_alone or re.search(CHINESE, said), (
                            key,
                            place,
                        )


def test_numbers_are_written_as_the_language_writes_them():
    with languages.speaking("zh"):
        assert words.money(4_576_846.85, "CNY").replace("\u00a0", " ") == "457.7万 CNY"
        assert words.money(2.5e8) == "2.50亿"
        assert words.day("2017-12-31") == "2017年12月31日"
        assert words.listing(["a", "b", "c"]) == "a、b和c"
        assert words.count(float("nan")) == "未知"
    assert words.day("2017-12-31") == "31 December 2017"


def fixed_texts():
    """Every fixed text that the package asks for, in Python and in the templates of the report."""
    for file in (CHECKOUT / "helpers").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            named = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "fixed"
            if named and isinstance(node.args[0], ast.Constant):
                yield node.args[0].value
    for file in (CHECKOUT / "helpers" / "show" / "templates").glob("*.j2"):
        yield from re.findall(r"\bt\(\"([^\"]*)\"", file.read_text(encoding="utf-8"))


def test_every_fixed_text_has_its_chinese_with_the_same_places():
    chinese, asked = languages.known("zh"), set(fixed_texts())
    assert len(asked) > 60
    assert not sorted(asked - set(chinese))
    for english, said in chinese.items():
        places = [set(re.findall(r"\{\w+\}", text)) for text in (english, said)]
        assert places[0] == places[1], english


def test_a_client_s_own_name_is_drawn_as_it_is_and_ours_in_the_language_where_a_font_can():
    assert charts._short("SKU_12") == "SKU_12"
    with languages.speaking("zh"):
        ours = "重要价值客户" if charts.drawable("重") else "important value"
        assert charts._short("important value") == ours
