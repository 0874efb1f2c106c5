"""Settings and bad input: each mistake gives one line that says what to do."""

import gc
import os
import shutil
from pathlib import Path

import ibis
import pandas as pd
import pytest
import yaml

from helpers.client import Client, PlaybookError, connect
from helpers.store import body, order_days

GOOD = {
    "schema_version": 1,
    "title": "T",
    "currency": "EUR",
    "timezone": "Europe/Berlin",
    "sources": {"till": {"file": "till.csv"}},
    "tables": {"orders": {"source": "till", "columns": {"order_id": "a"}}},
}


@pytest.fixture()
def settings(home, request):
    """Write a settings file and give back the client's name."""
    name = "t" + "".join(c for c in request.node.name if c.isalnum())[:40]

    def write(changed: dict | str):
        folder = home / "data" / name
        folder.mkdir(parents=True, exist_ok=True)
        text = changed if isinstance(changed, str) else yaml.safe_dump(GOOD | changed)
        (folder / "client.yaml").write_text(text, encoding="utf-8")
        return name

    return write


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"curency": "EUR"}, "curency: unknown setting. Did you mean currency?"),
        ({"timezone": "Mars"}, '"Mars" is no time zone'),
        ({"schema_version": 2}, "schema_version"),
        ({"sales_growth": "much"}, "sales_growth"),
        ({"sources": {"till": {"fil": "x"}}}, "sources.till"),
        ({"sources": {"till": {"file": "till.csv", "ownr": "x"}}}, "Did you mean owner?"),
        ({"sources": {"till": {"owner": "x"}}}, "sources.till: say which file"),
        (
            {"tables": GOOD["tables"] | {"order": {"source": "till", "columns": {}}}},
            "no such table",
        ),
        ({"tables": {"orders": {"source": "tlil", "columns": {}}}}, 'no source "tlil"'),
        (
            {"tables": {"orders": {"source": "till", "colums": {}}}},
            "tables.orders.colums: unknown setting. Did you mean",
        ),
        (
            {"tables": {"orders": [{"source": "till", "columns": {"line_no": None}}]}},
            "columns.line_no: there is no value",
        ),
        ({"tables": {"orders": "till"}}, "tables.orders: expected settings by name"),
        (
            {"controls": {"n": {"table": "produce", "value": "1", "expected": 1}}},
            'no table "produce"',
        ),
        ("title: [", "line"),
        ("title: a\ncurrency: EUR\ntitle: b\n", 'line 3: "title" is given twice'),
        ("title: a\neconomics:\n  margin: 0.1\n  margin: 0.2\n", 'line 4: "margin" is given twice'),
        ({"sales_growth": float("nan")}, "sales_growth"),
        ({"exchange_rates": {"USD": float("inf")}}, "exchange_rates.USD"),
        (
            {"parameters": {"n_clusters": float("nan")}},
            'parameters: "n_clusters" holds .nan or .inf',
        ),
        (
            {"parameters": {"steps": [{"share": float("-inf")}]}},
            'parameters: "steps" holds .nan or .inf',
        ),
        (
            {"currency": "EURO"},
            "currency: this is no currency code (ISO 4217) of three letters such as EUR or USD",
        ),
        ({"currency": "QQQ"}, "currency: this is no currency code"),
        ({"currency": "usd"}, "currency: this is no currency code (ISO 4217); did you mean USD?"),
        ({"exchange_rates": {"US$": 0.9}}, "exchange_rates.US$"),
        ({"exchange_rates": {"USD": 0}}, "exchange_rates.USD"),
        ("just words", "expected settings by name"),
    ],
)
def test_settings_errors_are_one_line_that_names_the_place(settings, changed, says):
    with pytest.raises(PlaybookError) as e:
        Client(settings(changed))
    assert says in str(e.value)
    assert "client.yaml" in str(e.value)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("name", ["../grocer", "a/b", "..", "", ".hidden", "a b"])
