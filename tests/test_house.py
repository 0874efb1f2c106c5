"""The rules that keep the house easy to see."""

import ast
import re
import subprocess
import sys
import tomllib
from graphlib import CycleError, TopologicalSorter

import pytest
import yaml
from conftest import CHECKOUT

from helpers import practices, store, tables

STEPS = {"collect", "clean", "analyze", "segment", "plan", "monitor", "optimize"}
GROUND = {"client", "history", "lock", "tables", "store", "stats", "show"}
GROUND |= {"assumptions", "effects", "methods"}
GROUND |= {"advertised"}


# a command shows its help before it loads anything
LATE = {"helpers.cli", "helpers.__main__"}


def modules():
    return sorted((CHECKOUT / "helpers").rglob("*.py"))


def room(path):
    """The top folder below helpers that a module lies in; of a module that lies in none, its name."""
    return path.relative_to(CHECKOUT / "helpers").with_suffix("").parts[0]


def test_the_walk_of_steps_sees_each_of_them():
    """A walk that sees fewer steps than there are would pass whatever they import."""
    assert {room(p) for p in modules()} >= STEPS


def named(path):
    """The name of a module, and of its package."""
    parts = path.relative_to(CHECKOUT).with_suffix("").parts
    package = ".".join(parts[:-1])
    return (package if parts[-1] == "__init__" else ".".join(parts)), package


def imports(tree, package, known):
    """Each import of a module of helpers: the module, and the node that asks for it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*above[: len(above) * (node.level > 0)], *filter(None, [node.module])])
            whole = [f"{base}.{a.name}" for a in node.names]
            names = [w if w in known else base for w in whole]
        else:
            continue
        yield from ((n, node) for n in names if n in known)


def inside_functions(tree):
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    return {n for f in ast.walk(tree) if isinstance(f, functions) for n in ast.walk(f)}


def packages_of(name):
    """The packages that are loaded before a module is."""
    parts = name.split(".")
    return {".".join(parts[:i]) for i in range(1, len(parts))}


def circle(needs):
    """Modules that import one another in a ring; empty where none do."""
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as e:
        return e.args[1]
    return []


def test_no_module_imports_itself_by_way_of_others():
    known = {named(p)[0]: p for p in modules()}
    assert len(known) == len(modules()) > 100
    needs = {}
    for name, path in known.items():
        tree, package = ast.parse(path.read_text(encoding="utf-8")), named(path)[1]
        asked = {n for n, _ in imports(tree, package, known)}
        # to load a module is to load its packages, but those that it is in are there already
        asked |= set().union(*map(packages_of, asked)) if asked else set()
        needs[name] = asked - packages_of(name) - {name}
    assert circle(needs) == []
    assert circle(needs | {"helpers.store": {"helpers.show.findings"}})


def test_helpers_are_imported_where_a_module_begins():
    known = {named(p)[0] for p in modules()}
    for path in modules():
        name, package = named(path)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        inside = inside_functions(tree)
        late = [n for n, node in imports(tree, package, known) if node in inside]
        assert name in LATE or not late, f"{name} imports {late} inside a function"


def test_what_is_imported_late_says_why():
    for path in (p for p in modules() if named(p)[0] not in LATE):
        text = path.read_text(encoding="utf-8")
        lines, tree = text.splitlines(), ast.parse(text)
        for node in inside_functions(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                at = node.lineno - 1
                above = at - 1
                while re.match(r"\s+(from|import) ", lines[above]):
                    above -= 1
                assert "#" in lines[at] or "#" in lines[above], f"{path.name}:{node.lineno}"


@pytest.mark.parametrize(
    "path",
    [p for p in modules() if room(p) in STEPS],
    ids=lambda p: str(p.relative_to(CHECKOUT / "helpers").with_suffix("")),
)
def test_steps_talk_through_tables_not_imports(path):
    allowed = GROUND | {room(path)}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        names += [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module == "helpers":
            names = [f"helpers.{a.name}" for a in node.names]
        for name in names:
            if name.startswith("helpers."):
                assert name.split(".")[1] in allowed, f"{path.name} imports {name}"


def test_helpers_that_touch_orders_compile_for_other_engines(monkeypatch):
    import datetime

    import ibis

    from helpers.analyze import cohorts
    from helpers.segment import rfm, stage

    class Spark(ibis.config.Config):  # what Ibis sets itself where pyspark is installed
        treat_nan_as_null: bool = False

    monkeypatch.setattr(ibis.options, "pyspark", Spark())
    orders = ibis.table(tables.get("orders").schema, name="orders")
    day = datetime.date(2017, 12, 31)
    for expression in (
        rfm.rfm(orders, day, 182),
        stage.gap_ratios(orders, day),
        cohorts.cohorts(orders),
    ):
        for dialect in ("pyspark", "bigquery", "snowflake"):
            assert "SELECT" in str(ibis.to_sql(expression, dialect=dialect))


def test_the_lock_covers_all_pythons_with_hashes_and_no_address():
    lock = (CHECKOUT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in lock
    assert "--index-url" not in lock
    assert "--find-links" not in lock
    pins = re.split(r"(?m)^(?=[A-Za-z0-9])", lock)[1:]
    assert all("--hash=sha256:" in pin for pin in pins)
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == ">=3.11,<3.15"
    pinned = {re.match(r"[A-Za-z0-9._-]+", p)[0].lower().replace("_", "-") for p in pins}
    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
    assert {re.match(r"[A-Za-z0-9._-]+", w)[0].lower() for w in wanted} <= pinned
    assert {
        "jupyterlab",
        "pandas",
        "seaborn",
        "matplotlib",
        "scikit-learn",
        "papermill",
        "nbval",
    } <= pinned


def test_the_data_dictionary_is_written_from_the_tables():
    assert (CHECKOUT / "data" / "README.md").read_text(encoding="utf-8") == tables.dictionary()


def test_each_listed_practice_names_a_notebook_and_tables():
    for p in practices.practices():
        assert p["notebook"] in store.notebooks()
        assert set(p["needs"]) <= set(tables.CANONICAL)


def test_no_text_of_the_repository_names_a_host_or_a_path_of_a_machine():
    files = subprocess.run(
        ["git", "ls-files"], cwd=CHECKOUT, capture_output=True, text=True, check=False
    ).stdout.split()
    for name in files:
        if name.endswith(
            (".py", ".md", ".yaml", ".toml", ".lock", ".ipynb", "Makefile", ".css", ".j2")
        ):
            text = (CHECKOUT / name).read_text(encoding="utf-8")
            assert (
                not re.search(r"/(root|work|home|Users)/", text) or name == "tests/test_house.py"
            ), name


def test_data_sets_are_not_in_the_repository():
    files = subprocess.run(
        ["git", "ls-files", "data", "reports", ":!data/simulator"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()
    assert {f.rsplit("/", 1)[-1] for f in files} <= {"README.md", "client.yaml"}
    simulator = (CHECKOUT / "data" / "simulator").rglob("*.*")
    assert {f.suffix for f in simulator} <= {".py", ".pyc", ".yaml"}
    for f in files:
        if f.endswith(".yaml"):
            yaml.safe_load((CHECKOUT / f).read_text(encoding="utf-8"))


def test_code_is_linted():
    found = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "."],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout
