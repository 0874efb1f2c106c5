"""Choices of method: one place, overruled by a client, refused where they make no sense."""

import ast
import json
import re

import pytest
from conftest import CHECKOUT, write_corner

from helpers import effects, methods
from helpers.client import Client, PlaybookError
from helpers.start import start


@pytest.fixture()
def shop(tmp_path, monkeypatch):
    """A client whose `methods:` can be written."""
    monkeypatch.setenv("PLAYBOOK_HOME", str(tmp_path))
    monkeypatch.delenv("PLAYBOOK_RUN", raising=False)
    write_corner(tmp_path)
    (tmp_path / "notebooks").symlink_to(CHECKOUT / "notebooks")
    file = tmp_path / "data" / "corner" / "client.yaml"
    before = file.read_text(encoding="utf-8")
    yield lambda text: file.write_text(f"{before}\n{text}\n", encoding="utf-8")
    methods.choose({})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("methods: {margin_know: 0.5}", "unknown setting. Did you mean margin_known?"),
        ("methods: {margin_known: 3}", "methods.margin_known: Input should be less than or equal"),
        ("methods: {leavers: 30.5}", "methods.leavers: Input should be a valid integer"),
        ("methods: {leavers: many}", "methods.leavers: Input should be a valid integer"),
        ("methods: {pace_likely: 0.1}", "pace_possible may not be above pace_likely"),
        ("methods: 3", "methods: expected settings by name"),
    ],
)
def test_what_is_unknown_or_impossible_is_refused_in_one_line(shop, text, said):
    shop(text)
    with pytest.raises(PlaybookError) as refused:
        Client("corner")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_settings_without_choices_take_the_usual_ones(shop):
    usual = {name: choice["value"] for name, choice in methods.USUAL.items()}
    assert dict(Client("corner").settings.methods) == usual


def test_a_notebook_takes_the_choices_of_its_client_and_of_no_other(shop):
    shop("methods: {messages_held_out: 400}")
    shown = effects.Shown(0.04, 0.03, 0.05, 1.5, 300, 4500, 28)
    assert shown.replaces(0.1)
    start("03c_predictions", "corner")
    assert not shown.replaces(0.1)
    shop("")
    start("03c_predictions", "corner")
    assert shown.replaces(0.1)


def test_values_overruled_for_a_while_go_back():
    with methods.overruled(leavers=50):
        with pytest.raises(ZeroDivisionError), methods.overruled(bad_cases=9):
            assert (methods.value("leavers"), methods.value("bad_cases")) == (50, 9)
            raise ZeroDivisionError
        assert (methods.value("leavers"), methods.value("bad_cases")) == (50, 30)
    assert methods.value("leavers") == 30
    with pytest.raises(KeyError):
        methods.value("luck")
    with pytest.raises(KeyError), methods.overruled(luck=1):
        pass


def test_each_choice_has_a_sound_value_and_a_meaning():
    for name, choice in methods.USUAL.items():
        assert choice["least"] <= choice["value"] <= choice["most"], name
        assert len(choice["about"]) > 20, name


def asked(tree):
    """Names that code asks for: plain ones, and the fixed beginning of those put together."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "methods.value":
            name = node.args[0]
            yield name.value if isinstance(name, ast.Constant) else name.values[0].value


def test_each_choice_is_used_and_each_that_is_used_is_listed():
    code = [p.read_text(encoding="utf-8") for p in (CHECKOUT / "helpers").rglob("*.py")]
    for path in sorted((CHECKOUT / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code += ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
    names = {name for text in code for name in asked(ast.parse(text))}
    parts = {n for n in methods.USUAL if re.match("|".join(names), n)}
    assert parts == set(methods.USUAL)
    assert all(any(known.startswith(n) for known in methods.USUAL) for n in names)