def test_client_names_cannot_leave_the_data_folder(name):
    with pytest.raises(PlaybookError, match="is not a client name"):
        Client(name)


def test_a_name_too_long_and_settings_that_are_a_folder_are_said(home):
    with pytest.raises(PlaybookError, match="has 300 letters"):
        Client("a" * 300)
    (home / "data" / "a-folder" / "client.yaml").mkdir(parents=True)
    try:
        with pytest.raises(PlaybookError, match="is a folder"):
            Client("a-folder")
    finally:
        shutil.rmtree(home / "data" / "a-folder")


def test_missing_files_are_named_with_what_to_do(settings):
    with pytest.raises(PlaybookError, match=r"there is no till\.csv .* Put the file there"):
        Client(settings({})).hashes()
    with pytest.raises(PlaybookError, match="pip install nothing_here"):
        Client(settings({"sources": {"till": {"file": "x", "package": "nothing_here"}}})).hashes()


def test_command_errors_are_one_line_and_exit_2(command, corner):
    for arguments, says in [
        (["run", "grocre"], 'Did you mean "grocer"?'),
        (["run", "../x"], "is not a client name"),
        (["run", "corner", "--set", "window_dayz=3"], 'Did you mean "window_days"?'),
        (["run", "corner", "--set", "window_days=long"], "is not of type int"),
        (["run", "corner", "--set", "window_days"], "name=value"),
        (["run", "corner", "--only", "99"], "no such notebook"),
        (["run", "corner", "--as-of", "yesterday"], "write it as 2017-12-31"),
        (["run", "corner", "--as-of", "2031-01-01"], "outside the data"),
        (["open", "corner-none"], "no client"),
    ]:
        code, _out, err = command(*arguments)
        assert (code, err.count("\n")) == (2, 1), err
        assert says in err
        assert "Traceback" not in err


def test_an_unreadable_mapping_names_the_table(corner, command):
    file = corner / "client.yaml"
    good = file.read_text(encoding="utf-8")
    try:
        file.write_text(good.replace("order_id: receipt", "order_id: recipt"), encoding="utf-8")
        code, _out, err = command("run", "corner")
        assert code == 2
        assert "tables.orders" in err
        assert "recipt" in err
    finally:
        file.write_text(good, encoding="utf-8")


def test_check_runs_nothing_and_says_what_is_missing(command, home):
    from conftest import write_corner

    folder = write_corner(home, "bare-check", only_orders=True)
    code, out, _err = command("check", "bare-check")
    assert code == 0
    assert "not supplied" in out
    assert "needs messages" in out
    assert set(os.listdir(folder)) <= {"client.yaml", "raw", "private"}


def test_what_does_not_fit_in_memory_is_written_to_a_folder_of_ours_that_goes(
    tmp_path, monkeypatch
):
    """DuckDB's own default is .tmp in the working folder: customers' rows, where git sees them."""
    monkeypatch.chdir(tmp_path)
    engine = connect(memory="50MB")
    spill = Path(engine.con.sql("SELECT current_setting('temp_directory')").fetchone()[0])
    engine.con.sql("CREATE TABLE t AS SELECT i, md5(i::VARCHAR) AS a FROM range(2000000) r(i)")
    assert list(spill.iterdir())
    assert not list(tmp_path.iterdir())
    del engine
    gc.collect()
    assert not spill.exists()


def test_a_date_typed_wrong_is_not_the_last_day():
    """Five lines of 2062 in a shop of fifteen a day: a slip; a few busy days after three weeks off: the shop."""
    days = pd.date_range("2025-01-01", periods=300).repeat(15)

    def last(*more):
        at = pd.DatetimeIndex([*days, *more])
        lines = ibis.memtable(pd.DataFrame({"ordered_on": at.date, "ordered_at_local": at}))
        return body(order_days(lines))[1]

    assert last(*[pd.Timestamp("2062-05-12")] * 5).isoformat() == "2025-10-27"
    assert last(*[pd.Timestamp("2025-11-20")] * 12).isoformat() == "2025-11-20"
