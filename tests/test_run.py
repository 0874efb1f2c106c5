"""A run is whole or not there."""

import json
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from conftest import frames

from helpers import kernels, store, tables
from helpers.client import Client, PlaybookError
from helpers.run import dependencies, run


def test_every_table_has_one_maker_and_every_read_is_made():
    declared = {n: store.declared(n) for n in store.notebooks()}
    written = [t for _, writes in declared.values() for t in writes]
    assert len(written) == len(set(written))
    assert {t for reads, _ in declared.values() for t in reads} <= set(written)
    for table in written:
        assert tables.get(table).columns


def test_the_order_follows_the_tables_and_lets_two_run_side_by_side():
    needs = dependencies(store.notebooks())
    assert needs["01_collect"] == set()
    assert "01_collect" in needs["02_clean"]
    assert "03_analyze" not in needs["04_segment"]


def test_a_whole_run_is_recorded_published_and_latest(corner_report, corner):
    client = Client("corner")
    record = json.loads((client.latest / "run.json").read_text(encoding="utf-8"))
    assert record["status"] == "finished"
    assert set(record["notebooks"]) == set(store.notebooks())
    assert set(record["inputs"]) == {"client.yaml", *client.settings.sources}
    assert all(n["seconds"] > 0 for n in record["notebooks"].values())
    assert record["versions"]["pandas"] == pd.__version__
    assert corner_report.parent == client.reports / record["as_of"]
    assert sorted(p.stem for p in corner_report.parent.iterdir()) == sorted(
        [*store.notebooks(), "index"]
    )


def same_tables(one, other):
    before, after = frames(one), frames(other)
    assert before.keys() == after.keys()
    for name in before.keys() - {"changes", "decisions"}:  # these look back at the run before
        pd.testing.assert_frame_equal(before[name], after[name], check_exact=True, obj=name)


@pytest.mark.evidence
def test_one_job_or_two_give_the_same_tables(corner_report, corner):
    # 01 and 02 have nothing beside them; what can run side by side starts at 03.
    index = run("corner", only=",".join(n for n in store.notebooks() if n > "03"), jobs=1)
    same_tables(Client("corner").latest, index.parent.parent)


def test_plain_kernels_and_one_job_give_the_tables_of_warm_ones_and_two_to_the_bit(
    corner_report, corner, plain
):
    index = run("corner", only="04b,05", jobs=1)
    assert kernels.started == {"plain": 2}
    same_tables(Client("corner").latest, index.parent.parent)


def test_only_works_on_a_copy_and_leaves_the_report(corner_report, corner):
    client = Client("corner")
    latest = client.latest
    page = (corner_report.parent / "04_segment.html").read_text(encoding="utf-8")
    before = frames(latest)
    index = run("corner", only="04", sets={"window_days": "90"})
    assert client.latest == latest
    assert (corner_report.parent / "04_segment.html").read_text(encoding="utf-8") == page
    assert index.parent.parent.parent == latest.parent
    after = frames(index.parent.parent)
    assert not after["segments"].equals(before["segments"])
    pd.testing.assert_frame_equal(frames(latest)["segments"], before["segments"])


def test_a_failed_run_names_the_cell_keeps_the_notebook_and_the_last_report(
    corner_report, corner, home, command
):
    notebook = home / "notebooks" / "02_clean.ipynb"
    good, latest = notebook.read_text(encoding="utf-8"), Client("corner").latest
    page = corner_report.read_bytes()
    nb = nbformat.reads(good, as_version=4)
    at = next(i for i, c in enumerate(nb.cells) if c.source.startswith("## What looks wrong?"))
    nb.cells.insert(at + 1, nbformat.v4.new_code_cell("1 / 0"))
    try:
        nbformat.write(nb, notebook)
        code, _out, err = command("run", "corner")
    finally:
        notebook.write_text(good, encoding="utf-8")
    assert code == 1
    assert "02_clean failed in cell" in err
    assert "What looks wrong?" in err
    assert "ZeroDivisionError" in err
    assert "Traceback" not in err
    kept = err.split("as far as it got: ")[1].strip()
    assert "1 / 0" in Path(kept).read_text(encoding="utf-8")
    assert Client("corner").latest == latest
    assert corner_report.read_bytes() == page


def test_the_store_refuses_what_is_not_declared(corner_report, corner, tmp_path):
    book = store.Store("03_analyze", Client("corner"), tmp_path)
    with pytest.raises(PlaybookError, match="does not declare that it reads quarantine"):
        book.read("quarantine")
    with pytest.raises(PlaybookError, match="does not declare that it writes orders"):
        book.write("orders", pd.DataFrame())
    with pytest.raises(PlaybookError, match="Run 02_clean first"):
        book.read("orders")
    with pytest.raises(ValueError, match="table cohorts lacks"):
        book.write("cohorts", pd.DataFrame({"x": [1]}))


def test_nothing_is_left_between_publishes(corner_report):
    assert not [p for p in corner_report.parent.parent.iterdir() if p.name.startswith(".")]
