"""Every notebook keeps the skeleton: one question, small cells, computed takeaways, exercises that check themselves."""

import re
from itertools import pairwise

import nbformat
import pytest
from conftest import CHECKOUT, tags

from helpers import answers, learn, start, store
from helpers.client import Client

NAMES = sorted(p.stem for p in (CHECKOUT / "notebooks").glob("*.ipynb"))


@pytest.fixture(params=NAMES)
def notebook(request):
    return request.param, nbformat.read(
        CHECKOUT / "notebooks" / f"{request.param}.ipynb", as_version=4
    )


def test_all_seven_steps_are_there():
    assert [n[:2] for n in NAMES if re.match(r"\d\d_", n)] == [
        "01",
        "02",
        "03",
        "04",
        "05",
        "06",
        "07",
    ]


def test_no_output_is_stored_and_ids_stay(notebook):
    _, nb = notebook
    assert not [c for c in nb.cells if c.cell_type == "code" and (c.outputs or c.execution_count)]
    ids = [c.id for c in nb.cells]
    assert len(ids) == len(set(ids))


def test_it_opens_with_one_title_and_a_question(notebook):
    _, nb = notebook
    first = nb.cells[0].source
    assert first.startswith("# ")
    assert re.search(r"\n\*\*[^*]+\?\*\*", first)
    assert "*Reads:*" in first
    assert "*Writes:*" in first
    assert sum(bool(re.match("# ", c.source)) for c in nb.cells if c.cell_type == "markdown") == 1


def test_the_readme_lists_its_question(notebook):
    name, nb = notebook
    question = re.search(r"\n\*\*([^*]+\?)\*\*", nb.cells[0].source)[1]
    assert f"| `{name}` | {question} |" in (CHECKOUT / "README.md").read_text(encoding="utf-8")


def test_parameters_come_early_typed_and_commented(notebook):
    _, nb = notebook
    at = [i for i, c in enumerate(nb.cells) if "parameters" in tags(c)]
    assert at in ([1], [2])
    lines = nb.cells[at[0]].source.splitlines()
    assert len(lines) >= 2
    assert [line.split(":")[0] for line in lines[:2]] == ["client", "as_of"]
    for line in lines:
        assert re.match(r"\w+: (str|int|float|list) = .+  # \w", line), line


def test_headings_are_questions(notebook):
    _, nb = notebook
    headings = [
        line
        for c in nb.cells
        if c.cell_type == "markdown"
        for line in c.source.splitlines()
        if line.startswith("## ")
    ]
    asked = [h for h in headings if h not in ("## Takeaways", "## Exercises")]
    assert len(asked) >= 3
    assert all(h.endswith("?") for h in asked), asked


def test_code_is_free_of_what_belongs_in_helpers(notebook):
    _, nb = notebook
    code = "\n".join(c.source for c in nb.cells if c.cell_type == "code")
    for unwanted in ("sys.path", "%", "warnings.", "open(", "/home", "\\\\"):
        if unwanted == "%":
            assert not re.search(r"(?m)^\s*%", code)
        else:
            assert unwanted not in code, unwanted


def test_typed_prose_that_reaches_the_report_states_no_number(notebook):
    _, nb = notebook
    for c in nb.cells:
        if c.cell_type == "markdown" and "report" in tags(c):
            assert not re.search(r"\d", c.source), c.source


def test_it_ends_with_takeaways_and_exercises(notebook):
    name, nb = notebook
    code = [c.source for c in nb.cells if c.cell_type == "code"]
    assert "show.takeaways()" in code
    checks = [c for c in nb.cells if c.cell_type == "code" and "learn.check(" in c.source]
    assert len(checks) >= 3
    assert all("exercise" in tags(c) for c in checks)
    if name != NAMES[-1]:
        assert "**Next:**" in nb.cells[-1].source


def test_each_finding_has_a_way_to_the_report(notebook):
    _, nb = notebook
    source = "\n".join(c.source for c in nb.cells if c.cell_type == "code")
    assert source.count("show.finding(") >= 2


SHOWS = re.compile(
    r"show\.(bars|cards|dots|finding|graph|heat|lines|scatter|table|takeaways|text|tree)\("
)


def shows(cell):
    boxes = [
        o["data"].get("text/html", "")
        for o in cell.outputs
        if o.output_type in ("display_data", "execute_result")
    ]
    return not all('class="nothing"' in box for box in boxes)


def test_each_cell_that_is_there_to_show_something_does_so_for_some_client(
    lab_run, corner_report, grocer_report
):
    """Cells tagged `if-found` speak of what a client may be spared (a sore point, red lights, no warning sign), or of
    what has changed since an earlier run, of which there is none here.
    """
    cells = {}
    places = [lab_run, *(Client(name).latest for name in ("corner", "grocer"))]
    for path in (p for place in places for p in sorted((place / "notebooks").glob("*.ipynb"))):
        for cell in nbformat.read(path, as_version=4).cells:
            if (
                cell.cell_type == "code"
                and SHOWS.search(cell.source)
                and "if-found" not in tags(cell)
            ):
                cells.setdefault((path.stem, cell.id), []).append(shows(cell))
    assert len(cells) > 250
    silent = [f"{notebook} {cell}" for (notebook, cell), shown in cells.items() if not any(shown)]
    assert not silent, ", ".join(silent)


def questions(name):
    nb = nbformat.read(CHECKOUT / "notebooks" / f"{name}.ipynb", as_version=4)
    return [m for c in nb.cells for m in re.findall(r'learn\.check\("(\w+)"', c.source)]


@pytest.mark.parametrize("name", NAMES)
def test_exercises_know_right_equivalent_and_typical_wrong_answers(
    name, grocer_report, monkeypatch
):
    latest = Client("grocer").latest
    monkeypatch.setattr(start, "_current", store.Store(name, Client("grocer"), latest))
    for question in questions(name):
        right, mistakes = learn._load(question)(start.current())
        assert learn.judge(question, right)[0] == "right", question
        assert learn.judge(question, ...)[0] == "open"
        for same in equivalents(right):
            assert learn.judge(question, same)[0] == "right", (question, same)
        assert mistakes, question
        for hint, wrong in mistakes.items():
            assert learn.judge(question, wrong) == ("wrong", f"Not yet. {hint}"), (question, hint)
        assert learn.judge(question, "no idea")[0] == "wrong"


def equivalents(right):
    import numpy as np
    import pandas as pd

    plain = answers.plain(right)
    if isinstance(plain, bool | str):
        return [pd.Series([plain]), f" {plain} "] if isinstance(plain, str) else [np.bool_(plain)]
    if isinstance(plain, list):
        return [plain[::-1], tuple(plain), pd.Series(plain)]
    percent = [plain * 100] if 0 < abs(plain) <= 1 else []
    return [np.float64(plain), pd.Series([plain]), pd.DataFrame({"x": [plain]}), *percent]


def test_sections_follow_one_another_in_all_pages():
    for before, after in pairwise(NAMES):
        nb = nbformat.read(CHECKOUT / "notebooks" / f"{before}.ipynb", as_version=4)
        assert f"({after}.ipynb)" in nb.cells[-1].source
