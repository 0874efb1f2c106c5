"""What a run takes for granted: found once, written down by each notebook, joined at its end."""

import json
from types import SimpleNamespace

import pandas as pd
import pytest
from conftest import CHECKOUT

from helpers import assumptions, run, store, tables
from helpers.client import Client, Economics, PlaybookError, Settings
from helpers.show import report

SETTINGS = Settings(schema_version=1, title="t", currency="EUR", timezone="UTC")


def notebook(folder, name):
    """What `take` sees of a notebook that was just started."""
    file = folder / "assumptions" / f"{name}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text("{}", encoding="utf-8")
    return SimpleNamespace(notebook=name, assumptions_file=file)


@pytest.fixture()
def folder(tmp_path):
    (tmp_path / "tables").mkdir()
    return tmp_path


def joined(folder, given=None, of_client=None):
    settings = SETTINGS.model_copy(update={"parameters": of_client or {}})
    return assumptions.join(folder, settings, given or {})


def test_a_figure_that_two_notebooks_take_is_one_row_that_names_both(folder):
    economics = Economics(discount_rate=0.2)
    cost = assumptions.stated(economics, "contact_cost")
    rate = assumptions.stated(economics, "discount_rate")
    assumptions.take(notebook(folder, "04c_churn"), contact_cost=cost)
    assumptions.take(notebook(folder, "04a_lifetime_value"), discount_rate=rate, contact_cost=cost)
    found = joined(folder)
    assert found[["name", "value", "source", "used_by"]].to_numpy().tolist() == [
        ["contact_cost", 0.5, "default", "04a_lifetime_value, 04c_churn"],
        ["discount_rate", 0.2, "settings", "04a_lifetime_value"],
    ]
    assert found["key"].tolist() == ["economics.contact_cost", "economics.discount_rate"]
    stored = pd.read_parquet(folder / "tables" / "assumptions.parquet")
    assert list(stored) == list(tables.get("assumptions").columns)
    pd.testing.assert_frame_equal(stored, found, check_dtype=False)


def test_two_values_of_one_figure_are_two_rows_so_that_they_are_seen(folder):
    assumptions.take(notebook(folder, "03c_predictions"), margin=(0.25, "assumed"))
    assumptions.take(notebook(folder, "05_plan"), margin=(0.4, "data"))
    assert joined(folder)["source"].tolist() == ["default", "costs in the data"]


def test_what_was_measured_names_the_notebook_and_what_is_not_known_is_not_taken(folder):
    made = notebook(folder, "04c_churn")
    assumptions.take(made, rescued=(0.03, "held"), margin=(float("nan"), "assumed"))
    assumptions.take(notebook(folder, "05_plan"), rescued=(0.03, "04c_churn"))
    found = joined(folder)
    assert found["source"].tolist() == ["measured by 04c_churn"]
    assert found["used_by"].tolist() == ["04c_churn, 05_plan"]


@pytest.mark.parametrize(
    ("given", "of_client", "source"),
    [
        ({}, {}, "default"),
        ({"rescued": 0.1}, {"rescued": 0.1}, "settings"),
        ({"rescued": 0.1}, {}, "set for this run"),
        ({"rescued": 0.1}, {"rescued": 0.2}, "set for this run"),
    ],
)
def test_a_parameter_of_a_notebook_tells_who_gave_it(folder, given, of_client, source):
    assumptions.take(notebook(folder, "04c_churn"), rescued=(0.1, "assumed"))
    assumptions.take(notebook(folder, "05_plan"), rescued=(0.1, "assumed"))
    found = joined(folder, {"04c_churn": given, "05_plan": {}}, of_client)
    assert found["source"].tolist() == [source]


def test_a_run_that_takes_nothing_for_granted_has_an_empty_table(folder):
    notebook(folder, "01_collect")
    assert joined(folder).empty


def test_a_name_that_is_not_listed_is_refused(folder):
    with pytest.raises(KeyError, match="luck"):
        assumptions.take(notebook(folder, "05_plan"), luck=(1.0, "assumed"))


def test_every_figure_has_one_place_where_client_yaml_overrules_it():
    parameters = {
        line.split(":")[0]
        for name in store.notebooks()
        for cell in json.loads((CHECKOUT / "notebooks" / f"{name}.ipynb").read_text("utf-8"))[
            "cells"
        ]
        if "parameters" in cell["metadata"].get("tags", [])
        for line in cell["source"]
    }
    for name, kind in assumptions.KINDS.items():
        block, key = kind["key"].split(".")
        assert key == name
        assert key in (Economics.model_fields if block == "economics" else parameters)
        assert (key in parameters) == (block == "parameters"), f"{key} stands in two places"


def test_a_parameter_that_became_a_setting_is_refused_with_its_new_place(home, monkeypatch):
    monkeypatch.setenv("PLAYBOOK_HOME", str(home))
    with pytest.raises(PlaybookError, match=r"Write economics\.contact_cost in client\.yaml"):
        run.parameters_of(["03c_predictions"], Client("grocer"), {"contact_cost": "0.3"}, None)


def test_the_first_page_says_each_figure_its_source_its_pages_and_its_key():
    row = {"name": "rescued", "value": 0.05, "used_by": "04c_churn, 05_plan"}
    row |= {"source": "measured by 04c_churn", **assumptions.KINDS["rescued"]}
    cost = {"name": "contact_cost", "value": 0.5, "used_by": "04c_churn", "source": "default"}
    rows = pd.DataFrame([row, cost | assumptions.KINDS["contact_cost"]])
    shown = report._assumed(rows, "EUR", {"04c_churn": "4c Churn", "05_plan": "5 Plan"})
    assert [s["value"].replace("\N{NO-BREAK SPACE}", " ") for s in shown] == [
        "5.0 % of customers",
        "0.50 EUR",
    ]
    assert shown[0]["source"] == "measured by 4c Churn"
    assert shown[0]["pages"] == [("04c_churn.html", "4c Churn"), ("05_plan.html", "5 Plan")]
